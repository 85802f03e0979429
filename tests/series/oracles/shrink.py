"""Lines are left out of a history for as long as two judgements of it still differ alike.

`python -m tests.series.oracles.shrink GENERATOR SEED…` prints what is left.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.series.oracles.compare_b import compare_history, history_of
from tests.series.oracles.promised import Profile
from tests.series.oracles.random_histories_a import RandomHistory


def names(found: list[str]) -> set[str]:
    return {difference.split(":")[0] for difference in found}


def shrunk(history: RandomHistory, profile: Profile, folder: Path) -> RandomHistory:
    """The history without the lines that its difference does not need."""

    def differs(tried: RandomHistory) -> set[str]:
        return names(compare_history(tried, profile, folder).differences)

    whole = differs(history)
    refusal = "attempted" in whole
    kept = "attempted" if refusal else min(whole, key=lambda name: (name == "verdict", name))
    changed = True
    while changed:
        changed = False
        for number, text in enumerate(history.files):
            lines = text.splitlines(keepends=True)
            for place in reversed(range(len(lines))):
                left = "".join(lines[:place] + lines[place + 1 :])
                files = [*history.files[:number], left, *history.files[number + 1 :]]
                tried = RandomHistory(
                    [each for each in files if each], history.profile, history.lenient
                )
                if not tried.files:
                    continue
                found = differs(tried)
                if kept in found and ("attempted" in found) == refusal:
                    history, changed = tried, True
                    break
            if changed:
                break
    return history


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.series.oracles.shrink", description=__doc__
    )
    parser.add_argument("generator", choices=("a", "b"))
    parser.add_argument("seeds", type=int, nargs="+")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="shrunk-") as folder:
        for seed in chosen.seeds:
            history, profile = history_of(seed, chosen.generator)
            if not compare_history(history, profile, Path(folder)).differences:
                print(f"seed {seed} ({profile.name}): no difference")
                continue
            history = shrunk(history, profile, Path(folder))
            compared = compare_history(history, profile, Path(folder))
            print(f"seed {seed} ({profile.name}): {'; '.join(compared.differences)}")
            print("\n".join(history.files))
    return 0


if __name__ == "__main__":
    sys.exit(main())
