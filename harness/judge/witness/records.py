"""The stories of single records.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.judge.witness.scene import Event, Scene
from harness.judge.witness.steps import (
    attempt,
    drained,
    epoch_of,
    key_of,
    read_live,
    stands,
    struck,
    transaction_steps,
)
from harness.judge.witness.whereabouts import Whereabouts
from harness.verify.findings import Occurrence
from harness.verify.timeline import Fault


def lost(scene: Scene, each: Occurrence, answer: Whereabouts | None) -> Iterator[Event]:
    at_us = scene.sent_us(each)
    named = answer.dead.fault_id if answer is not None and answer.dead is not None else None
    fault = scene.fault_near(key_of(each), at_us, named)
    yield from attempt(scene, each, fault)
    yield from struck(scene, each, fault)
    if each.offset is not None:
        yield from _log_end(scene, each, fault)
        yield stands(scene, key_of(each), each.offset, None)
    yield read_live(scene, each)
    yield drained(scene, each)
    if answer is not None:
        fields: dict[str, int | str] = {"held": answer.held}
        if answer.broker is not None and answer.offset is not None:
            fields |= {"broker": answer.broker, "offset": answer.offset}
        if answer.leader_epoch is not None:
            fields["leader_epoch"] = answer.leader_epoch
        yield Event("replicas", answer.text, None, fields)


def _log_end(scene: Scene, each: Occurrence, fault: Fault | None) -> Iterator[Event]:
    """Where the successor's log went on, when log files showed it."""
    replicas = scene.evidence.replicas
    if replicas is None or fault is None or each.offset is None:
        return
    topic = scene.topic(each.topic)
    for log in replicas.dead:
        if (log.fault_id, log.topic, log.partition) != (fault.fault_id, topic, each.partition):
            continue
        if log.successor_start is None or log.end is None:
            continue
        side = "at or below" if log.successor_start <= each.offset else "above"
        yield Event(
            "parted",
            f"broker {log.successor}'s log went on from offset {log.successor_start} in epoch "
            f"{log.successor_epoch}, {side} {each.offset}; dead broker {log.broker}'s ended at "
            f"{log.end}",
            None,
            {
                "broker": log.successor,
                "offset": log.successor_start,
                "leader_epoch": log.successor_epoch or -1,
                "log_end": log.end,
            },
        )


