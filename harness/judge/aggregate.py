"""What several runs show together: the aggregate of `harness run --repeat`. Pure.

Runs are independent, so their exposed faults add up: zero breaches in F faults of all runs bound
the chance per fault to 1 − 0.05^(1/F), see docs/verification.md, section 6.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Final, TypeAlias

from msgspec import Meta

from harness.anomalies import ANOMALIES
from harness.errors import EXIT_BROKEN, EXIT_HARNESS_FAILED, EXIT_INCONCLUSIVE, EXIT_KEPT
from harness.judge.bounds import bound_95_per_fault
from harness.rundir.verdict import (
    BROKEN,
    INCONCLUSIVE,
    KEPT,
    NOT_APPLICABLE,
    Judgement,
    ProfileVerdict,
    PromiseVerdict,
    RunJudgement,
    Verdict,
    worst,
)
from harness.rundir.verdict_fields import Count, FaultBound, Positive, Role, one_of

AGGREGATE_SCHEMA: Final = "delivery-aggregate/1"
FAILED: Final = "failed"
"""A run that ended without a verdict: the harness or its environment failed."""


Judgements: TypeAlias = Annotated[
    dict[str, Positive],
    Meta(
        extra_json_schema={
            "propertyNames": {"enum": [KEPT, BROKEN, INCONCLUSIVE, NOT_APPLICABLE]},
        }
    ),
]
"""Judgement → in how many runs."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of the series: its verdict, or the error that it ended with."""

    run: int
    seed: int
    directory: str
    verdict: Verdict | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run in the aggregate; `verdict` is `failed` where there is none."""

    run: Positive
    run_id: str | None
    seed: int
    directory: str
    verdict: Annotated[str, one_of(KEPT, BROKEN, INCONCLUSIVE, FAILED)]
    faults: Count
    reason: str


@dataclass(frozen=True, slots=True)
class Spread:
    """How often an anomaly was found: least and most in a run, in all, and in how many runs."""

    min: Count
    max: Count
    total: Count
    runs: Count


@dataclass(frozen=True, slots=True)
class PromiseSum:
    """One promise of one profile over all runs."""

    promise: str
    verdict: Judgement
    runs: Judgements
    """how many runs ended with each verdict on it"""
    challenged_runs: Count
    faults_exposed: Count
    """in the runs in which nothing was found and nothing kept us from looking"""
    trials: Count
    """those of them that the bound counts: where an experiment aims at the promise, only the
    faults in whose window the control broke"""
    bound_95_per_fault: FaultBound | None
    """from those faults; null when the promise broke in any run"""


@dataclass(frozen=True, slots=True)
class ProfileSum:
    """One profile over all runs."""

    profile: str
    role: Role
    in_verdict: bool
    verdict: Judgement
    runs: Judgements
    attempted: Count
    anomalies: dict[str, Spread]
    """Only those that were found."""
    promises: list[PromiseSum]


@dataclass(slots=True)
class Aggregate:
    """aggregate.json"""

    seed: int
    asked: Positive
    """Runs that were asked for."""
    verdict: RunJudgement
    exit_code: Annotated[int, Meta(extra_json_schema={"enum": [0, 1, 3, 4]})]
    runs: list[RunLine]
    faults: Count
    """Faults that took effect, in all runs."""
    profiles: list[ProfileSum] = field(default_factory=list)
    schema: Annotated[str, Meta(extra_json_schema={"const": AGGREGATE_SCHEMA})] = AGGREGATE_SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The document as it is stored and printed."""
        return asdict(self)


def aggregate(seed: int, asked: int, outcomes: Sequence[Outcome]) -> Aggregate:
    """The aggregate of the runs that there were, of the `asked` ones.

    The verdict is the worst of the runs'. A run without a verdict makes the exit code 4, unless
    another one broke a promise; runs that were asked for and not made leave it inconclusive.
    """
    verdicts = [each.verdict for each in outcomes if each.verdict is not None]
    incomplete = len(verdicts) < asked
    verdict = worst([*(each.verdict for each in verdicts), *([INCONCLUSIVE] if incomplete else [])])
    failed = any(each.verdict is None for each in outcomes)
    return Aggregate(
        seed=seed,
        asked=asked,
        verdict=verdict,
        exit_code=_exit_code(verdict, failed=failed),
        runs=[_line(each) for each in outcomes],
        faults=sum(_injected(each) for each in verdicts),
        profiles=_profiles(verdicts),
    )


def _exit_code(verdict: str, *, failed: bool) -> int:
    if verdict == BROKEN:
        return EXIT_BROKEN
    if failed:
        return EXIT_HARNESS_FAILED
    return EXIT_INCONCLUSIVE if verdict == INCONCLUSIVE else EXIT_KEPT


def _injected(verdict: Verdict) -> int:
    return sum(fault.took_effect for fault in verdict.faults)


def _line(outcome: Outcome) -> RunLine:
    verdict = outcome.verdict
    if verdict is None:
        return RunLine(
            outcome.run, None, outcome.seed, outcome.directory, FAILED, 0, outcome.error or ""
        )
    return RunLine(
        outcome.run,
        verdict.run_id,
        outcome.seed,
        outcome.directory,
        verdict.verdict,
        _injected(verdict),
        verdict.reasons[0] if verdict.reasons else "",
    )


def _profiles(verdicts: Sequence[Verdict]) -> list[ProfileSum]:
    by_name: dict[str, list[ProfileVerdict]] = {}
    for verdict in verdicts:
        for profile in verdict.profiles:
            by_name.setdefault(profile.profile, []).append(profile)
    return [_profile(name, each) for name, each in by_name.items()]


def _profile(name: str, runs: list[ProfileVerdict]) -> ProfileSum:
    names = list(dict.fromkeys(each.promise for run in runs for each in run.promises))
    return ProfileSum(
        profile=name,
        role=runs[0].role,
        in_verdict=runs[0].in_verdict,
        verdict=worst(run.verdict for run in runs),
        runs=_tally(run.verdict for run in runs),
        attempted=sum(run.counts["attempted"] for run in runs),
        anomalies={
            anomaly: Spread(min(counts), max(counts), sum(counts), sum(map(bool, counts)))
            for anomaly in ANOMALIES
            if any(counts := [run.counts.get(anomaly, 0) for run in runs])
        },
        promises=[
            _promise(promise, [each for run in runs for each in run.promises
                               if each.promise == promise])
            for promise in names
        ],
    )  # fmt: skip


def _promise(name: str, runs: list[PromiseVerdict]) -> PromiseSum:
    clean = [each for each in runs if each.bound_95_per_fault is not None]
    faults = sum(each.faults_exposed for each in clean)
    trials = sum(each.trials for each in clean)
    broke = any(each.observed for each in runs)
    verdicts = [each.verdict for each in runs]
    return PromiseSum(
        promise=name,
        verdict=worst(verdicts),
        runs=_tally(verdicts),
        challenged_runs=sum(each.challenged for each in runs),
        faults_exposed=faults,
        trials=trials,
        bound_95_per_fault=None if broke else bound_95_per_fault(trials),
    )


def _tally(verdicts: Any) -> dict[str, int]:
    counted = Counter(verdicts)
    order = (KEPT, BROKEN, INCONCLUSIVE, NOT_APPLICABLE)
    return {verdict: counted[verdict] for verdict in order if counted[verdict]}
