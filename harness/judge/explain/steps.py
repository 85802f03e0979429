"""Steps that several stories share: an attempt, the fault nearby, what is there now.

No client library is imported here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from harness.judge.explain.scene import NEAR_US, Event, Key, Scene
from harness.reconcile.findings import Occurrence
from harness.rundir.columns import NEVER
from harness.rundir.fault_evidence import KILL
from harness.rundir.recorded_faults import RecordedFault
from harness.rundir.run_record import Elsewhere
from harness.rundir.transactions import ABORTED, COMMITTED, UNDECIDED


def key_of(each: Occurrence) -> Key:
    """(topic, partition) of an occurrence."""
    return each.topic, each.partition


def attempt(scene: Scene, each: Occurrence) -> Iterator[Event]:
    """Handed over, with the leader that was last seen by then, and what became of it."""
    if each.producer is None or each.sequence is None:
        return
    producer, sequence = each.producer, each.sequence
    state, offset = scene.ledger_cell(key_of(each), producer, sequence)
    number = scene.number(key_of(each), producer, sequence)
    who = {"producer": producer, "sequence": number}
    if state == NEVER:
        text = f"no attempt of producer {producer} to send a record {number} is on record"
        yield Event("attempt", text, None, {**who}, proves=True)
        return
    at_us = scene.sent_us(each)
    fields: dict[str, int | str] = {**who}
    leader = None if at_us is None else _leader_then(scene, key_of(each), at_us)
    by = ""
    if leader is not None:
        fields["leader"], fields["leader_epoch"] = leader
        by = f"; the leader last seen by then is broker {leader[0]}, epoch {leader[1]}"
    about = "" if at_us is None else "about here "
    yield Event(
        "attempt",
        f"{about}producer {producer} hands record {number} to its client{by}",
        at_us,
        fields,
    )
    if offset >= 0:
        who["offset"] = offset
    became = scene.outcome(each.topic, state, offset)
    yield Event("outcome", f"it {became}", None, {**who}, proves=True)


def _leader_then(scene: Scene, key: Key, at_us: int) -> tuple[int, int] | None:
    """(leader, epoch) as last seen at an instant; None where a kill of it is on record since.

    What a fault noted of the leader before its injection counts as seen at that moment.
    """
    seen = scene.leader_at(key, at_us)
    found = None if seen is None else (seen, scene.leader_seen_us(key, at_us))
    for fault in scene.run.timeline.faults:
        move = scene.move_of(fault, key) or {}
        if fault.injected_us <= at_us and {"leader_before", "epoch_before"} <= set(move):
            noted = move["leader_before"], move["epoch_before"]
            if found is None or (found[1] < fault.injected_us and found[0][1] <= noted[1]):
                found = noted, fault.injected_us
    if found is None:
        return None
    (leader, epoch), seen_us = found
    killed = any(
        each.broker == leader
        and each.deed == KILL
        and each.at_us is not None
        and seen_us <= each.at_us <= at_us
        for fault in scene.run.timeline.faults
        for each in fault.seen.brokers
    )
    return None if killed else (leader, epoch)


def fault_nearby(scene: Scene, each: Occurrence, fault: RecordedFault | None) -> Iterator[Event]:
    """The fault nearby, and who led afterwards."""
    shaken = scene.disturbance_near(key_of(each), scene.sent_us(each), fault)
    if shaken is not None:
        text = f"no fault on record explains what is seen: {shaken.text}"
        yield Event("disturbance", text, shaken.from_us)
        return
    if fault is None:
        if scene.run.elsewhere is not None:
            return
        if not any(other.injected and not other.idle for other in scene.run.timeline.faults):
            yield Event("no_fault", "no fault is on record")
        return
    seen = fault.seen
    did = [each.what for each in seen.brokers if each.at_us is None]
    did += [each.what for each in seen.links]
    what = f": {', '.join(did)}" if did else f" on {fault.target}" if fault.target else ""
    yield Event("fault", f"fault {fault.fault_id}{what}", fault.injected_us, {
        "fault_id": fault.fault_id, "fault": fault.fault})  # fmt: skip
    for done in seen.brokers:
        if done.at_us is not None:
            yield Event("signal", done.what, done.at_us, {
                "broker": done.broker, "signal": done.action})  # fmt: skip
    move = scene.move_of(fault, key_of(each))
    if move is None or "leader_after" not in move:
        return
    yield from _led_later(scene, each, move.get("epoch_after", -1))
    if move.get("epoch_after", -1) <= move.get("epoch_before", -1):
        return
    text = (
        f"broker {move['leader_after']} is seen as the leader in epoch {move['epoch_after']}, "
        f"after broker {move.get('leader_before')} in epoch {move.get('epoch_before')}"
    )
    yield Event("elected", text, _elected_us(scene, each, move), {
        "leader": move["leader_after"], "leader_epoch": move["epoch_after"]})  # fmt: skip


def _led_later(scene: Scene, each: Occurrence, epoch: int) -> Iterator[Event]:
    """The first change of leader after the record was handed over, where it is not the fault's own.

    A heal that moves leadership back to the preferred replica cuts off what this one had not
    fetched. With acks=1 that loses records, and without this step a story would name the fault.
    """
    at_us = scene.sent_us(each)
    changes = scene.run.timeline.leaders.get((scene.topic(each.topic), each.partition), [])
    for before, after in itertools.pairwise(changes):
        if at_us is None or after.at_us < at_us or after.leader_epoch <= epoch:
            continue
        if after.at_us - at_us <= NEAR_US and after.leader >= 0:
            text = (
                f"broker {after.leader} is seen as the leader in epoch {after.leader_epoch}, "
                f"after broker {before.leader} in epoch {before.leader_epoch}"
            )
            yield Event("elected", text, after.at_us, {
                "leader": after.leader, "leader_epoch": after.leader_epoch})  # fmt: skip
        return


def _elected_us(scene: Scene, each: Occurrence, move: dict[str, int]) -> int | None:
    changes = scene.run.timeline.leaders.get((scene.topic(each.topic), each.partition), [])
    seen = [change.at_us for change in changes if change.leader_epoch == move.get("epoch_after")]
    return min(seen, default=None)


def reading(scene: Scene) -> str:
    """What a run's last reading is called; a history may hold any reading."""
    return "the drain" if scene.run.elsewhere is None else "the reading"


