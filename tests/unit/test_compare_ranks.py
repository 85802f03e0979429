"""Rank tests: published tables, brute force over every arrangement, and what must always hold."""

from __future__ import annotations

from itertools import combinations, product
from math import comb, isclose

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.comparison.ranks import (
    EXACT_MAX,
    between,
    fisher,
    holm,
    in_rounds,
    smallest_p,
    smallest_p_in_rounds,
    within,
)

few = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=5)
apart = st.lists(
    st.floats(-1e3, 1e3, allow_nan=False).map(lambda each: round(each, 3)),
    min_size=4,
    max_size=12,
    unique=True,
)


def middle_ranks(values: list[float]) -> list[float]:
    """The definition: the mean of the places that equal values take."""
    order = sorted(values)
    return [
        np.mean([place for place, each in enumerate(order, 1) if each == value]).item()
        for value in values
    ]


@given(few, few)
def test_p_of_two_groups_is_the_share_of_arrangements_that_are_as_far_out(
    base: list[float], now: list[float]
) -> None:
    ranks = middle_ranks([*base, *now])
    own = sum(ranks[len(base) :])
    sums = [sum(chosen) for chosen in combinations(ranks, len(now))]
    below = sum(each <= own + 1e-9 for each in sums) / len(sums)
    above = sum(each >= own - 1e-9 for each in sums) / len(sums)
    assert isclose(between(base, now).p, min(1.0, 2 * min(below, above)), rel_tol=1e-9)


@given(few)
def test_p_of_pairs_is_the_share_of_signs_that_are_as_far_out(differences: list[float]) -> None:
    moved = [each for each in differences if each]
    ranks = middle_ranks([abs(each) for each in moved])
    own = sum(rank for rank, each in zip(ranks, moved, strict=True) if each > 0)
    sums = [
        sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign)
        for signs in product((0, 1), repeat=len(ranks))
    ]
    below = sum(each <= own + 1e-9 for each in sums) / len(sums)
    above = sum(each >= own - 1e-9 for each in sums) / len(sums)
    assert isclose(within(differences).p, min(1.0, 2 * min(below, above)), rel_tol=1e-9)


@given(st.lists(st.tuples(*[st.integers(0, 3).map(float)] * 3), min_size=1, max_size=5))
def test_p_of_rounds_is_the_share_of_places_of_the_run_in_the_middle(
    rounds: list[tuple[float, float, float]],
) -> None:
    ranks = [middle_ranks(list(each)) for each in rounds]
    own = sum(each[1] for each in ranks)
    sums = [sum(places) for places in product(*ranks)]
    below = sum(each <= own for each in sums) / len(sums)
    above = sum(each >= own for each in sums) / len(sums)
    assert isclose(in_rounds(rounds), min(1.0, 2 * min(below, above)), rel_tol=1e-9)


@pytest.mark.parametrize(
    ("base", "now", "u"),
    # The largest U of the smaller tail at 5 %, two-sided, of the usual tables.
    [(4, 4, 0), (5, 5, 2), (6, 6, 5), (7, 7, 8), (8, 8, 13), (5, 8, 6), (10, 10, 23)],
)
def test_the_interval_ends_where_the_tables_of_the_rank_sum_test_say(
    base: int, now: int, u: int
) -> None:
    first = [float(each) for each in range(base)]
    second = [1000.0 * (each + 1) for each in range(now)]
    ordered = sorted(b - a for a in first for b in second)
    found = between(first, second)
    assert found.interval == (ordered[u], ordered[-1 - u])


@pytest.mark.parametrize(
    ("pairs", "w"), [(6, 0), (7, 2), (8, 3), (9, 5), (10, 8), (12, 13), (15, 25), (20, 52)]
)
def test_the_interval_ends_where_the_tables_of_the_signed_rank_test_say(pairs: int, w: int) -> None:
    values = [2.0**each for each in range(pairs)]
    walsh = sorted((values[i] + values[j]) / 2 for i in range(pairs) for j in range(i, pairs))
    assert within(values).interval == (walsh[w], walsh[-1 - w])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_three_repeats_of_each_give_no_interval(count: int) -> None:
    values = [float(each) for each in range(count)]
    assert between(values, [each + 10 for each in values]).interval is None
    assert within([each + 1 for each in values]).interval is None


