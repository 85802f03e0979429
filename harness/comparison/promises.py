"""One promise on two sides. Pure.

A promise that was kept and is broken now is worse by itself: one witness is enough, it needs no
repeats. That a promise was broken and is kept now says little, since what breaks it is a race; so
do different shares of broken runs. There the numbers of runs decide, by Fisher's exact test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.comparison.figures import ALPHA, BETTER, NOT_SHOWN, WORSE
from harness.comparison.measured import PromiseTally
from harness.comparison.ranks import fisher
from harness.rundir.verdict import BROKEN, INCONCLUSIVE, KEPT


@dataclass(frozen=True, slots=True)
class PromiseChange:
    """What became of a promise."""

    profile: str
    promise: str
    verdict: str
    """`better`, `worse` or `not_shown`"""
    not_worse: bool
    """Kept now in every run that judged it, or broken no more often than before?"""
    base: dict[str, int]
    """verdict → in how many runs"""
    now: dict[str, int]
    reason: str


@dataclass(frozen=True, slots=True)
class PromisePair:
    """A promise as both sides have it; an empty tally where a side does not."""

    profile: str
    promise: str
    base: Mapping[str, int]
    now: Mapping[str, int]
    reason: str = ""
    """Of a run of now that broke it."""

    @property
    def p(self) -> float | None:
        """Of Fisher's test, where there is anything to test: the base broke it as well."""
        base, now = _judged(self.base), _judged(self.now)
        if not base or not now or not self.base.get(BROKEN):
            return None
        return fisher(self.base[BROKEN], base, self.now.get(BROKEN, 0), now)


def pairs_of(base: Sequence[PromiseTally], now: Sequence[PromiseTally]) -> list[PromisePair]:
    """Every promise of either side, in the order of `now`."""
    first = {(each.profile, each.promise): each for each in base}
    second = {(each.profile, each.promise): each for each in now}
    found = []
    for profile, promise in {**second, **first}:
        ours, theirs = second.get((profile, promise)), first.get((profile, promise))
        found.append(
            PromisePair(
                profile,
                promise,
                {} if theirs is None else theirs.runs,
                {} if ours is None else ours.runs,
                "" if ours is None else ours.reason,
            )
        )
    return found


def judge_promise(pair: PromisePair, p: float | None) -> PromiseChange:
    """p: of `PromisePair.p`, corrected for everything that the comparison tests."""
    verdict, not_worse, reason = _judged_as(pair, p)
    return PromiseChange(
        pair.profile, pair.promise, verdict, not_worse, dict(pair.base), dict(pair.now), reason
    )


def _judged(runs: Mapping[str, int]) -> int:
    return runs.get(KEPT, 0) + runs.get(BROKEN, 0)


def _judged_as(pair: PromisePair, p: float | None) -> tuple[str, bool, str]:
    base, now = _judged(pair.base), _judged(pair.now)
    before, broken = pair.base.get(BROKEN, 0), pair.now.get(BROKEN, 0)
    if not pair.now:
        return NOT_SHOWN, False, "not in the runs of now"
    if not now:
        judged = INCONCLUSIVE in pair.now
        return NOT_SHOWN, not judged, "inconclusive now" if judged else "does not apply now"
    if not base:
        was = "inconclusive in the base" if pair.base else "not in the base"
        if broken:
            return NOT_SHOWN, False, f"broken in {broken} of {now} runs; {was}"
        return NOT_SHOWN, True, f"kept; {was}"
    if broken and not before:
        return WORSE, False, f"kept before, broken in {broken} of {now} runs: {pair.reason}"
    if not broken and not before:
        return NOT_SHOWN, True, "kept as before"
    shares = f"broken in {broken} of {now} runs, before in {before} of {base}"
    if p is not None and p < ALPHA:
        worse = broken / now > before / base
        return (WORSE if worse else BETTER), not worse, f"{shares}; p {p:.2g}"
    return NOT_SHOWN, broken / now <= before / base, f"{shares}: no difference is shown"
