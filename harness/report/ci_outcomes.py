"""A verdict as outcomes for CI: one for each promise of each profile, and one for the whole. Pure.

JUnit and Markdown tell the same, since both take it from here. What decides the exit code decides
here too: a profile that does not count in the verdict, such as a control that the harness added,
never fails a job.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.anomalies import anomaly_of
from harness.judge.aggregate import FAILED, Aggregate, ProfileSum, PromiseSum
from harness.report.aggregate import headline as series_headline
from harness.report.wording import headline, many, standing
from harness.rundir.verdict import (
    BROKEN,
    INCONCLUSIVE,
    KEPT,
    NOT_APPLICABLE,
    ProfileVerdict,
    PromiseVerdict,
    Sample,
    Verdict,
)

WITNESSES_MAX = 2
SAMPLES_MAX = 3
REASONS_MAX = 12


@dataclass(frozen=True, slots=True)
class CaseOutcome:
    """What became of one promise, or of the whole."""

    name: str
    verdict: str
    """kept, broken, inconclusive, not_applicable, or failed: there is no verdict"""
    reason: str
    details: list[str] = field(default_factory=list)
    """Lines that prove it: witnesses, then samples."""
    counts: bool = True
    """Does it count in the verdict of the whole?"""


@dataclass(frozen=True, slots=True)
class OutcomeGroup:
    """The outcomes of one profile; of the whole where `name` is that of the run."""

    name: str
    cases: list[CaseOutcome]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Everything of one verdict, the whole first."""

    name: str
    verdict: str
    headline: str
    seed: int | None
    """None for a history, which has none."""
    groups: list[OutcomeGroup]


def outcomes_of(found: Verdict | Aggregate) -> Outcomes:
    """The outcomes of a run, a history or a series of runs."""
    return _of_series(found) if isinstance(found, Aggregate) else _of_run(found)


def outcomes_of_failure(name: str, message: str) -> Outcomes:
    """A run that came to no verdict: it must not look like one without any failure."""
    whole = CaseOutcome("verdict", FAILED, message)
    said = f"No verdict: {message.partition(chr(10))[0]}"
    return Outcomes(name, FAILED, said, None, [OutcomeGroup("run", [whole])])


def _of_run(verdict: Verdict) -> Outcomes:
    reasons = verdict.reasons
    more = [f"and {len(reasons) - REASONS_MAX} more"] if len(reasons) > REASONS_MAX else []
    said = headline(verdict)
    whole = CaseOutcome("verdict", verdict.verdict, said, [*reasons[:REASONS_MAX], *more])
    groups = [OutcomeGroup("run", [whole])]
    groups += [
        OutcomeGroup(profile.profile, [_of_promise(profile, each) for each in profile.promises])
        for profile in verdict.profiles
        if profile.promises
    ]
    of_a_run = any(profile.load is not None for profile in verdict.profiles)
    seed = verdict.seed if of_a_run else None
    return Outcomes(verdict.run_id, verdict.verdict, said, seed, groups)


def _of_promise(profile: ProfileVerdict, promise: PromiseVerdict) -> CaseOutcome:
    details = [] if promise.verdict in (KEPT, NOT_APPLICABLE) else evidence(profile, promise)
    reason = promise.reason
    if not profile.in_verdict:
        reason = f"{standing(profile)}, which does not count in the verdict: {reason}"
    return CaseOutcome(promise.promise, promise.verdict, reason, details, profile.in_verdict)


def evidence(profile: ProfileVerdict, promise: PromiseVerdict) -> list[str]:
    """The lines that prove what was found: the first witnesses, then the first samples."""
    if promise.threshold is not None:
        return []
    anomaly = anomaly_of(promise.promise)
    witnesses = [each for each in profile.witnesses if each.anomaly == anomaly][:WITNESSES_MAX]
    lines = [line for each in witnesses for line in each.text]
    samples = [each for each in profile.samples if each.anomaly == anomaly]
    lines += [_sample(each) for each in samples[:SAMPLES_MAX]]
    if len(samples) > SAMPLES_MAX:
        lines.append(f"and {len(samples) - SAMPLES_MAX} more samples in verdict.json")
    return lines


def _sample(sample: Sample) -> str:
    fields = (
        ("producer", sample.producer), ("sequence", sample.sequence), ("offset", sample.offset),
        ("leader epoch", sample.leader_epoch), ("member", sample.member),
    )  # fmt: skip
    where = f"{sample.topic}/{'?' if sample.partition is None else sample.partition}"
    parts = [f"{name} {value}" for name, value in fields if value is not None]
    since = "" if sample.since_fault_s is None else f", {sample.since_fault_s:+.3f} s to the fault"
    return f"sample: {where}{''.join(f', {part}' for part in parts)}{since}"


def _of_series(found: Aggregate) -> Outcomes:
    said = series_headline(found)
    verdict = FAILED if found.exit_code == 4 else found.verdict
    runs = [
        CaseOutcome(f"run-{each.run} (seed {each.seed})", each.verdict, each.reason)
        for each in found.runs
    ]
    groups = [OutcomeGroup("run", [CaseOutcome("verdict", verdict, said), *runs])]
    groups += [
        OutcomeGroup(profile.profile, [_of_sum(profile, each) for each in profile.promises])
        for profile in found.profiles
        if profile.promises
    ]
    return Outcomes(f"{many(found.asked, 'run')}", verdict, said, found.seed, groups)


def _of_sum(profile: ProfileSum, promise: PromiseSum) -> CaseOutcome:
    words = {BROKEN: "broken", INCONCLUSIVE: "inconclusive", KEPT: "kept"}
    runs = ", ".join(
        f"{words.get(each, 'not applicable')} in {many(count, 'run')}"
        for each, count in promise.runs.items()
    )
    reason = runs if profile.in_verdict else f"does not count in the verdict: {runs}"
    return CaseOutcome(promise.promise, promise.verdict, reason, counts=profile.in_verdict)
