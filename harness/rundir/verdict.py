"""The verdict as data: what verdict.json holds (schema `delivery-verdict/1`).

`kept` · `broken` · `inconclusive`, where broken > inconclusive > kept. A promise can also be
`not_applicable`, outside the envelope in which its profile promises anything, and so can a profile
none of whose promises applies. A run is never `not_applicable`: it is inconclusive then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta

from harness.anomalies import CONSUMER_ANOMALIES
from harness.rundir.latency import METRICS
from harness.rundir.percentiles import Percentiles
from harness.rundir.places import Places
from harness.rundir.threshold_verdict import ThresholdVerdict
from harness.rundir.verdict_fields import (
    COUNTS,
    AnomalyName,
    ByFault,
    ConsumeMode,
    Count,
    FaultBound,
    GroupProtocol,
    Instant,
    Name,
    NotNegative,
    Positive,
    PromiseName,
    Rate,
    ReplicaAnswer,
    Role,
    RunName,
    Sentence,
    StoryEvent,
    one_of,
)

VERDICT_SCHEMA: Final = "delivery-verdict/1"
KEPT: Final = "kept"
BROKEN: Final = "broken"
INCONCLUSIVE: Final = "inconclusive"
NOT_APPLICABLE: Final = "not_applicable"
RunJudgement: TypeAlias = Annotated[str, one_of(KEPT, BROKEN, INCONCLUSIVE)]
Judgement: TypeAlias = Annotated[str, one_of(KEPT, BROKEN, INCONCLUSIVE, NOT_APPLICABLE)]
_PRECEDENCE: Final = {NOT_APPLICABLE: 0, KEPT: 1, INCONCLUSIVE: 2, BROKEN: 3}


def worst(verdicts: Iterable[str]) -> str:
    """broken > inconclusive > kept > not_applicable; where there is none, `not_applicable`."""
    return max(verdicts, key=_PRECEDENCE.__getitem__, default=NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class FaultCount:
    """How many anomalies of a control belong to one fault: they happened in its window."""

    fault: Name
    injected_at: Instant
    count: Positive


@dataclass(frozen=True, slots=True)
class ControlResult:
    """The control that an experiment names for an anomaly, and how often that anomaly broke it."""

    profile: str
    anomaly: AnomalyName
    count: Count
    by_fault: list[FaultCount] = field(default_factory=list)
    """Those that happened in the window of a fault; only faults with any."""
    outside: Count = 0
    """Those that happened in no fault's window, so without any fault: they challenge nothing."""
    unplaced: Count = 0
    """Those whose time is not on record: they challenge nothing either."""


@dataclass(frozen=True, slots=True)
class PromiseVerdict:
    """One promise of one profile: that an anomaly does not occur, or a threshold of a figure."""

    promise: PromiseName
    verdict: Judgement
    challenged: bool
    """Did an experiment of the run aim at this anomaly, and show with a control that it hits? Never
    so for a threshold: a figure is measured, and no control shows what else it could have been."""
    observed: Count
    """How often the anomaly was found; how many figures a threshold is broken by."""
    control: ControlResult | None
    faults_exposed: Count
    """In how many faults did this profile have acknowledged load on a partition that was hit?"""
    trials: Count
    """The faults that the bound counts: those exposed; where an experiment aims at the anomaly, of
    these only the faults in whose window its control broke."""
    bound_95_per_fault: FaultBound | None
    """Upper 95 % bound of the chance that one such fault breaks it; null unless 0 observed."""
    reason: Sentence
    exposed_by_fault: ByFault = field(default_factory=dict)
    """fault → how many of `trials` were of its kind"""
    threshold: ThresholdVerdict | None = None
    """Null where the promise is about an anomaly."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One occurrence of an anomaly; null where the anomaly has no such coordinate."""

    anomaly: AnomalyName
    topic: str | None
    partition: Count | None
    producer: Count | None
    """Producer incarnation."""
    sequence: Count | None
    offset: Count | None
    leader_epoch: Count | None
    since_fault_s: float | None
    """Seconds from the last injection to the attempt; below zero when it was sent before the first
    one."""
    member: Positive | None = None
    """The group member that did it, for the anomalies of consumers."""


