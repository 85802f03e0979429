"""The stories of single records.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.judge.explain.registry import explains
from harness.judge.explain.scene import Event, Scene
from harness.judge.explain.steps import (
    attempt,
    drained,
    epoch_of,
    fault_nearby,
    found_at,
    key_of,
    read_at,
    read_live,
    reading,
    transaction_steps,
)
from harness.judge.explain.whereabouts import Whereabouts
from harness.reconcile.findings import Occurrence
from harness.rundir.columns import SENT
from harness.rundir.recorded_faults import RecordedFault


@explains("lost", "unseen")
def lost(scene: Scene, each: Occurrence, answer: Whereabouts | None) -> Iterator[Event]:
    at_us = scene.sent_us(each)
    named = answer.dead.fault_id if answer is not None and answer.dead is not None else None
    fault = scene.fault_near(key_of(each), at_us, named)
    yield from attempt(scene, each)
    yield from fault_nearby(scene, each, fault)
    if each.offset is not None:
        yield from _log_end(scene, each, fault)
        yield read_at(scene, key_of(each), each.offset, None)
    if not scene.nowhere(each.topic):
        yield read_live(scene, each)
    yield drained(scene, each)
    proven = scene.run.drained_partition(*key_of(each)).proven
    if proven and scene.run.compacted(each.topic):
        text = "the topic is compacted, and whether compaction removed it cannot be known"
        if each.anomaly == "lost":
            elsewhere = scene.run.elsewhere
            aborted = elsewhere is not None and len(elsewhere.aside)
            but = " but in a transaction that was aborted" if aborted else ""
            text = (
                "the topic is compacted, and this was the last record of its key: no later one was "
                f"acknowledged or read{but}, so compaction had to keep it"
            )
        yield Event("compacted", text, closing=True, proves=True)
    if answer is not None:
        fields: dict[str, int | str] = {"held": answer.held}
        if answer.broker is not None and answer.offset is not None:
            fields |= {"broker": answer.broker, "offset": answer.offset}
        if answer.leader_epoch is not None:
            fields["leader_epoch"] = answer.leader_epoch
        yield Event("replicas", answer.text, None, fields, closing=True)


def _log_end(scene: Scene, each: Occurrence, fault: RecordedFault | None) -> Iterator[Event]:
    """Where the successor's log went on, when log files showed it."""
    replicas = scene.run.replicas
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
            closing=True,
        )


