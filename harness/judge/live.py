"""A run as it looks while it goes on: counts, rates, leaders, faults, by its timeline so far.

Nothing of it is a judgement. What looks lost, duplicated or out of order is provisional until the
drain is complete and verdict.json is there. Pure: events in, plain data out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, Final

from harness.rundir.events import (
    BrokersEvent,
    ExperimentEvent,
    FaultEvent,
    IsrEvent,
    LeaderEvent,
    LoadEvent,
    RunEvent,
    TimelineEvent,
    WorkerEvent,
)
from harness.rundir.percentiles import Percentiles
from harness.rundir.run_info import ProfileRun, RunInfo
from harness.rundir.verdict import Verdict

SECONDS_KEPT: Final = 300
"""The page shows the last five minutes; older seconds are let go of."""
RATE_S: Final = 5
"""Rates are means over so many whole seconds."""
LATE_S: Final = 2
"""A second is whole once it lies so far back: slots are written when they are over."""
_SECOND_US: Final = 1_000_000

SHOWN_COUNTS: Final = (
    "attempted", "acked", "failed", "unknown", "read", "lost", "unseen", "duplicate", "inversion",
)  # fmt: skip

PHASES: Final = {
    "started": "preparing",
    "load_started": "warming up",
    "warmed_up": "load",
    "load_stopped": "draining",
    "load_died": "draining",
    "drained": "judging",
    "ended": "judged",
}
"""A phase of the timeline's run events → what the run is at from then on."""


@dataclass(slots=True)
class LiveSecond:
    """What the load did in one second: records."""

    second: int
    """Since the epoch."""
    attempted: int = 0
    acked: int = 0
    errored: int = 0
    """Failed, or of unknown outcome."""


