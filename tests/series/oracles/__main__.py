"""`python -m tests.series.oracles`: random histories, judged by the harness and by two oracles.

Each seed is a history of either generator; by_walking.py judges both, by_sets.py the first.
Prints each disagreement, with the files that show it, and ends with 1 when there is any.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.series.oracles.compare import Comparison, compare_by_sets, write
from tests.series.oracles.compare_b import compare_by_walking, history_of


def comparisons(seed: int, out: Path) -> list[tuple[str, str, Comparison]]:
    """Generator, oracle and comparison of each pair that judges a seed."""
    return [
        ("a", "by_sets", compare_by_sets(seed, out)),
        ("a", "by_walking", compare_by_walking(seed, out, "a")),
        ("b", "by_walking", compare_by_walking(seed, out, "b")),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.series.oracles", description=__doc__)
    parser.add_argument("--histories", type=int, default=5000, help="how many (default: 5000)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default: 1)")
    parser.add_argument("--out", type=Path, help="where to write histories that are judged apart")
    chosen = parser.parse_args()
    out: Path = chosen.out or Path(tempfile.mkdtemp(prefix="oracles-"))
    out.mkdir(parents=True, exist_ok=True)
    verdicts: Counter[str] = Counter()
    apart: Counter[str] = Counter()
    for seed in range(chosen.seed, chosen.seed + chosen.histories):
        for generator, oracle, compared in comparisons(seed, out):
            if oracle == "by_walking":
                verdicts[compared.verdict] += 1
            if not compared.differences:
                continue
            apart.update({f"{oracle} {each.split(':')[0]}" for each in compared.differences})
            where = write(history_of(seed, generator)[0], out, f"{generator}-{seed}")
            print(f"{generator} {seed} ({compared.profile}), {oracle}: ", end="")
            print("; ".join(compared.differences))
            print(f"  {' '.join(str(path) for path in where)}", flush=True)
    print(f"{2 * chosen.histories} histories: {dict(verdicts)}; apart: {dict(apart)}")
    return 1 if apart else 0


if __name__ == "__main__":
    sys.exit(main())
