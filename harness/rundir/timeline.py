"""The timeline as typed data: faults, load, leaders, last stable offsets, the generator's lag.

One pass over timeline.ndjson. What happens once is a small record; what happens in every slot of
250 ms (`load`, `generator`, `offsets`) is kept as arrays, so that an hour of load stays small.
Lines that are no event, and events that lack a field they should have, are counted in `unreadable`
and left out: what they said is not known, so they keep the run from proving anything. Only a last
line that breaks off is free: a process may have died while it wrote.

No client library is imported here.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from harness.arrays import F64, I64
from harness.rundir.event_lines import decode
from harness.rundir.events import (
    BrokersEvent,
    ExperimentEvent,
    FaultEvent,
    GeneratorEvent,
    IncarnationEvent,
    IncarnationsEvent,
    IsrEvent,
    LagEvent,
    LeaderEvent,
    LoadEvent,
    MemberEvent,
    OffsetsEvent,
    PodEvent,
    ReaderEvent,
    RebalanceEvent,
    RunEvent,
    TimelineEvent,
    WorkerEvent,
)
from harness.rundir.load_events import Failure, LoadLog, Sender, SentSlots
from harness.rundir.load_workers import LoadWorker, note_worker
from harness.rundir.recorded_faults import RecordedFault, note_fault
from harness.rundir.timeline_file import TimelineDamage
from harness.system.printable import printable

TopicPartition: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True)
class LoadSeries:
    """What a topic-partition's producers did, slot by slot, sorted by time; equal lengths.

    `attempted` counts by send time; `acked` (for acks=0 also `sent`), `failed` and `unknown` by
    the time of the report.
    """

    from_us: I64
    to_us: I64
    attempted: I64
    acked: I64
    failed: I64
    unknown: I64

    def __len__(self) -> int:
        return len(self.from_us)

    @property
    def in_flight(self) -> I64:
        """Attempts without any outcome at the end of each slot."""
        return np.cumsum(self.attempted - self.acked - self.failed - self.unknown)


@dataclass(frozen=True, slots=True)
class LeaderChange:
    """What the observer saw: the leader of a partition from then on; -1 is none."""

    at_us: int
    leader: int
    leader_epoch: int


@dataclass(frozen=True, slots=True)
class BrokerSet:
    """What the observer saw: the in-sync replicas of a partition, or the registered brokers."""

    at_us: int
    brokers: frozenset[int]


@dataclass(frozen=True, slots=True)
class JoinedExperiment:
    """An experiment that somebody ran beside the run, and that wrote itself into it.

    `faults`: those that it still had to inject when it joined, in order; `journal`: the number of
    its journal in the run directory.
    """

    at_us: int
    title: str
    journal: int
    aims: Mapping[str, str]
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IncarnationRange:
    """Numbers first…last of producer incarnations, handed out to somebody by that name."""

    first: int
    last: int
    to: str

    def __contains__(self, incarnation: object) -> bool:
        return isinstance(incarnation, int) and self.first <= incarnation <= self.last


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that a process said about itself."""

    at_us: int
    phase: str
    reason: str


@dataclass(frozen=True, slots=True)
class MemberMoment:
    """What became of a group member; phase: started, ended or replaced by its pool, or assigned,
    revoked or lost in its own words."""

    at_us: int
    profile: str
    member: int
    phase: str
    reason: str = ""


