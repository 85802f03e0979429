"""Occurrences as verdict.json shows them: names instead of numbers, and time since the fault."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from harness.anomalies import ANOMALIES
from harness.reconcile.findings import Occurrence, ProfileFindings
from harness.record.codec import ANY_PARTITION
from harness.rundir.run_record import RunRecord
from harness.rundir.verdict import Sample


def samples(run: RunRecord, found: ProfileFindings) -> list[Sample]:
    """The samples of a profile, anomaly by anomaly in the order of every table."""
    injected_us = sorted(fault.injected_us for fault in run.timeline.faults if fault.injected)
    return [
        _sample(run, found, occurrence, injected_us)
        for anomaly in ANOMALIES
        for occurrence in found.samples.get(anomaly, ())
    ]


def _sample(
    run: RunRecord, found: ProfileFindings, occurrence: Occurrence, injected_us: list[int]
) -> Sample:
    topic = run.info.topics[occurrence.topic]
    at_us = occurrence.at_us
    if at_us is None and injected_us:
        at_us = sent_us(run, found, occurrence, topic)
    since_s: float | None = None
    if at_us is not None and injected_us:
        # Before the first fault the time to it, below zero: what was in flight can be lost too.
        nearest = max(bisect_right(injected_us, at_us) - 1, 0)
        if occurrence.at_us is not None and nearest + 1 < len(injected_us):
            # What a member did last before it was hit belongs to the fault that hit it.
            nearest += injected_us[nearest + 1] - at_us < at_us - injected_us[nearest]
        since_s = round((at_us - injected_us[nearest]) / 1e6, 3)
    return Sample(
        anomaly=occurrence.anomaly,
        topic=topic,
        partition=None if occurrence.partition == ANY_PARTITION else occurrence.partition,
        producer=occurrence.producer,
        sequence=occurrence.sequence
        if occurrence.anomaly == "misrouted"  # as its identity says, which names another partition
        else run.own_sequence(
            occurrence.producer, occurrence.topic, occurrence.partition, occurrence.sequence
        ),
        offset=occurrence.offset,
        leader_epoch=occurrence.leader_epoch,
        since_fault_s=since_s,
        member=occurrence.member,
    )


def sent_us(
    run: RunRecord, found: ProfileFindings, occurrence: Occurrence, topic: str
) -> int | None:
    """When an attempt was sent, as exactly as the load's slots tell; None when they do not.

    They tell it where they add up to what the producer's ledger holds. Slots of earlier versions
    do not name producers; they tell an attempt's slot only where a single one wrote there.
    """
    attempts = found.attempted_by.get((occurrence.topic, occurrence.partition), {})
    if occurrence.producer is not None and occurrence.sequence is not None:
        slots = run.timeline.sent.get((topic, occurrence.partition, occurrence.producer))
        if slots is not None:
            if slots.total != attempts.get(occurrence.producer):
                return None
            placed = int(slots.sent_us(np.array([occurrence.sequence], dtype=np.int64))[0])
            return None if placed < 0 else placed
    series = run.timeline.loads.get((topic, occurrence.partition))
    attempted_by = found.attempted_by.get((occurrence.topic, occurrence.partition), {})
    if series is None or occurrence.sequence is None or len(attempted_by) != 1:
        return None
    producer, attempted = next(iter(attempted_by.items()))
    upto = np.cumsum(series.attempted)
    if producer != occurrence.producer or int(upto[-1]) != attempted:
        return None
    if occurrence.sequence >= attempted:
        return None
    slot = int(np.searchsorted(upto, occurrence.sequence, side="right"))
    within = occurrence.sequence - (int(upto[slot]) - int(series.attempted[slot]))
    share = within / int(series.attempted[slot])
    return int(series.from_us[slot] + share * (series.to_us[slot] - series.from_us[slot]))
