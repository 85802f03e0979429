"""One story for each anomaly: the attempt, the fault nearby, and what was read instead.

Every line is a fact of the evidence. What the evidence does not tell is left out, or said to be
unknown; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.anomalies import ANOMALIES
from harness.judge.disturbances import clock
from harness.judge.explain import (
    consumers,  # noqa: F401 - it registers its explanations
    records,
    transactions,  # noqa: F401
)
from harness.judge.explain.order import in_order, shortened
from harness.judge.explain.registry import EXPLANATIONS
from harness.judge.explain.scene import Scene
from harness.judge.explain.whereabouts import Whereabouts, whereabouts
from harness.reconcile.findings import Occurrence, ProfileFindings
from harness.rundir.run_record import RunRecord
from harness.rundir.verdict import Witness

WITNESSES_MAX: Final = 3
"""Witnesses given of each anomaly of a profile; more only repeat the story."""


def witnesses(run: RunRecord, found: ProfileFindings) -> list[Witness]:
    """The witnesses of a profile, anomaly by anomaly in the order of every table."""
    scene = Scene(run, found)
    return [
        witness
        for anomaly in ANOMALIES
        for witness in _of_anomaly(scene, anomaly, _with_a_lane(found, anomaly))
    ]


def _with_a_lane(found: ProfileFindings, anomaly: str) -> list[Occurrence]:
    """The samples that can be explained: of attempts that had a partition. What leaders and
    faults did to the others is not known."""
    return [each for each in found.samples.get(anomaly, []) if not each.anywhere]


def _of_anomaly(scene: Scene, anomaly: str, samples: list[Occurrence]) -> Iterator[Witness]:
    where: dict[int, Whereabouts] = {}
    chosen = samples[:WITNESSES_MAX]
    if anomaly == "lost":
        where = {id(each): _where(scene, each) for each in samples}
        # One for each way of being lost says more than three of the same.
        kinds: dict[str, Occurrence] = {}
        for each in samples:
            kinds.setdefault(where[id(each)].held, each)
        chosen = (list(kinds.values()) + [each for each in samples if each not in kinds.values()])[
            :WITNESSES_MAX
        ]
    for each in chosen:
        answer = where.get(id(each))
        story = EXPLANATIONS.get(anomaly, records.plain)
        events = shortened(in_order(story(scene, each, answer)))
        headline = _headline(scene, each)
        lines = [event.line() for event in events]
        if answer is not None:
            same = sum(1 for other in where.values() if other.held == answer.held)
            lines.append(f"{'':14}of {len(samples)} sampled lost records {same} are like this")
        yield Witness(
            anomaly=anomaly,
            topic=scene.topic(each.topic),
            partition=each.partition,
            producer=each.producer,
            sequence=_number(scene, each),
            offset=each.offset,
            text=[headline, *lines],
            events=[event.to_json() for event in events],
            replicas=None if answer is None else answer.to_json(),
        )


def _where(scene: Scene, each: Occurrence) -> Whereabouts:
    run = scene.run
    assert each.producer is not None
    assert each.sequence is not None
    topic = scene.topic(each.topic)
    key = each.topic, each.partition
    _, offset = scene.ledger_cell(key, each.producer, each.sequence)
    return whereabouts(
        run.replicas,
        run.timeline.faults,
        topic,
        each.partition,
        each.producer,
        each.sequence,
        acked_at=offset if offset >= 0 else None,
        leaders=run.timeline.leaders.get((topic, each.partition), []),
        unexplained=[
            f"what the leader before {clock(shaken.from_us)} UTC cut off was not noted"
            for shaken in scene.disturbances
            if (topic, each.partition) in shaken.partitions("leader")
        ],
    )


def _number(scene: Scene, each: Occurrence) -> int | None:
    """The number of an occurrence's record; that of a misrouted one is its own already."""
    if each.sequence is None or each.anomaly == "misrouted":
        return each.sequence
    return scene.number((each.topic, each.partition), each.producer, each.sequence)


def _headline(scene: Scene, each: Occurrence) -> str:
    where = scene.topic(each.topic)
    if not scene.nowhere(each.topic):
        where += f", partition {each.partition}"
    if each.transaction is not None:
        return f"{each.anomaly}: transaction {each.transaction} of producer {each.producer}"
    if each.producer is not None and each.sequence is not None:
        number = _number(scene, each)
        return f"{each.anomaly}: record {number} of producer {each.producer} on {where}"
    by = "" if each.member is None else f", member {each.member}"
    return f"{each.anomaly}: offset {each.offset} of {where}{by}"
