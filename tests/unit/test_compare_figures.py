"""Better, worse or not shown: truth tables, and what holds whatever the values are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.comparison.compare import Options, compare, compare_in_turn
from harness.comparison.conditions import differences
from harness.comparison.figures import FigureSides, judge_figures, repeats_needed
from harness.comparison.measured import (
    BENCH,
    HIGHER,
    LOWER,
    RUNS,
    Conditions,
    FigureScale,
    FigureValues,
    InTurn,
    PromiseTally,
    Side,
)
from harness.errors import UsageError

CPU = FigureScale("µs", LOWER, floor=0.01, counts_from=0.05)
RATE = FigureScale("records/s", HIGHER, floor=0.01, counts_from=0.05)
STEADY = [1.0, 1.01, 0.99, 1.02, 0.98, 1.005]
NOISY = [0.7, 1.5, 1.1, 0.8, 1.3, 0.95]


def times(factor: float, values: list[float] = STEADY) -> list[float]:
    return [each * factor for each in values]


def finding(base: list[float], now: list[float], scale: FigureScale = CPU, **more: Any):
    ((found,), _) = judge_figures([FigureSides("figure", scale, base, now, **more)])
    return found


@pytest.mark.parametrize(
    ("base", "now", "scale", "verdict", "not_worse"),
    [
        (STEADY, times(1.2), CPU, "worse", False),
        (STEADY, times(1.2), RATE, "better", True),
        (STEADY, times(0.8), CPU, "better", True),
        (STEADY, times(0.8), RATE, "worse", False),
        (STEADY, STEADY, CPU, "not_shown", True),
        (STEADY, times(1.045), CPU, "not_shown", False),
        (NOISY, times(1.1, NOISY), CPU, "not_shown", False),
        ([1.0], [2.0], CPU, "not_shown", False),
        ([1.0], times(2.0), CPU, "not_shown", False),
        (STEADY, [2.0], CPU, "not_shown", False),
        (STEADY[:3], times(2.0)[:3], CPU, "not_shown", False),
        (STEADY, [], CPU, "not_shown", False),
    ],
)
def test_what_is_made_of_two_groups(
    base: list[float], now: list[float], scale: FigureScale, verdict: str, not_worse: bool
) -> None:
    found = finding(base, now, scale)
    assert (found.verdict, found.not_worse) == (verdict, not_worse)


@pytest.mark.parametrize(
    ("base", "now", "reason"),
    [
        ([1.0], [2.0], "one run each; give repeats"),
        (STEADY, [2.0], "one run of now; give repeats"),
        ([1.0], STEADY, "one run of the base; give repeats"),
        (STEADY, [], "measured only in the base"),
        (STEADY[:3], times(2.0)[:3], "3 and 3 repeats are too few for 1 figures; give 4"),
        (STEADY, times(1.045), "a difference of 4.5% is shown, and 5% counts"),
        (STEADY, STEADY, "no difference is shown, and 5% worse is excluded"),
    ],
)
def test_why_nothing_is_shown(base: list[float], now: list[float], reason: str) -> None:
    assert finding(base, now).reason.startswith(reason)


def test_values_below_the_floor_are_not_told_apart() -> None:
    tiny = FigureScale("ms", LOWER, floor=1.0, counts_from=0.2)
    found = finding([0.1, 0.2, 0.1, 0.2, 0.1], [0.8, 0.9, 0.7, 0.8, 0.9], tiny)
    assert (found.verdict, found.ratio) == ("not_shown", 1.0)
    assert finding([0.0] * 5, [50.0] * 5, tiny).verdict == "worse"


@pytest.mark.parametrize(
    ("again", "verdict"),
    [
        (STEADY, "worse"),
        (times(1.1), "not_shown"),  # 20 % less 10 % of noise is not more than the noise
        (times(1.2), "not_shown"),
        (times(1.4), "not_shown"),
        (times(0.97), "worse"),
    ],
)
def test_a_difference_counts_only_beyond_what_the_two_bases_differ_by(
    again: list[float], verdict: str
) -> None:
    found = finding(STEADY, times(1.2), again=again)
    assert found.verdict == verdict


ROUNDS = 8


def test_measured_in_turn_a_drift_of_the_machine_is_halved_out() -> None:
    drift = np.exp(np.linspace(0, 1, 3 * ROUNDS)).reshape(ROUNDS, 3)
    base, now, again = (list(drift[:, place]) for place in range(3))
    same = finding(base, now, again=again, in_turn=True)
    assert (same.verdict, same.ratio) == ("not_shown", 1.0)
    assert finding(base, now).verdict == "not_shown"
    slower = finding(base, [each * 1.2 for each in now], again=again, in_turn=True)
    assert slower.verdict == "worse"
    assert slower.ratio == pytest.approx(1.2)


def test_measured_in_turn_what_changes_within_a_round_is_noise() -> None:
    found = finding(STEADY, times(1.1), again=times(1.3), in_turn=True)
    assert found.noise == pytest.approx(0.3, abs=0.01)
    assert found.verdict == "not_shown"


def test_the_same_values_show_less_among_many_figures() -> None:
    one = FigureSides("slower", CPU, STEADY[:5], times(1.3)[:5])
    others = [FigureSides(f"same {number}", CPU, STEADY[:5], STEADY[:5]) for number in range(6)]
    assert judge_figures([one])[0][0].verdict == "worse"
    among = judge_figures([one, *others])[0][0]
    assert among.verdict == "not_shown"
    assert among.reason == ("5 and 5 repeats are too few for 7 figures; give 6, or choose figures")
    assert repeats_needed(7) == 6
    assert judge_figures([one], [0.9] * 6)[0][0].verdict == "not_shown"


@pytest.mark.parametrize(
    ("figures", "in_turn", "needed"),
    [
        (1, False, 4),
        (2, False, 5),
        (23, False, 6),
        (24, False, 7),
        (40, False, 7),
        (1, True, 4),
        (2, True, 4),
        (6, True, 5),
    ],
)
def test_so_many_repeats_can_show_a_difference(figures: int, in_turn: bool, needed: int) -> None:
    assert repeats_needed(figures, in_turn=in_turn) == needed


positive = st.lists(st.floats(0.1, 10).map(lambda each: round(each, 3)), max_size=8)


@given(positive, positive, positive)
def test_one_run_against_one_is_never_worse(
    base: list[float], now: list[float], again: list[float]
) -> None:
    for scale in (CPU, RATE):
        found = finding(base[:1], now, scale, again=again[:1])
        assert found.verdict == "not_shown"
        assert not found.not_worse


@given(positive, positive)
def test_better_and_worse_change_places_with_the_direction(
    base: list[float], now: list[float]
) -> None:
    lower = finding(base, now, CPU)
    higher = finding(base, now, replace(CPU, better=HIGHER))
    opposite = {"worse": "better", "better": "worse", "not_shown": "not_shown"}
    assert higher.verdict == opposite[lower.verdict]
    assert higher.p == lower.p
    if lower.ratio is not None:
        assert higher.ratio == pytest.approx(lower.ratio, abs=2e-4)


@given(positive, positive, st.floats(0.5, 20))
def test_the_unit_changes_nothing(base: list[float], now: list[float], factor: float) -> None:
    scaled = replace(CPU, floor=CPU.floor * factor)
    one, other = finding(base, now), finding(times(factor, base), times(factor, now), scaled)
    assert one.verdict == other.verdict or one.p != other.p  # ties can part in the last digit


@given(st.integers(0, 10**6), st.floats(0.02, 0.4), st.integers(5, 9))
@settings(max_examples=50)
def test_more_of_a_slowdown_is_never_less_of_a_finding(seed: int, noise: float, count: int) -> None:
    chance = np.random.default_rng(seed)
    base, now = (list(np.exp(chance.normal(0, noise, count))) for _ in range(2))
    order = {"better": 0, "not_shown": 1, "worse": 2}
    found = [order[finding(base, times(factor, now)).verdict] for factor in (1, 1.2, 2, 50, 1e4)]
    assert found == sorted(found)
    assert found[-1] == 2


# -- promises and the whole ----------------------------------------------------------------------


def side(
    promises: dict[str, int] | None = None,
    *,
    figures: tuple[FigureValues, ...] = (),
    kind: str = RUNS,
    reason: str = "lost 3 acknowledged records",
    **conditions: dict[str, str],
) -> Side:
    tallies = [PromiseTally("idempotent", "no_lost", promises, reason)] if promises else []
    runs = sum((promises or {}).values()) or len(figures[0].values)
    return Side(kind, "side", runs, Conditions(**conditions), list(figures), tallies)


@pytest.mark.parametrize(
    ("base", "now", "verdict", "exit_code"),
    [
        ({"kept": 1}, {"kept": 1}, "not_worse", 0),
        ({"kept": 1}, {"broken": 1}, "worse", 1),  # by itself, from one run of each
        ({"kept": 9}, {"kept": 8, "broken": 1}, "worse", 1),
        ({"kept": 1, "inconclusive": 5}, {"broken": 1}, "worse", 1),
        ({"kept": 9, "broken": 1}, {"kept": 8, "broken": 2}, "not_shown", 3),
        ({"kept": 9, "broken": 1}, {"kept": 9, "broken": 1}, "not_worse", 0),
        ({"kept": 9, "broken": 1}, {"broken": 10}, "worse", 1),
        ({"broken": 10}, {"kept": 10}, "not_worse", 0),
        ({"broken": 1}, {"kept": 1}, "not_worse", 0),
        ({"broken": 1}, {"broken": 1}, "not_worse", 0),
        ({"kept": 1}, {"inconclusive": 1}, "not_shown", 3),
        ({"inconclusive": 1}, {"broken": 1}, "not_shown", 3),
        ({"inconclusive": 1}, {"kept": 1}, "not_worse", 0),
        ({"not_applicable": 1}, {"not_applicable": 1}, "not_worse", 0),
        ({"kept": 1}, None, "not_shown", 3),
        (None, {"broken": 1}, "not_shown", 3),
    ],
)
def test_what_became_of_a_promise(
    base: dict[str, int] | None, now: dict[str, int] | None, verdict: str, exit_code: int
) -> None:
    figure = FigureValues("rate", RATE, STEADY) if base is None or now is None else None
    figures = () if figure is None else (figure,)
    found = compare(side(base, figures=figures), side(now, figures=figures))
    assert (found.verdict, found.exit_code) == (verdict, exit_code)


def test_a_promise_that_was_broken_and_is_kept_is_better_only_with_repeats() -> None:
    (one,) = compare(side({"broken": 1}), side({"kept": 1})).promises
    assert one.verdict == "not_shown"
    (ten,) = compare(side({"broken": 10}), side({"kept": 10})).promises
    assert ten.verdict == "better"


def test_a_broken_promise_says_why() -> None:
    (found,) = compare(side({"kept": 3}), side({"broken": 1, "kept": 2})).promises
    assert found.reason == "kept before, broken in 1 of 3 runs: lost 3 acknowledged records"


HERE = {"processor": "A", "cores": "2"}
ELSEWHERE = {"processor": "B", "cores": "2"}
SLOWER = (FigureValues("rate", RATE, times(0.5)),)
BEFORE = (FigureValues("rate", RATE, STEADY),)


def test_on_another_machine_figures_are_not_shown_and_promises_are() -> None:
    base = side({"kept": 6}, figures=BEFORE, machine=HERE)
    found = compare(base, side({"kept": 6}, figures=SLOWER, machine=ELSEWHERE))
    assert found.verdict == "not_shown"
    assert found.figures[0].reason.startswith("measured on another machine (processor: A in the")
    broken = compare(base, side({"broken": 1}, figures=SLOWER, machine=ELSEWHERE))
    assert broken.verdict == "worse"
    allowed = compare(
        base,
        side({"kept": 6}, figures=SLOWER, machine=ELSEWHERE),
        options=Options(allow_different=True),
    )
    assert allowed.verdict == "worse"
    assert [str(each) for each in allowed.differences] == ["processor: A in the base, B now"]


@pytest.mark.parametrize("of", ["load", "settings"])
def test_what_was_measured_otherwise_is_refused_and_named(of: str) -> None:
    base, now = (
        replace(side({"kept": 1}), conditions=Conditions(**{of: {"rate": rate, "size": "200 B"}}))
        for rate in ("1000", "5000")
    )
    with pytest.raises(UsageError, match=r"rate: 1000 in the base, 5000 now.*--allow-different"):
        compare(base, now)
    assert compare(base, now, options=Options(allow_different=True)).exit_code == 0


def test_other_versions_are_named_and_compared() -> None:
    base = side({"kept": 1}, versions={"kafka": "4.1.0"})
    found = compare(base, side({"kept": 1}, versions={"kafka": "4.3.1"}))
    assert found.exit_code == 0
    assert [str(each) for each in found.differences] == ["kafka: 4.1.0 in the base, 4.3.1 now"]


def test_what_was_not_recorded_refuses_nothing_and_is_named() -> None:
    first = Conditions(machine={"cores": "2"}, load={"rate": "1"})
    second = Conditions(machine={"cores": "2", "processor": "A"})
    assert [(each.of, str(each)) for each in differences(first, second)] == [
        ("versions", "processor: not recorded in the base, A now"),
        ("versions", "load: recorded in the base, not recorded now"),
    ]


def test_runs_are_not_compared_with_benches() -> None:
    with pytest.raises(UsageError, match="runs with runs"):
        compare(side({"kept": 1}), side(figures=BEFORE, kind=BENCH))


def test_two_benches_show_a_rate_only_beside_a_second_bench_of_the_base() -> None:
    ratio = FigureValues("rate beside", replace(RATE, unit="ratio"), STEADY)
    base = side(figures=(*BEFORE, ratio), kind=BENCH)
    slower = replace(ratio, values=times(0.5))
    now = side(figures=(*SLOWER, slower), kind=BENCH)
    found = {each.figure: each.verdict for each in compare(base, now).figures}
    assert found == {"rate": "not_shown", "rate beside": "worse"}
    with_noise = {each.figure: each.verdict for each in compare(base, now, base).figures}
    assert with_noise == {"rate": "worse", "rate beside": "worse"}


def test_values_of_runs_that_were_too_short_show_nothing() -> None:
    doubted = (FigureValues("rate", RATE, times(0.5), "too short: 0.2 s"),)
    (found,) = compare(side(figures=BEFORE), side(figures=doubted)).figures
    assert (found.verdict, found.reason) == ("not_shown", "too short: 0.2 s")


def test_figures_can_be_chosen_and_what_counts_can_be_said() -> None:
    base = side(
        figures=(FigureValues("a rate", RATE, STEADY), FigureValues("b rate", RATE, STEADY))
    )
    now = side(
        figures=(FigureValues("a rate", RATE, times(0.8)), FigureValues("b rate", RATE, STEADY))
    )
    (found,) = compare(base, now, options=Options(only=("b ",))).figures
    assert found.figure == "b rate"
    assert compare(base, now, options=Options(counts_from=0.3)).exit_code == 0
    with pytest.raises(UsageError, match=r"--figure 'c' fits no figure\. There are: a rate, b"):
        compare(base, now, options=Options(only=("c",)))


def test_rounds_with_the_base_on_either_side_are_compared_in_turn() -> None:
    base, again = side(figures=BEFORE, kind=BENCH), side(figures=BEFORE, kind=BENCH)
    found = compare_in_turn(InTurn(base, side(figures=SLOWER, kind=BENCH), again))
    assert (found.verdict, found.exit_code) == ("worse", 1)
    assert "van Elteren" in found.method
