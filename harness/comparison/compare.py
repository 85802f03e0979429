"""Both sides to one comparison. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from harness.comparison.conditions import (
    Difference,
    another_machine,
    differences,
    refuse,
)
from harness.comparison.figures import (
    BETTER,
    NOT_SHOWN,
    WORSE,
    FigureChange,
    FigureSides,
    judge_figures,
)
from harness.comparison.measured import BENCH, FigureValues, InTurn, Side
from harness.comparison.promises import PromiseChange, judge_promise, pairs_of
from harness.errors import EXIT_BROKEN, EXIT_INCONCLUSIVE, EXIT_KEPT, UsageError

COMPARISON_SCHEMA: Final = "delivery-comparison/1"
NOT_WORSE: Final = "not_worse"
APART: Final = (
    "rank-sum test of all repeats (Mann and Whitney 1947), ratio and 95 % interval of Hodges and "
    "Lehmann (1963), Holm's correction (1979) over all figures at 5 %"
)
IN_TURN: Final = (
    "rank-sum test within the rounds base, now, base (van Elteren 1960), ratio and 95 % interval "
    "of Hodges and Lehmann (1963), Holm's correction (1979) over all figures at 5 %"
)
UNKNOWN_NOISE: Final = (
    "what two benches of the same code differ by is not measured; give --again, a second bench of "
    "the base, or use harness bench --against"
)


@dataclass(frozen=True, slots=True)
class Options:
    """How to compare. only: figures whose name holds one of these texts; counts_from: the smallest
    change that counts for every figure, as a share; None: each figure's."""

    only: tuple[str, ...] = ()
    counts_from: float | None = None
    allow_different: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `harness compare` found; its JSON document is `to_json`."""

    kind: str
    verdict: str
    """`worse`; `not_worse`: a change for the worse that counts is excluded everywhere; else
    `not_shown`."""
    exit_code: int
    base: str
    now: str
    again: str | None
    repeats: list[int]
    """Of base and now."""
    method: str
    differences: list[Difference]
    promises: list[PromiseChange]
    figures: list[FigureChange]
    notes: list[str] = field(default_factory=list)
    schema: str = COMPARISON_SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        return asdict(self)

    def with_verdict(self, verdict: str) -> list[FigureChange | PromiseChange]:
        """Promises, then figures, of which this was found."""
        found: list[FigureChange | PromiseChange] = [*self.promises, *self.figures]
        return [each for each in found if each.verdict == verdict]


def compare(
    base: Side, now: Side, again: Side | None = None, options: Options | None = None
) -> Comparison:
    """Compare two sides measured apart; `again` is the base, measured once more after `now`.

    Raises UsageError for sides that cannot be compared, or that were not measured in the same way.
    """
    options = options or Options()
    for other in (now, again):
        if other is not None and other.kind != base.kind:
            raise UsageError(
                f"compare: {base.name} holds {base.kind}, {other.name} {other.kind}. Compare runs "
                "with runs and benches with benches."
            )
    found = differences(base.conditions, now.conditions)
    if again is not None:
        found += [each for each in differences(base.conditions, again.conditions)
                  if each not in found]  # fmt: skip
    if not options.allow_different:
        refuse(found)
    machine = "" if options.allow_different else another_machine(found)
    sides = [
        FigureSides(
            name=name,
            scale=figure.scale,
            base=_values(base, name),
            now=_values(now, name),
            again=[] if again is None else _values(again, name),
            withheld=machine
            or _doubt(name, base, now, again)
            or _withheld(base.kind, figure, again),
        )
        for name, figure in _chosen([base, now], options).items()
    ]
    notes = [f"{side.name}: {note}" for side in (base, now, again) if side for note in side.notes]
    return _comparison(base, now, None if again is None else again.name, APART, found, sides, notes)


def compare_in_turn(measured: InTurn, options: Options | None = None) -> Comparison:
    """Compare what was measured in turn, base, now and base again. Raises UsageError."""
    options = options or Options()
    base, now = measured.base, measured.now
    found = differences(base.conditions, now.conditions)
    sides = []
    for name, figure in _chosen([base, now], options).items():
        rounds = measured.rounds(name)
        first, second, third = zip(*rounds, strict=True) if rounds else ((), (), ())
        doubt = _doubt(name, base, now, measured.again)
        sides.append(
            FigureSides(name, figure.scale, first, second, third, in_turn=True, withheld=doubt)
        )
    return _comparison(base, now, base.name, IN_TURN, found, sides, [*base.notes, *now.notes])


def _comparison(
    base: Side,
    now: Side,
    again: str | None,
    method: str,
    found: list[Difference],
    sides: list[FigureSides],
    notes: list[str],
) -> Comparison:
    pairs = pairs_of(base.promises, now.promises)
    chances = [pair.p for pair in pairs]
    tested = [p for p in chances if p is not None]
    figures, corrected = judge_figures(sides, tested)
    of_tested = iter(corrected)
    promises = [
        judge_promise(pair, None if p is None else next(of_tested))
        for pair, p in zip(pairs, chances, strict=True)
    ]
    if not promises and not figures:
        raise UsageError(f"compare: {base.name} and {now.name} have nothing in common to compare.")
    verdict = _verdict([*promises, *figures])
    code = {WORSE: EXIT_BROKEN, NOT_WORSE: EXIT_KEPT, NOT_SHOWN: EXIT_INCONCLUSIVE}[verdict]
    return Comparison(
        kind=base.kind,
        verdict=verdict,
        exit_code=code,
        base=base.name,
        now=now.name,
        again=again,
        repeats=[base.repeats, now.repeats],
        method=method,
        differences=found,
        promises=promises,
        figures=figures,
        notes=list(dict.fromkeys(notes)),
    )


def _verdict(found: Sequence[FigureChange | PromiseChange]) -> str:
    if any(each.verdict == WORSE for each in found):
        return WORSE
    every = all(each.not_worse or each.verdict == BETTER for each in found)
    return NOT_WORSE if every else NOT_SHOWN


def _values(side: Side, name: str) -> list[float]:
    figure = side.figure(name)
    return [] if figure is None else figure.values


def _doubt(name: str, *sides: Side | None) -> str:
    """Why the values of a side say nothing; empty where they do."""
    known = [side.figure(name) for side in sides if side is not None]
    return next((each.doubt for each in known if each is not None and each.doubt), "")


def _withheld(kind: str, figure: FigureValues, again: Side | None) -> str:
    """A ratio to Kafka's own tool, measured in the same pair, needs no second bench of the base."""
    alone = kind == BENCH and again is None and figure.scale.unit != "ratio"
    return UNKNOWN_NOISE if alone else ""


def _chosen(sides: Sequence[Side], options: Options) -> dict[str, FigureValues]:
    """Figures of either side by name. Raises UsageError for a text that fits none."""
    known = {figure.name: figure for side in sides for figure in side.figures}
    for text in options.only:
        if not any(text in name for name in known):
            raise UsageError(
                f"compare: --figure {text!r} fits no figure. There are: {', '.join(known)}."
            )
    chosen = {
        name: figure
        for name, figure in known.items()
        if not options.only or any(text in name for text in options.only)
    }
    if options.counts_from is None:
        return chosen
    return {
        name: replace(figure, scale=replace(figure.scale, counts_from=options.counts_from))
        for name, figure in chosen.items()
    }
