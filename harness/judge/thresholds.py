"""The verdict on a threshold, as one decision from top to bottom. Pure.

    1  this profile or recording cannot have the figure        → not_applicable
    2  a value is beyond the limit, but was not measured whole → inconclusive
    3  a value is beyond the limit                             → broken
    4  there is no value, or it is not known which             → inconclusive
    5  something kept the run from being the test it should be → inconclusive
    6  otherwise                                               → kept

No control is needed, since a figure is measured and not looked for in vain; so a threshold is never
`challenged`, and no bound follows from it. The envelope of a profile says where records survive; a
figure is judged outside of it too. See docs/verification.md, 5.11.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.judge.availability import striking
from harness.judge.exposure import Exposure
from harness.judge.loading import unacknowledged
from harness.judge.promises import WHOLE_RUN
from harness.profiles.threshold import (
    NOT_IN_A_HISTORY,
    RECORDS,
    Presumes,
    Threshold,
    amount,
    parse,
    why_not,
)
from harness.reconcile.findings import ProfileFindings
from harness.rundir.run_record import RunRecord
from harness.rundir.threshold_verdict import ThresholdVerdict
from harness.rundir.verdict import (
    BROKEN,
    INCONCLUSIVE,
    KEPT,
    NOT_APPLICABLE,
    Availability,
    ConsumeVerdict,
    LoadVerdict,
    Phases,
    PromiseVerdict,
)


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a figure. Where it is not known, it lies between `least` and infinity."""

    known: float | None
    over: int = 1
    least: float = 0.0
    topic: str | None = None
    partition: int | None = None

    def breaks(self, threshold: Threshold) -> bool:
        """Whether it breaks a threshold for certain."""
        if self.known is not None:
            return not threshold.holds(self.known)
        return not threshold.holds(self.least) and not threshold.holds(float("inf"))

    @property
    def at(self) -> str:
        """Where, as a reason says it; empty for a figure of the whole profile."""
        return "" if self.topic is None else f" on {self.topic}/{self.partition}"


