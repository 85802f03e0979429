"""Pairs of a record and an offset at which nothing confirms it, and what contradicts them.

Two kinds of pairs are collected while lanes are walked: offsets that were acknowledged to a record
that was never read there, and offsets at which a record was read live and the drain did not return
it. Both are usually few, or they are long runs (a drain that never began). So they are kept as
stretches in which sequence and offset go up together, and memory follows their number.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from harness.arrays import I64, Bools

_NOBODY = -1


@dataclass(slots=True)
class UnconfirmedRanges:
    """Pairs of one topic-partition; a pair without an identity has incarnation and sequence -1."""

    _parts: list[tuple[int, I64, I64, I64]] = field(default_factory=list)
    """incarnation, then (n,) first sequences, first offsets and lengths"""

    def __bool__(self) -> bool:
        return bool(self._parts)

    def add(self, incarnation: int | None, sequences: I64 | None, at: I64) -> None:
        """Add (n,) pairs."""
        if not len(at):
            return
        numbers = np.full(len(at), _NOBODY, np.int64) if sequences is None else sequences
        steps = (np.diff(at) != 1) | (np.diff(numbers) != 1)
        starts = np.concatenate([[0], np.flatnonzero(steps) + 1])
        lengths = np.diff(np.append(starts, len(at)))
        who = _NOBODY if incarnation is None else incarnation
        self._parts.append((who, numbers[starts], at[starts], lengths))

    def contradicted(self, readings: Iterable[I64]) -> Iterator[tuple[int | None, I64 | None, I64]]:
        """(incarnation, sequences, offsets) of pairs at whose offset something else is known.

        readings: offsets at which something was read that is none of these pairs. Where nothing
        was, and several pairs name one offset, all but the first of them are contradicted.
        """
        if not self._parts:
            return
        owner = np.concatenate([np.full(len(part[1]), part[0]) for part in self._parts])
        numbers, starts, lengths = (
            np.concatenate([part[column] for part in self._parts]) for column in (1, 2, 3)
        )
        taken = _within(readings, starts, lengths)
        rows, at = _shared(starts, lengths)
        free = ~np.isin(at, taken)
        held_rows, held_at = _held(taken, starts, lengths)
        rows, at = np.concatenate([held_rows, rows[free]]), np.concatenate([held_at, at[free]])
        for who in np.unique(owner[rows]).tolist():
            mine = np.flatnonzero(owner[rows] == who)
            first = numbers[rows[mine]]
            sequences = np.where(first < 0, first, first + at[mine] - starts[rows[mine]])
            order = np.lexsort((at[mine], sequences))
            if who == _NOBODY:
                yield None, None, at[mine][order]
            else:
                yield who, sequences[order], at[mine][order]


def _within(readings: Iterable[I64], starts: I64, lengths: I64) -> I64:
    """The offsets that were read and lie in any of the stretches; sorted and distinct."""
    lows, highs = _union(starts, lengths)
    least, most = int(lows[0]), int(highs[-1])
    found = [np.zeros(0, dtype=np.int64)]
    for offsets in readings:
        at = offsets[(offsets >= least) & (offsets <= most)]
        if len(at):
            found.append(at[at <= highs[np.searchsorted(lows, at, side="right") - 1]])
    return np.unique(np.concatenate(found))


def _union(starts: I64, lengths: I64) -> tuple[I64, I64]:
    """First and last offsets of what the stretches cover, sorted and apart."""
    order = np.argsort(starts, kind="stable")
    begins, ends = starts[order], (starts + lengths - 1)[order]
    apart = _apart(begins, ends)
    return begins[apart], np.maximum.reduceat(ends, np.flatnonzero(apart))


def _apart(begins: I64, ends: I64) -> Bools:
    """Which of the stretches, sorted by their beginnings, overlap none before them."""
    apart = np.ones(len(begins), dtype=np.bool_)
    apart[1:] = begins[1:] > np.maximum.accumulate(ends)[:-1]
    return apart


def _shared(starts: I64, lengths: I64) -> tuple[I64, I64]:
    """(stretches, offsets) of pairs whose offset an earlier pair has too."""
    order = np.argsort(starts, kind="stable")
    begins, ends = starts[order], (starts + lengths - 1)[order]
    groups = np.cumsum(_apart(begins, ends)) - 1
    several = np.sort(order[np.bincount(groups)[groups] > 1])
    rows = np.repeat(several, lengths[several])
    within = np.arange(len(rows)) - np.repeat(
        np.cumsum(lengths[several]) - lengths[several], lengths[several]
    )
    at = starts[rows] + within
    _, firsts = np.unique(at, return_index=True)
    again = np.ones(len(at), dtype=np.bool_)
    again[firsts] = False
    return rows[again], at[again]


def _held(taken: I64, starts: I64, lengths: I64) -> tuple[I64, I64]:
    """(stretches, offsets) of pairs at offsets that are taken."""
    begins = np.searchsorted(taken, starts, side="left")
    counts = np.searchsorted(taken, starts + lengths, side="left") - begins
    rows = np.repeat(np.arange(len(starts)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rows, taken[begins[rows] + within]
