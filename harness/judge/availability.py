"""How long partitions acknowledged nothing, when they were back, and the windows of disturbance.

Everything here comes from the `load` events of 250 ms, so no instant is finer than that.

*Back at the scheduled rate*: the first slot after a disturbance in which something is acknowledged
and from which on, over a window of at least a second and twenty attempts, nine tenths of what was
attempted is acknowledged. Two standard deviations of a Poisson count are allowed on top, so that a
slow partition is not called disturbed by chance. A fault can strike in steps, first a stumble and
then the fall; so three seconds, or the time until the next fault, have to pass without another
disturbance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.arrays import F64, Bools
from harness.rundir.load_events import SLOT_US
from harness.rundir.recorded_faults import RecordedFault
from harness.rundir.run_info import ProfileRun
from harness.rundir.timeline import LoadSeries, Timeline
from harness.rundir.verdict import Availability

_WINDOW_SLOTS_MIN: Final = 4
_WINDOW_SLOTS_MAX: Final = 40
_WINDOW_ATTEMPTS: Final = 20
_RATE_SHARE: Final = 0.9
_CALM_SLOTS: Final = 12


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time in µs, its end excluded."""

    from_us: int
    to_us: int


def availability(profile: ProfileRun, timeline: Timeline) -> list[Availability]:
    """For each topic-partition that had load: longest gap, and recovery from the first fault."""
    faults = striking(timeline)
    result: list[Availability] = []
    for key in sorted(timeline.loads):
        if key[0] not in profile.topics:
            continue
        series = timeline.loads[key]
        gap_us = longest_gap_us(series)
        recovered_ms: float | None = None
        if faults:
            back_us = recovered_us(series, faults, 0)
            if back_us is not None:
                recovered_ms = (back_us - faults[0].injected_us) / 1000
        result.append(Availability(*key, None if gap_us is None else gap_us / 1000, recovered_ms))
    return result


def during(profile: ProfileRun, timeline: Timeline) -> list[Window]:
    """For each fault: from its injection until the profile's last partition was back."""
    series_of = [series for key, series in timeline.loads.items() if key[0] in profile.topics]
    faults = striking(timeline)
    windows: list[Window] = []
    for index, fault in enumerate(faults):
        ends = [fault.injected_us]
        for series in series_of:
            back_us = recovered_us(series, faults, index)
            ends.append(int(series.to_us[-1]) if back_us is None else back_us)
        windows.append(Window(fault.injected_us, max(ends)))
    return windows


def striking(timeline: Timeline) -> list[RecordedFault]:
    """The faults that hit something, in order of injection."""
    faults = [fault for fault in timeline.faults if fault.injected and not fault.idle]
    return sorted(faults, key=lambda fault: fault.injected_us)


def longest_gap_us(series: LoadSeries) -> int | None:
    """The longest time between acknowledgements in which there were attempts; None without any.

    The time before the very first acknowledgement is the client's way to its brokers and does not
    count, unless none ever came.
    """
    attempts = np.flatnonzero(series.attempted)
    if not len(attempts):
        return None
    acked = np.flatnonzero(series.acked)
    if not len(acked):
        return int(series.to_us[attempts[-1]] - series.from_us[attempts[0]])
    longest = 0
    apart = np.flatnonzero(series.from_us[acked[1:]] > series.to_us[acked[:-1]])
    for index in apart.tolist():
        before, after = int(acked[index]), int(acked[index + 1])
        begun = _first_attempt_us(series, before, after)
        if begun is not None:
            longest = max(longest, int(series.from_us[after]) - begun)
    last, final = int(acked[-1]), int(attempts[-1])
    if final > last:
        begun = _first_attempt_us(series, last, len(series))
        if begun is not None:
            longest = max(longest, int(series.to_us[final]) - begun)
    return longest


def _first_attempt_us(series: LoadSeries, before: int, after: int) -> int | None:
    """When attempts began in the gap after slot `before`; None when there were none in it."""
    if int(series.in_flight[before]) > 0:
        return int(series.to_us[before])
    between = np.flatnonzero(series.attempted[before + 1 : after])
    return int(series.from_us[before + 1 + between[0]]) if len(between) else None


def recovered_us(series: LoadSeries, faults: list[RecordedFault], index: int) -> int | None:
    """When a partition acknowledged again at the scheduled rate after the index-th fault.

    The fault's own instant when it was not disturbed before the fault was healed or the next one
    hit; None when it was not back by the end of the load.
    """
    fault = faults[index]
    if not len(series):
        return fault.injected_us
    start_us = int(series.from_us[0])
    slots = (series.from_us - start_us) // SLOT_US
    count = int(slots[-1]) + 1
    attempted = np.zeros(count)
    acked = np.zeros(count)
    np.add.at(attempted, slots, series.attempted)
    np.add.at(acked, slots, series.acked)

    def slot(at_us: int) -> int:
        return min(max((at_us - start_us) // SLOT_US, 0), count)

    later = index + 1 < len(faults)
    hit_again = slot(faults[index + 1].injected_us) if later else count
    healed = count if fault.healed_us is None else slot(fault.healed_us) + 1
    window = _window(attempted)
    slow = _slow(attempted, acked, window)
    disturbed = slow | ((acked == 0) & (attempted >= _WINDOW_ATTEMPTS))
    # A window that reaches into the next fault shows that fault.
    disturbed[max(hit_again - window, 0) if later else count :] = False
    first = slot(fault.injected_us)
    onsets = np.flatnonzero(disturbed[first:healed])
    if not len(onsets):
        return fault.injected_us
    onset = first + int(onsets[0])
    calm = _forward_sums(disturbed.astype(np.float64), _CALM_SLOTS) == 0
    back = np.flatnonzero((acked > 0)[onset + 1 :] & ~slow[onset + 1 :] & calm[onset + 1 :])
    if not len(back):
        return None
    return max(start_us + (onset + 1 + int(back[0])) * SLOT_US, fault.injected_us)


def _window(attempted: F64) -> int:
    """Over how many slots a rate is taken, so that it counts enough attempts."""
    mean = float(attempted.mean())
    wanted = math.ceil(_WINDOW_ATTEMPTS / mean) if mean else _WINDOW_SLOTS_MAX
    return min(max(wanted, _WINDOW_SLOTS_MIN), _WINDOW_SLOTS_MAX)


def _slow(attempted: F64, acked: F64, window: int) -> Bools:
    """Slots from which on fewer are acknowledged than the scheduled rate asks for."""
    asked, given = _forward_sums(attempted, window), _forward_sums(acked, window)
    return np.asarray(given < _RATE_SHARE * asked - 2 * np.sqrt(asked), dtype=np.bool_)


def _forward_sums(values: F64, window: int) -> F64:
    summed = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.minimum(np.arange(len(values)) + window, len(values))
    return np.asarray(summed[ends] - summed[:-1], dtype=np.float64)


def within(windows: Iterable[Window], from_us: int, to_us: int) -> bool:
    """Whether a stretch of time touches any window."""
    return any(from_us < window.to_us and to_us > window.from_us for window in windows)
