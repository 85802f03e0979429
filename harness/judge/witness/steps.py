"""Steps that several stories share: an attempt, what struck, what stands there now.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.columns import NEVER
from harness.judge.witness.scene import Event, Key, Scene, outcome
from harness.rundir import to_us
from harness.verify.findings import Occurrence
from harness.verify.timeline import Fault
from harness.verify.transactions import ABORTED, COMMITTED, UNDECIDED


def key_of(each: Occurrence) -> Key:
    """(topic, partition) of an occurrence."""
    return each.topic, each.partition


def attempt(scene: Scene, each: Occurrence, fault: Fault | None = None) -> Iterator[Event]:
    """Handed over, and what became of it, with the leader of that moment where it is known."""
    if each.producer is None or each.sequence is None:
        return
    producer, sequence = each.producer, each.sequence
    state, offset = scene.ledger_cell(key_of(each), producer, sequence)
    number = scene.number(key_of(each), producer, sequence)
    who = {"producer": producer, "sequence": number}
    if state == NEVER:
        yield Event("attempt", f"producer {producer} never handed over a record {number}", None, {
            **who})  # fmt: skip
        return
    at_us = scene.sent_us(each)
    about = "" if at_us is None else "about here "
    yield Event(
        "attempt", f"{about}producer {producer} hands record {number} to its client", at_us, {
            **who})  # fmt: skip
    fields: dict[str, int | str] = {**who}
    if offset >= 0:
        fields["offset"] = offset
    leader = _leader_then(scene, each, at_us, fault)
    if leader is not None:
        fields["leader"], fields["leader_epoch"] = leader
    by = "" if leader is None else f"; broker {leader[0]} leads in epoch {leader[1]}"
    yield Event("outcome", f"it {outcome(state, offset)}{by}", None, fields)


def _leader_then(
    scene: Scene, each: Occurrence, at_us: int | None, fault: Fault | None
) -> tuple[int, int] | None:
    if fault is not None and (at_us is None or at_us <= (fault.healed_us or at_us)):
        move = scene.move_of(fault, key_of(each)) or {}
        killed_us = _last_kill_us(fault)
        alive = at_us is None or killed_us is None or at_us <= killed_us
        if alive and "leader_before" in move and "epoch_before" in move:
            return move["leader_before"], move["epoch_before"]
    return None if at_us is None else scene.leader_at(key_of(each), at_us)


def _last_kill_us(fault: Fault) -> int | None:
    kills = [
        to_us(str(each["at"]))
        for each in fault.evidence.get("brokers") or []
        if isinstance(each, dict) and each.get("signal") == "SIGKILL" and each.get("at")
    ]
    return max(kills, default=None)


def struck(scene: Scene, each: Occurrence, fault: Fault | None) -> Iterator[Event]:
    """What struck nearby, and who led afterwards."""
    shaken = scene.disturbance_near(key_of(each), scene.sent_us(each), fault)
    if shaken is not None:
        text = f"no fault on record explains what is seen: {shaken.text}"
        yield Event("disturbance", text, shaken.from_us)
        return
    if fault is None:
        if scene.evidence.elsewhere is not None:
            return
        if not any(other.struck and not other.idle for other in scene.evidence.timeline.faults):
            yield Event("no_fault", "no fault is on record")
        return
    did = [
        f"{struck['signal']} to broker {struck['broker']}"
        for struck in fault.evidence.get("brokers") or []
        if isinstance(struck, dict) and "signal" in struck and "broker" in struck
    ]
    did += [
        f"{cut.get('mode')} on the {cut.get('listener')} listener of broker {cut['broker']}"
        for cut in fault.evidence.get("links") or []
        if isinstance(cut, dict) and "broker" in cut
    ]
    what = f": {', '.join(did)}" if did else f" on {fault.target}" if fault.target else ""
    yield Event("fault", f"fault {fault.fault_id}{what}", fault.injected_us, {
        "fault_id": fault.fault_id, "fault": fault.fault})  # fmt: skip
    move = scene.move_of(fault, key_of(each))
    if move is None or "leader_after" not in move:
        return
    if move.get("epoch_after", -1) <= move.get("epoch_before", -1):
        return
    text = (
        f"broker {move['leader_after']} leads in epoch {move['epoch_after']} after broker "
        f"{move.get('leader_before')} in epoch {move.get('epoch_before')}"
    )
    yield Event("elected", text, _elected_us(scene, each, move), {
        "leader": move["leader_after"], "leader_epoch": move["epoch_after"]})  # fmt: skip


def _elected_us(scene: Scene, each: Occurrence, move: dict[str, int]) -> int | None:
    changes = scene.evidence.timeline.leaders.get((scene.topic(each.topic), each.partition), [])
    seen = [change.at_us for change in changes if change.leader_epoch == move.get("epoch_after")]
    return min(seen, default=None)


def stands(scene: Scene, key: Key, offset: int, whose: tuple[int, int] | None) -> Event:
    """What the drain read at an offset."""
    proof = scene.evidence.drained_partition(*key)
    there = scene.standing(key, [offset]).get(offset)
    fields: dict[str, int | str] = {"offset": offset}
    epoch = epoch_of(scene, key, offset)
    written = "" if epoch is None else f", written in epoch {epoch}"
    if there is None:
        if proof.end is not None and proof.end <= offset:
            text = f"the log ends at {proof.end}, at or below offset {offset}"
        elif proof.floor > offset:
            text = f"the log begins at {proof.floor}, above offset {offset}"
        elif proof.proven and bool(proof.reaches(np.array([offset]))[0]):
            text = f"offset {offset} holds no record that a reader gets"
        else:
            text = f"the drain read no record at offset {offset}"
    elif isinstance(there, str):
        text = f"offset {offset} holds {there}{written}"
    elif there == whose:
        text = f"offset {offset} holds that record{written}"
    else:
        number = scene.number(key, *there)
        text = f"offset {offset} holds record {number} of producer {there[0]}{written}"
        fields["producer"], fields["sequence"] = there[0], number
    if epoch is not None and there is not None:
        fields["leader_epoch"] = epoch
    return Event("stands", text, None, fields)


def epoch_of(scene: Scene, key: Key, offset: int) -> int | None:
    """In which leader epoch the log's present record at an offset was written."""
    replicas = scene.evidence.replicas
    topic = scene.topic(key[0])
    for log in replicas.logs if replicas is not None else ():
        if (log.topic, log.partition) == (topic, key[1]):
            epochs = [epoch for epoch, start in log.epochs if start <= offset]
            if epochs and log.end is not None and offset < log.end:
                return epochs[-1]
    return None


