"""The timeline as typed data: faults, load, leaders, last stable offsets, the generator's lag.

One pass over timeline.ndjson. What happens once is a small record; what happens in every slot of
250 ms (`load`, `generator`, `offsets`) is kept as arrays, so that an hour of load stays small.
Lines that are no event, and events that lack a field they should have, are counted in `unreadable`
and left out: what they told is not known, so they keep the run from proving anything. Only a last
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
from harness.rundir.documents import whole
from harness.rundir.event_fields import check_known, mapping_of, number_of, reason_of, text_of
from harness.rundir.load_events import Failure, LoadLog, Sender, SentSlots
from harness.rundir.recorded_faults import RecordedFault, note_fault
from harness.rundir.run import TimelineDamage, to_us
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

    def phase(self, name: str) -> Moment | None:
        """The first moment of the run with that phase."""
        return next((moment for moment in self.run if moment.phase == name), None)


class _LoadColumns:
    """Grows one topic-partition's load series without a Python object for each number."""

    NAMES = ("from_us", "to_us", "attempted", "acked", "failed", "unknown")

    def __init__(self) -> None:
        self.columns = {name: array("q") for name in self.NAMES}

    def add(self, event: Mapping[str, Any]) -> None:
        row = (
            whole(event["from_us"]),
            whole(event["to_us"]),
            whole(event["attempted"]),
            whole(event["acked"]) + whole(event.get("sent", 0)),
            whole(event["failed"]),
            whole(event["unknown"]),
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


def read_timeline(events: Iterable[Mapping[str, Any]]) -> Timeline:
    """Read timeline events, in file order, into a Timeline."""
    timeline = Timeline()
    faults: dict[str, RecordedFault] = {}
    loads: defaultdict[TopicPartition, _LoadColumns] = defaultdict(_LoadColumns)
    offsets: defaultdict[TopicPartition, tuple[array[int], array[int], array[int]]] = defaultdict(
        lambda: (array("q"), array("q"), array("q"))
    )
    lags: defaultdict[tuple[str, str, int], tuple[array[int], array[int], array[int]]] = (
        defaultdict(lambda: (array("q"), array("q"), array("q")))
    )
    lag_at, lag_ms = array("q"), array("d")
    load_log = LoadLog()
    for event in events:
        try:
            check_known(event)
            match event["event"]:
                case "load":
                    loads[_key(event)].add(event)
                    load_log.add(event)
                case "generator":
                    at, lag = to_us(event["at"]), number_of(event, "lag_ms_max")
                    if not 0 <= lag < 1e15:
                        raise ValueError(f"a lag of {lag} ms")
                    lag_at.append(at)
                    lag_ms.append(lag)
                case "offsets":
                    row = (to_us(event["at"]), event["last_stable"], event["high_watermark"])
                    for column, value in zip(
                        offsets[_key(event)], list(map(whole, row)), strict=True
                    ):
                        column.append(value)
                case "leader":
                    change = LeaderChange(
                        to_us(event["at"]), whole(event["leader"]), whole(event["leader_epoch"])
                    )
                    timeline.leaders.setdefault(_key(event), []).append(change)
                case "isr":
                    timeline.isr.setdefault(_key(event), []).append(_broker_set(event, "isr"))
                case "brokers":
                    timeline.brokers.append(_broker_set(event, "brokers"))
                case "fault":
                    note_fault(faults, timeline.faults, event)
                case "run":
                    timeline.run.append(_moment(event))
                    if "unsent_by" in event:
                        named = mapping_of(event, "unsent_by").items()
                        timeline.unsent = {name: whole(count) for name, count in named}
                case "experiment":
                    if event["phase"] == "joined":
                        timeline.experiments.append(_joined(event))
                case "lag":
                    group = (text_of(event, "profile"), *_key(event))
                    row = (to_us(event["at"]), event["committed"], event["end"])
                    for column, value in zip(lags[group], list(map(whole, row)), strict=True):
                        column.append(value)
                case "incarnation":
                    if event["phase"] == "started":
                        incarnation = whole(event["incarnation"])
                        if "first_record" in event:
                            timeline.first_records[incarnation] = whole(event["first_record"])
                        timeline.started.add(incarnation)
                case "member" | "rebalance":
                    timeline.members.append(_member_moment(event))
                case "reader":
                    timeline.reader.append(_moment(event))
                    if "counts" in event:
                        counts = mapping_of(event, "counts")
                        timeline.read_live = {name: whole(each) for name, each in counts.items()}
                case _:
                    pass  # known, and nothing that judging needs
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            timeline.lacks(event, error)
    timeline.loads = {key: each.series() for key, each in loads.items() if each.columns["acked"]}
    timeline.sent, timeline.failures = load_log.sent(), load_log.failures
    timeline.offsets = {
        key: tuple(np.array(column, dtype=np.int64) for column in columns)  # type: ignore[misc]
        for key, columns in offsets.items()
    }
    timeline.lags = {
        group: tuple(np.array(column, dtype=np.int64) for column in columns)  # type: ignore[misc]
        for group, columns in lags.items()
    }
    timeline.generator_at_us = np.array(lag_at, dtype=np.int64)
    timeline.generator_lag_ms = np.array(lag_ms, dtype=np.float64)
    return timeline


def _key(event: Mapping[str, Any]) -> TopicPartition:
    return text_of(event, "topic"), whole(event["partition"])


def _moment(event: Mapping[str, Any]) -> Moment:
    return Moment(to_us(event["at"]), text_of(event, "phase"), reason_of(event))


def _member_moment(event: Mapping[str, Any]) -> MemberMoment:
    return MemberMoment(
        to_us(event["at"]),
        text_of(event, "profile"),
        whole(event["member"]),
        text_of(event, "phase"),
        reason_of(event),
    )


def _broker_set(event: Mapping[str, Any], field_name: str) -> BrokerSet:
    return BrokerSet(to_us(event["at"]), frozenset(map(whole, event[field_name])))


def _joined(event: Mapping[str, Any]) -> JoinedExperiment:
    aims = mapping_of(event, "aims")
    faults = event["faults"]
    if not isinstance(faults, list):
        raise ValueError(f"faults is {faults!r}, expected a list")
    return JoinedExperiment(
        to_us(event["at"]),
        text_of(event, "title"),
        whole(event["journal"]),
        {anomaly: text_of(aims, anomaly) for anomaly in aims},
        tuple(text_of({"faults": fault}, "faults") for fault in faults),
    )
