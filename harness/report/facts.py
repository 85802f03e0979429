"""What the report's tables show: a verdict and its run, arranged for reading. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from harness.anomalies import (
    ANOMALIES,
    BY_NAME,
    CONSUMER_ANOMALIES,
    IN_READ_SUM,
    PRODUCER_ANOMALIES,
    TRANSACTION_ANOMALIES,
    anomaly_of,
)
from harness.errors import redact
from harness.judge.bounds import bound_95_per_fault
from harness.profiles.threshold import amount
from harness.report import wording
from harness.rundir.clock import to_us
from harness.rundir.recorded_evidence import RecordedEvidence
from harness.rundir.run_info import RunInfo
from harness.rundir.threshold_verdict import ThresholdVerdict
from harness.rundir.verdict import (
    BROKEN,
    INCONCLUSIVE,
    KEPT,
    NOT_APPLICABLE,
    Availability,
    ConsumeVerdict,
    FaultRecord,
    LoadVerdict,
    ProfileVerdict,
    PromiseVerdict,
    Sample,
    Verdict,
    Witness,
)

GLYPHS: Final = {KEPT: "✓", BROKEN: "✗", INCONCLUSIVE: "?", NOT_APPLICABLE: "n/a"}
DECISIVE: Final = (
    "acks",
    "enable.idempotence",
    "max.in.flight.requests.per.connection",
    "retries",
    "transactional.id",
    "isolation.level",
    "replication.factor",
    "min.insync.replicas",
    "unclean.leader.election.enable",
)
"""Settings that come first in their part."""
MISPLACED: Final = (*IN_READ_SUM, "foreign")


CELL_WORDS: Final = {
    KEPT: "kept",
    "untried": "kept, not challenged",
    BROKEN: "broken",
    INCONCLUSIVE: "inconclusive",
    NOT_APPLICABLE: "not applicable",
    "permitted": "permitted",
    "none": "does not arise",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One profile and anomaly in the verdict table."""

    kind: str
    """kept, untried, broken, inconclusive, not_applicable, permitted or none"""
    glyph: str
    count: int
    label: str
    """The cell in a sentence that names its row and column."""

    @property
    def word(self) -> str:
        """What the cell says without its colour."""
        return CELL_WORDS[self.kind]


def consumes(profile: ProfileVerdict) -> bool:
    """Whether anything was judged of a profile's consumers."""
    return (
        profile.consume is not None
        or any(profile.counts[anomaly] for anomaly in CONSUMER_ANOMALIES)
        or any(
            anomaly_of(each.promise) in CONSUMER_ANOMALIES
            for each in profile.promises
            if each.threshold is None
        )
    )


@dataclass(frozen=True, slots=True)
class Matrix:
    """A verdict table: a row a promise, a column a profile."""

    title: str
    profiles: list[ProfileVerdict]
    rows: list[tuple[str, list[Cell]]]


def matrices(verdict: Verdict) -> list[Matrix]:
    """What is promised about records, and, where a profile has consumers, about these."""
    found = [_matrix("", PRODUCER_ANOMALIES + TRANSACTION_ANOMALIES, verdict.profiles)]
    consuming = [profile for profile in verdict.profiles if consumes(profile)]
    if consuming:
        found.append(_matrix("Consumers", CONSUMER_ANOMALIES, consuming))
    return found


def _matrix(title: str, anomalies: tuple[str, ...], profiles: list[ProfileVerdict]) -> Matrix:
    rows = [
        (BY_NAME[anomaly].promise if BY_NAME[anomaly].promised else anomaly,
         [_cell(each, anomaly) for each in profiles])
        for anomaly in anomalies
    ]  # fmt: skip
    return Matrix(title, profiles, rows)


def _cell(profile: ProfileVerdict, anomaly: str) -> Cell:
    count = profile.counts[anomaly]
    who = f"{profile.profile}, {anomaly}"
    promise = next((each for each in profile.promises if each.promise == f"no_{anomaly}"), None)
    if promise is None:
        if anomaly in TRANSACTION_ANOMALIES and not count:
            return Cell("none", "", 0, f"{who}: does not apply, it works without transactions")
        if not BY_NAME[anomaly].promised:
            kind = "inconclusive" if count else "none"
            return Cell(kind, "?" if count else "", count, f"{who}: {count:,} found")
        return Cell("permitted", "", count, f"{who}: permitted, {count:,} found")
    if promise.verdict == KEPT and not promise.challenged:
        return Cell("untried", GLYPHS[KEPT], count, f"{who}: kept, not challenged")
    label = f"{who}: {promise.verdict}" + (f", {count:,} found" if count else "")
    if promise.verdict == KEPT:
        label += f", challenged by {wording.many(promise.trials, 'fault')}"
    return Cell(promise.verdict, GLYPHS[promise.verdict], count, label)


