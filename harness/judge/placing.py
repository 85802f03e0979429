"""Where anomalies lie in time and in offsets, in few enough stretches for a verdict. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from harness.anomalies import ANOMALIES
from harness.reconcile.findings import STRETCH_US, OffsetRange, ProfileFindings
from harness.record.codec import ANY_PARTITION
from harness.rundir.clock import from_us
from harness.rundir.places import OffsetStretch, Places, TimeStretch

STRETCHES_MAX: Final = 120
"""Stretches of one anomaly of a profile in its verdict."""


def places(found: ProfileFindings, topics: Sequence[str]) -> Places:
    """The stretches of each anomaly that was found; topics: the run's, by index."""
    return Places(
        times={
            anomaly: stretches_of(found.times[anomaly])
            for anomaly in ANOMALIES
            if found.times.get(anomaly)
        },
        offsets={
            anomaly: ranges_of(found.offsets[anomaly], topics)
            for anomaly in ANOMALIES
            if found.offsets.get(anomaly)
        },
    )


def stretches_of(times: Counter[tuple[int, int]]) -> list[TimeStretch]:
    """At most STRETCHES_MAX stretches; of more, those that begin close together are joined."""
    width_us = STRETCH_US
    while True:
        merged: dict[int, tuple[int, int, int]] = {}
        for (begin, end), count in sorted(times.items()):
            first, last, before = merged.get(begin // width_us, (begin, end, 0))
            merged[begin // width_us] = (first, max(last, end), before + count)
        if len(merged) <= STRETCHES_MAX:
            return [TimeStretch(from_us(a), from_us(b), n) for a, b, n in merged.values()]
        width_us *= 2


def ranges_of(
    offsets: dict[tuple[int, int], list[OffsetRange]], topics: Sequence[str]
) -> list[OffsetStretch]:
    """At most STRETCHES_MAX ranges, or one a partition where there are more partitions than that.

    Of more partitions those with the most occurrences stay.
    """
    placed = {key: ranges for key, ranges in offsets.items() if key[1] != ANY_PARTITION and ranges}
    fullest = sorted(placed, key=lambda key: -sum(count for _, _, count in placed[key]))
    each_max = max(STRETCHES_MAX // max(len(placed), 1), 1)
    return [
        OffsetStretch(topics[topic], partition, first, last, count)
        for topic, partition in sorted(fullest[:STRETCHES_MAX])
        for first, last, count in _joined(placed[topic, partition], each_max)
    ]


def _joined(ranges: list[OffsetRange], most: int) -> list[OffsetRange]:
    """The ranges in order, the nearest neighbours put together until there are at most `most`."""
    ordered: list[OffsetRange] = []
    for first, last, count in sorted(ranges):
        if ordered and first <= ordered[-1][1] + 1:
            begun, upto, before = ordered[-1]
            ordered[-1] = (begun, max(upto, last), before + count)
        else:
            ordered.append((first, last, count))
    gaps = sorted(
        range(1, len(ordered)), key=lambda index: ordered[index][0] - ordered[index - 1][1]
    )
    joined_at = set(gaps[: max(len(ordered) - most, 0)])
    found: list[OffsetRange] = []
    for index, (first, last, count) in enumerate(ordered):
        if index in joined_at:
            begun, upto, before = found[-1]
            found[-1] = (begun, max(upto, last), before + count)
        else:
            found.append((first, last, count))
    return found
