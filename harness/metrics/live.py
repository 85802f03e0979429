"""The metrics of the run that goes on, read out of its directory as it grows.

Counters add up over all runs of one exporter, so that those of a series never fall back. Nothing
here knows Prometheus or OpenTelemetry.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from harness.anomalies import ANOMALIES as ANOMALY_RECORDS
from harness.arrays import I64
from harness.errors import HarnessError
from harness.metrics import catalogue as c
from harness.metrics.catalogue import BOUNDS_S, MetricSpec
from harness.rundir.events import (
    ClientErrorEvent,
    FaultEvent,
    GeneratorEvent,
    IsrEvent,
    LeaderEvent,
    LoadEvent,
    RunEvent,
    TimelineEvent,
)
from harness.rundir.hlog import HIGHEST_EQUIVALENT_US
from harness.rundir.hlog_follower import LatencyFollower
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ProfileRun
from harness.rundir.timeline_file import TimelineFollower
from harness.rundir.verdict import Verdict

Labels: TypeAlias = tuple[str, ...]
_LATENCIES: Final = {"ack": c.ACK_LATENCY, "end_to_end": c.END_TO_END_LATENCY}
_BUCKET_OF_CELL: Final = np.searchsorted(
    np.array(BOUNDS_S) * 1e6, HIGHEST_EQUIVALENT_US.astype(np.float64), side="left"
)
"""(CELLS,) the bucket into which a cell falls whole, by its largest value."""


@dataclass(slots=True)
class Distribution:
    """counts: (len(BOUNDS_S) + 1,) values in each bucket, not cumulated. sum_s: of all values."""

    counts: I64 = field(default_factory=lambda: np.zeros(len(BOUNDS_S) + 1, dtype=np.int64))
    sum_s: float = 0.0
    min_s: float = 0.0
    max_s: float = 0.0

    def add(self, cells: I64) -> None:
        """cells: (CELLS,) counts of an HDR histogram in µs."""
        had_some = bool(self.counts.any())
        self.counts += np.bincount(
            _BUCKET_OF_CELL, weights=cells, minlength=len(self.counts)
        ).astype(np.int64)
        self.sum_s += float(cells @ HIGHEST_EQUIVALENT_US) / 1e6
        seen = np.flatnonzero(cells)
        if len(seen):
            least_s = int(HIGHEST_EQUIVALENT_US[seen[0]]) / 1e6
            self.min_s = min(self.min_s, least_s) if had_some else least_s
            self.max_s = max(self.max_s, int(HIGHEST_EQUIVALENT_US[seen[-1]]) / 1e6)

    def copy(self) -> Distribution:
        """The same at this instant."""
        return Distribution(self.counts.copy(), self.sum_s, self.min_s, self.max_s)


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric at one instant: its value, or its distribution, for each set of labels."""

    spec: MetricSpec
    values: dict[Labels, float]
    distributions: dict[Labels, Distribution]