def alike(profile: ProfileVerdict) -> list[tuple[list[str], PromiseVerdict]]:
    """The promises of a profile, those about which exactly the same is to be said together."""
    groups: list[tuple[list[str], PromiseVerdict]] = []
    for promise in profile.promises:
        for names, first in groups:
            if replace(first, promise="") == replace(promise, promise=""):
                names.append(promise.promise)
                break
        else:
            groups.append(([promise.promise], promise))
    return groups


@dataclass(frozen=True, slots=True)
class Balance:
    """The two sums that must close for a profile."""

    profile: ProfileVerdict
    distinct: int
    """Different attempts that the drain returned."""
    closes: bool
    """Does every attempt have exactly one outcome?"""


def balances(verdict: Verdict) -> list[Balance]:
    """Accounting: every attempt has one outcome, every record read has one explanation."""
    found = []
    for profile in verdict.profiles:
        counts = profile.counts
        outcomes = counts["acked"] + counts["failed"] + counts["unknown"] + counts["sent"]
        copies = counts["duplicate"] - counts.get("duplicate_live", 0)
        explained = copies + sum(counts[name] for name in MISPLACED)
        explained += counts.get("unaccounted", 0)
        found.append(Balance(profile, counts["read"] - explained, outcomes == counts["attempted"]))
    return found


def loads(verdict: Verdict) -> list[tuple[str, LoadVerdict]]:
    """What was asked of each profile's load and what it did."""
    return [(each.profile, each.load) for each in verdict.profiles if each.load is not None]


@dataclass(frozen=True, slots=True)
class FaultStory:
    """One fault in the report's table."""

    number: int
    record: FaultRecord
    from_s: float
    lasted_s: float | None
    lines: list[str]


def fault_stories(verdict: Verdict, start_us: int) -> list[FaultStory]:
    """What each fault did, as its evidence tells it."""
    stories = []
    for number, fault in enumerate(verdict.faults, 1):
        injected_us = to_us(fault.injected_at)
        lasted = None if fault.healed_at is None else (to_us(fault.healed_at) - injected_us) / 1e6
        stories.append(
            FaultStory(
                number,
                fault,
                (injected_us - start_us) / 1e6,
                lasted,
                evidence_lines(fault.fault, fault.evidence),
            )
        )
    return stories


def evidence_lines(fault: str, evidence: Mapping[str, Any]) -> list[str]:
    """The evidence of a fault in sentences, as far as it is known how to read it."""
    seen = RecordedEvidence(fault, evidence)
    lines = list(seen.lines())
    moves: dict[str, int] = {}
    for move in seen.partitions:
        before, after = move.get("leader_before"), move.get("leader_after")
        if after is None or after == before:
            change = f"leader stayed broker {before}, epoch {move.get('epoch_before')}"
            if move.get("epoch_after") not in (None, move.get("epoch_before")):
                change += f" to {move['epoch_after']}"
        else:
            change = (
                f"leader moved from broker {before} (epoch {move.get('epoch_before')}) "
                f"to broker {after} (epoch {move.get('epoch_after')})"
            )
        moves[change] = moves.get(change, 0) + 1
    lines += [
        f"{count} partition{'s' if count > 1 else ''}: {change}" for change, count in moves.items()
    ]
    lines += [f"shortcoming: {text}" for text in seen.shortcomings]
    lines += [f"note: {text}" for text in seen.notes]
    return lines


@dataclass(frozen=True, slots=True)
class Interruption:
    """Availability of one profile: the worst of its partitions, and all of them."""

    profile: str
    worst_gap_ms: float | None
    worst_recovered_ms: float | None
    partitions: list[Availability]

    def worst(self, most: int) -> list[Availability]:
        """Its partitions, of more than `most` those with the longest gaps."""
        if len(self.partitions) <= most:
            return self.partitions
        return sorted(self.partitions, key=lambda each: -(each.longest_gap_ms or 0.0))[:most]


