"""The verdict on one promise, as one decision from top to bottom.

    1  outside the envelope                                    → not_applicable
    2  the anomaly was found                                   → broken
    3  something kept us from looking                          → inconclusive
    4  no experiment of the run aims at it                     → kept, not challenged
    5  its control is of another kind                          → kept, not challenged
    6  its control did not run, or broke in no fault's window  → inconclusive
    7  the profile was not exposed to any of these faults      → inconclusive
    8  otherwise                                               → kept, challenged

A clean result counts only when something else broke under the same faults while this profile was
in their way: that is steps 6 and 7.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from harness.anomalies import anomaly_of, sentence
from harness.judge.bounds import bound_95_per_fault
from harness.judge.exposure import Exposure
from harness.rundir.verdict import (
    BROKEN,
    INCONCLUSIVE,
    KEPT,
    NOT_APPLICABLE,
    ControlResult,
    PromiseVerdict,
)

WHOLE_RUN: Final = "the whole run proves nothing: "
"""How a reason begins that is not this promise's own."""


@dataclass(frozen=True, slots=True)
class PromiseCase:
    """Everything that the verdict on one promise depends on."""

    promise: str
    observed: int
    breaches: list[str] = field(default_factory=list)
    """Why the profile is outside its envelope."""
    not_shown: str = ""
    """Why a recording of this kind can show none of it."""
    obstacles: list[str] = field(default_factory=list)
    """Why nothing can be proven here: blind spots of this anomaly, then of the profile."""
    run_obstacles: list[str] = field(default_factory=list)
    """Why nothing can be proven in the whole run."""
    aimed_control: str | None = None
    """The control that the run's experiments name for this anomaly; None when none aims at it."""
    control: ControlResult | None = None
    """What that control showed; None when it did not run."""
    control_left_out: bool = False
    """Was it left out on request (--no-control)?"""
    control_unlike: str = ""
    """Why the control's anomalies are not of the kind that this promise excludes; empty if they
    are."""
    exposures: list[Exposure] = field(default_factory=list)
    broke_in: list[int] = field(default_factory=list)
    """For each of `exposures`, how many of the control's anomalies lie in its window."""
    unseen: int = 0
    """For no_lost: records that are absent without proof."""
    recorded_elsewhere: bool = False
    """Is it a history, which has no experiments and no controls?"""
    skipped_lines: int = 0
    """Malformed lines of a history that were left out."""
    firm: bool = False
    """Does what was found stay found, whatever the lines said that were left out?"""
    undone: bool = False
    """May a last line that breaks off have said what undoes it?"""
    known_defect: str = ""
    """A known client defect that shows itself like this."""

    @property
    def faults_exposed(self) -> int:
        """How many faults put the profile to the test."""
        return sum(exposure.exposed for exposure in self.exposures)

    @property
    def challenging(self) -> list[Exposure]:
        """The faults in whose window the control broke, whether the profile was exposed or not."""
        hits = zip(self.exposures, self.broke_in, strict=True)
        return [exposure for exposure, count in hits if count]

    @property
    def aimed(self) -> bool:
        """Whether an experiment aims at this promise with a control of its kind."""
        return self.aimed_control is not None and not self.control_unlike

    @property
    def trials(self) -> list[Exposure]:
        """The faults that say something about this promise."""
        chosen = self.challenging if self.aimed and self.control else self.exposures
        if self.aimed and self.control is None:
            chosen = []
        return [exposure for exposure in chosen if exposure.exposed]


def judge_promise(case: PromiseCase) -> PromiseVerdict:
    """Decide one promise."""
    verdict, reason = _decide(case)
    trials = case.trials
    # Zero was observed only where nothing kept us from looking.
    blocked = case.obstacles or case.run_obstacles or verdict == NOT_APPLICABLE
    zero = case.observed == 0 and not blocked
    return PromiseVerdict(
        promise=case.promise,
        verdict=verdict,
        challenged=case.aimed and bool(trials),
        observed=case.observed,
        control=case.control,
        faults_exposed=case.faults_exposed,
        trials=len(trials),
        bound_95_per_fault=bound_95_per_fault(len(trials)) if zero else None,
        reason=reason,
        exposed_by_fault=dict(Counter(each.fault.fault for each in trials)),
    )