@given(apart, apart, st.floats(-50, 50).map(lambda each: round(each, 3)))
def test_moving_one_group_moves_the_estimate_and_its_interval_as_far(
    base: list[float], now: list[float], by: float
) -> None:
    still, moved = between(base, now), between(base, [each + by for each in now])
    assert moved.estimate == pytest.approx(still.estimate + by, abs=1e-6)
    assert still.interval is not None
    assert moved.interval == pytest.approx([each + by for each in still.interval], abs=1e-6)


@given(apart, apart)
def test_two_groups_the_other_way_round_give_the_opposite(
    base: list[float], now: list[float]
) -> None:
    one, other = between(base, now), between(now, base)
    assert one.estimate == pytest.approx(-other.estimate)
    assert one.p == pytest.approx(other.p)
    assert one.interval is not None
    assert one.interval[0] <= one.estimate <= one.interval[1]


@given(apart, apart)
def test_nothing_is_less_likely_than_groups_that_do_not_overlap(
    base: list[float], now: list[float]
) -> None:
    far = between(base, [each + 1e4 for each in now])
    assert far.p == pytest.approx(smallest_p(len(base), len(now)))
    assert between(base, now).p >= far.p * (1 - 1e-9)
    assert within([abs(each) + 1 for each in base]).p == pytest.approx(2 / 2.0 ** len(base))
    rounds = [(each, abs(each) + 1e4, -each) for each in base]
    assert in_rounds(rounds) == pytest.approx(smallest_p_in_rounds(len(base)))


@given(st.integers(0, 10**6))
def test_with_many_repeats_the_limit_agrees_with_the_count(seed: int) -> None:
    chance = np.random.default_rng(seed)
    half = EXACT_MAX // 2
    base, now = list(chance.normal(size=half)), list(chance.normal(0.3, 1, size=half))
    pairs = list(chance.normal(0.2, 1, size=EXACT_MAX))
    counted = between(base, now), within(pairs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.comparison.ranks.EXACT_MAX", 0)
        limits = between(base, now), within(pairs)
    for exact, limit in zip(counted, limits, strict=True):
        assert limit.p == pytest.approx(exact.p, abs=0.01)
        assert exact.interval is not None
        assert limit.interval == pytest.approx(exact.interval, abs=0.05)


@pytest.mark.parametrize(
    ("table", "p"),
    # Fisher's tea: all four cups of each kind named rightly, or three of four.
    [((0, 4, 4, 4), 2 / 70), ((1, 4, 3, 4), 34 / 70), ((0, 10, 0, 10), 1.0), ((0, 3, 3, 3), 0.1)],
)
def test_fishers_test_of_two_counts(table: tuple[int, int, int, int], p: float) -> None:
    assert fisher(*table) == pytest.approx(p)


def test_the_correction_for_many_figures_steps_down() -> None:
    # 0.01 times four, 0.02 times three, 0.03 times two, and 0.04, which may not be less.
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_a_corrected_chance_is_never_smaller_and_keeps_the_order(chances: list[float]) -> None:
    found = holm(chances)
    assert all(each >= raw for each, raw in zip(found, chances, strict=True))
    assert all(each <= min(1.0, raw * len(chances) + 1e-12)
               for each, raw in zip(found, chances, strict=True))  # fmt: skip
    order = sorted(range(len(chances)), key=chances.__getitem__)
    assert [found[each] for each in order] == sorted(found)


def test_the_smallest_chance_is_two_of_all_arrangements() -> None:
    assert smallest_p(5, 5) == 2 / comb(10, 5)
    assert smallest_p_in_rounds(6) == 2 / 729
    assert smallest_p_in_rounds(1) == 2 / 3
