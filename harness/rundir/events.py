"""The events of a timeline: one dataclass for each, which its writer fills and its reader gets.

A line of timeline.ndjson is a JSON object with `at` (RFC 3339, UTC, microseconds), `event` (its
name, in event_lines.py), `source` (who wrote it) and the fields of that event. A field without
a value is left out of the line. A reader passes over fields that it does not know. An event or a
phase that it does not know counts as a line that cannot be read, and so does a field of another
type: it may tell of a fault, or of the end of a load.

No client library is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from msgspec import Meta

from harness.rundir.clock import to_us

Whole: TypeAlias = Annotated[int, Meta(gt=-(1 << 62), lt=1 << 62)]
"""A whole number that a column of int64 can hold."""
LagMs: TypeAlias = Annotated[float, Meta(ge=0, lt=1e15)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEvent:
    """What every event has."""

    NAME: ClassVar[str] = ""

    at: str = ""
    """RFC 3339 in UTC with microseconds; the writer fills in the present instant where it is
    empty."""
    source: str = ""
    """Which part of the harness wrote it."""

    @property
    def at_us(self) -> int:
        """`at` in µs since the epoch."""
        return to_us(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent(TimelineEvent):
    """A run has reached a phase."""

    NAME: ClassVar[str] = "run"

    phase: Literal[
        "started", "members_ready", "load_started", "warmed_up", "bound", "load_stopped",
        "load_died", "members_died", "interrupted", "healed", "not_healed", "members_caught_up",
        "members_stopped", "drained", "judged_again", "topics_left", "ended",
    ]  # fmt: skip
    reason: str | None = None
    """members_ready (empty: all are), members_caught_up, bound, and what died or did not heal"""
    unsent: Whole | None = None
    """load_stopped: records that were due and never attempted"""
    unsent_by: dict[str, Whole] | None = None
    """load_stopped: the same by profile, where it is not 0"""
    rounds: Whole | None = None
    """bound: how often the experiments were run"""
    faults: Whole | list[str] | None = None
    """bound: how many faults challenge the promise with the fewest; healed: the ids of the faults
    that the end of the run healed"""
    needed: Whole | None = None
    """bound: how many faults the bound takes"""
    reached: bool | None = None
    """bound: is it reached?"""
    number: Whole | None = None
    """drained: of the drain; judged_again: of the verdict"""
    drained: Whole | None = None
    """judged_again: of the drain that the verdict rests on"""
    topics: dict[str, str] | None = None
    """topics_left: topic → why it could not be deleted"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultEvent(TimelineEvent):
    """A fault has reached a phase. A second `inject` of one id is a new fault."""

    NAME: ClassVar[str] = "fault"

    fault_id: str
    fault: str
    """Its name, as `harness list faults` prints it."""
    phase: Literal["inject", "injected", "heal", "healed", "failed"]
    target: str | None = None
    evidence: dict[str, Any] | None = None
    """injected, failed: see FaultEvidence in harness/rundir/fault_evidence.py"""
    took_effect: bool | None = None
    """injected: is there evidence of it?"""
    reason: str | None = None
    """failed: why"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentEvent(TimelineEvent):
    """An experiment has reached a phase: one of the run's own, or one that somebody runs beside it
    (`joined`, `left`)."""

    NAME: ClassVar[str] = "experiment"

    phase: Literal["started", "method", "rollback", "ended", "joined", "left"]
    title: str | None = None
    status: str | None = None
    """ended, left: as Chaos Toolkit has it"""
    deviated: bool | None = None
    """ended, left: did the steady state not hold?"""
    experiment_id: str | None = None
    """joined, left"""
    journal: Whole | None = None
    """joined: the number of its journal in the run directory"""
    aims: dict[str, str] | None = None
    """joined: anomaly → the control that its faults should break"""
    faults: list[str] | None = None
    """joined: the faults that it still has to inject, in order"""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderEvent(TimelineEvent):
    """A partition has another leader, or the same one in another epoch."""

    NAME: ClassVar[str] = "leader"

    topic: str
    partition: Whole
    leader: Whole
    """−1: none"""
    leader_epoch: Whole
    """−1: not known"""


@dataclass(frozen=True, slots=True, kw_only=True)
class IsrEvent(TimelineEvent):
    """A partition has other in-sync replicas."""

    NAME: ClassVar[str] = "isr"

    topic: str
    partition: Whole
    isr: list[Whole]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokersEvent(TimelineEvent):
    """Other brokers are registered."""

    NAME: ClassVar[str] = "brokers"

    brokers: list[Whole]


@dataclass(frozen=True, slots=True, kw_only=True)
class PodEvent(TimelineEvent):
    """A pod of a Kafka node has ended, or its container has started again in it, whoever made it.
    A fault on record did it when its evidence holds the same uid."""

    NAME: ClassVar[str] = "pod"

    phase: Literal["ended", "restarted"]
    node: Whole
    """the Kafka node's id"""
    pod: str
    uid: str
    """of the pod that ended, or in which the container started again"""
    uid_after: str | None = None
    """of the pod that had its name then, where there was one"""
    exit_code: int | None = None
    """of the container that ended"""
    reason: str | None = None
    """as Kubernetes names it, such as Evicted or OOMKilled"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcesEvent(TimelineEvent):
    """What a broker on this machine uses, once a second while its process runs."""

    NAME: ClassVar[str] = "resources"

    broker: Whole
    cpu_percent: float
    """of one core, since the sample before"""
    memory_bytes: Whole
    """resident"""
    disk_bytes: Whole
    """blocks that the files in its data directory take"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsetsEvent(TimelineEvent):
    """How far readers at read_committed can read in a partition of a transactional topic."""

    NAME: ClassVar[str] = "offsets"

    topic: str
    partition: Whole
    last_stable: Whole
    high_watermark: Whole


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadEvent(TimelineEvent):
    """What the producers of a load process did with a topic-partition in one slot of 250 ms."""

    NAME: ClassVar[str] = "load"

    profile: str
    topic: str
    partition: Whole
    from_us: Whole
    to_us: Whole
    attempted: Whole
    """by send time"""
    acked: Whole
    """by the time of the report, as `failed` and `unknown`; for acks=0: sent"""
    failed: Whole
    unknown: Whole
    ack_ms_max: float
    """the slowest acknowledgement, after the intended send time"""
    attempted_by: dict[Whole, Whole] | None = None
    """producer incarnation → how many of `attempted`"""
    failed_by: dict[str, Whole] | None = None
    """reason → how many of `failed`"""
    unknown_by: dict[str, Whole] | None = None
    """reason → how many of `unknown`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorEvent(TimelineEvent):
    """How late the load generator woke in one slot of 250 ms."""

    NAME: ClassVar[str] = "generator"

    lag_ms_max: LagMs


@dataclass(frozen=True, slots=True, kw_only=True)
class IncarnationEvent(TimelineEvent):
    """A producer incarnation began, was closed, or was replaced by a new one."""

    NAME: ClassVar[str] = "incarnation"

    profile: str
    incarnation: Whole
    phase: Literal["started", "closed", "replaced"]
    reason: str | None = None
    instance: Whole | None = None
    """started: of the load's clients of that profile, from 0"""
    first_record: Whole | None = None
    """started: which of that client's records is the first one of this incarnation"""
    member: Whole | None = None
    """of a pipeline: whose producer it is"""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncarnationsEvent(TimelineEvent):
    """Numbers for producer incarnations were handed out to a load process on another machine, or
    all that it recorded has arrived in this run directory."""

    NAME: ClassVar[str] = "incarnations"

    phase: Literal["handed_out", "arrived"]
    first: Whole
    last: Whole
    to: str | None = None
    """handed_out: whose they are, by the machine's or process's name"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEvent(TimelineEvent):
    """A load process among several takes part, is heard of no more, has handed in all that it
    recorded, or came too late for this run."""

    NAME: ClassVar[str] = "worker"

    phase: Literal["joined", "lost", "arrived", "late"]
    name: str
    """its host and its process"""
    worker: Whole | None = None
    """joined, lost, arrived: its number, from 1"""
    clients: list[str] | None = None
    """joined: what it runs, as `profile/instance`"""
    first: Whole | None = None
    """joined: its first number for producer incarnations"""
    last: Whole | None = None
    """joined: its last one"""
    same_machine: bool | None = None
    """joined: does it run where the master does, and write into the run directory?"""
    clock_offset_us: Whole | None = None
    """joined, arrived: how far its clock is ahead of the master's, which is taken off from every
    instant that it writes"""
    clock_error_us: Whole | None = None
    """joined, arrived: half the delay of the round trip by which that was found"""
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientErrorEvent(TimelineEvent):
    """A Kafka client reported an error."""

    NAME: ClassVar[str] = "client_error"

    code: str
    """as librdkafka names it"""
    reason: str | None = None
    fatal: bool | None = None
    profile: str | None = None
    incarnation: Whole | None = None
    """of the producer; of readers there is none"""
    count: Whole = 1
    """how many equal ones there were in a slot"""
    member: Whole | None = None
    topic: str | None = None
    partition: Whole | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderEvent(TimelineEvent):
    """The live reader has begun or ended."""

    NAME: ClassVar[str] = "reader"

    phase: Literal["started", "stopped", "failed"]
    reason: str | None = None
    counts: dict[str, Whole] | None = None
    """stopped: how its set accounts for what was read (observations.Counts)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberEvent(TimelineEvent):
    """The pool has started a group member, or has seen it end."""

    NAME: ClassVar[str] = "member"

    profile: str
    member: Whole
    phase: Literal["started", "ended", "replaced"]
    pid: Whole | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RebalanceEvent(TimelineEvent):
    """A group member was assigned partitions, or was relieved of some."""

    NAME: ClassVar[str] = "rebalance"

    profile: str
    member: Whole
    phase: Literal["assigned", "revoked", "lost"]
    partitions: list[str] = field(default_factory=list)
    """as `topic/partition`"""
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LagEvent(TimelineEvent):
    """How far a group has come in one partition."""

    NAME: ClassVar[str] = "lag"

    profile: str
    topic: str
    partition: Whole
    committed: Whole
    """−1: nothing yet"""
    end: Whole
    """the last stable offset"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveredEvent(TimelineEvent):
    """A group has committed all that its input held when a fault was seen."""

    NAME: ClassVar[str] = "recovered"

    profile: str
    fault_id: str
    fault: str
    after_ms: Whole
    """since the fault's first event, within a second"""