@dataclass(frozen=True, slots=True)
class ThresholdCase:
    """Everything that the verdict on one threshold depends on."""

    threshold: Threshold
    values: Sequence[Value] = ()
    missing: str = "nothing was measured"
    """Why there is no value, where there is none."""
    not_applicable: str = ""
    partial: Sequence[str] = ()
    """Why what was measured may not be Kafka's, or not the whole."""
    obstacles: Sequence[str] = ()
    """Why the profile's load was not the test that it should be."""
    run_obstacles: Sequence[str] = ()
    """The same of the whole run."""
    faults_exposed: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the figures of a profile are taken from."""

    run: RunRecord
    found: ProfileFindings
    load: LoadVerdict | None
    latency: dict[str, Phases]
    availability: list[Availability]
    consume: ConsumeVerdict | None
    met: list[Exposure]
    """Every fault, with whether the profile was exposed to it."""
    partial: list[str] = field(default_factory=list)
    of_profile: list[str] = field(default_factory=list)
    of_load: list[str] = field(default_factory=list)
    run_wide: list[str] = field(default_factory=list)


def judge_thresholds(evidence: Evidence) -> list[PromiseVerdict]:
    """The verdict on every threshold of a profile, in the order in which it states them."""
    texts = evidence.found.profile.requires
    return [judge_threshold(case_of(parse(text), evidence)) for text in texts]


def judge_threshold(case: ThresholdCase) -> PromiseVerdict:
    """Decide one threshold."""
    threshold = case.threshold
    verdict, reason = _decide(case)
    values = [] if case.not_applicable else list(case.values)
    beyond = [value for value in values if value.breaks(threshold)]
    worst = _worst(threshold, beyond or values)
    return PromiseVerdict(
        promise=threshold.text,
        verdict=verdict,
        challenged=False,
        observed=len(beyond),
        control=None,
        faults_exposed=case.faults_exposed,
        trials=0,
        bound_95_per_fault=None,
        reason=reason,
        threshold=ThresholdVerdict(
            figure=threshold.figure.name,
            comparison=threshold.comparison,
            limit=threshold.limit,
            unit=threshold.figure.unit,
            measured=None if worst is None else worst.known,
            over=len(values) if len(values) > 1 or worst is None else worst.over,
            topic=None if worst is None else worst.topic,
            partition=None if worst is None else worst.partition,
        ),
    )


def _decide(case: ThresholdCase) -> tuple[str, str]:
    threshold = case.threshold
    if case.not_applicable:
        return NOT_APPLICABLE, f"there is no such figure: {case.not_applicable}"
    beyond = [value for value in case.values if value.breaks(threshold)]
    if beyond:
        measured = _in_words(case, beyond)
        if case.partial:
            return INCONCLUSIVE, f"{measured}, but that proves nothing: {case.partial[0]}"
        return BROKEN, measured
    unknown = [value for value in case.values if value.known is None]
    if unknown or not case.values:
        missing = case.missing if not unknown else _not_known(case, unknown)
        # What keeps the whole run from proving anything may be why there is no value.
        why = case.obstacles or case.run_obstacles
        return INCONCLUSIVE, f"{missing}{f'; {why[0]}' if why else ''}"
    if case.obstacles:
        measured = _in_words(case)
        return INCONCLUSIVE, f"{measured}, but {'; '.join(case.obstacles)}"
    if case.run_obstacles:
        more = len(case.run_obstacles) - 1
        return INCONCLUSIVE, (
            f"{WHOLE_RUN}{case.run_obstacles[0]}{f' (and {more} more)' if more else ''}"
        )
    faults = f"{case.faults_exposed} faults" if case.faults_exposed != 1 else "1 fault"
    hit = f", while {faults} hit the profile" if case.faults_exposed else ""
    return KEPT, f"{_in_words(case)}{hit}"


def _worst(threshold: Threshold, values: Sequence[Value]) -> Value | None:
    """The value that is worst for a threshold: one that is not known before all others."""
    if not values:
        return None
    upper = threshold.comparison.startswith("<")

    def badness(value: Value) -> tuple[bool, float]:
        return value.known is None, 0.0 if value.known is None else (
            value.known if upper else -value.known
        )

    return max(values, key=badness)


def _in_words(case: ThresholdCase, beyond: Sequence[Value] = ()) -> str:
    """What was measured beside what is required; of what is beyond the limit, if anything is."""
    threshold, figure, total = case.threshold, case.threshold.figure, len(case.values)
    worst = _worst(threshold, beyond or case.values)
    assert worst is not None
    if worst.known is None:
        value = f"not back after {amount(worst.least, figure.unit)}, when the load ended"
    else:
        value = amount(worst.known, figure.unit)
    over = f" over {worst.over:,} records" if figure.metric else ""
    others = ""
    if total > 1:
        limit = f"{len(beyond)} of {total} partitions are beyond the limit"
        others = f" ({limit})" if beyond else f", the worst of {total} partitions"
    return f"{value}{worst.at}{over}{others}, where {threshold.required} is required"


def _not_known(case: ThresholdCase, unknown: Sequence[Value]) -> str:
    first = unknown[0]
    if first.least:
        unit = case.threshold.figure.unit
        return (
            f"not back{first.at} when the load ended, {amount(first.least, unit)} after the first "
            "fault, so it is not known whether it would have been in time: a longer --duration "
            "shows it"
        )
    return case.missing


# -- figures


def case_of(threshold: Threshold, evidence: Evidence) -> ThresholdCase:
    """What the verdict on a threshold of a profile depends on."""
    figure, profile, run = threshold.figure, evidence.found.profile, evidence.run
    not_applicable = why_not(figure, acks=profile.acks, consumes=profile.consume is not None)
    if run.elsewhere is not None and Presumes.RUN in figure.presumes:
        not_applicable = NOT_IN_A_HISTORY
    elif Presumes.FAULT in figure.presumes and not (run.timeline.faults or run.info.faults_planned):
        not_applicable = not_applicable or "no fault was injected in this run"
    values, missing = _values(threshold, evidence)
    about_load = figure.name in ("achieved_rate", "achieved_per_s", "failed_share", "unknown_share")
    return ThresholdCase(
        threshold=threshold,
        values=values,
        missing=missing,
        not_applicable=not_applicable,
        partial=evidence.partial,
        # How much of the load came to something is just what these figures are about.
        obstacles=[*evidence.of_profile, *([] if about_load else evidence.of_load)],
        run_obstacles=evidence.run_wide,
        faults_exposed=sum(each.exposed for each in evidence.met),
    )


def _values(threshold: Threshold, evidence: Evidence) -> tuple[list[Value], str]:
    """The values of a figure, and why there is none where there is none."""
    figure = threshold.figure
    if figure.metric:
        return _latency(threshold, evidence)
    if figure.name == "longest_gap_ms":
        gaps = [
            Value(each.longest_gap_ms, topic=each.topic, partition=each.partition)
            for each in evidence.availability
            if each.longest_gap_ms is not None
        ]
        return gaps, "nothing was attempted"
    if figure.name == "recovered_ms":
        return _recovered(evidence)
    if figure.unit == RECORDS:
        lags = [] if evidence.consume is None else evidence.consume.lag
        found = [Value(each.max, topic=each.topic, partition=each.partition) for each in lags]
        return found, "the lag of the consumers was not looked at"
    return _of_load(figure.name, evidence)


def _latency(threshold: Threshold, evidence: Evidence) -> tuple[list[Value], str]:
    figure = threshold.figure
    measured = getattr(evidence.latency[figure.metric], figure.phase)
    value = getattr(measured, figure.percentile)
    when = "" if figure.phase == "all" else f" {figure.phase} the faults"
    what = {
        "ack": "no acknowledgement was",
        "service": "no acknowledgement was",
        "end_to_end": "no record that was read along with the load was",
    }[figure.metric]
    if value is None:
        return [], f"{what} measured{when}"
    return [Value(value, over=measured.count)], ""


def _recovered(evidence: Evidence) -> tuple[list[Value], str]:
    faults = striking(evidence.run.timeline)
    if not faults:
        return [], "no fault is on record that hit anything"
    found = []
    for each in evidence.availability:
        series = evidence.run.timeline.loads[each.topic, each.partition]
        lasted_us = int(series.to_us[-1]) - faults[0].injected_us if len(series) else 0
        found.append(
            Value(
                each.recovered_ms,
                least=max(lasted_us, 0) / 1000,
                topic=each.topic,
                partition=each.partition,
            )
        )
    return found, "the load left no record of its partitions"


def _of_load(name: str, evidence: Evidence) -> tuple[list[Value], str]:
    load, counts = evidence.load, evidence.found.counts
    attempted = counts["attempted"]
    if name == "achieved_rate":
        if load is None or not load.planned or load.unsent is None:
            return [], "the load did not say how many records were due"
        return [Value((load.planned - load.unsent) / load.planned)], ""
    if name == "achieved_per_s":
        achieved = None if load is None else load.achieved_per_s
        return ([] if achieved is None else [Value(achieved)]), "nothing was attempted"
    if not attempted:
        return [], "nothing was attempted"
    outcome = name.removesuffix("_share")
    if load is None:
        return [Value(counts[outcome] / attempted)], ""
    count = sum(each.count for each in unacknowledged(load) if each.outcome == outcome)
    return [Value(count / attempted)], ""
