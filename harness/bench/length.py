"""Was a run of the bench long enough to say anything, and was its rate steady? Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from harness.bench.sides import Run

SECONDS_MIN: Final = 1.0
"""In a shorter run connecting and the first batches are a large part of the rate."""
START_UP_SHARE_MAX: Final = 0.5
"""More start-up than this in the CPU of a run: a change of what a record costs hardly shows."""
STEADY: Final = 0.25
"""Last third and first third further apart than this: the rate has not settled."""


def too_short(runs: Sequence[Run], start_up_s: float, records: int) -> list[str]:
    """Why runs of ours were too short to say anything; empty where they were not.

    start_up_s: CPU that a run of few records takes.
    """
    found: list[str] = []
    wanted = 1.0
    known = [each.elapsed_s for each in runs if each.elapsed_s is not None]
    if known and median(known) < SECONDS_MIN:
        found.append(f"a run took {median(known):.2g} s, at least {SECONDS_MIN:g} s are needed")
        wanted = SECONDS_MIN / median(known)
    cpu_s = median(each.cpu_us_per_record for each in runs) * records / 1e6
    if start_up_s > START_UP_SHARE_MAX * cpu_s:
        share = min(1.0, start_up_s / cpu_s)
        found.append(f"start-up is {share:.0%} of its CPU, at most {START_UP_SHARE_MAX:.0%} may be")
        beyond = max(cpu_s - start_up_s, cpu_s / 100)
        wanted = max(wanted, start_up_s / beyond)
    if not found:
        return []
    return [f"{'; '.join(found)}: give --records {_round(records * wanted)} or more"]


def by_time(runs: Sequence[Run]) -> dict[str, Any] | None:
    """The rate by time: medians of the first and of the last third, and of their ratios.

    None where it is not known: for verification, and for runs too short to have thirds.
    """
    known = [each.third_per_s for each in runs if each.third_per_s is not None]
    if not known:
        return None
    ratio = median(last / first for first, last in known if first) if any(known) else 1.0
    return {
        "first_third_per_s": round(median(first for first, _ in known)),
        "last_third_per_s": round(median(last for _, last in known)),
        "last_over_first": round(ratio, 3),
        "steady": abs(ratio - 1) <= STEADY,
    }


def _round(records: float) -> int:
    """Up, to two digits."""
    digits = len(str(int(records)))
    step = int("1" + "0" * max(0, digits - 2))
    return -int(-records // step) * step
