"""The text of a failed test: which promise, why, the witness, and where to look further."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.anomalies import anomaly_of
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict import PromiseVerdict, Verdict

REASONS_MAX: Final = 6
FAULTS_MAX: Final = 6


class PromiseNotKept(AssertionError):
    """A promise was broken, or the run does not show that it was kept."""


def failure_text(
    verdict: Verdict,
    wrong: Sequence[tuple[str, PromiseVerdict]],
    run_dir: Path,
    repeat: str,
) -> str:
    """wrong: (profile, promise) of each promise that is not kept; may be empty where the run as a
    whole is inconclusive. repeat: what makes the run once more."""
    lines: list[str] = []
    for profile, promise in wrong:
        lines += [f"{profile}: {promise.promise} is {promise.verdict}: {promise.reason}"]
        lines += _witness(verdict, profile, promise)
    if not wrong:
        lines.append(f"the run is {verdict.verdict}")
    text = "\n".join(lines)
    reasons = [
        each
        for each in verdict.reasons
        if not _in(each, wrong) and each.removeprefix("the run: ") not in text
    ]
    lines += [f"  because   {each}" for each in reasons[:REASONS_MAX]]
    lines += [
        f"  fault     {each.fault} on {each.target}, {each.injected_at}"
        f"{'' if each.took_effect else ', without evidence that it took effect'}"
        for each in verdict.faults[:FAULTS_MAX]
    ]
    if len(verdict.faults) > FAULTS_MAX:
        lines.append(f"  fault     and {len(verdict.faults) - FAULTS_MAX} more")
    lines += [
        f"  report    {RunDir(run_dir).report_html}",
        f"  verdict   {RunDir(run_dir).verdict(1)}",
        f"  again     {repeat}",
    ]
    return "\n".join(lines)


def _witness(verdict: Verdict, profile: str, promise: PromiseVerdict) -> list[str]:
    """The first witness of what broke a promise: a few lines that prove it."""
    found = next(each for each in verdict.profiles if each.profile == profile)
    anomaly = anomaly_of(promise.promise)
    witness = next((each for each in found.witnesses if each.anomaly == anomaly), None)
    if witness is None:
        return []
    first, *more = witness.text
    return [f"  witness   {first}", *(f"            {line}" for line in more)]


def _in(reason: str, wrong: Sequence[tuple[str, PromiseVerdict]]) -> bool:
    """Whether a reason of the verdict says what a line about a promise says already."""
    return any(
        reason.startswith(f"{profile}: {promise.promise} ") and promise.reason in reason
        for profile, promise in wrong
    )
