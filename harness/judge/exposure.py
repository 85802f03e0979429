"""Was a profile exposed to a fault?

A profile is exposed to a fault when one of its topic-partitions was hit (the fault was aimed at
it, or its leader was hit) or the coordinator of its transactions or group was; when that leader
changed, if the fault is one that moves leaders; and when records of it were in flight at or after
the injection and acknowledged before and after. Anything less proves nothing about its promises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from harness.judge.disturbances import Disturbance
from harness.rundir.recorded_faults import RecordedFault
from harness.rundir.run_info import ProfileRun, RunInfo
from harness.rundir.timeline import LeaderChange, LoadSeries, Timeline

AROUND_US: Final = 10_000_000
"""An acknowledgement this long before an injection still counts as load around it."""


class Stage(IntEnum):
    """How far a fault reached a profile; each stage includes those before it."""

    MISSED = 0
    HIT = 1
    LEADER_MOVED = 2
    """Or the fault is none that moves leaders."""
    IN_FLIGHT = 3
    ACKED_BEFORE = 4
    ACKED_AFTER = 5
    """Everything that exposure asks for."""


_LACKS: Final[Mapping[Stage, str]] = {
    Stage.MISSED: "no partition of it was hit",
    Stage.HIT: "the leader of its partitions did not change",
    Stage.LEADER_MOVED: "nothing of it was in flight",
    Stage.IN_FLIGHT: "nothing of it was acknowledged just before",
    Stage.ACKED_BEFORE: "nothing of it was acknowledged afterwards",
    Stage.ACKED_AFTER: "",
}
"""Stage → what was missing for the next one."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """One fault as one profile met it; `missing` is empty when the profile was exposed."""

    fault: RecordedFault
    missing: str

    @property
    def exposed(self) -> bool:
        """Whether the fault put the profile to the test."""
        return not self.missing


def exposures(profile: ProfileRun, timeline: Timeline) -> list[Exposure]:
    """How a profile met each fault of the run that was injected, in order of injection."""
    faults = sorted(
        (fault for fault in timeline.faults if not fault.idle), key=lambda each: each.injected_us
    )
    result: list[Exposure] = []
    for index, fault in enumerate(faults):
        until_us = faults[index + 1].injected_us if index + 1 < len(faults) else None
        if not fault.took_effect:
            missing = "there is no evidence that it took effect"
        else:
            missing = _missing(profile, timeline, fault, until_us)
        result.append(Exposure(fault, missing))
    return result


def disturbed(profile: ProfileRun, timeline: Timeline, found: Sequence[Disturbance]) -> int:
    """How many disturbances without a fault on record put a profile to the test.

    As for faults: a partition of it was shaken, and records of that partition were in flight then
    and acknowledged before and after.
    """
    count = 0
    for index, each in enumerate(found):
        until_us = found[index + 1].from_us if index + 1 < len(found) else None
        count += any(
            _loaded(timeline.loads.get(key), each.from_us, until_us) is Stage.ACKED_AFTER
            for key in each.hits(profile)
        )
    return count


def trials(info: RunInfo, anomaly: str, met: Sequence[Exposure]) -> list[Exposure]:
    """The faults that count as trials of an aimed promise.

    A fault that cannot cause an anomaly, such as cut responses a loss, is no trial of its promise;
    counted as one it would make the bound look better than it is.
    """
    return [each for each in met if anomaly in info.fault_aims.get(each.fault.fault, [anomaly])]


def _missing(
    profile: ProfileRun, timeline: Timeline, fault: RecordedFault, until_us: int | None
) -> str:
    """What the most exposed partition of a profile lacked; empty when it lacked nothing."""
    stages = [Stage.MISSED]
    coordinated = fault.coordinated(profile.profile)
    if coordinated:
        # Every partition of it waits for the coordinator that was hit.
        moved = any(_leader_moved(timeline, fault, *key, until_us) for key in coordinated)
        stages.append(Stage.HIT)
        if moved or not fault.moves_leader:
            stages.append(Stage.LEADER_MOVED)
            stages += [
                _loaded(series, fault.injected_us, until_us)
                for (topic, _), series in timeline.loads.items()
                if topic in profile.topics
            ]
    for topic, partition in hit_partitions(profile.topics, timeline, fault):
        stages.append(Stage.HIT)
        if not fault.moves_leader or _leader_moved(timeline, fault, topic, partition, until_us):
            series = timeline.loads.get((topic, partition))
            stages.append(_loaded(series, fault.injected_us, until_us))
    return _LACKS[max(stages)]


def hit_partitions(
    topics: Sequence[str], timeline: Timeline, fault: RecordedFault
) -> list[tuple[str, int]]:
    """The partitions of `topics` that a fault was aimed at, or whose leader it hit."""
    hit = {
        (str(each["topic"]), int(each["partition"]))
        for each in fault.partitions
        if each.get("topic") in topics and "partition" in each
    }
    for key, changes in timeline.leaders.items():
        if key[0] in topics:
            before = [change for change in changes if change.at_us <= fault.injected_us]
            if before and before[-1].leader in fault.brokers:
                hit.add(key)
    return sorted(hit)


def _leader_moved(
    timeline: Timeline, fault: RecordedFault, topic: str, partition: int, until_us: int | None
) -> bool:
    """By the fault's own evidence, or else by what the observer saw until the next fault."""
    for each in fault.partitions:
        if each.get("topic") == topic and each.get("partition") == partition:
            before, after = each.get("epoch_before"), each.get("epoch_after")
            if before is not None and after is not None:
                return int(after) > int(before)
    before_change: LeaderChange | None = None
    for change in timeline.leaders.get((topic, partition), ()):
        if change.at_us <= fault.injected_us:
            before_change = change
        elif until_us is None or change.at_us < until_us:
            known = before_change is not None
            if known and before_change and change.leader_epoch > before_change.leader_epoch:
                return True
    return False


def _loaded(series: LoadSeries | None, injected_us: int, until_us: int | None) -> Stage:
    """The stage of a partition whose leader moved, by its load around the injection."""
    if series is None or not len(series):
        return Stage.LEADER_MOVED
    later = series.to_us >= injected_us
    if until_us is not None:
        later &= series.from_us < until_us
    if not bool((series.in_flight[later] > 0).any()):
        return Stage.LEADER_MOVED
    before = (series.to_us <= injected_us) & (series.to_us >= injected_us - AROUND_US)
    if not bool((series.acked[before] > 0).any()):
        return Stage.IN_FLIGHT
    after = series.from_us >= injected_us
    if until_us is not None:
        after &= series.from_us < until_us
    return Stage.ACKED_AFTER if bool((series.acked[after] > 0).any()) else Stage.ACKED_BEFORE