def read_live(scene: Scene, each: Occurrence) -> Event:
    """Whether the live reader ever got it."""
    if not scene.evidence.live.there:
        return Event("read_live", "nobody read along while the load was running")
    assert each.producer is not None
    assert each.sequence is not None
    at = scene.observed("live", key_of(each), each.producer, each.sequence)
    if not at:
        return Event("read_live", "the live reader never got it")
    at_us = scene.read_live_us(key_of(each), at[0])
    where = ", ".join(map(str, at))
    return Event("read_live", f"the live reader got it at offset {where}", at_us, {
        "offset": at[0]})  # fmt: skip


def drained(scene: Scene, each: Occurrence) -> Event:
    """What the proof of the drain says."""
    proof = scene.evidence.drained_partition(*key_of(each))
    if proof.proven:
        end = proof.end if proof.ceiling is None else proof.ceiling
        upto = "on" if end is None else f"to {end}"
        return Event(
            "drained",
            f"the drain read everything from offset {proof.floor} {upto}, and it is not there",
            scene.evidence.drain.started_us if scene.evidence.drain else None,
            {"start": proof.floor, "end": -1 if end is None else end},
        )
    return Event("drained", f"whether it is there is not known: {proof.reason}")


def transaction_steps(scene: Scene, each: Occurrence) -> Iterator[Event]:
    """Begin, commit called, and the end of an occurrence's transaction."""
    position = scene.transaction(each)
    if position is None or each.producer is None:
        return
    log = scene.evidence.transactions[each.producer]
    number, state = int(log.numbers[position]), int(log.states[position])
    begun_us, called_us, ended_us = log.moments(position)
    fields: dict[str, int | str] = {"producer": each.producer, "transaction": number}
    yield Event("begin", f"producer {each.producer} begins transaction {number}", begun_us, fields)
    if called_us is not None:
        yield Event("commit_called", "it calls commit", called_us, fields)
    elif state != ABORTED:
        yield Event("commit_never_called", "commit was never called", None, fields)
    text = {
        COMMITTED: "commit returns success",
        ABORTED: "abort returns success",
        UNDECIDED: "the outcome of the commit is unknown",
    }.get(state, "the transaction was left open")
    yield Event("ended", text, ended_us, fields)