def _aside_at(elsewhere: Elsewhere, key: Key, offset: int) -> bool:
    """Whether a reading that was set aside returned anything at an offset."""
    rows = elsewhere.aside
    here = (rows["topic"] == key[0]) & (rows["partition"] == key[1]) & (rows["offset"] == offset)
    return bool(here.any())


def read_at(
    scene: Scene, key: Key, offset: int, whose: tuple[int, int] | None, *, whole: bool = True
) -> Event:
    """What was read at an offset: by the drain, or else by the live reader.

    whole: whether every reading of the offset would show here.
    """
    proof = scene.run.drained_partition(*key)
    fields: dict[str, int | str] = {"offset": offset}
    there, who = scene.standing(key, [offset]).get(offset), reading(scene)
    begins = proof.floor > offset
    # An end that is stated and not believed says nothing.
    ends = proof.ceiling is None and proof.end is not None and proof.end <= offset
    if there is None and not begins and not ends:
        there = scene.standing(key, [offset], "live").get(offset)
        who = "the live reader"
    epoch = epoch_of(scene, key, offset)
    written = "" if epoch is None else f", written in epoch {epoch}"
    if there is None:
        text = f"no reading on record returned a record at offset {offset}"
        elsewhere = scene.run.elsewhere
        if elsewhere is not None and (not whole or _aside_at(elsewhere, key, offset)):
            # Readings at another isolation level are not among those that were looked at here.
            text = f"what other readings returned at offset {offset} is not part of this story"
        if scene.renewed(key[0]):
            text = f"no reading that says the id of this topic returned a record at offset {offset}"
        if ends:
            text = f"the log ends at {proof.end}, at or below offset {offset}"
        elif begins:
            begins_there = "the log" if scene.run.elsewhere is None else "the reading"
            text = f"{begins_there} begins at {proof.floor}, above offset {offset}"
    elif isinstance(there, str):
        text = f"{who} returned {there} at offset {offset}{written}"
    elif there == whose:
        text = f"{who} returned that record at offset {offset}{written}"
    else:
        number = scene.number(key, *there)
        text = f"{who} returned record {number} of producer {there[0]} at offset {offset}{written}"
        fields["producer"], fields["sequence"] = there[0], number
    if epoch is not None and there is not None:
        fields["leader_epoch"] = epoch
    return Event("stands", text, None, fields, closing=True, proves=True)


