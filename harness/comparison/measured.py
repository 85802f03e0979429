"""What one side of a comparison is: figures by repeat, promises by run, and under what conditions.

The same data is what a baseline keeps (`harness.comparison.baseline`), so a side can be compared
long after its run directories are gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from harness.rundir.verdict_fields import Count, Name, Positive, one_of

RUNS: Final = "runs"
BENCH: Final = "bench"
LOWER: Final = "lower"
HIGHER: Final = "higher"
Kind: TypeAlias = Annotated[str, one_of(RUNS, BENCH)]
Better: TypeAlias = Annotated[str, one_of(LOWER, HIGHER)]


@dataclass(frozen=True, slots=True)
class FigureScale:
    """How a figure is read."""

    unit: str
    better: Better
    floor: Annotated[float, Meta(gt=0)]
    """In its unit: values below it count as equal, so nothing is made of 0.2 ms or 0.4 ms."""
    counts_from: Annotated[float, Meta(gt=0)]
    """The smallest change that counts, as a share of the base."""


@dataclass(frozen=True, slots=True)
class FigureValues:
    """One figure, with a value for each repeat that has one."""

    name: Name
    scale: FigureScale
    values: list[float]
    doubt: str = ""
    """Why its values say nothing, such as that they are of runs that were too short."""


@dataclass(frozen=True, slots=True)
class PromiseTally:
    """One promise of one profile: in how many runs it ended with each verdict."""

    profile: Name
    promise: Name
    runs: dict[str, Positive]
    reason: str = ""
    """Of a run that broke it."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what a side was measured, as text; no secret, no host name."""

    machine: dict[str, str] = field(default_factory=dict)
    """Processor, cores, memory."""
    load: dict[str, str] = field(default_factory=dict)
    """Rate, schedule, size …, experiments, and how long a run is."""
    settings: dict[str, str] = field(default_factory=dict)
    """`profile: producer.acks` → value"""
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Side:
    """One side."""

    kind: Kind
    name: str
    """Where it was read from."""
    repeats: Count
    conditions: Conditions
    figures: list[FigureValues]
    promises: list[PromiseTally] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What a reader of the comparison should know of this side."""

    def figure(self, name: str) -> FigureValues | None:
        """The figure of that name, where it was measured."""
        return next((each for each in self.figures if each.name == name), None)


@dataclass(frozen=True, slots=True)
class InTurn:
    """Base, now, base again, round after round: what `harness bench --against` measures.

    The three runs of a round lie next to each other. What changes slowly in the machine is about
    the same in all three, and a steady drift is halved out by the base on either side.
    """

    base: Side
    now: Side
    again: Side

    def rounds(self, name: str) -> list[tuple[float, float, float]]:
        """(base, now, base again) of each round of a figure."""
        found = [side.figure(name) for side in (self.base, self.now, self.again)]
        series: Sequence[list[float]] = [[] if each is None else each.values for each in found]
        return list(zip(*series, strict=True))