@explains("duplicate")
def duplicate(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    at_us = scene.sent_us(each)
    fault = scene.fault_near(key_of(each), at_us)
    yield from attempt(scene, each)
    yield from fault_nearby(scene, each, fault)
    assert each.producer is not None
    assert each.sequence is not None
    key, number = key_of(each), 0
    sets = (("drained", f"{reading(scene)} returned"), ("live", "the live reader got"))
    for which, who in sets:
        for offset in scene.observed(which, key, each.producer, each.sequence):
            drain = which == "drained"
            if not drain and offset in scene.observed("drained", key, each.producer, each.sequence):
                continue
            number += 1
            epoch = epoch_of(scene, key, offset) if drain else None
            written = "" if epoch is None else f" (epoch {epoch})"
            at_us = None if drain else scene.read_live_us(key, offset)
            what = "copy" if drain else "read_live"
            yield Event(what, f"{who} copy {number} at offset {offset}{written}", at_us, {
                "offset": offset}, closing=True, proves=True)  # fmt: skip


@explains("inversion")
def inversion(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    assert each.producer is not None
    assert each.sequence is not None
    assert each.offset is not None
    key = key_of(each)
    earlier = scene.higher_before(key, each.producer, each.sequence, each.offset)
    fault = scene.fault_near(key, scene.sent_us(each))
    if earlier is not None:
        before = Occurrence("inversion", *key, each.producer, earlier[0], earlier[1])
        yield from attempt(scene, before)
    yield from attempt(scene, each)
    yield from fault_nearby(scene, each, fault)
    yield found_at(scene, key, each.producer, each.sequence, each.offset)
    if earlier is not None:
        there = found_at(scene, key, each.producer, earlier[0], earlier[1])
        number = scene.number(key, each.producer, each.sequence)
        yield replace(there, text=f"{there.text}; it was handed over before record {number}")


@explains("gap")
def gap(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    fault = scene.fault_near(key_of(each), scene.sent_us(each))
    assert each.producer is not None
    assert each.sequence is not None
    for sequence, offset, _side in scene.neighbours(key_of(each), each.producer, each.sequence):
        at = f" at offset {offset}" if offset >= 0 else ""
        number = scene.number(key_of(each), each.producer, sequence)
        state, _offset = scene.ledger_cell(key_of(each), each.producer, sequence)
        became = "sent without an error (acks=0)" if state == SENT else "acknowledged"
        yield Event("acknowledged", f"record {number} was {became}{at}", None, {
            "sequence": number, "offset": offset}, proves=True)  # fmt: skip
    yield from attempt(scene, each)
    yield from fault_nearby(scene, each, fault)
    yield drained(scene, each)


@explains("phantom")
def phantom(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    assert each.producer is not None
    assert each.sequence is not None
    key, number = key_of(each), scene.number(key_of(each), each.producer, each.sequence)
    if each.producer in scene.run.ledgers:
        attempted = scene.found.attempted_by.get(key, {}).get(each.producer, 0)
        text = (
            f"the ledger of producer {each.producer} holds {attempted} attempts here, and none of "
            f"them is record {number}"
        )
    else:
        attempted, text = 0, f"no attempt of a producer {each.producer} is on record"
    yield Event("ledger", text, None, {"attempted": attempted}, proves=True)
    if each.offset is not None:
        who, at_us = _reader(scene, each)
        yield Event("read", f"{who} returned it, intact, at offset {each.offset}", at_us, {
            "offset": each.offset}, closing=True, proves=True)  # fmt: skip


def _reader(scene: Scene, each: Occurrence) -> tuple[str, int | None]:
    """Who read an offset, and when where that is on record."""
    assert each.offset is not None
    if each.offset in scene.standing(key_of(each), [each.offset]):
        return reading(scene), None
    if each.offset in scene.standing(key_of(each), [each.offset], "live"):
        return "the live reader", scene.read_live_us(key_of(each), each.offset)
    return reading(scene), None


@explains("corrupt", "misrouted")
def odd(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    what = (
        "a record that fails its checksum"
        if each.anomaly == "corrupt"
        else f"record {each.sequence} of producer {each.producer}, whose identity names another "
        "topic or partition,"
    )
    fields: dict[str, int | str] = {} if each.offset is None else {"offset": each.offset}
    epoch = ""
    if each.leader_epoch is not None:
        fields["leader_epoch"] = each.leader_epoch
        epoch = f", written in epoch {each.leader_epoch}"
    who, at_us = (reading(scene), None) if each.offset is None else _reader(scene, each)
    yield Event("read", f"{who} returned {what} at offset {each.offset}{epoch}", at_us, fields,
                proves=True)  # fmt: skip


@explains("failed_visible")
def failed_visible(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    steps = list(transaction_steps(scene, each))
    yield from steps[:1]
    yield from attempt(scene, each)
    yield from steps[1:]
    assert each.producer is not None
    assert each.sequence is not None
    for which, who in (("live", "the live reader"), ("drained", reading(scene))):
        for offset in scene.observed(which, key_of(each), each.producer, each.sequence):
            at_us = scene.read_live_us(key_of(each), offset) if which == "live" else None
            yield Event(f"read_{which}", f"{who} got it at offset {offset}", at_us, {
                "offset": offset}, closing=True, proves=True)  # fmt: skip


@explains("inconsistent_offset")
def inconsistent_offset(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    fault = scene.fault_near(key_of(each), scene.sent_us(each))
    yield from attempt(scene, each)
    yield from fault_nearby(scene, each, fault)
    assert each.producer is not None
    assert each.sequence is not None
    whose = each.producer, each.sequence
    if each.offset is not None:
        yield read_at(scene, key_of(each), each.offset, whose)
    for offset in scene.observed("drained", key_of(each), *whose):
        if offset != each.offset:
            yield Event("copy", f"{reading(scene)} returned it at offset {offset}", None, {
                "offset": offset}, closing=True, proves=True)  # fmt: skip
    if each.offset is None:
        return
    for producer, sequence in scene.acknowledged_at(key_of(each), each.offset):
        if (producer, sequence) != whose:
            number = scene.number(key_of(each), producer, sequence)
            text = (
                f"record {number} of producer {producer} was acknowledged at offset {each.offset} "
                "as well"
            )
            fields: dict[str, int | str] = {"producer": producer, "sequence": number}
            fields["offset"] = each.offset
            yield Event("acknowledged", text, None, fields, closing=True, proves=True)


@explains("vanished")
def vanished(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    fault = scene.fault_near(key_of(each), scene.sent_us(each))
    yield from attempt(scene, each)
    fields: dict[str, int | str] = {} if each.offset is None else {"offset": each.offset}
    at_us = None if each.offset is None else scene.read_live_us(key_of(each), each.offset)
    # A history may have read one offset twice without saying which reading was the live one.
    who = "the live reader" if scene.run.elsewhere is None else "a reading"
    yield Event("read_live", f"{who} got it at offset {each.offset}", at_us, fields, proves=True)
    yield from fault_nearby(scene, each, fault)
    if each.offset is not None:
        yield read_at(scene, key_of(each), each.offset, None, whole=each.producer is not None)


def plain(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    """An anomaly without its own story: the attempt, if there is one, and where it was."""
    if each.producer is not None and each.sequence is not None:
        yield from attempt(scene, each)
    if each.offset is not None:
        yield Event("offset", f"it was found at offset {each.offset}", None, {
            "offset": each.offset})  # fmt: skip
