"""The verdict as data: what verdict.json holds (schema `delivery-verdict/1`).

`kept` · `broken` · `inconclusive`, where broken > inconclusive > kept. A promise can also be
`not_applicable`, outside the envelope in which its profile promises anything, and so can a profile
none of whose promises applies. A run is never `not_applicable`: it is inconclusive then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from harness.rundir.percentiles import Percentiles

VERDICT_SCHEMA: Final = "delivery-verdict/1"
KEPT: Final = "kept"
BROKEN: Final = "broken"
INCONCLUSIVE: Final = "inconclusive"
NOT_APPLICABLE: Final = "not_applicable"
_PRECEDENCE: Final = {NOT_APPLICABLE: 0, KEPT: 1, INCONCLUSIVE: 2, BROKEN: 3}


def worst(verdicts: Iterable[str]) -> str:
    """broken > inconclusive > kept > not_applicable; where there is none, `not_applicable`."""
    return max(verdicts, key=_PRECEDENCE.__getitem__, default=NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class FaultCount:
    """How many anomalies of a control belong to one fault: they happened in its window."""

    fault: str
    injected_at: str
    count: int


@dataclass(frozen=True, slots=True)
class ControlResult:
    """The control that an experiment names for an anomaly, and how often that anomaly broke it."""

    profile: str
    anomaly: str
    count: int
    by_fault: list[FaultCount] = field(default_factory=list)
    """Those that happened in the window of a fault; only faults with any."""
    outside: int = 0
    """Those that happened in no fault's window, so without any fault: they challenge nothing."""
    unplaced: int = 0
    """Those whose time is not on record: they challenge nothing either."""


@dataclass(frozen=True, slots=True)
class PromiseVerdict:
    """One promise of one profile."""

    promise: str
    verdict: str
    challenged: bool
    """Did an experiment of the run aim at this anomaly, and show with a control that it hits?"""
    observed: int
    control: ControlResult | None
    faults_exposed: int
    """In how many faults did this profile have acknowledged load on a partition that was hit?"""
    trials: int
    """The faults that the bound counts: those exposed; where an experiment aims at the anomaly, of
    these only the faults in whose window its control broke."""
    bound_95_per_fault: float | None
    """Upper 95 % bound of the chance that one such fault breaks it; null unless 0 observed."""
    reason: str
    exposed_by_fault: dict[str, int] = field(default_factory=dict)
    """fault → how many of `trials` were of its kind"""


@dataclass(frozen=True, slots=True)
class Sample:
    """One occurrence of an anomaly; null where the anomaly has no such coordinate."""

    anomaly: str
    topic: str | None
    partition: int | None
    producer: int | None
    sequence: int | None
    offset: int | None
    leader_epoch: int | None
    since_fault_s: float | None
    member: int | None = None
    """The group member that did it, for the anomalies of consumers."""


@dataclass(frozen=True, slots=True)
class Witness:
    """The few events that prove one occurrence of an anomaly, in order, and their story.

    text: a headline, then a line an event. events: `at` (RFC 3339 or null), `what`, and what is
    known of offset, leader, leader_epoch, producer, sequence, fault_id and others.
    replicas: for a lost record, what the brokers' log files showed of it.
    """

    anomaly: str
    topic: str | None
    partition: int | None
    producer: int | None
    sequence: int | None
    offset: int | None
    text: list[str]
    events: list[dict[str, Any]]
    replicas: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Phases:
    """Before, during and after the faults, and all together, by intended send time."""

    before: Percentiles
    during: Percentiles
    after: Percentiles
    all: Percentiles


@dataclass(frozen=True, slots=True)
class Availability:
    """How long a partition acknowledged nothing, and when it was back at the scheduled rate."""

    topic: str
    partition: int
    longest_gap_ms: float | None
    recovered_ms: float | None


@dataclass(frozen=True, slots=True)
class KeysVerdict:
    """What was found key by key; `harness.reconcile.findings.Keyed` describes each number."""

    keys: int
    inversions: int
    keys_inverted: int
    keys_duplicated: int
    superseded: int


@dataclass(frozen=True, slots=True)
class FailureVerdict:
    """Attempts that ended without an acknowledgement for one reason."""

    outcome: str
    """`failed` or `unknown`"""
    code: str
    """The client's error code, or a word of the harness for what no error says."""
    meaning: str
    count: int
    first_at: str | None
    """RFC 3339, to 250 ms; null where nobody noted when."""
    last_at: str | None


@dataclass(frozen=True, slots=True)
class LoadVerdict:
    """What the load was asked for and what it did, of one profile."""

    asked_per_s: float
    achieved_per_s: float | None
    """Attempts a second, from the first to the last one; null without any."""
    planned: int | None
    """Records that were due until the load stopped; null where it did not say."""
    unsent: int | None
    """Those of them that were never attempted."""
    failures: list[FailureVerdict]


@dataclass(frozen=True, slots=True)
class ConsumerLag:
    """How far a group was behind on one partition of its input, in offsets."""

    topic: str
    partition: int
    max: int
    last: int
    """When somebody last looked."""
    recovered_ms: float | None
    """From the first fault's injection until the lag was where it had been; null: never, or not
    known."""


@dataclass(frozen=True, slots=True)
class ConsumeVerdict:
    """What a profile's consumers did; each number as in harness.reconcile.consumers.consumed."""

    mode: str
    protocol: str
    group: str
    members: int
    died: int
    records: int
    processed: int
    pending: int
    polled: int
    effects: int
    commits: int
    commits_failed: int
    assignments: int
    partitions_lost: int
    fenced: int
    lag: list[ConsumerLag]
    send_offsets: bool = True
    """Does a pipeline commit its offsets in the transactions of its output?"""


@dataclass(slots=True)
class ProfileVerdict:
    """What one profile did and what became of its promises."""

    profile: str
    role: str
    verdict: str
    counts: dict[str, int]
    promises: list[PromiseVerdict]
    samples: list[Sample]
    latency_ms: dict[str, Phases]
    """`ack` (from intended send time), `service` (from produce()), `end_to_end`"""
    availability: list[Availability]
    in_verdict: bool = True
    consume: ConsumeVerdict | None = None
    """Of its consumers; null for a profile without any."""
    keys: KeysVerdict | None = None
    """Of its records' keys; null where they have none."""
    witnesses: list[Witness] = field(default_factory=list)
    disturbances_exposed: int = 0
    """How many disturbances without a fault on record put the profile to the test."""
    load: LoadVerdict | None = None
    """Null for a history, and in verdicts of earlier versions."""


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """One injected fault; times are RFC 3339 UTC."""

    fault: str
    target: str
    injected_at: str
    healed_at: str | None
    evidence: dict[str, Any]
    took_effect: bool


@dataclass(frozen=True, slots=True)
class DisturbanceRecord:
    """Something that shook the brokers while no fault on record explains it; times are RFC 3339."""

    seen_at: str
    until: str
    brokers_gone: list[int]
    leaders_moved: int
    """On how many partitions the leader epoch grew, or there was no leader."""
    isr_shrunk: int
    """On how many partitions the in-sync replicas became fewer."""
    text: str


@dataclass(slots=True)
class Verdict:
    """verdict.json"""

    run_id: str
    seed: int
    verdict: str
    reasons: list[str]
    profiles: list[ProfileVerdict]
    faults: list[FaultRecord]
    findings: list[dict[str, Any]] = field(default_factory=list)
    disturbances: list[DisturbanceRecord] = field(default_factory=list)
    schema: str = VERDICT_SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The document as it is stored and printed."""
        return asdict(self)
