"""What the cluster did while the load ran: leaders, in-sync replicas, consumer lag, outages. Pure.

On the same slots as the load's series. What the observer writes are changes, so a value holds until
the next one; before the first one nothing is known, which is NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from harness.arrays import F64, I64
from harness.report.series import RunSeries
from harness.rundir.run_info import RunInfo
from harness.rundir.timeline import BrokerSet, LoadSeries, Timeline

OUTAGE_SLOTS_MIN: Final = 2
"""A single slot of the load without an acknowledgement is what a slow partition has at any time."""
Changes: TypeAlias = list[tuple[int, float]]
"""(µs since the epoch, by how much a count changes then)"""


@dataclass(frozen=True, slots=True)
class Outage:
    """One topic-partition while it acknowledged nothing and records were waiting, in seconds."""

    profile: str
    topic: str
    partition: int
    stretches: list[tuple[float, float]]

    @property
    def total_s(self) -> float:
        """All of them together."""
        return sum(end - start for start, end in self.stretches)


@dataclass(slots=True)
class ClusterSeries:
    """Arrays of equal length, one value a slot of `slot_s` seconds.

    led: broker → partitions of the run that it leads at the end of the slot; leaderless: those
    without a leader, and under_replicated: those with fewer in-sync replicas than replicas, the
    most in the slot. registered: broker → 0 where it was not registered at some time in the slot.
    lag: profile → offsets that its consumers were behind, all partitions together.
    """

    slot_s: float
    from_s: F64
    led: dict[int, F64] = field(default_factory=dict)
    registered: dict[int, F64] = field(default_factory=dict)
    leaderless: F64 | None = None
    under_replicated: F64 | None = None
    partitions: int = 0
    lag: dict[str, F64] = field(default_factory=dict)
    outages: list[Outage] = field(default_factory=list)


def cluster_series(run: RunSeries, timeline: Timeline, info: RunInfo) -> ClusterSeries:
    """From what the observer and the members recorded to what is drawn."""
    count = max(-(-int(run.end_s * 1e6) // max(int(run.slot_s * 1e6), 1)), 1)
    found = ClusterSeries(run.slot_s, np.arange(count, dtype=np.float64) * run.slot_s)
    if not run.profiles:
        return found
    edges = run.start_us + np.arange(count + 1, dtype=np.int64) * int(run.slot_s * 1e6)
    _leaders(found, timeline, edges)
    _in_sync(found, timeline, info, edges)
    _brokers(found, timeline.brokers, edges)
    _lags(found, timeline, edges)
    topics = {topic: each.profile for each in info.profiles for topic in each.topics}
    for (topic, partition), load in sorted(timeline.loads.items()):
        stretches = outages_of(load, run.start_us)
        if topic in topics and stretches:
            found.outages.append(Outage(topics[topic], topic, partition, stretches))
    return found


def _leaders(found: ClusterSeries, timeline: Timeline, edges: I64) -> None:
    by_broker: dict[int, Changes] = {}
    leaderless: Changes = []
    for changes in timeline.leaders.values():
        now: int | None = None
        for change in sorted(changes, key=lambda each: each.at_us):
            if now is not None:
                (leaderless if now < 0 else by_broker[now]).append((change.at_us, -1.0))
            now = change.leader
            to = leaderless if now < 0 else by_broker.setdefault(now, [])
            to.append((change.at_us, 1.0))
    found.partitions = len(timeline.leaders)
    if not timeline.leaders:
        return
    for broker, changes_of in sorted(by_broker.items()):
        found.led[broker] = at_ends(changes_of, edges)
    found.leaderless = most(leaderless, edges)


def _in_sync(found: ClusterSeries, timeline: Timeline, info: RunInfo, edges: I64) -> None:
    replicas = {
        topic: int(each.topic.get("replication.factor", 0))
        for each in info.profiles
        for topic in each.topics
    }
    under: Changes = []
    for (topic, _), sets in timeline.isr.items():
        whole = replicas.get(topic) or max(len(each.brokers) for each in sets)
        short = False
        for each in sorted(sets, key=lambda each: each.at_us):
            if (len(each.brokers) < whole) is not short:
                short = not short
                under.append((each.at_us, 1.0 if short else -1.0))
    if timeline.isr:
        found.under_replicated = most(under, edges)


def _brokers(found: ClusterSeries, sets: Iterable[BrokerSet], edges: I64) -> None:
    seen = sorted(sets, key=lambda each: each.at_us)
    for broker in sorted(set().union(*(each.brokers for each in seen))):
        gone: Changes = []
        away = False
        for each in seen:
            if (broker not in each.brokers) is not away:
                away = not away
                gone.append((each.at_us, 1.0 if away else -1.0))
        found.registered[broker] = 1.0 - most(gone, edges)


def _lags(found: ClusterSeries, timeline: Timeline, edges: I64) -> None:
    by_profile: dict[str, Changes] = {}
    first: dict[str, int] = {}
    for (profile, _, _), (at_us, committed, end) in timeline.lags.items():
        behind = (end - np.maximum(committed, 0)).astype(np.float64)
        steps = np.diff(behind, prepend=0.0)
        by_profile.setdefault(profile, []).extend(zip(at_us.tolist(), steps.tolist(), strict=True))
        if len(at_us):
            first[profile] = min(first.get(profile, int(at_us[0])), int(at_us[0]))
    for profile, changes in by_profile.items():
        values = most(changes, edges)
        values[edges[1:] <= first.get(profile, int(edges[-1]))] = np.nan
        found.lag[profile] = values


def at_ends(changes: Changes, edges: I64) -> F64:
    """The count at the end of each slot; edges: (n + 1,) µs."""
    ordered = sorted(changes)
    times = np.array([at for at, _ in ordered], dtype=np.int64)
    sums = np.concatenate([[0.0], np.cumsum([by for _, by in ordered])])
    return np.asarray(sums[np.searchsorted(times, edges[1:], side="left")], dtype=np.float64)


def most(changes: Changes, edges: I64) -> F64:
    """The highest count in each slot: what holds at its start, and what it changes to in it."""
    ordered = sorted(changes)
    times = np.array([at for at, _ in ordered], dtype=np.int64)
    sums = np.concatenate([[0.0], np.cumsum([by for _, by in ordered])])
    values = np.asarray(sums[np.searchsorted(times, edges[:-1], side="right")], dtype=np.float64)
    slots = np.searchsorted(edges, times, side="right") - 1
    inside = (slots >= 0) & (slots < len(values))
    # Of changes at one instant only what they come to together was ever the case.
    last_of = np.append(times[1:] != times[:-1], True) if len(times) else np.zeros(0, dtype=bool)
    chosen = inside & last_of
    np.maximum.at(values, slots[chosen], sums[1:][chosen])
    return values


def outages_of(load: LoadSeries, start_us: int) -> list[tuple[float, float]]:
    """The stretches of seconds in which nothing was acknowledged while records were waiting."""
    before = np.concatenate([[0], load.in_flight[:-1]])
    blocked = (load.acked == 0) & ((load.attempted > 0) | (before > 0))
    edges = np.flatnonzero(np.diff(np.concatenate([[0], blocked.astype(np.int8), [0]])))
    return [
        ((int(load.from_us[first]) - start_us) / 1e6, (int(load.to_us[end - 1]) - start_us) / 1e6)
        for first, end in edges.reshape(-1, 2).tolist()
        if end - first >= OUTAGE_SLOTS_MIN
    ]


def short_topics(info: RunInfo) -> Mapping[str, str]:
    """topic → its name without what all topics of the run begin with."""
    prefix = f"harness-{info.run_id}-"
    return {topic: topic.removeprefix(prefix) for topic in info.topics}
