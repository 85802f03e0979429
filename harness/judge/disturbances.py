"""What shook the brokers without any fault on record: somebody else's fault, or their own trouble.

Three signs are on record of every run, since the observer looks at its partitions all the time: a
partition's leader epoch grew, its in-sync replicas became fewer, a broker was registered no more.
A fault on record explains the signs from its injection to 10 s after it was healed; one that hit
nothing but group members explains none. Where brokers are pods, a fourth sign is a pod that ended
or a container that started again; only a fault that hit that very pod, by its uid, explains it.
What is left over is grouped: signs at most 10 s apart are one disturbance. See
docs/verification.md, 5.9. A pure function.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from harness.rundir.clock import from_us
from harness.rundir.recorded_faults import RecordedFault
from harness.rundir.run_info import ProfileRun
from harness.rundir.timeline import Timeline, TopicPartition
from harness.rundir.verdict import DisturbanceRecord

AFTER_US: Final = 10_000_000
"""So long after a fault was healed its consequences may still show; leaders move back, and the
observer sees it late."""
APART_US: Final = 10_000_000
"""Signs further apart than this belong to two disturbances."""


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that the observer saw. `key` is None for a broker that was gone."""

    at_us: int
    kind: str
    """leader, isr, broker or pod"""
    key: TopicPartition | None = None
    broker: int | None = None
    text: str = ""
    """What became of a pod, in words."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Signs that belong together, and that no fault on record explains."""

    signs: tuple[Sign, ...]

    @property
    def from_us(self) -> int:
        """When the first of them was seen."""
        return self.signs[0].at_us

    @property
    def to_us(self) -> int:
        """When the last of them was seen."""
        return self.signs[-1].at_us

    def partitions(self, kind: str) -> list[TopicPartition]:
        """The partitions with a sign of that kind, sorted."""
        return sorted({sign.key for sign in self.signs if sign.kind == kind and sign.key})

    @property
    def brokers_gone(self) -> list[int]:
        """The brokers that were registered no more."""
        return sorted({sign.broker for sign in self.signs if sign.broker is not None})

    @property
    def text(self) -> str:
        """What was seen, in words."""
        gone, moved, shrunk = self.brokers_gone, self.partitions("leader"), self.partitions("isr")
        parts = []
        if gone:
            names = ", ".join(map(str, gone))
            parts.append(f"broker{'s' if len(gone) > 1 else ''} {names} ended or fell silent")
        if moved:
            parts.append(f"{_many(len(moved))} got a new leader epoch")
        if shrunk:
            parts.append(f"the in-sync replicas of {_many(len(shrunk))} became fewer")
        parts += dict.fromkeys(sign.text for sign in self.signs if sign.text)
        return ", ".join(parts)

    def record(self) -> DisturbanceRecord:
        """As verdict.json holds it."""
        return DisturbanceRecord(
            seen_at=from_us(self.from_us),
            until=from_us(self.to_us),
            brokers_gone=self.brokers_gone,
            leaders_moved=len(self.partitions("leader")),
            isr_shrunk=len(self.partitions("isr")),
            text=self.text,
        )

    def hits(self, profile: ProfileRun) -> list[TopicPartition]:
        """The partitions of a profile that it shook."""
        keys = {sign.key for sign in self.signs if sign.key is not None}
        return sorted(key for key in keys if key[0] in profile.topics)


def disturbances(timeline: Timeline) -> list[Disturbance]:
    """Every disturbance of a run that no fault on record explains, in order."""
    windows = [_explains(fault) for fault in timeline.faults if not fault.seen.members_alone]
    unexplained = [
        sign
        for sign in _signs(timeline)
        if not any(begin <= sign.at_us <= end for begin, end in windows)
    ]
    left = sorted([*unexplained, *_pods(timeline)], key=lambda each: each.at_us)
    found: list[list[Sign]] = []
    for sign in left:
        if found and sign.at_us - found[-1][-1].at_us <= APART_US:
            found[-1].append(sign)
        else:
            found.append([sign])
    return [Disturbance(tuple(signs)) for signs in found]


def notes(found: Iterable[Disturbance]) -> list[str]:
    """One sentence about each disturbance."""
    return [
        f"no fault on record explains what was seen at {clock(each.from_us)} UTC: {each.text}; it "
        "counts as exposure, and not as a fault"
        for each in found
    ]


def clock(at_us: int) -> str:
    """The time of day of an instant, to the millisecond."""
    return from_us(at_us)[11:23]


def _explains(fault: RecordedFault) -> tuple[int, int]:
    """The time in which a fault explains what was seen; one that was never healed has no end."""
    end_us = 2**62 if fault.healed_us is None else fault.healed_us + AFTER_US
    return min(fault.begun_us, fault.injected_us), end_us


def _signs(timeline: Timeline) -> Iterator[Sign]:
    for key, changes in timeline.leaders.items():
        newest: int | None = None
        for change in changes:
            if change.leader < 0:
                if newest is not None:
                    yield Sign(change.at_us, "leader", key)
                continue
            if newest is not None and change.leader_epoch > newest:
                yield Sign(change.at_us, "leader", key)
            newest = max(change.leader_epoch, -1 if newest is None else newest)
    for key, sets in timeline.isr.items():
        for before, after in pairwise(sets):
            if before.brokers - after.brokers:
                yield Sign(after.at_us, "isr", key)
    for before, after in pairwise(timeline.brokers):
        for broker in sorted(before.brokers - after.brokers):
            yield Sign(after.at_us, "broker", broker=broker)


def _pods(timeline: Timeline) -> Iterator[Sign]:
    """The pods that no fault hit at that time, also while a fault on other pods went on."""
    explained = [(fault.pods, *_explains(fault)) for fault in timeline.faults]
    for event in timeline.pods:
        if any(event.uid in uids and begin <= event.at_us <= end for uids, begin, end in explained):
            continue
        said = ", ".join(
            part
            for part in (
                f"exit status {event.exit_code}" if event.exit_code is not None else "",
                event.reason or "",
            )
            if part
        )
        what = "ended" if event.phase == "ended" else "had its container started again"
        text = f"pod {event.pod} {what}" + (f" ({said})" if said else "")
        yield Sign(event.at_us, "pod", text=text)


def _many(count: int) -> str:
    return "1 partition" if count == 1 else f"{count} partitions"
