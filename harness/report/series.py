"""The timeline as the report draws it: per profile and slot, on one axis of seconds. Pure.

Time zero is the start of the first slot of load. A slot's latency is the slowest acknowledgement
that arrived in it, from its intended send time; partitions of a profile are put together, rates by
sum and latency by maximum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from harness.arrays import F64
from harness.rundir.clock import to_us
from harness.rundir.events import (
    ClientErrorEvent,
    GeneratorEvent,
    LeaderEvent,
    LoadEvent,
    RunEvent,
    TimelineEvent,
)
from harness.rundir.verdict import FaultRecord

POINTS_MAX: Final = 480
"""More slots than this are put together: a report stays readable and small after hours of load."""
_SAME_ELECTION_S: Final = 1.0


@dataclass(slots=True)
class ProfileSeries:
    """One profile; arrays of equal length, one value a slot.

    from_s: start of the slot. attempted, acked: records per second. lost_sight: records of the
    slot whose outcome became failed or unknown. ack_ms_max: NaN where nothing was acknowledged.
    """

    profile: str
    from_s: F64
    slot_s: float
    attempted_per_s: F64
    acked_per_s: F64
    lost_sight: F64
    ack_ms_max: F64


@dataclass(frozen=True, slots=True)
class FaultMark:
    """A fault's window; `to_s` is where it was healed, or None when it never was."""

    number: int
    fault: str
    from_s: float
    to_s: float | None
    took_effect: bool


@dataclass(frozen=True, slots=True)
class LeaderMark:
    """Partitions whose leader changed at about the same time."""

    at_s: float
    partitions: int
    text: str


@dataclass(slots=True)
class RunSeries:
    """Everything that is drawn over time."""

    profiles: list[ProfileSeries] = field(default_factory=list)
    faults: list[FaultMark] = field(default_factory=list)
    leaders: list[LeaderMark] = field(default_factory=list)
    start_us: int = 0
    slot_s: float = 0.25
    end_s: float = 1.0
    generator_lag_ms_max: float | None = None
    generator_slots: int = 0
    client_errors: dict[tuple[str, str], int] = field(default_factory=dict)
    """(profile, error) → how often"""
    warmed_up_s: float | None = None


def read_series(
    events: Iterable[TimelineEvent], faults: Iterable[FaultRecord], profiles: list[str]
) -> RunSeries:
    """From timeline events to what is drawn; `profiles` gives the order."""
    run = RunSeries()
    slots: dict[str, dict[int, list[float]]] = {name: {} for name in profiles}
    slot_us = 0
    first_us, last_us = None, 0
    leaders: list[tuple[int, str, int]] = []
    warmed_us: int | None = None
    for event in events:
        match event:
            case LoadEvent() if event.profile in slots:
                slot_us = slot_us or event.to_us - event.from_us
                first_us = event.from_us if first_us is None else min(first_us, event.from_us)
                last_us = max(last_us, event.to_us)
                row = slots[event.profile].setdefault(event.from_us, [0.0, 0.0, 0.0, 0.0])
                row[0] += event.attempted
                row[1] += event.acked
                row[2] += event.failed + event.unknown
                row[3] = max(row[3], event.ack_ms_max)
            case LeaderEvent():
                leaders.append((event.at_us, f"{event.topic}/{event.partition}", event.leader))
            case GeneratorEvent():
                lag = event.lag_ms_max
                run.generator_lag_ms_max = max(run.generator_lag_ms_max or 0.0, lag)
                run.generator_slots += 1
            case ClientErrorEvent():
                key = (str(event.profile), _error(event))
                run.client_errors[key] = run.client_errors.get(key, 0) + event.count
            case RunEvent(phase="warmed_up"):
                warmed_us = event.at_us
    faults = list(faults)
    injected = [to_us(fault.injected_at) for fault in faults]
    run.start_us = first_us if first_us is not None else min(injected, default=0)
    if first_us is not None and slot_us:
        step = -(-(last_us - first_us) // slot_us // POINTS_MAX) or 1
        run.slot_s = step * slot_us / 1e6
        run.end_s = (last_us - first_us) / 1e6
        for name in profiles:
            if slots[name]:
                run.profiles.append(_profile(name, slots[name], first_us, last_us, slot_us * step))
    run.warmed_up_s = None if warmed_us is None else (warmed_us - run.start_us) / 1e6
    run.leaders = _leader_marks(leaders, run.start_us)
    run.faults = [_fault_mark(n, fault, run.start_us) for n, fault in enumerate(faults, 1)]
    return run


def _error(event: ClientErrorEvent) -> str:
    fatal = " (fatal)" if event.fatal else ""
    return f"{event.code}{fatal}{': ' + event.reason if event.reason else ''}"


def _profile(
    name: str, rows: dict[int, list[float]], first_us: int, last_us: int, slot_us: int
) -> ProfileSeries:
    count = -(-(last_us - first_us) // slot_us)
    attempted, acked, blind = np.zeros(count), np.zeros(count), np.zeros(count)
    latency = np.full(count, np.nan)
    for from_us, (sent, answered, gone, slowest) in rows.items():
        slot = (from_us - first_us) // slot_us
        attempted[slot] += sent
        acked[slot] += answered
        blind[slot] += gone
        if answered and slowest > 0:
            latency[slot] = np.fmax(latency[slot], slowest)
    slot_s = slot_us / 1e6
    starts = np.arange(count, dtype=np.float64) * slot_s
    return ProfileSeries(name, starts, slot_s, attempted / slot_s, acked / slot_s, blind, latency)


def _fault_mark(number: int, fault: FaultRecord, start_us: int) -> FaultMark:
    healed = fault.healed_at
    return FaultMark(
        number,
        fault.fault,
        (to_us(fault.injected_at) - start_us) / 1e6,
        None if healed is None else (to_us(healed) - start_us) / 1e6,
        fault.took_effect,
    )


def _leader_marks(events: list[tuple[int, str, int]], start_us: int) -> list[LeaderMark]:
    """Changes from one leader to another; those within a second are one election."""
    now: dict[str, int] = {}
    moves: list[tuple[float, int, int]] = []
    for at_us, partition, leader in sorted(events):
        before = now.get(partition)
        if leader >= 0:
            if before is not None and before != leader:
                moves.append(((at_us - start_us) / 1e6, before, leader))
            now[partition] = leader
    marks: list[LeaderMark] = []
    group: list[tuple[float, int, int]] = []
    for move in [*moves, (float("inf"), 0, 0)]:
        if group and move[0] - group[0][0] > _SAME_ELECTION_S:
            pairs = sorted({f"broker {before} to {after}" for _, before, after in group})
            text = f"{len(group)} partition{'s' if len(group) > 1 else ''}, {', '.join(pairs)}"
            marks.append(LeaderMark(group[0][0], len(group), text))
            group = []
        group.append(move)
    return marks
