"""Did a control break because of a fault? Each of its anomalies is placed in time, or counts for
nothing.

A fault's window begins one second before its injection, since what was acknowledged a moment before
can be lost with the leader; or earlier, where attempts that had no outcome when it began were made
earlier. It ends when the fault was healed or a second before the next one began. An
anomaly belongs to the first fault whose window it touches. What lies outside all windows, before
the first fault or after the last was healed, happened without any fault, and what cannot be placed
may have: neither challenges a promise. See docs/verification.md, 5.3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np

from harness.judge.availability import Window, within
from harness.reconcile.findings import ProfileFindings
from harness.rundir.clock import from_us
from harness.rundir.recorded_faults import RecordedFault
from harness.rundir.run_info import ProfileRun
from harness.rundir.timeline import LoadSeries, Timeline
from harness.rundir.verdict import ControlResult, FaultCount

BEFORE_US: Final = 1_000_000
"""How long before a fault's injection its window begins."""
NO_END: Final = 2**62


def windows(faults: Sequence[RecordedFault], series: Sequence[LoadSeries] = ()) -> list[Window]:
    """The window of each fault, in which it can have broken something; `faults` by injection.

    series: the load of each topic-partition that the control writes.
    """
    found = []
    for index, fault in enumerate(faults):
        end_us = NO_END if fault.healed_us is None else fault.healed_us
        if index + 1 < len(faults):
            next_us = faults[index + 1].injected_us - BEFORE_US
            end_us = min(end_us, max(next_us, fault.injected_us))
        begins = [_oldest_open_us(each, fault.injected_us) for each in series]
        found.append(Window(min([fault.injected_us - BEFORE_US, *begins]), end_us))
    return found


def _oldest_open_us(series: LoadSeries, at_us: int) -> int:
    """The beginning of the slot in which the oldest attempt was made that had no outcome yet.

    Attempts get their outcomes in the order in which they were made, as far as slots tell. Where
    none was open, the instant itself.
    """
    over = int(np.searchsorted(series.to_us, at_us, side="right"))
    if not over:
        return at_us
    decided = (series.acked + series.failed + series.unknown)[:over].sum()
    upto = np.cumsum(series.attempted[:over])
    oldest = int(np.searchsorted(upto, decided, side="right"))
    return int(series.from_us[oldest]) if oldest < over else at_us


def by_window(placed: Counter[tuple[int, int]], chosen: Sequence[Window]) -> tuple[list[int], int]:
    """How many anomalies belong to each window, and how many to none.

    placed: (from_us, to_us) → how many happened in that stretch of time.
    """
    inside = [0] * len(chosen)
    outside = 0
    for (begin_us, end_us), count in placed.items():
        for index, window in enumerate(chosen):
            if within([window], begin_us, end_us):
                inside[index] += count
                break
        else:
            outside += count
    return inside, outside


def control_result(
    found: ProfileFindings,
    anomaly: str,
    timeline: Timeline,
    faults: Sequence[RecordedFault],
    trials: Sequence[RecordedFault],
) -> tuple[ControlResult, list[int]]:
    """What a control showed of an anomaly, and how much of it in the window of each of `trials`.

    faults: all faults of the run that were injected, in order; `trials` are some of them.
    """
    chosen = windows(faults, load_of(found.profile, timeline))
    inside, outside = by_window(found.times.get(anomaly, Counter()), chosen)
    hits = dict(zip((id(fault) for fault in faults), inside, strict=True))
    count = found.counts[anomaly]
    return ControlResult(
        profile=found.profile.profile,
        anomaly=anomaly,
        count=count,
        by_fault=[
            FaultCount(fault.fault, from_us(fault.injected_us), hits[id(fault)])
            for fault in faults
            if hits[id(fault)]
        ],
        outside=outside,
        unplaced=count - sum(inside) - outside,
    ), [hits[id(fault)] for fault in trials]


def load_of(profile: ProfileRun, timeline: Timeline) -> list[LoadSeries]:
    """The load of each topic-partition of a profile."""
    return [each for key, each in sorted(timeline.loads.items()) if key[0] in profile.topics]


def unlike(control: ProfileRun, profile: ProfileRun, anomaly: str) -> str:
    """Why a control's anomalies are of another kind than what the profile promises to exclude.

    With acks=0 nothing is acknowledged: what such a control loses was never confirmed to anybody.
    It shows nothing about records that were. Empty where the control is of the kind.
    """
    if anomaly != "lost" or control.acks != "0" or profile.acks == "0":
        return ""
    return (
        f"the control {control.profile} loses records that no broker acknowledged (acks=0), so "
        "it challenges this promise for profiles with acks=0 only"
    )
