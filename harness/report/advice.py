"""What a verdict means and what it asks to change, in sentences for people who decide. Pure.

Only what this run's data supports is said: a setting is named where the lint objects to it and the
run counted what it leads to, and another profile where it kept the same promise under the same
faults. Nothing is said of settings that were not run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from harness.anomalies import BY_NAME, anomaly_of
from harness.report import wording
from harness.rundir.verdict import (
    BROKEN,
    INCONCLUSIVE,
    KEPT,
    NOT_APPLICABLE,
    ProfileVerdict,
    PromiseVerdict,
    Verdict,
)

EXPLAINS: Final[Mapping[str, tuple[str, ...]]] = {
    "acks-not-all": ("lost",),
    "no-retries": ("lost",),
    "idempotence-off": ("duplicate", "inversion"),
}
"""Rule of the lint → the anomalies that it warns of."""
CHANGES_MAX: Final = 12
BOUND_WORTHWHILE: Final = wording.WORTHWHILE_BOUND


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to change: what, and what of this run speaks for it."""

    what: str
    because: str


def meaning(verdict: Verdict) -> list[str]:
    """What the verdict says about the settings that were judged, at most a few sentences."""
    counted = wording.counted(verdict)
    sentences = []
    if verdict.verdict == KEPT:
        sentences += _kept(counted)
    elif verdict.verdict == BROKEN:
        sentences += [
            f"{profile.profile} does not keep {promise.promise}: {_in_words(promise)}."
            for profile in counted
            for promise in profile.promises
            if promise.verdict == BROKEN
        ]
    else:
        sentences.append(
            "This run is no proof: it found no broken promise, and it does not show that it would "
            "have found one."
        )
    if verdict.verdict != KEPT and any(each.verdict == KEPT for each in counted):
        kept = [each.profile for each in counted if each.verdict == KEPT]
        sentences.append(f"Every promise of {wording.listed(kept)} was kept.")
    return [*sentences, *_permitted(verdict)]


def _kept(counted: list[ProfileVerdict]) -> list[str]:
    """Which of the known harms were absent for whom, where faults put that to the test."""
    holders: dict[tuple[str, ...], list[str]] = {}
    for profile in counted:
        held = tuple(
            _anomaly(each)
            for each in profile.promises
            if each.verdict == KEPT and each.challenged and _in_general(_anomaly(each))
        )
        if held:
            holders.setdefault(held, []).append(profile.profile)
    if not holders:
        return ["Nothing was found broken, and no fault of this run could have shown it."]
    return [
        f"With {wording.listed(names)}, in no case "
        f"{' or '.join(map(_in_general, anomalies))}, under faults that did this to "
        "a control."
        for anomalies, names in holders.items()
    ]


def _in_general(anomaly: str) -> str:
    """That an anomaly happened, in general words; empty where there are none."""
    return BY_NAME[anomaly].in_general if anomaly in BY_NAME else ""


def _permitted(verdict: Verdict) -> list[str]:
    """What profiles did that promise nothing about it: where they must not be used."""
    found: dict[str, list[str]] = {}
    for profile in verdict.profiles:
        promised = {_anomaly(each) for each in profile.promises}
        for anomaly in ("lost", "duplicate", "unprocessed"):
            count = profile.counts.get(anomaly, 0)
            if count and anomaly not in promised:
                found.setdefault(anomaly, []).append(f"{profile.profile} ({count:,})")
    words = {
        "lost": "Acknowledged records were lost with {}: these settings permit it.",
        "duplicate": "Records were stored twice with {}: these settings permit it.",
        "unprocessed": "Records were never processed with {}: these settings permit it.",
    }
    return [words[anomaly].format(wording.listed(names)) for anomaly, names in found.items()]


def _anomaly(promise: PromiseVerdict) -> str:
    """The anomaly that a promise is about; empty for a threshold."""
    return anomaly_of(promise.promise) if promise.threshold is None else ""