@dataclass(frozen=True, slots=True)
class Witness:
    """The few events that prove one occurrence of an anomaly, in order, and their story."""

    anomaly: AnomalyName
    topic: str | None
    partition: int | None
    producer: int | None
    sequence: int | None
    offset: int | None
    text: Annotated[list[str], Meta(min_length=1)]
    """A headline, then a line an event."""
    events: list[StoryEvent]
    replicas: ReplicaAnswer | None
    """For a lost record: what the brokers' log files showed of it."""


@dataclass(frozen=True, slots=True)
class Phases:
    """Before, during and after the faults, and all together, by intended send time."""

    before: Percentiles
    during: Percentiles
    after: Percentiles
    all: Percentiles


Latencies: TypeAlias = Annotated[
    dict[str, Phases],
    Meta(
        extra_json_schema={
            "required": list(METRICS),
            "properties": {metric: {"$ref": "#/$defs/Phases"} for metric in METRICS},
        }
    ),
]
"""Metric → what was measured."""
_MEANINGS: Final = {
    "duplicate_live": {
        "description": "How many of the duplicates are copies that only the live reader saw: read "
        "= distinct attempts seen + (duplicate - duplicate_live) + phantom + corrupt + misrouted + "
        "foreign + unaccounted."
    },
    "unaccounted": {
        "description": "Records that the drain returned of producers whose ledger never arrived. "
        "Absent in verdicts of earlier versions."
    },
}
ProfileCounts: TypeAlias = Annotated[
    dict[str, int],
    Meta(
        extra_json_schema={
            # What later versions count besides is no reason to refuse an earlier verdict.
            "required": list(COUNTS[: COUNTS.index(CONSUMER_ANOMALIES[0])]),
            "properties": {
                name: {"type": "integer", "minimum": 0, **_MEANINGS.get(name, {})}
                for name in COUNTS
            },
        }
    ),
]
"""Name → count."""


@dataclass(frozen=True, slots=True)
class Availability:
    """How long a partition acknowledged nothing, and when it was back at the scheduled rate."""

    topic: str
    partition: Count
    longest_gap_ms: NotNegative | None
    """Longest time without an acknowledgement while attempts were made; null without attempts."""
    recovered_ms: NotNegative | None
    """From the first injection until it acknowledged again at the scheduled rate, and went on so; 0
    when it was not disturbed, null without a fault or when it was not back by the end of the
    load."""


@dataclass(frozen=True, slots=True)
class KeysVerdict:
    """What was found key by key; `harness.reconcile.findings.Keyed` describes each number."""

    keys: Count
    """Keys of the partitions of which anything was recorded."""
    inversions: Count
    """Acknowledged records that stand before an earlier one of their producer and key."""
    keys_inverted: Count
    """Keys with such records."""
    keys_duplicated: Count
    """Keys with a record that is at several offsets."""
    superseded: Count
    """Acknowledged records of a compacted topic that are gone and have a successor."""


@dataclass(frozen=True, slots=True)
class FailureVerdict:
    """Attempts that ended without an acknowledgement for one reason."""

    outcome: Annotated[str, Meta(extra_json_schema={"enum": ["failed", "unknown"]})]
    """`failed` or `unknown`"""
    code: Name
    """The client's error code, or a word of the harness for what no error says."""
    meaning: Sentence
    count: Positive
    first_at: Instant | None
    """RFC 3339, to 250 ms; null where the instant is not on record."""
    last_at: Instant | None
    """The slot of 250 ms of the last one ends."""


@dataclass(frozen=True, slots=True)
class LoadVerdict:
    """What the load was asked for and what it did, of one profile."""

    asked_per_s: Rate
    """Records a second that were asked for (--rate)."""
    achieved_per_s: NotNegative | None
    """Attempts a second, from the first to the last one; null without any."""
    planned: Count | None
    """Records that were due until the load stopped; null where it did not say."""
    unsent: Count | None
    """Those of them that were never attempted."""
    failures: list[FailureVerdict]
    """Why attempts failed or are of unknown outcome, the most frequent reason first. Their counts
    add up to failed and unknown of counts."""


