"""The stories of whole transactions.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.judge.explain.registry import explains
from harness.judge.explain.scene import Event, Key, Scene
from harness.judge.explain.steps import fault_nearby, key_of, reading, transaction_steps
from harness.judge.explain.whereabouts import Whereabouts
from harness.reconcile.findings import Occurrence
from harness.rundir.columns import FAILED, NEVER


@explains("torn_txn", "lost_txn")
def whole_transaction(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    position = scene.transaction(each)
    yield from transaction_steps(scene, each)
    if position is None or each.producer is None:
        return
    log = scene.run.transactions[each.producer]
    moments = [moment for moment in log.moments(position) if moment is not None]
    fault = scene.fault_near(key_of(each), moments[-1] if moments else None)
    yield from fault_nearby(scene, each, fault)
    for key, ranges in sorted(log.ranges.items()):
        for index in [i for i, at in enumerate(ranges.transactions.tolist()) if at == position]:
            first, last = int(ranges.firsts[index]), int(ranges.lasts[index])
            yield _range_read(scene, key, each.producer, first, last)


def _range_read(scene: Scene, key: Key, producer: int, first: int, last: int) -> Event:
    """How much of one range of a transaction the drain holds."""
    members = [
        sequence
        for sequence in range(first, last + 1)
        if scene.ledger_cell(key, producer, sequence)[0] not in (NEVER, FAILED)
    ]
    there = [each for each in members if scene.observed("drained", key, producer, each)]
    absent = [each for each in members if each not in set(there)]
    proof = scene.run.drained_partition(*key)
    numbers = [scene.number(key, producer, each) for each in (first, last, *absent[:1])]
    missing = "" if not absent else f"; the first that it did not return is record {numbers[2]}"
    where = f"{scene.topic(key[0])}, partition {key[1]}"
    returned = f"{reading(scene)} returned {len(there)} of its {len(members)} records"
    if scene.nowhere(key[0]):
        where = scene.topic(key[0])
        returned = f"no line says to which partition it sent its {len(members)} records"
        missing = ""
    certain = "" if proof.proven else f" (not proven: {proof.reason})"
    return Event(
        "drained",
        f"{where}: {returned} {numbers[0]} to {numbers[1]}{missing}{certain}",
        None,
        {"topic": scene.topic(key[0]), "partition": key[1], "records": len(members),
         "present": len(there)},
        closing=True,
        proves=True,
    )  # fmt: skip


@explains("precommitted_read")
def precommitted_read(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    at_us = None if each.offset is None else scene.read_live_us(key_of(each), each.offset)
    fields: dict[str, int | str] = {} if each.offset is None else {"offset": each.offset}
    text = f"a reader at read_committed got it at offset {each.offset}"
    read = Event("read_live", text, at_us, fields, proves=True)
    yield from transaction_steps(scene, each)
    yield read


@explains("hung_txn")
def hung(scene: Scene, each: Occurrence, _: Whereabouts | None) -> Iterator[Event]:
    topic = scene.topic(each.topic)
    series = scene.run.timeline.offsets.get((topic, each.partition))
    if series is not None:
        at_us, stable, high = series
        same = [i for i in range(len(at_us)) if int(stable[i]) == each.offset]
        for name, index in (("first", same[:1]), ("last", same[1:][-1:])):
            for i in index:
                yield Event(
                    "last_stable",
                    f"{name} seen: last stable offset {each.offset}, high watermark {int(high[i])}",
                    int(at_us[i]),
                    {"offset": int(stable[i]), "high_watermark": int(high[i])},
                    proves=True,
                )
    proof = scene.run.drained_partition(*key_of(each))
    if proof.last_stable is not None and proof.last_stable == each.offset:
        yield Event(
            "drained",
            f"at the end the last stable offset is still {each.offset}, and the log ends at "
            f"{proof.end}",
            scene.run.drain.ended_us if scene.run.drain else None,
            {"offset": proof.last_stable, "end": proof.end if proof.end is not None else -1},
            closing=True,
            proves=True,
        )