def duplicate(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    at_us = scene.sent_us(each)
    fault = scene.fault_near(key_of(each), at_us)
    yield from attempt(scene, each, fault)
    yield from struck(scene, each, fault)
    assert each.producer is not None
    assert each.sequence is not None
    copies = scene.observed("drained", key_of(each), each.producer, each.sequence)
    for number, offset in enumerate(copies, 1):
        epoch = epoch_of(scene, key_of(each), offset)
        written = "" if epoch is None else f" (epoch {epoch})"
        yield Event("copy", f"the drain read copy {number} at offset {offset}{written}", None, {
            "offset": offset})  # fmt: skip
    for offset in scene.observed("live", key_of(each), each.producer, each.sequence):
        if offset not in copies:
            at_us = scene.read_live_us(key_of(each), offset)
            yield Event("read_live", f"the live reader got a copy at offset {offset}", at_us, {
                "offset": offset})  # fmt: skip


def inversion(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    assert each.producer is not None
    assert each.sequence is not None
    assert each.offset is not None
    earlier = scene.higher_before(key_of(each), each.producer, each.sequence, each.offset)
    fault = scene.fault_near(key_of(each), scene.sent_us(each))
    if earlier is not None:
        before = Occurrence("inversion", *key_of(each), each.producer, earlier[0], earlier[1])
        yield from attempt(scene, before, fault)
    yield from attempt(scene, each, fault)
    yield from struck(scene, each, fault)
    yield _first_place(scene, each, each.sequence, each.offset, "")
    if earlier is not None:
        yield _first_place(scene, each, *earlier, ", handed over before it,")


def _first_place(scene: Scene, each: Occurrence, sequence: int, offset: int, which: str) -> Event:
    """Where a record stands, or was acknowledged if nobody read it."""
    assert each.producer is not None
    number = scene.number(key_of(each), each.producer, sequence)
    readings = [
        scene.observed(which_set, key_of(each), each.producer, sequence)
        for which_set in ("drained", "live")
    ]
    how = "stands first" if any(offset in found for found in readings) else "was acknowledged"
    return Event(
        "stands",
        f"record {number}{which} {how} at offset {offset}",
        None,
        {"sequence": number, "offset": offset},
    )


def gap(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    fault = scene.fault_near(key_of(each), scene.sent_us(each))
    assert each.producer is not None
    assert each.sequence is not None
    for sequence, offset, side in scene.neighbours(key_of(each), each.producer, each.sequence):
        if side > 0:
            yield from attempt(scene, each, fault)
            yield from struck(scene, each, fault)
        at = f" at offset {offset}" if offset >= 0 else ""
        number = scene.number(key_of(each), each.producer, sequence)
        yield Event("acknowledged", f"record {number} was acknowledged{at}", None, {
            "sequence": number, "offset": offset})  # fmt: skip
    yield drained(scene, each)


def phantom(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    assert each.producer is not None
    assert each.sequence is not None
    attempted = scene.found.attempted_by.get(key_of(each), {}).get(each.producer, 0)
    number = scene.number(key_of(each), each.producer, each.sequence)
    yield Event(
        "ledger",
        f"the ledger of producer {each.producer} holds {attempted} attempts here, and none of "
        f"them is record {number}",
        None,
        {"attempted": attempted},
    )
    if each.offset is not None:
        yield Event("read", f"the drain read it, intact, at offset {each.offset}", None, {
            "offset": each.offset})  # fmt: skip


def odd(_scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    what = (
        "a record that fails its checksum"
        if each.anomaly == "corrupt"
        else f"record {each.sequence} of producer {each.producer}, whose identity names another "
        "topic or partition"
    )
    fields: dict[str, int | str] = {} if each.offset is None else {"offset": each.offset}
    epoch = ""
    if each.leader_epoch is not None:
        fields["leader_epoch"] = each.leader_epoch
        epoch = f", written in epoch {each.leader_epoch}"
    yield Event("read", f"the drain read {what} at offset {each.offset}{epoch}", None, fields)


def failed_visible(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    yield from attempt(scene, each)
    yield from transaction_steps(scene, each)
    assert each.producer is not None
    assert each.sequence is not None
    for which, who in (("live", "the live reader"), ("drained", "the drain")):
        for offset in scene.observed(which, key_of(each), each.producer, each.sequence):
            at_us = scene.read_live_us(key_of(each), offset) if which == "live" else None
            yield Event(f"read_{which}", f"{who} got it at offset {offset}", at_us, {
                "offset": offset})  # fmt: skip


def inconsistent_offset(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    fault = scene.fault_near(key_of(each), scene.sent_us(each))
    yield from attempt(scene, each, fault)
    yield from struck(scene, each, fault)
    assert each.producer is not None
    assert each.sequence is not None
    whose = each.producer, each.sequence
    if each.offset is not None:
        yield stands(scene, key_of(each), each.offset, whose)
    for offset in scene.observed("drained", key_of(each), *whose):
        yield Event("copy", f"the drain read it at offset {offset}", None, {"offset": offset})
    if each.offset is None:
        return
    for producer, sequence in scene.acknowledged_at(key_of(each), each.offset):
        if (producer, sequence) != whose:
            number = scene.number(key_of(each), producer, sequence)
            text = (
                f"record {number} of producer {producer} was acknowledged at offset {each.offset} "
                "as well"
            )
            yield Event("acknowledged", text, None, {
                "producer": producer, "sequence": number, "offset": each.offset})  # fmt: skip


def vanished(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    fault = scene.fault_near(key_of(each), scene.sent_us(each))
    yield from attempt(scene, each, fault)
    at_us = None if each.offset is None else scene.read_live_us(key_of(each), each.offset)
    fields: dict[str, int | str] = {} if each.offset is None else {"offset": each.offset}
    yield Event("read_live", f"the live reader got it at offset {each.offset}", at_us, fields)
    yield from struck(scene, each, fault)
    if each.offset is not None:
        yield stands(scene, key_of(each), each.offset, None)


def plain(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    """An anomaly without a story of its own: the attempt, if there is one, and where it was."""
    if each.producer is not None and each.sequence is not None:
        yield from attempt(scene, each)
    if each.offset is not None:
        yield Event("offset", f"it was found at offset {each.offset}", None, {
            "offset": each.offset})  # fmt: skip
