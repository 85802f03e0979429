"""A random history of either generator, judged by the harness and by by_walking.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.series.oracles import by_walking
from tests.series.oracles.by_sets import Judged
from tests.series.oracles.compare import Comparison, by_harness, differences, write
from tests.series.oracles.promised import BY_NAME, Profile
from tests.series.oracles.random_histories_a import RandomHistory, random_history
from tests.series.oracles.random_histories_b import played_history


@dataclass
class Walked(Comparison):
    """A comparison that says what the harness made of each promise, too."""

    promises: tuple[tuple[str, str], ...] = ()


def history_of(seed: int, generator: str) -> tuple[RandomHistory, Profile]:
    """The history of a seed by a generator, `a` or `b`, and the profile that judges it."""
    if generator == "a":
        mishap = random_history(seed)
        return mishap, BY_NAME[mishap.profile]
    played = played_history(seed)
    return RandomHistory(played.files, played.profile.name, played.lenient), played.profile


def compare_by_walking(seed: int, folder: Path, generator: str = "b") -> Walked:
    """The history of a seed, judged by the harness and by by_walking.py."""
    return compare_history(*history_of(seed, generator), folder)


def compare_history(history: RandomHistory, profile: Profile, folder: Path) -> Walked:
    """A history, judged by the harness and by by_walking.py."""
    harness = judged_by_harness(history, profile, folder)
    walked = by_walking.judge(history.files, profile, lenient=history.lenient)
    return Walked(
        profile.name,
        harness.verdict,
        harness.counts,
        differences(harness, walked),
        tuple(sorted(harness.promises.items())),
    )


def judged_by_harness(history: RandomHistory, profile: Profile, folder: Path) -> Judged:
    """The harness's judgement, with the file of profiles that it takes."""
    own = []
    if profile.yaml:
        own = [folder / f"{profile.name}.yaml"]
        own[0].write_text(profile.yaml)
    return by_harness(history, write(history, folder, "walked"), own)