@dataclass(slots=True)
class LiveProfile:
    """One profile so far. Counts are records, rates records/s, latencies ms by HDR histograms."""

    profile: str
    role: str
    summary: str
    promises: list[str]
    asked_per_s: float = 0.0
    """By the schedule, over the last seconds."""
    achieved_per_s: float = 0.0
    """Handed to the client."""
    acked_per_s: float = 0.0
    attempted: int = 0
    acked: int = 0
    failed: int = 0
    unknown: int = 0
    open: int = 0
    lost: int = 0
    duplicate: int = 0
    inversion: int = 0
    acks: str = "all"
    latency_ms: dict[str, Percentiles] = field(default_factory=dict)
    """ack, service and end_to_end: all of the run after the warm-up"""
    seconds: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(second since the epoch, attempted, acked, failed or unknown), the oldest first"""


@dataclass(slots=True)
class LiveFault:
    """A fault on the time axis; instants in µs since the epoch, None for what has not happened."""

    fault_id: str
    fault: str
    target: str
    state: str
    """The last phase that is on record."""
    injected_us: int | None = None
    healed_us: int | None = None
    took_effect: bool | None = None
    reason: str = ""


@dataclass(slots=True)
class LivePartition:
    """Who leads a partition and which replicas are in sync."""

    topic: str
    partition: int
    leader: int | None = None
    leader_epoch: int | None = None
    isr: list[int] = field(default_factory=list)
    replicas_seen: int = 0
    """The most that were in sync at once: with fewer, some are not."""


@dataclass(slots=True)
class LiveView:
    """Everything that is shown of a run under way."""

    run_id: str
    seed: int
    at_us: int
    phase: str
    load_started_us: int | None
    load_stopped_us: int | None
    brokers: list[int]
    profiles: list[LiveProfile]
    partitions: list[LivePartition]
    faults: list[LiveFault]
    experiment: str
    """The one under way; empty without any."""
    workers: list[str]
    stage: str = ""
    """After STOP: what the drain or the judgement is at, in words."""
    drained: int = 0
    """Records that the drain has read so far."""
    verdict: dict[str, Any] | None = None
    """What verdict.json says, shortened; None until it is there."""


class LiveRun:
    """Takes the events of a run's timeline as they come."""

    def __init__(self, info: RunInfo) -> None:
        self.info = info
        self.phase = "preparing"
        self._moments: dict[str, int] = {}
        self._totals: dict[str, Counter[str]] = defaultdict(Counter)
        self._seconds: dict[str, dict[int, LiveSecond]] = defaultdict(dict)
        self._partitions = {
            (topic, partition): LivePartition(topic, partition)
            for topic in info.topics
            for partition in range(info.load.partitions)
        }
        self._faults: dict[str, LiveFault] = {}
        self._brokers: list[int] = []
        self._experiment = ""
        self._workers: dict[str, str] = {}

    def take(self, event: TimelineEvent) -> None:
        """One event, in the order of the file."""
        match event:
            case LoadEvent():
                self._take_load(event)
            case RunEvent():
                self.phase = PHASES.get(event.phase, self.phase)
                self._moments.setdefault(event.phase, event.at_us)
            case LeaderEvent():
                held = self._partition(event.topic, event.partition)
                held.leader, held.leader_epoch = event.leader, event.leader_epoch
            case IsrEvent():
                held = self._partition(event.topic, event.partition)
                held.isr = list(event.isr)
                held.replicas_seen = max(held.replicas_seen, len(event.isr))
            case BrokersEvent():
                self._brokers = list(event.brokers)
            case FaultEvent():
                self._take_fault(event)
            case ExperimentEvent():
                over = event.phase in ("ended", "left")
                self._experiment = "" if over else event.title or self._experiment
            case WorkerEvent():
                self._workers[event.name] = event.phase
            case _:
                pass

    def _partition(self, topic: str, partition: int) -> LivePartition:
        return self._partitions.setdefault((topic, partition), LivePartition(topic, partition))

    def _take_load(self, event: LoadEvent) -> None:
        totals = self._totals[event.profile]
        for name in ("attempted", "acked", "failed", "unknown"):
            totals[name] += getattr(event, name)
        seconds = self._seconds[event.profile]
        number = event.from_us // _SECOND_US
        if number not in seconds:
            seconds[number] = LiveSecond(number)
            for old in [each for each in seconds if each < number - SECONDS_KEPT]:
                del seconds[old]
        seconds[number].attempted += event.attempted
        seconds[number].acked += event.acked
        seconds[number].errored += event.failed + event.unknown

    def _take_fault(self, event: FaultEvent) -> None:
        found = self._faults.get(event.fault_id)
        if found is None or event.phase == "inject":
            found = LiveFault(event.fault_id, event.fault, event.target or "", event.phase)
            self._faults[event.fault_id] = found
        found.state = event.phase
        found.target = event.target or found.target
        if event.phase == "inject":
            found.injected_us = event.at_us
        elif event.phase == "injected":
            found.injected_us, found.took_effect = event.at_us, event.took_effect
        elif event.phase == "healed":
            found.healed_us = event.at_us
        elif event.phase == "failed":
            found.reason = event.reason or ""

    def view(self, now_us: int) -> LiveView:
        """The run so far; latencies and what is provisional are for whoever read them to add."""
        return LiveView(
            run_id=self.info.run_id,
            seed=self.info.seed,
            at_us=now_us,
            phase=self.phase,
            load_started_us=self._moments.get("load_started"),
            load_stopped_us=self._moments.get("load_stopped"),
            brokers=self._brokers,
            profiles=[self._profile(each, now_us) for each in self.info.profiles],
            partitions=list(self._partitions.values()),
            faults=list(self._faults.values()),
            experiment=self._experiment,
            workers=[f"{name}: {phase}" for name, phase in self._workers.items()],
        )

    def _profile(self, profile: ProfileRun, now_us: int) -> LiveProfile:
        totals, seconds = self._totals[profile.profile], self._seconds[profile.profile]
        newest = now_us // _SECOND_US - LATE_S
        window = range(newest - RATE_S + 1, newest + 1)
        none = LiveSecond(0)
        attempted = sum(seconds.get(each, none).attempted for each in window)
        acked = sum(seconds.get(each, none).acked for each in window)
        known = totals["acked"] + totals["failed"] + totals["unknown"]
        return LiveProfile(
            profile=profile.profile,
            role=profile.role,
            summary=profile.summary,
            promises=list(profile.promises),
            achieved_per_s=attempted / RATE_S,
            acked_per_s=acked / RATE_S,
            attempted=totals["attempted"],
            acked=totals["acked"],
            failed=totals["failed"],
            unknown=totals["unknown"],
            open=max(0, totals["attempted"] - known),
            acks=profile.acks,
            seconds=[
                (each.second, each.attempted, each.acked, each.errored)
                for _, each in sorted(seconds.items())
            ],
        )


def asked_window_us(now_us: int, started_us: int, stopped_us: int | None) -> tuple[int, int]:
    """The time since the load's start, from and to, over which `LiveProfile` has its rates."""
    to = (now_us // _SECOND_US - LATE_S + 1) * _SECOND_US
    begin = to - RATE_S * _SECOND_US
    last = to if stopped_us is None else min(to, stopped_us)
    return max(0, begin - started_us), max(0, last - started_us)


def shortened(verdict: Verdict) -> dict[str, Any]:
    """What of a verdict the page shows; the rest is in report.html."""
    return {
        "verdict": verdict.verdict,
        "reasons": verdict.reasons,
        "profiles": [
            {
                "profile": each.profile,
                "role": each.role,
                "verdict": each.verdict,
                "counts": {name: each.counts.get(name, 0) for name in SHOWN_COUNTS},
                "promises": [
                    {"promise": one.promise, "verdict": one.verdict, "reason": one.reason}
                    for one in each.promises
                ],
            }
            for each in verdict.profiles
        ],
    }