def found_at(scene: Scene, key: Key, producer: int, sequence: int, offset: int) -> Event:
    """By whom a record was found at an offset: the drain, the live reader, or its broker."""
    number = scene.number(key, producer, sequence)
    fields: dict[str, int | str] = {"sequence": number, "offset": offset}
    if offset in scene.observed("drained", key, producer, sequence):
        text, at_us = f"{reading(scene)} returned record {number} at offset {offset}", None
    elif offset in scene.observed("live", key, producer, sequence):
        at_us = scene.read_live_us(key, offset)
        text = f"the live reader got record {number} at offset {offset}"
    else:
        text, at_us = f"record {number} was acknowledged at offset {offset}", None
    return Event("stands", text, at_us, fields, closing=True, proves=True)


def epoch_of(scene: Scene, key: Key, offset: int) -> int | None:
    """In which leader epoch the log's present record at an offset was written."""
    replicas = scene.run.replicas
    topic = scene.topic(key[0])
    for log in replicas.logs if replicas is not None else ():
        if (log.topic, log.partition) == (topic, key[1]):
            epochs = [epoch for epoch, start in log.epochs if start <= offset]
            if epochs and log.end is not None and offset < log.end:
                return epochs[-1]
    return None


def read_live(scene: Scene, each: Occurrence) -> Event:
    """Whether the live reader ever got it."""
    assert each.producer is not None
    assert each.sequence is not None
    at = scene.observed("live", key_of(each), each.producer, each.sequence)
    if not at and scene.renewed(each.topic):
        text = "no live reading that says the id of this topic holds it"
        return Event("read_live", text, closing=True)
    if not scene.run.live.there:
        return Event("read_live", "no reading from while the load ran is on record", closing=True)
    if not at:
        return Event("read_live", "the live reading does not hold it", closing=True)
    at_us = scene.read_live_us(key_of(each), at[0])
    where = ", ".join(map(str, at))
    return Event("read_live", f"the live reader got it at offset {where}", at_us, {
        "offset": at[0]}, closing=True)  # fmt: skip


def drained(scene: Scene, each: Occurrence) -> Event:
    """What the proof of the drain says."""
    if scene.nowhere(each.topic):
        text = "whether it is there is not known: no line says to which partition it was sent"
        return Event("drained", text, None, {}, closing=True, proves=True)
    proof = scene.run.drained_partition(*key_of(each))
    if proof.proven:
        end = proof.end if proof.ceiling is None else proof.ceiling
        upto = "on" if end is None else f"to {end}"
        text = f"the drain is proven from offset {proof.floor} {upto}, and did not return it"
        if proof.ceiling is not None or scene.run.elsewhere is not None:
            text = (
                f"what was read from offset {proof.floor} {upto} is accounted for, and it is not "
                "there"
            )
        ended_us = scene.run.drain.ended_us if scene.run.drain else None
        return Event(
            "drained",
            text,
            ended_us,
            {"start": proof.floor, "end": -1 if end is None else end},
            closing=True,
            proves=True,
        )
    return Event("drained", f"whether it is there is not known: {proof.reason}", None, {},
                 closing=True, proves=True)  # fmt: skip


def transaction_steps(scene: Scene, each: Occurrence) -> Iterator[Event]:
    """Begin, commit called, and the end of an occurrence's transaction."""
    position = scene.transaction(each)
    if position is None or each.producer is None:
        return
    log = scene.run.transactions[each.producer]
    number, state = int(log.numbers[position]), int(log.states[position])
    begun_us, called_us, ended_us = log.moments(position)
    fields: dict[str, int | str] = {"producer": each.producer, "transaction": number}
    yield Event("begin", f"producer {each.producer} begins transaction {number}", begun_us, fields)
    if called_us is not None:
        yield Event("commit_called", "it calls commit", called_us, fields)
    elif state != ABORTED:
        yield Event("commit_never_called", "no call of commit is on record", None, fields)
    text = {
        COMMITTED: "commit returns success",
        ABORTED: "abort returns success",
        UNDECIDED: "the outcome of its end is unknown",
    }.get(state, "no end of the transaction is on record")
    yield Event("ended", text, ended_us, fields, proves=True)
