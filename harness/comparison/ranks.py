"""Rank tests, exact for few repeats, and the estimates that belong to them. Pure.

    two groups      the rank-sum test (Mann and Whitney 1947, "On a test of whether one of two
                    random variables is stochastically larger than the other", Annals of
                    Mathematical Statistics 18)
    rounds          the rank-sum test within each round, summed (van Elteren 1960, "On the
                    combination of independent two sample tests of Wilcoxon", Bulletin of the
                    International Statistical Institute 37)
    differences     the signed-rank test (Wilcoxon 1945, "Individual comparisons by ranking
                    methods", Biometrics Bulletin 1), for the interval of their median
    how much        the median of all differences and its interval (Hodges and Lehmann 1963,
                    "Estimates of location based on rank tests", Annals of Mathematical
                    Statistics 34; the interval as in Bauer 1972, "Constructing confidence sets
                    using rank statistics", Journal of the American Statistical Association 67)
    two counts      Fisher's exact test (Fisher 1922)
    many of them    the step-down correction of Holm 1979, "A simple sequentially rejective
                    multiple test procedure", Scandinavian Journal of Statistics 6

Nothing is assumed of how repeats are distributed, so one repeat that something disturbed cannot
decide a comparison. Ties take middle ranks, and the distribution is then that of these ranks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import comb, sqrt
from statistics import NormalDist
from typing import Final

import numpy as np

from harness.arrays import F64

EXACT_MAX: Final = 60
"""Up to so many repeats in all the distribution is counted out; beyond, its normal limit."""
CONFIDENCE: Final = 0.95


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one group lies above another: the estimate, its interval, the chance of chance."""

    estimate: float
    interval: tuple[float, float] | None
    """At 95 %; None where so few repeats give none."""
    p: float
    """Two-sided: how often chance alone puts the groups at least so far apart."""


def between(base: Sequence[float], now: Sequence[float]) -> Shift:
    """How far `now` lies above `base`: two groups of at least one value each."""
    first, second = np.asarray(base, np.float64), np.asarray(now, np.float64)
    doubled = _doubled_ranks(np.concatenate([first, second]))
    chance = _sum_of(doubled, len(second))
    p = _two_sided(chance, float(doubled[len(first) :].sum()))
    differences = np.sort((second[None, :] - first[:, None]).ravel())
    # The smallest sum of ranks is that of the first ones; the distribution of the statistic U
    # behind the interval is the one without ties.
    plain = _untied_sum(len(first) + len(second), len(second))
    return Shift(float(np.median(differences)), _interval(differences, plain), p)


def within(differences: Sequence[float]) -> Shift:
    """How far the differences of pairs lie above zero: at least one."""
    found = np.asarray(differences, np.float64)
    firsts, seconds = np.triu_indices(len(found))
    walsh = np.sort((found[firsts] + found[seconds]) / 2)
    moved = found[found != 0]
    p = 1.0
    if len(moved):
        doubled = _doubled_ranks(np.abs(moved))
        p = _two_sided(_any_of(doubled), float(doubled[moved > 0].sum()))
    plain = _untied_any(len(found))
    return Shift(float(np.median(walsh)), _interval(walsh, plain), p)


def in_rounds(rounds: Sequence[tuple[float, float, float]]) -> float:
    """Two-sided p of rounds of base, now, base: how often chance alone gives the run in the middle
    so low or so high places among the three of its round, all rounds together.

    A round whose base was disturbed costs one place, however large the disturbance was, and where
    the machine gets slower or faster all the time the run in the middle is in the middle.
    """
    chances, own = np.ones(1), 0.0
    for each in rounds:
        doubled = _doubled_ranks(np.asarray(each, np.float64))
        own += float(doubled[1])
        moved = np.zeros(len(chances) + 6)
        for rank in doubled.astype(int):
            moved[rank : rank + len(chances)] += chances / 3
        chances = moved
    return _two_sided(_Distribution(chances), own)


def smallest_p(base: int, now: int) -> float:
    """The least p that `between` can give for so many repeats."""
    return 2 / comb(base + now, now)


def smallest_p_in_rounds(rounds: int) -> float:
    """The least p that `in_rounds` can give for so many of them."""
    return min(1.0, 2 / 3.0**rounds)