@dataclass(slots=True)
class Timeline:
    """Everything that judging needs from timeline.ndjson."""

    faults: list[RecordedFault] = field(default_factory=list)
    loads: dict[TopicPartition, LoadSeries] = field(default_factory=dict)
    leaders: dict[TopicPartition, list[LeaderChange]] = field(default_factory=dict)
    isr: dict[TopicPartition, list[BrokerSet]] = field(default_factory=dict)
    brokers: list[BrokerSet] = field(default_factory=list)
    pods: list[PodEvent] = field(default_factory=list)
    """Pods that ended, and containers that started again, whoever made them."""
    offsets: dict[TopicPartition, tuple[I64, I64, I64]] = field(default_factory=dict)
    """(at_us, last stable offset, high watermark) of the transactional topics"""
    generator_at_us: I64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    generator_lag_ms: F64 = field(default_factory=lambda: np.zeros(0, dtype=np.float64))
    run: list[Moment] = field(default_factory=list)
    reader: list[Moment] = field(default_factory=list)
    read_live: dict[str, int] | None = None
    """What the live reader had read when it stopped, by kind; None where it did not say."""
    members: list[MemberMoment] = field(default_factory=list)
    experiments: list[JoinedExperiment] = field(default_factory=list)
    started: set[int] = field(default_factory=set)
    """Incarnations of producers that began."""
    handed_out: list[IncarnationRange] = field(default_factory=list)
    arrived: set[tuple[int, int]] = field(default_factory=set)
    """(first, last) of the ranges of `handed_out` of which everything is in the run directory"""
    workers: dict[int, LoadWorker] = field(default_factory=dict)
    """The load processes of a run over several, by number."""
    first_records: dict[int, int] = field(default_factory=dict)
    """incarnation → which of its client's records was its first one"""
    lags: dict[tuple[str, str, int], tuple[I64, I64, I64]] = field(default_factory=dict)
    """(profile, topic, partition) → (at_us, committed offset, end offset), −1 for none committed"""
    sent: dict[Sender, SentSlots] = field(default_factory=dict)
    """(topic, partition, incarnation) → its attempts, slot by slot"""
    failures: dict[tuple[str, str, str], Failure] = field(default_factory=dict)
    """(topic, `failed` or `unknown`, reason) → how many attempts ended so, and when"""
    unsent: dict[str, int] | None = None
    """profile → records that were due and never attempted; None where the load did not say"""
    unreadable: int = 0
    """Lines that are no event, or an event that lacks a field or has another type in it."""
    first_unreadable: str = ""
    """Where the first of them is, or what is wrong with it."""
    torn: bool = False
    """Does the last line break off?"""

    def take(self, damage: TimelineDamage) -> None:
        """Add the lines that were no event at all."""
        if damage.count:
            self.first_unreadable = f"line {damage.first}"
        self.unreadable += damage.count
        self.torn |= damage.torn

    def lacks(self, event: Mapping[str, Any], error: Exception) -> None:
        """Note an event that is not what it should be."""
        if not self.unreadable:
            name = printable(str(event.get("event")))[:40]
            what = f"{type(error).__name__}: {error}"
            self.first_unreadable = f"an event {name!r}: {printable(what)[:80]}"
        self.unreadable += 1

    @property
    def awaited(self) -> list[IncarnationRange]:
        """Ranges of incarnations that were handed out and of which not everything arrived."""
        return [each for each in self.handed_out if (each.first, each.last) not in self.arrived]

    def phase(self, name: str) -> Moment | None:
        """The first moment of the run with that phase."""
        return next((moment for moment in self.run if moment.phase == name), None)


class _LoadColumns:
    """Grows one topic-partition's load series without a Python object for each number."""

    NAMES = ("from_us", "to_us", "attempted", "acked", "failed", "unknown")

    def __init__(self) -> None:
        self.columns = {name: array("q") for name in self.NAMES}

    def add(self, event: LoadEvent) -> None:
        row = (
            event.from_us,
            event.to_us,
            event.attempted,
            event.acked,
            event.failed,
            event.unknown,
        )
        for name, value in zip(self.NAMES, row, strict=True):
            self.columns[name].append(value)

    def series(self) -> LoadSeries:
        """Sorted, and producers that share a slot added up."""
        arrays = [np.array(self.columns[name], dtype=np.int64) for name in self.NAMES]
        order = np.argsort(arrays[0], kind="stable")
        arrays = [column[order] for column in arrays]
        starts = np.flatnonzero(np.diff(arrays[0], prepend=arrays[0][0] - 1))
        ends = np.maximum.reduceat(arrays[1], starts)
        sums = [np.add.reduceat(column, starts) for column in arrays[2:]]
        return LoadSeries(arrays[0][starts], ends, *sums)


