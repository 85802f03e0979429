"""Latency before, during and after the faults, by intended send time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from harness.judge.availability import Window, within
from harness.rundir.hlog import CELLS, Counts, Interval
from harness.rundir.latency import METRICS, percentiles
from harness.rundir.verdict import Phases

PHASES: Final = ("before", "during", "after")
"""Of the faults; a run without any is all before."""


def latency_phases(
    profile: str,
    logs: Mapping[tuple[str, str], Iterable[Interval]],
    windows: list[Window],
) -> dict[str, Phases]:
    """The phases of each metric of a profile; empty distributions where nothing was recorded.

    An interval of one second that touches a window belongs to `during`, as a whole.
    """
    return {metric: _phases(logs.get((profile, metric), ()), windows) for metric in METRICS}


def _phases(intervals: Iterable[Interval], windows: list[Window]) -> Phases:
    counts = phase_counts(intervals, windows)
    total = counts["before"] + counts["during"] + counts["after"]
    return Phases(
        before=percentiles(counts["before"]),
        during=percentiles(counts["during"]),
        after=percentiles(counts["after"]),
        all=percentiles(total),
    )


def phase_counts(intervals: Iterable[Interval], windows: list[Window]) -> dict[str, Counts]:
    """before, during and after → how many values fell into each cell, of one metric."""
    counts = {name: np.zeros(CELLS, dtype=np.int64) for name in PHASES}
    first_us = min((window.from_us for window in windows), default=None)
    for interval in intervals:
        counts[_phase(interval, windows, first_us)] += interval.counts
    return counts


def _phase(interval: Interval, windows: list[Window], first_us: int | None) -> str:
    if first_us is None or interval.end_us <= first_us:
        return "before"
    return "during" if within(windows, interval.start_us, interval.end_us) else "after"
