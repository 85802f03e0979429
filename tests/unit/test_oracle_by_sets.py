"""A slice of `make oracles`: the harness and an oracle that was written from the page
alone judge the same random histories."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.series.oracles.compare import compare_by_sets, written

FIRST, LAST = 1, 150


def test_harness_and_oracle_say_the_same_of_random_histories(tmp_path: Path) -> None:
    verdicts: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for seed in range(FIRST, LAST + 1):
        compared = compare_by_sets(seed, tmp_path)
        shown = (
            [path.read_text() for path in written(seed, tmp_path)] if compared.differences else ""
        )
        assert compared.differences == [], (seed, compared.profile, shown)
        verdicts[compared.verdict] += 1
        found.update(name for name, count in compared.counts.items() if count)
    # What agrees must have been something to agree on.
    assert min(verdicts[name] for name in ("kept", "broken", "inconclusive", "refused")) > 2
    assert {"lost", "unseen", "duplicate", "inversion", "vanished", "torn_txn"} <= set(found)