class _Columns:
    """Grows columns of one int64 each, for each of several keys."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._of: dict[Any, tuple[array[int], ...]] = {}

    def add(self, key: Any, *row: int) -> None:
        columns = self._of.setdefault(key, tuple(array("q") for _ in range(self._width)))
        for column, value in zip(columns, row, strict=True):
            column.append(value)

    def arrays(self) -> dict[Any, Any]:
        """key → its columns."""
        return {
            key: tuple(np.array(column, dtype=np.int64) for column in columns)
            for key, columns in self._of.items()
        }


class _Taker:
    """Takes events into a timeline, one after the other."""

    def __init__(self) -> None:
        self.timeline = Timeline()
        self._faults: dict[str, RecordedFault] = {}
        self._loads: defaultdict[TopicPartition, _LoadColumns] = defaultdict(_LoadColumns)
        self._load_log = LoadLog()
        self._offsets, self._lags = _Columns(3), _Columns(3)
        self._lag_at, self._lag_ms = array("q"), array("d")

    def take(self, event: TimelineEvent) -> None:
        """Raises ValueError, KeyError or TypeError for what a fault's evidence cannot be."""
        timeline = self.timeline
        match event:
            case LoadEvent():
                self._loads[event.topic, event.partition].add(event)
                self._load_log.add(event)
            case GeneratorEvent():
                self._lag_at.append(event.at_us)
                self._lag_ms.append(event.lag_ms_max)
            case OffsetsEvent():
                key = (event.topic, event.partition)
                self._offsets.add(key, event.at_us, event.last_stable, event.high_watermark)
            case LeaderEvent():
                change = LeaderChange(event.at_us, event.leader, event.leader_epoch)
                timeline.leaders.setdefault((event.topic, event.partition), []).append(change)
            case IsrEvent():
                isr = BrokerSet(event.at_us, frozenset(event.isr))
                timeline.isr.setdefault((event.topic, event.partition), []).append(isr)
            case BrokersEvent():
                timeline.brokers.append(BrokerSet(event.at_us, frozenset(event.brokers)))
            case PodEvent():
                timeline.pods.append(event)
            case FaultEvent():
                note_fault(self._faults, timeline.faults, event)
            case RunEvent():
                timeline.run.append(Moment(event.at_us, event.phase, event.reason or ""))
                if event.unsent_by is not None:
                    timeline.unsent = event.unsent_by
            case ExperimentEvent(phase="joined"):
                timeline.experiments.append(_joined(event))
            case LagEvent():
                group = (event.profile, event.topic, event.partition)
                self._lags.add(group, event.at_us, event.committed, event.end)
            case IncarnationEvent(phase="started"):
                if event.first_record is not None:
                    timeline.first_records[event.incarnation] = event.first_record
                timeline.started.add(event.incarnation)
            case IncarnationsEvent():
                if event.last < event.first:
                    raise ValueError(f"incarnations {event.first} to {event.last}")
                if event.phase == "arrived":
                    timeline.arrived.add((event.first, event.last))
                else:
                    handed_out = IncarnationRange(event.first, event.last, event.to or "")
                    timeline.handed_out.append(handed_out)
            case WorkerEvent():
                note_worker(timeline.workers, event)
            case MemberEvent() | RebalanceEvent():
                moment = MemberMoment(
                    event.at_us, event.profile, event.member, event.phase, event.reason or ""
                )
                timeline.members.append(moment)
            case ReaderEvent():
                timeline.reader.append(Moment(event.at_us, event.phase, event.reason or ""))
                if event.counts is not None:
                    timeline.read_live = event.counts
            case _:
                pass  # known, and nothing that judging needs

    def finish(self) -> Timeline:
        """Everything that was taken."""
        timeline = self.timeline
        timeline.loads = {key: each.series() for key, each in self._loads.items()}
        timeline.sent, timeline.failures = self._load_log.sent(), self._load_log.failures
        timeline.offsets, timeline.lags = self._offsets.arrays(), self._lags.arrays()
        timeline.generator_at_us = np.array(self._lag_at, dtype=np.int64)
        timeline.generator_lag_ms = np.array(self._lag_ms, dtype=np.float64)
        return timeline


def read_timeline(documents: Iterable[Mapping[str, Any]]) -> Timeline:
    """Read what the lines of a timeline hold, in file order, into a Timeline."""
    taker = _Taker()
    for document in documents:
        try:
            taker.take(decode(document))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            taker.timeline.lacks(document, error)
    return taker.finish()


def _joined(event: ExperimentEvent) -> JoinedExperiment:
    if event.title is None or event.journal is None or event.faults is None:
        raise ValueError("title, journal or faults is missing")
    return JoinedExperiment(
        event.at_us, event.title, event.journal, event.aims or {}, tuple(event.faults)
    )
