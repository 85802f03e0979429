"""What a verdict says in sentences: the result, and how sure it is. Pure.

The terminal and the HTML report say the same, since both take it from here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from harness.anomalies import ANOMALIES, anomaly_of
from harness.judge.loading import REPORTED_SHARE, unacknowledged
from harness.rundir.recorded_evidence import RecordedEvidence
from harness.rundir.verdict import (
    BROKEN,
    INCONCLUSIVE,
    KEPT,
    NOT_APPLICABLE,
    ConsumeVerdict,
    ControlResult,
    ProfileVerdict,
    PromiseVerdict,
    Verdict,
)

CONFIDENCE: Final = 0.95
MODES: Final[Mapping[str, str]] = {
    "commit-before": "commits before processing",
    "commit-after": "commits after processing",
    "auto": "commits on a timer what was handed over",
    "stored": "commits on a timer what was processed",
    "transactional": "commits in the transaction of its output",
    "share": "share group, acknowledges each record",
}
"""When consumers of each mode commit."""
WITHOUT_OFFSETS: Final = "commits after the transaction of its output"
WORTHWHILE_BOUND: Final = 0.1
"""The chance per fault for which the number of faults needed is named."""


def many(count: int, noun: str, plural: str = "") -> str:
    """`1 fault`, `1,200 faults`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def percent(share: float) -> str:
    """A share as a percentage with three digits at most."""
    return f"{share * 100:.3g}\N{NO-BREAK SPACE}%"


def counted(verdict: Verdict) -> list[ProfileVerdict]:
    """The profiles that decide the run's verdict."""
    return [profile for profile in verdict.profiles if profile.in_verdict]


def injected_faults(verdict: Verdict) -> int:
    """How many faults were injected on something, with evidence."""
    return sum(
        each.took_effect and not RecordedEvidence(each.fault, each.evidence).nominal
        for each in verdict.faults
    )


def headline(verdict: Verdict) -> str:
    """The run's verdict in one sentence."""
    profiles = counted(verdict)
    broken = [
        f"{profile.profile} broke {listed([promise.promise for promise in promises])}"
        for profile in profiles
        if (promises := [each for each in profile.promises if each.verdict == BROKEN])
    ]
    if verdict.verdict == BROKEN:
        return f"Broken: {'; '.join(broken) or 'see the reasons'}."
    total = sum(each.verdict != NOT_APPLICABLE for profile in profiles for each in profile.promises)
    faults = injected_faults(verdict)
    under = _under(faults, len(verdict.disturbances))
    if verdict.verdict == INCONCLUSIVE and not total:
        return "Inconclusive: nothing was judged, since no promise applies."
    if verdict.verdict == INCONCLUSIVE:
        open_ = sum(
            promise.verdict == INCONCLUSIVE for profile in profiles for promise in profile.promises
        )
        return (
            f"Inconclusive: nothing was found broken, but {open_:,} of {total:,} promises could "
            f"not be shown to hold {under}."
        )
    return f"Kept: {many(total, 'promise')} of {many(len(profiles), 'profile')} held {under}."


def _under(faults: int, disturbances: int) -> str:
    """What a promise held under. That nothing happened is never said: only a record can be."""
    if not faults and not disturbances:
        return "with no fault on record"
    parts = [many(faults, "fault")] if faults else []
    if disturbances:
        parts.append(many(disturbances, "disturbance"))
    without = " that no fault on record explains" if disturbances else ""
    return f"under {listed(parts)}{without}"


def achieved(verdict: Verdict) -> str:
    """The records a second that profiles were sent, least to most; empty where none is known."""
    loads = [each.load for each in verdict.profiles if each.load is not None]
    rates = [load.achieved_per_s for load in loads if load.achieved_per_s is not None]
    if not rates:
        return ""
    least, most = f"{min(rates):,.0f}", f"{max(rates):,.0f}"
    return least if least == most else f"{least} to {most}"


def load_lines(verdict: Verdict) -> list[str]:
    """The rate that was sent beside the one asked for, and why attempts were not acknowledged."""
    loads = [(each, each.load) for each in verdict.profiles if each.load is not None]
    sent = achieved(verdict)
    if not sent:
        return []
    lines = [f"load: {loads[0][1].asked_per_s:,.0f} records/s a profile asked for, {sent} sent"]
    missing = [
        f"{profile.profile} {load.unsent:,} ({percent(load.unsent / load.planned)})"
        for profile, load in loads
        if load.unsent and load.planned and load.unsent >= REPORTED_SHARE * load.planned
    ]
    if missing:
        lines.append(f"planned and never sent: {', '.join(missing)}")
    failures = [
        f"{profile.profile} {listed([f'{e.count:,} {e.outcome} ({e.code})' for e in chosen])}"
        for profile, load in loads
        if (chosen := unacknowledged(load))
    ]
    if failures:
        lines.append(f"not acknowledged: {'; '.join(failures)}")
    return lines