class LiveMetrics:
    """`begin` with each run, `read` at any time and from any thread, `judged` at its end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[MetricSpec, Counter[Labels]] = {
            spec: Counter() for spec in c.CATALOGUE if spec.kind == "counter"
        }
        self._gauges: dict[MetricSpec, dict[Labels, float]] = {
            spec: {} for spec in c.CATALOGUE if spec.kind == "gauge"
        }
        self._latencies: dict[MetricSpec, dict[Labels, Distribution]] = {
            spec: {} for spec in _LATENCIES.values()
        }
        self._run_dir: RunDir | None = None
        self._timeline: TimelineFollower | None = None
        self._logs: LatencyFollower | None = None
        self._profiles: dict[str, ProfileRun] = {}
        self._topics: dict[str, ProfileRun] = {}
        self._faults: dict[str, str] = {}
        self._isr: dict[tuple[str, int], tuple[int, int]] = {}
        """(topic, partition) → in-sync replicas now, and most of them so far"""
        self._led: set[tuple[str, int]] = set()

    def begin(self, run_dir: RunDir) -> None:
        """Follow this run from now on."""
        with self._lock:
            if self._run_dir is not None:
                self._look()
            self._run_dir = run_dir
            self._timeline = run_dir.follow()
            self._logs = LatencyFollower(run_dir.latency)
            self._profiles, self._topics = {}, {}
            self._faults, self._isr, self._led = {}, {}, set()

    def judged(self, verdict: Verdict) -> None:
        """The run has its verdict."""
        with self._lock:
            self._look()
            self._counters[c.RUNS][verdict.verdict,] += 1
            self._gauges[c.RUN_VERDICT] = {(verdict.verdict,): 1}
            promises: dict[Labels, float] = {}
            for each in verdict.profiles:
                for promise in each.promises:
                    promises[each.profile, each.role, promise.promise, promise.verdict] = 1
                for anomaly in ANOMALY_RECORDS:
                    count = each.counts.get(anomaly, 0)
                    self._counters[c.ANOMALIES][each.profile, each.role, anomaly] += count
            self._gauges[c.PROMISE_VERDICT] = promises

    def read(self) -> list[Reading]:
        """Every metric as it is now, in the order of the catalogue."""
        with self._lock:
            self._look()
            return [
                Reading(
                    spec,
                    dict(self._counters.get(spec) or self._gauges.get(spec) or {}),
                    {key: each.copy() for key, each in self._latencies.get(spec, {}).items()},
                )
                for spec in c.CATALOGUE
            ]

    # -- one run ---------------------------------------------------------------------------

    def _look(self) -> None:
        if self._run_dir is None or self._timeline is None or self._logs is None:
            return
        if not self._profiles and not self._describe(self._run_dir):
            return
        for event in self._timeline.events(TimelineEvent, containing=b'"'):
            self._take(event)
        active = Counter(self._faults.values())
        known = {labels[0] for labels in self._counters[c.FAULTS]}
        self._gauges[c.FAULTS_ACTIVE] = {(name,): active[name] for name in sorted(known)}
        shrunk = Counter(key[0] for key, (now, most) in self._isr.items() if now < most)
        under: Counter[Labels] = Counter()
        for topic, profile in self._topics.items():
            under[profile.profile, profile.role] += shrunk[topic]
        self._gauges[c.UNDER_REPLICATED] = dict(under)
        for name, metric, cells in self._logs.counts():
            spec, run = _LATENCIES.get(metric), self._profiles.get(name)
            if spec is not None and run is not None:
                self._latencies[spec].setdefault((name, run.role), Distribution()).add(cells)

    def _describe(self, run_dir: RunDir) -> bool:
        """Read run.json; false while there is none."""
        if not run_dir.run_json.exists():
            return False
        try:
            info = run_dir.read_info()
        except HarnessError:
            return False  # the run itself says what is wrong
        self._profiles = {each.profile: each for each in info.profiles}
        self._topics = {topic: each for each in info.profiles for topic in each.topics}
        labels = (
            info.run_id,
            str(info.seed),
            info.versions.get("harness", ""),
            info.versions.get("kafka", ""),
        )
        self._gauges[c.RUN_INFO] = {labels: 1}
        for each in info.profiles:
            for spec in (c.ATTEMPTS, c.ACKNOWLEDGED, c.FAILED, c.UNKNOWN, c.LEADER_CHANGES):
                self._counters[spec][each.profile, each.role] += 0
        return True

    def _take(self, event: TimelineEvent) -> None:
        count = self._counters
        match event:
            case LoadEvent(profile=name) if name in self._profiles:
                labels = (name, self._profiles[name].role)
                count[c.ATTEMPTS][labels] += event.attempted
                count[c.ACKNOWLEDGED][labels] += event.acked
                count[c.FAILED][labels] += event.failed
                count[c.UNKNOWN][labels] += event.unknown
            case GeneratorEvent():
                self._gauges[c.GENERATOR_LAG][()] = event.lag_ms_max / 1000
            case ClientErrorEvent():
                count[c.CLIENT_ERRORS][event.profile or "", event.code] += event.count
            case FaultEvent(phase="injected"):
                self._faults[event.fault_id] = event.fault
                count[c.FAULTS][event.fault,] += 1
            case FaultEvent(phase="healed" | "failed"):
                self._faults.pop(event.fault_id, None)
            case RunEvent(phase="healed"):
                self._faults.clear()
            case LeaderEvent() if event.topic in self._topics:
                profile = self._topics[event.topic]
                key = event.topic, event.partition
                if key in self._led and event.leader >= 0:
                    count[c.LEADER_CHANGES][profile.profile, profile.role] += 1
                self._led.add(key)
            case IsrEvent() if event.topic in self._topics:
                key = event.topic, event.partition
                most = max(len(event.isr), self._isr.get(key, (0, 0))[1])
                self._isr[key] = len(event.isr), most
            case _:
                pass
