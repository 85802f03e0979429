"""One random history, judged by the harness and by an oracle: where do they differ?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import UsageError
from harness.history.judging import judge_files
from harness.judge.judge import exit_code
from tests.series.oracles.by_sets import COUNTS, REFUSED, Judged, judge
from tests.series.oracles.random_histories_a import RandomHistory, random_history


@dataclass
class Comparison:
    """Where two judgements of the history of a seed differ."""

    profile: str
    verdict: str
    counts: dict[str, int]
    differences: list[str] = field(default_factory=list)


def compare_by_sets(seed: int, folder: Path) -> Comparison:
    """The history of a seed, judged by the harness and by by_sets.py."""
    history = random_history(seed)
    paths = write(history, folder, "compared")
    own = by_harness(history, paths)
    other = judge(history.files, history.profile, lenient=history.lenient)
    return Comparison(history.profile, own.verdict, own.counts, differences(own, other))


def by_harness(history: RandomHistory, paths: list[Path], own: Sequence[Path] = ()) -> Judged:
    """The harness's judgement, in the form that the oracle has; `own` are files of profiles."""
    try:
        verdict = judge_files(paths, history.profile, lenient=history.lenient, profiles=own)
    except UsageError:
        return Judged(REFUSED)
    profile = verdict.profiles[0]
    judged = Judged(
        verdict.verdict,
        {name: profile.counts[name] for name in COUNTS},
        {each.promise: each.verdict for each in profile.promises},
    )
    assert exit_code(verdict) == judged.exit_code
    return judged


def differences(own: Judged, other: Judged) -> list[str]:
    """Each count, promise and verdict of which the two say different things."""
    found = [
        f"{name}: {own.counts.get(name)}, oracle {other.counts.get(name)}"
        for name in COUNTS
        if own.counts.get(name) != other.counts.get(name)
    ]
    found += [
        f"{name}: {own.promises.get(name)}, oracle {other.promises.get(name)}"
        for name in sorted({*own.promises, *other.promises})
        if own.promises.get(name) != other.promises.get(name)
    ]
    if own.verdict != other.verdict:
        found.append(f"verdict: {own.verdict}, oracle {other.verdict}")
    return found


def write(history: RandomHistory, folder: Path, name: str) -> list[Path]:
    """The files of a history, in a folder."""
    paths = []
    for number, text in enumerate(history.files):
        path = folder / f"{name}-{number}.ndjson"
        path.write_text(text)
        paths.append(path)
    return paths


def written(seed: int, folder: Path) -> list[Path]:
    """The files of the history of a seed, to be kept."""
    return write(random_history(seed), folder, f"seed-{seed}")