def fisher(base_hits: int, base: int, now_hits: int, now: int) -> float:
    """Two-sided p of so many hits out of so many: no more likely tables than this one, summed."""
    hits, total = base_hits + now_hits, base + now
    lowest, highest = max(0, hits - base), min(hits, now)

    def ways(count: int) -> int:
        return comb(now, count) * comb(base, hits - count)

    own = ways(now_hits)
    found = sum(each for count in range(lowest, highest + 1) if (each := ways(count)) <= own)
    return found / comb(total, hits)


def holm(chances: Sequence[float]) -> list[float]:
    """Each p as it counts among all of them: the smallest times their number, and so on."""
    adjusted, worst = [0.0] * len(chances), 0.0
    for place, number in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        worst = max(worst, min(1.0, chances[number] * (len(chances) - place)))
        adjusted[number] = worst
    return adjusted


def _doubled_ranks(values: F64) -> F64:
    """Twice the rank of each value, so that the middle ranks of ties are whole numbers."""
    order = np.sort(values)
    below = np.searchsorted(order, values, "left")
    upto = np.searchsorted(order, values, "right")
    return (below + upto + 1).astype(np.float64)


@dataclass(frozen=True, slots=True)
class _Distribution:
    """Of a sum of doubled ranks: the chance of 0, 1, 2 …, or mean and deviation of its limit."""

    chances: F64 | None
    mean: float = 0.0
    deviation: float = 0.0

    def at_most(self, value: float) -> float:
        if self.chances is not None:
            return float(self.chances[: int(value) + 1].sum()) if value >= 0 else 0.0
        # Doubled sums of whole ranks lie two apart: half a step is one.
        return NormalDist(self.mean, self.deviation).cdf(value + 1) if self.deviation else 1.0

    def at_least(self, value: float) -> float:
        if self.chances is not None:
            return float(self.chances[max(0, int(value)) :].sum())
        return 1 - NormalDist(self.mean, self.deviation).cdf(value - 1) if self.deviation else 1.0


def _sum_of(doubled: F64, count: int) -> _Distribution:
    """The sum of `count` of these ranks, any of them with the same chance."""
    total = len(doubled)
    if total > EXACT_MAX:
        mean = count * float(doubled.mean())
        spread = float(doubled.var()) * count * (total - count) / (total - 1)
        return _Distribution(None, mean, sqrt(spread))
    ways = np.zeros((count + 1, int(doubled.sum()) + 1))
    ways[0, 0] = 1
    for rank in doubled.astype(int):
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    return _Distribution(ways[count] / comb(total, count))


def _any_of(doubled: F64) -> _Distribution:
    """The sum of those of these ranks that a fair coin chooses."""
    if len(doubled) > EXACT_MAX:
        return _Distribution(None, float(doubled.sum()) / 2, sqrt(float((doubled**2).sum()) / 4))
    chances = np.zeros(int(doubled.sum()) + 1)
    chances[0] = 1
    for rank in doubled.astype(int):
        moved = np.zeros_like(chances)
        moved[rank:] = chances[: len(chances) - rank]
        chances = (chances + moved) / 2
    return _Distribution(chances)


@cache
def _untied_sum(total: int, count: int) -> _Distribution:
    return _sum_of(2 * np.arange(1, total + 1, dtype=np.float64), count)


@cache
def _untied_any(total: int) -> _Distribution:
    return _any_of(2 * np.arange(1, total + 1, dtype=np.float64))


def _two_sided(chance: _Distribution, value: float) -> float:
    return min(1.0, 2 * min(chance.at_most(value), chance.at_least(value)))


def _interval(ordered: F64, chance: _Distribution) -> tuple[float, float] | None:
    """From the c-th smallest of the differences to the c-th largest.

    c is the largest number for which the statistic, which counts differences above a value, is
    below c with at most half of what 95 % leave. `chance` is that of the doubled sum of ranks,
    which is twice the statistic and a constant.
    """
    exact = chance.chances
    lowest = chance.mean - len(ordered) if exact is None else float(np.flatnonzero(exact)[0])
    c = 0
    while c < len(ordered) // 2 and chance.at_most(lowest + 2 * c) <= (1 - CONFIDENCE) / 2:
        c += 1
    return (float(ordered[c - 1]), float(ordered[-c])) if c else None