def _in_words(promise: PromiseVerdict) -> str:
    """What was found against a promise."""
    if promise.threshold is not None or not promise.observed:
        return promise.reason.rstrip(".")
    anomaly = BY_NAME[anomaly_of(promise.promise)]
    return anomaly.one if promise.observed == 1 else anomaly.many.format(n=f"{promise.observed:,}")


def changes(verdict: Verdict) -> list[Advice]:
    """What the findings ask for, the gravest first; at most CHANGES_MAX, empty where nothing."""
    found = [
        *_of_broken(verdict),
        *_of_inconclusive(verdict),
        *_of_settings(verdict),
        *_of_bounds(verdict),
    ]
    return list(dict.fromkeys(found))[:CHANGES_MAX]


def _of_broken(verdict: Verdict) -> list[Advice]:
    advice = []
    for profile in wording.counted(verdict):
        for promise in profile.promises:
            if promise.verdict != BROKEN:
                continue
            if promise.threshold is not None:
                what = f"Change {profile.profile} or its load until {promise.promise}."
                advice.append(Advice(what, promise.reason.rstrip(".")))
                continue
            others = _keepers(verdict, promise.promise)
            because = f"{promise.observed:,} found, and the profile promises that there is none"
            if others:
                advice.append(
                    Advice(
                        f"Where {promise.promise} matters, use {' or '.join(others)} in place of "
                        f"{profile.profile}.",
                        f"{because}; {wording.listed(others)} kept {promise.promise} under the "
                        "same faults",
                    )
                )
            else:
                advice.append(
                    Advice(
                        f"Do not rely on {promise.promise} with {profile.profile}.",
                        f"{because}; no profile of this run kept it under a challenge",
                    )
                )
    return advice


def _keepers(verdict: Verdict, promise: str) -> list[str]:
    """Profiles that kept a promise while a control broke."""
    return [
        profile.profile
        for profile in verdict.profiles
        if any(
            each.promise == promise and each.verdict == KEPT and each.challenged
            for each in profile.promises
        )
    ]


def _of_inconclusive(verdict: Verdict) -> list[Advice]:
    if verdict.verdict != INCONCLUSIVE:
        return []
    because = verdict.reasons[0].rstrip(".") if verdict.reasons else "no promise applies"
    if all(each.verdict == NOT_APPLICABLE for each in wording.counted(verdict)):
        return [Advice("Bring the topics into the envelope, then run again.", because)]
    return [Advice("Remove what kept this run from proving anything, then run again.", because)]


def _of_settings(verdict: Verdict) -> list[Advice]:
    """Findings of the lint about what this run counted."""
    by_name = {each.profile: each for each in verdict.profiles}
    advice = []
    for finding in verdict.findings:
        profile = by_name.get(str(finding.get("profile", "")))
        if profile is None or not finding.get("fix"):
            continue
        counted = [
            f"{profile.counts[anomaly]:,} {anomaly}"
            for anomaly in EXPLAINS.get(str(finding.get("rule")), ())
            if profile.counts.get(anomaly)
        ]
        if counted:
            advice.append(
                Advice(
                    f"{profile.profile}: {finding['fix']}",
                    f"{wording.listed(counted)} in this run (rule {finding['rule']})",
                )
            )
    return advice


def _of_bounds(verdict: Verdict) -> list[Advice]:
    """More faults, where the bound of a kept and challenged promise is still wide."""
    trials = [
        (promise.trials, promise.bound_95_per_fault)
        for profile in wording.counted(verdict)
        for promise in profile.promises
        if promise.verdict == KEPT and promise.challenged and promise.bound_95_per_fault is not None
    ]
    if not trials:
        return []
    fewest, bound = min(trials, key=lambda each: each[0])
    if bound is None or bound <= BOUND_WORTHWHILE:
        return []
    needed = math.ceil(math.log(1 - wording.CONFIDENCE) / math.log(1 - BOUND_WORTHWHILE))
    return [
        Advice(
            f"Before production, repeat the run until {needed} faults have hit each promise: "
            f"--until-bound {BOUND_WORTHWHILE:g}.",
            f"{wording.many(fewest, 'fault')} without a breach bound the chance per fault to "
            f"{wording.percent(bound)} only",
        )
    ]
