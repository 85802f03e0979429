"""One figure on two sides: better, worse or not shown. Pure.

Figures are compared as ratios, now over base: the tests work on logarithms. Values below the
figure's floor count as the floor. What is called a difference must pass two questions:

    is it more than chance?    p of the rank test, corrected for the number of figures (Holm)
    does it count?             the estimated ratio is at least the smallest change that counts,
                               and more than the two measurements of the base differ

One measurement against one shows nothing, whatever it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp, log
from statistics import median
from typing import Final

from harness.comparison.measured import LOWER, FigureScale
from harness.comparison.ranks import (
    Shift,
    between,
    holm,
    in_rounds,
    smallest_p,
    smallest_p_in_rounds,
    within,
)

BETTER: Final = "better"
WORSE: Final = "worse"
NOT_SHOWN: Final = "not_shown"
ALPHA: Final = 0.05
_REPEATS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class FigureSides:
    """The values of a figure on both sides; `again`: the base, measured a second time.

    in_turn: the values at one place of all three belong to one round.
    """

    name: str
    scale: FigureScale
    base: Sequence[float]
    now: Sequence[float]
    again: Sequence[float] = ()
    in_turn: bool = False
    withheld: str = ""
    """Why a difference of this figure may be one of the machine; empty where it is not."""


@dataclass(frozen=True, slots=True)
class FigureChange:
    """What became of a figure."""

    figure: str
    unit: str
    better_is: str
    """`lower` or `higher`"""
    verdict: str
    """`better`, `worse` or `not_shown`"""
    not_worse: bool
    """Is a change for the worse that counts excluded, with 95 % confidence?"""
    ratio: float | None
    """Now over base; null without values on both sides."""
    interval: list[float] | None
    """Of the ratio, at 95 %, for this figure alone; null for too few repeats."""
    p: float | None
    """Corrected for the number of figures."""
    noise: float | None
    """How far the two measurements of the base lie apart, as a share; null where there is one."""
    counts_from: float
    """The smallest change that counts, as a share."""
    base_median: float | None
    now_median: float | None
    base_repeats: int
    now_repeats: int
    reason: str


@dataclass(frozen=True, slots=True)
class _Tested:
    sides: FigureSides
    shift: Shift | None
    """Of logarithms; above zero means worse."""
    noise: float | None
    """Of logarithms, never below zero."""
    apart: float | None
    """How far now lies from the nearer one of the two bases; as `shift` where there is one."""


def judge_figures(
    figures: Sequence[FigureSides], further: Sequence[float] = ()
) -> tuple[list[FigureChange], list[float]]:
    """Judge figures together with other tests of the same comparison.

    further: the p of those. Returns a finding for each figure, and the corrected p of the others.
    """
    tested = [_test(each) for each in figures]
    known = [each.shift.p for each in tested if each.shift is not None]
    corrected = holm([*known, *further])
    own = iter(corrected[: len(known)])
    findings = [
        _finding(each, None if each.shift is None else next(own), len(corrected)) for each in tested
    ]
    return findings, corrected[len(known) :]


def repeats_needed(figures: int, *, in_turn: bool = False) -> int:
    """How many repeats of each side, or rounds, can show a difference among so many figures."""
    for count in range(2, _REPEATS_MAX):
        least = smallest_p_in_rounds(count) if in_turn else smallest_p(count, count)
        if least * max(1, figures) < ALPHA:
            return count
    return _REPEATS_MAX


def _logs(values: Sequence[float], scale: FigureScale) -> list[float]:
    """Logarithms in which more is worse."""
    sign = 1 if scale.better == LOWER else -1
    return [sign * log(max(value, scale.floor)) for value in values]


def _test(sides: FigureSides) -> _Tested:
    base, now, again = (_logs(each, sides.scale) for each in (sides.base, sides.now, sides.again))
    if len(base) < 2 or len(now) < 2 or sides.withheld:
        return _Tested(sides, None, None, None)
    if sides.in_turn:
        rounds = list(zip(base, now, again, strict=True))
        shift = within([each - (a + b) / 2 for a, each, b in rounds])
        shift = replace(shift, p=in_rounds(rounds))
        noise = abs(within([b - a for a, _, b in rounds]).estimate)
        return _Tested(sides, shift, noise, shift.estimate)
    shift = between([*base, *again], now)
    if len(again) < 2:
        return _Tested(sides, shift, None, shift.estimate)
    from_each = [between(each, now).estimate for each in (base, again)]
    same_side = from_each[0] * from_each[1] > 0
    apart = min(from_each, key=abs) if same_side else 0.0
    return _Tested(sides, shift, abs(between(base, again).estimate), apart)


def _finding(tested: _Tested, p: float | None, family: int) -> FigureChange:
    sides, scale, shift = tested.sides, tested.sides.scale, tested.shift
    counts = log(1 + scale.counts_from)
    if shift is None or p is None or tested.apart is None:
        verdict, not_worse, ratio, interval = NOT_SHOWN, False, _of_medians(sides), None
        reason = _why_untested(sides)
    else:
        enough = max(counts, tested.noise or 0.0)
        verdict = NOT_SHOWN
        if p < ALPHA and abs(tested.apart) >= enough:
            verdict = WORSE if tested.apart > 0 else BETTER
        not_worse = verdict != WORSE and shift.interval is not None and shift.interval[1] < counts
        ratio, interval = _ratios(shift, scale)
        reason = _why(tested, shift, p, verdict, not_worse, family)
    return FigureChange(
        figure=sides.name,
        unit=scale.unit,
        better_is=scale.better,
        verdict=verdict,
        not_worse=not_worse,
        ratio=ratio,
        interval=interval,
        p=None if p is None else round(p, 5),
        noise=None if tested.noise is None else round(exp(tested.noise) - 1, 4),
        counts_from=scale.counts_from,
        base_median=median([*sides.base, *sides.again]) if sides.base else None,
        now_median=median(sides.now) if sides.now else None,
        base_repeats=len(sides.base) + len(sides.again),
        now_repeats=len(sides.now),
        reason=reason,
    )


def _ratios(shift: Shift, scale: FigureScale) -> tuple[float, list[float] | None]:
    sign = 1 if scale.better == LOWER else -1
    interval = None
    if shift.interval is not None:
        interval = sorted(round(exp(sign * each), 4) for each in shift.interval)
    return round(exp(sign * shift.estimate), 4), interval


def _of_medians(sides: FigureSides) -> float | None:
    """What one run of each says, which shows nothing."""
    if not sides.base or not sides.now:
        return None
    base, now = (max(median(each), sides.scale.floor) for each in (sides.base, sides.now))
    return round(now / base, 4)


def _why_untested(sides: FigureSides) -> str:
    if not sides.base or not sides.now:
        return f"measured only {'now' if sides.now else 'in the base'}"
    if sides.withheld and len(sides.base) > 1 and len(sides.now) > 1:
        return sides.withheld
    if len(sides.base) == len(sides.now) == 1:
        return "one run each; give repeats"
    side = "the base" if len(sides.base) < 2 else "now"
    return f"one run of {side}; give repeats"


def _why(
    tested: _Tested, shift: Shift, p: float, verdict: str, not_worse: bool, family: int
) -> str:
    sides, apart = tested.sides, tested.apart or 0.0
    if verdict != NOT_SHOWN:
        return f"p {p:.2g} after the correction for {family} figures"
    if p < ALPHA:
        size, least = exp(abs(apart)) - 1, exp(tested.noise or 0.0) - 1
        if abs(apart) < log(1 + sides.scale.counts_from):
            return f"a difference of {size:.1%} is shown, and {sides.scale.counts_from:.0%} counts"
        return f"a difference of {size:.1%}; the base itself differs by {least:.1%} from the base"
    if not_worse:
        return f"no difference is shown, and {sides.scale.counts_from:.0%} worse is excluded"
    base, now = len(sides.base) + (0 if sides.in_turn else len(sides.again)), len(sides.now)
    least = smallest_p_in_rounds(now) if sides.in_turn else smallest_p(base, now)
    if least * family >= ALPHA:
        needed = repeats_needed(family, in_turn=sides.in_turn)
        have = f"{now} rounds" if sides.in_turn else f"{base} and {now} repeats"
        return f"{have} are too few for {family} figures; give {needed}, or choose figures"
    worst = "" if shift.interval is None else f"; up to {exp(shift.interval[1]) - 1:.0%} worse"
    return f"no difference is shown{worst} is possible" if worst else "no difference is shown"
