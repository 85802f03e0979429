"""`python -m tests.oracles`: random histories, judged by the harness and by the oracles.

Prints each disagreement, with the files that show it, and ends with 1 when there is any.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.oracles.compare import compare_by_sets, written


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracles", description=__doc__)
    parser.add_argument("--histories", type=int, default=5000, help="how many (default: 5000)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default: 1)")
    parser.add_argument("--out", type=Path, help="where to write histories that are judged apart")
    chosen = parser.parse_args()
    out: Path = chosen.out or Path(tempfile.mkdtemp(prefix="oracles-"))
    out.mkdir(parents=True, exist_ok=True)
    verdicts: Counter[str] = Counter()
    apart: Counter[str] = Counter()
    for seed in range(chosen.seed, chosen.seed + chosen.histories):
        compared = compare_by_sets(seed, out)
        verdicts[compared.verdict] += 1
        if compared.differences:
            apart.update({difference.split(":")[0] for difference in compared.differences})
            where = written(seed, out)
            print(f"seed {seed} ({compared.profile}): {'; '.join(compared.differences)}")
            print(f"  {' '.join(str(path) for path in where)}")
    print(f"{chosen.histories} histories: {dict(verdicts)}; apart: {dict(apart)}", file=sys.stderr)
    return 1 if apart else 0


if __name__ == "__main__":
    sys.exit(main())