def _decide(case: PromiseCase) -> tuple[str, str]:
    anomaly = anomaly_of(case.promise)
    if case.breaches:
        outside = f"outside the envelope: {'; '.join(case.breaches)}"
        seen = f". {sentence(anomaly, case.observed)}" if case.observed else ""
        return NOT_APPLICABLE, f"{outside}{seen}"
    if case.observed and case.skipped_lines and not case.firm:
        what = case.run_obstacles[0] if case.run_obstacles else "not everything could be read"
        seen = sentence(anomaly, case.observed)
        return INCONCLUSIVE, f"{seen}, but what could not be read may tell otherwise: {what}"
    if case.observed and case.undone:
        seen = sentence(anomaly, case.observed)
        return (
            INCONCLUSIVE,
            f"{seen}, but the last line of a file breaks off and may tell otherwise",
        )
    if case.observed:
        defect = f". {case.known_defect}" if case.known_defect else ""
        if case.recorded_elsewhere and anomaly == "lost":
            # Without a drain of ours, what proves absence is that the reading went further.
            absent = "record is" if case.observed == 1 else "records are"
            return BROKEN, f"{case.observed} acknowledged {absent} absent where everything was read"
        return BROKEN, f"{sentence(anomaly, case.observed)}{defect}"
    if case.not_shown:
        return NOT_APPLICABLE, case.not_shown
    if case.obstacles:
        unseen = ""
        if case.unseen:
            records = "record was" if case.unseen == 1 else "records were"
            unseen = f"{case.unseen} acknowledged {records} not seen, and "
        return INCONCLUSIVE, unseen + "; ".join(case.obstacles)
    if case.run_obstacles:
        more = len(case.run_obstacles) - 1
        return INCONCLUSIVE, (
            f"{WHOLE_RUN}{case.run_obstacles[0]}{f' (and {more} more)' if more else ''}"
        )
    if case.aimed_control is None and case.recorded_elsewhere:
        return KEPT, "none found in this history; it has no control that shows what could break"
    if case.aimed_control is None:
        return KEPT, "none found; no experiment of this run aims at it"
    if case.control_unlike:
        return KEPT, f"none found; {case.control_unlike}"
    if case.control is None:
        left_out = " (--no-control)" if case.control_left_out else ""
        return INCONCLUSIVE, (
            f"its control {case.aimed_control} did not run{left_out}, so nothing shows that the "
            f"faults could have broken it"
        )
    if not case.exposures:
        return INCONCLUSIVE, f"the profile was not exposed to any fault: {_why(case.exposures)}"
    if not case.challenging:
        return INCONCLUSIVE, _control_held(case.control)
    if not case.trials:
        return INCONCLUSIVE, (
            "the profile was not exposed to any fault that broke its control: "
            f"{_why(case.challenging)}"
        )
    number = len(case.trials)
    faults = "1 fault" if number == 1 else f"{number} faults"
    return KEPT, (
        f"none found, while the control {case.aimed_control} showed {sum(case.broke_in)} under "
        f"the same faults; {faults} that broke the control hit this profile"
        f"{_elsewhere(case.control)}"
    )


def _control_held(control: ControlResult) -> str:
    """Why a control challenges nothing."""
    if not control.count:
        return (
            f"its control {control.profile} showed no {control.anomaly} either, so the faults "
            "proved nothing"
        )
    return (
        f"its control {control.profile} showed {control.count} {control.anomaly}, but none in the "
        f"window of a fault that aims at it, so the faults proved nothing{_elsewhere(control)}"
    )


def _elsewhere(control: ControlResult) -> str:
    """What a control showed that challenges nothing."""
    parts = []
    if control.outside:
        parts.append(f"{control.outside} more in no fault's window")
    if control.unplaced:
        parts.append(f"{control.unplaced} more at a time that is not on record")
    return f" ({control.profile} showed {', and '.join(parts)})" if parts else ""


def _why(exposures: list[Exposure]) -> str:
    """What was missing in each fault, those that lacked the same together."""
    if not exposures:
        return "there was no fault"
    faults_of: dict[str, list[str]] = {}
    for exposure in exposures:
        faults_of.setdefault(exposure.missing, []).append(exposure.fault.fault)
    return "; ".join(
        f"{missing} ({', '.join(dict.fromkeys(faults))})" for missing, faults in faults_of.items()
    )