@dataclass(frozen=True, slots=True)
class ConsumerLag:
    """How far a group was behind on one partition of its input, in offsets."""

    topic: str
    partition: Count
    max: Count
    last: Count
    """When somebody last looked."""
    recovered_ms: NotNegative | None
    """From the first fault's injection until the lag was where it had been; null: never, or not
    known."""


@dataclass(frozen=True, slots=True)
class ConsumeVerdict:
    """What a profile's consumers did; each number as in harness.reconcile.consumers.consumed."""

    mode: ConsumeMode
    protocol: GroupProtocol
    group: str
    members: Count
    """Members that left a journal."""
    died: Count
    """Members that did not leave their group in order."""
    records: Count
    """Records of the input topic that the drain returned."""
    processed: Count
    """Records of these with an effect; for a pipeline: that its read_committed output was made
    of."""
    pending: Count
    """Records of these without an effect that no committed offset has passed."""
    polled: Count
    """Records handed over, again ones counted again."""
    effects: Count
    """Effects of any record, further ones included."""
    commits: Count
    """Confirmed commits, counted by partition."""
    commits_failed: Count
    """Refused commits, counted by partition."""
    assignments: Count
    """Partitions assigned to a member."""
    partitions_lost: Count
    """Partitions taken from a member that had been put out of its group."""
    fenced: Count
    """How often a member learned that a newer one had taken its place."""
    lag: list[ConsumerLag]
    send_offsets: bool = True
    """Does a pipeline commit its offsets in the transactions of its output?"""


@dataclass(slots=True)
class ProfileVerdict:
    """What one profile did and what became of its promises."""

    profile: str
    role: Role
    verdict: Judgement
    """The worst of its promises; not_applicable where none of them applies."""
    counts: ProfileCounts
    """attempted = acked + failed + unknown + sent; read = distinct attempts seen + duplicate +
    phantom + corrupt + misrouted + foreign + unaccounted."""
    promises: list[PromiseVerdict]
    samples: list[Sample]
    """At most 20 of each anomaly."""
    latency_ms: Latencies
    """`ack` (from intended send time), `service` (from produce()), `end_to_end`"""
    availability: list[Availability]
    in_verdict: bool = True
    """Does this profile's verdict count in the run's? Controls that the harness added do not."""
    consume: ConsumeVerdict | None = None
    """Of its consumers; null for a profile without any."""
    keys: KeysVerdict | None = None
    """Of its records' keys; null where they have none."""
    witnesses: list[Witness] = field(default_factory=list)
    """At most 3 of each anomaly: the few events that prove it, in order."""
    disturbances_exposed: Count = 0
    """How many disturbances without a fault on record put the profile to the test."""
    load: LoadVerdict | None = None
    """Null for a history, and in verdicts of earlier versions."""
    places: Places | None = None
    """Where its anomalies lie in time and in offsets; null in verdicts of earlier versions."""


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """One injected fault; times are RFC 3339 UTC."""

    fault: str
    target: str
    injected_at: Instant
    healed_at: Instant | None
    evidence: dict[str, Any]
    took_effect: bool


@dataclass(frozen=True, slots=True)
class DisturbanceRecord:
    """Something that shook the brokers while no fault on record explains it; times are RFC 3339."""

    seen_at: Instant
    until: Instant
    brokers_gone: list[int]
    leaders_moved: Count
    """On how many partitions the leader epoch grew, or there was no leader."""
    isr_shrunk: Count
    """On how many partitions the in-sync replicas became fewer."""
    text: Sentence


@dataclass(slots=True)
class Verdict:
    """verdict.json"""

    run_id: RunName
    seed: int
    verdict: RunJudgement
    reasons: list[Sentence]
    """Why, the gravest first; each a sentence."""
    profiles: list[ProfileVerdict]
    faults: list[FaultRecord]
    findings: list[dict[str, Any]] = field(default_factory=list)
    """Guardrail findings about profiles and topics, as `harness validate` gives them."""
    disturbances: list[DisturbanceRecord] = field(default_factory=list)
    """What shook the brokers without a fault on record that explains it, in order."""
    schema: Annotated[str, Meta(extra_json_schema={"const": VERDICT_SCHEMA})] = VERDICT_SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The document as it is stored and printed."""
        return asdict(self)