def assurance(verdict: Verdict) -> list[str]:
    """How sure the verdict is: what was challenged, what bound follows, what was not tried."""
    profiles = counted(verdict)
    sentences: list[str] = []
    seen: dict[str, str] = {}
    for profile in verdict.profiles:
        for promise in profile.promises:
            if promise.control is not None and promise.challenged:
                seen.setdefault(
                    promise.control.anomaly,
                    f"{promise.control.profile} showed {shown(promise.control):,} "
                    f"{promise.control.anomaly}",
                )
    if seen:
        found = [seen[anomaly] for anomaly in ANOMALIES if anomaly in seen]
        sentences.append(f"These faults do break things: {listed(found)} under the same faults.")
    challenged = [
        (profile, promise)
        for profile in profiles
        for promise in profile.promises
        if promise.challenged and promise.verdict == KEPT
    ]
    if challenged:
        holders: dict[str, list[str]] = {}
        for profile, promise in challenged:
            holders.setdefault(promise.promise, []).append(profile.profile)
        held = [
            f"{promise} {'held ' if not index else ''}for {listed(holders[promise])}"
            for index, promise in enumerate(sorted(holders, key=_order))
        ]
        exposed = [promise.trials for _, promise in challenged]
        bound = max(promise.bound_95_per_fault or 0.0 for _, promise in challenged)
        sentences.append(
            f"In {'at least ' if min(exposed) < max(exposed) else ''}"
            f"{many(min(exposed), 'fault')} that hit them, {'; '.join(held)}. One more such "
            f"fault breaks any one of these with a chance of at most {percent(bound)} "
            f"(95\N{NO-BREAK SPACE}% confidence){_more_needed(bound)}"
        )
    unchallenged = [
        promise for p in profiles for promise in p.promises if _kept(promise, challenged=False)
    ]
    measured = sum(promise.threshold is not None for promise in unchallenged)
    tried = len(unchallenged) - measured
    shaken = sum(profile.disturbances_exposed > 0 for profile in profiles)
    if tried and shaken:
        sentences.append(
            f"{many(tried, 'promise')} held without a challenge: no experiment of this run aims at "
            f"them with a control. Disturbances that no fault on record explains hit "
            f"{many(shaken, 'profile')}; what these could have broken is not known."
        )
    elif tried:
        sentences.append(
            f"{many(tried, 'promise')} held without being put to the test: no experiment of this "
            "run aims at them with a control, so what was counted is all that is known. "
            "harness list experiments says which ones do."
        )
    if measured:
        sentences.append(
            f"{many(measured, 'threshold')} held by what this run measured: one measurement, which "
            "bounds no other run: harness run --repeat shows how much it varies."
        )
    return sentences or [
        "Nothing of this run shows that it could have seen a promise break: run an experiment that "
        "names a control (harness list experiments)."
    ]


def shown(control: ControlResult) -> int:
    """How often a control broke in the windows of faults."""
    return control.count - control.outside - control.unplaced


def _more_needed(bound: float) -> str:
    if bound <= WORTHWHILE_BOUND:
        return "."
    needed = math.ceil(math.log(1 - CONFIDENCE) / math.log(1 - WORTHWHILE_BOUND))
    return (
        f"; {needed} faults without a breach would bring that down to "
        f"{percent(WORTHWHILE_BOUND)}: repeat the run."
    )


def _kept(promise: PromiseVerdict, *, challenged: bool) -> bool:
    return promise.verdict == KEPT and promise.challenged is challenged


def _order(promise: str) -> int:
    return ANOMALIES.index(anomaly_of(promise))


def manner(consume: ConsumeVerdict) -> str:
    """When the consumers of a profile commit, and how their group agrees."""
    if consume.mode == "share":
        return MODES[consume.mode]
    within = consume.send_offsets or consume.mode != "transactional"
    mode = MODES[consume.mode] if within else WITHOUT_OFFSETS
    return f"{mode}; {consume.protocol} protocol"


def tally(profile: ProfileVerdict) -> str:
    """A profile's verdict with how many of its promises it is about."""
    applicable = [each for each in profile.promises if each.verdict != NOT_APPLICABLE]
    if not profile.promises:
        return "promises nothing"
    if not applicable:
        return "not applicable"
    part = sum(each.verdict == profile.verdict for each in applicable)
    return f"{profile.verdict} {part} of {len(applicable)}"


def standing(profile: ProfileVerdict) -> str:
    """Why a profile does not decide the run's verdict; nothing when it does."""
    if profile.in_verdict:
        return ""
    return "control" if profile.role == "control" else "not counted"