def interruptions(verdict: Verdict) -> list[Interruption]:
    """How long each profile acknowledged nothing somewhere."""
    found = []
    for profile in verdict.profiles:
        entries = profile.availability
        gaps = [each.longest_gap_ms for each in entries if each.longest_gap_ms is not None]
        back = [each.recovered_ms for each in entries if each.recovered_ms is not None]
        found.append(
            Interruption(profile.profile, max(gaps, default=None), max(back, default=None), entries)
        )
    return found


@dataclass(frozen=True, slots=True)
class Consumers:
    """What the consumers of one profile did, and the worst lag of its partitions."""

    profile: ProfileVerdict
    did: ConsumeVerdict
    manner: str
    lag_max: int | None
    recovered_ms: float | None
    """Of the partition that took longest; None when one was not back, or none was recorded."""


def consumers(verdict: Verdict) -> list[Consumers]:
    """One entry for each profile with consumers."""
    found = []
    for profile in verdict.profiles:
        did = profile.consume
        if did is None:
            continue
        recovered = [each.recovered_ms for each in did.lag]
        back = [each for each in recovered if each is not None]
        found.append(
            Consumers(
                profile,
                did,
                wording.manner(did),
                max((each.max for each in did.lag), default=None),
                max(back) if back and len(back) == len(recovered) else None,
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class Asked:
    """A threshold of one profile, and what was measured, with its unit."""

    profile: ProfileVerdict
    promise: PromiseVerdict
    measured: str


def thresholds(verdict: Verdict) -> list[Asked]:
    """Every threshold of every profile."""
    return [
        Asked(profile, promise, measured_of(promise.threshold))
        for profile in verdict.profiles
        for promise in profile.promises
        if promise.threshold is not None
    ]


def measured_of(asked: ThresholdVerdict) -> str:
    """What was measured, such as `12.4 ms`; `–` where nothing is known."""
    return "–" if asked.measured is None else amount(asked.measured, asked.unit)


def kinds_of_faults(promise: PromiseVerdict) -> list[str]:
    """For a promise that faults of several kinds put to the test: each kind with its own bound."""
    if len(promise.exposed_by_fault) < 2:
        return []
    return [
        f"{count} × {fault}" + ("" if bound is None else f": {wording.percent(bound)}")
        for fault, count in sorted(promise.exposed_by_fault.items())
        for bound in (None if promise.bound_95_per_fault is None else bound_95_per_fault(count),)
    ]


def samples_of(verdict: Verdict) -> list[tuple[str, str, int, list[Sample]]]:
    """(profile, anomaly, how many there were, its samples), only where there are any."""
    return [
        (profile.profile, anomaly, profile.counts[anomaly], chosen)
        for profile in verdict.profiles
        for anomaly in ANOMALIES
        if (chosen := [sample for sample in profile.samples if sample.anomaly == anomaly])
    ]


def first_witnesses(verdict: Verdict) -> list[tuple[str, Witness]]:
    """(profile, witness): the first one of each anomaly of each profile."""
    found: dict[tuple[str, str], Witness] = {}
    for profile in verdict.profiles:
        for witness in profile.witnesses:
            found.setdefault((profile.profile, witness.anomaly), witness)
    return [(profile, witness) for (profile, _), witness in found.items()]


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One setting of one part, with its value in every profile."""

    part: str
    name: str
    values: list[str]

    @property
    def same(self) -> bool:
        """Whether all profiles agree."""
        return len(set(self.values)) == 1


def settings(info: RunInfo) -> list[SettingRow]:
    """All settings of all profiles, secrets left out; `–` where a profile does not state one."""
    rows = []
    for part in ("producer", "consumer", "topic"):
        stated = [redact(getattr(profile, part)) for profile in info.profiles]
        names = dict.fromkeys(name for each in stated for name in each)
        for name in sorted(names, key=lambda name: name not in DECISIVE):
            rows.append(SettingRow(part, name, [_shown(each.get(name)) for each in stated]))
    return rows


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return str(value).lower() if isinstance(value, bool) else str(value)


def milliseconds(value: float | None) -> str:
    """Three digits that matter: `0.84`, `12.4`, `1,503`; `–` when there is none."""
    if value is None:
        return "–"
    if value < 10:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"
