"""How far each topic-partition was read, and whether every offset on the way was returned.

Pure arithmetic on offsets; no client library is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from harness.rundir.read_batch import Ints, ReadBatch

Key = tuple[str, int]

STRETCHES_MAX: Final = 1_000_000
"""So many holes of one topic-partition are noted; further ones are counted only."""


@dataclass(slots=True)
class Position:
    """One topic-partition. `next` is the offset that a gapless log would return next."""

    next: int = 0
    read: int = 0
    holes: int = 0
    """How many offsets below `next` were passed without a record?"""
    eof: int | None = None
    """Up to which offset did the broker say that there is nothing further?"""
    failure: str = ""
    """Why reading this partition cannot go on."""
    noting: bool = False
    """Is each hole noted, and not only counted?"""
    stretches: list[int] = field(default_factory=list)
    """The holes, where they are noted: first and last offsets in turn."""

    def begin(self, start: int, *, noting: bool = False) -> None:
        """Set out at the log start; a later call continues where reading stopped."""
        if not self.read and not self.next:
            self.next = start
            self.noting = noting

    def behind(self, end: int) -> bool:
        """Whether reading has to go on to reach `end` and the broker's word that it is one."""
        return not self.failure and (self.eof is None or self.eof < end)

    def passed(self, offsets: Ints) -> None:
        """Count offsets that were returned, in the order returned."""
        first, last, count = int(offsets[0]), int(offsets[-1]), len(offsets)
        if first < self.next or not (offsets[1:] > offsets[:-1]).all():
            self.failure = f"offsets came out of order: {first} to {last} when {self.next} was next"
            return
        holes = last + 1 - self.next - count
        if holes and self.noting:
            before = np.concatenate([[self.next - 1], offsets[:-1]])
            ends = np.flatnonzero(offsets - before > 1)
            self._note(np.stack([before[ends] + 1, offsets[ends] - 1], axis=1))
        self.holes += holes
        self.next = last + 1
        self.read += count

    def ended(self, offset: int) -> None:
        """The broker says that the log ends at `offset`."""
        self.eof = offset
        if offset > self.next:
            if self.noting:
                self._note(np.array([[self.next, offset - 1]]))
            self.holes += offset - self.next
            self.next = offset

    def _note(self, holes: Ints) -> None:
        """Note (n, 2) first and last offsets."""
        self.stretches += holes.ravel().tolist()
        if len(self.stretches) > 2 * STRETCHES_MAX:
            self.noting = False
            self.stretches = []


class Positions:
    """The positions of all topic-partitions of one drain."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._positions = {key: Position() for key in keys}

    def __getitem__(self, key: Key) -> Position:
        return self._positions[key]

    def begin(self, key: Key, start: int, *, noting: bool = False) -> None:
        """Set out on a topic-partition, or go on where reading it stopped."""
        self._positions.setdefault(key, Position()).begin(start, noting=noting)

    def advance(self, topics: Sequence[str], batch: ReadBatch) -> None:
        """Count a batch of records, stretch by stretch."""
        for begin, end in batch.stretches():
            key = (topics[int(batch.topics[begin])], int(batch.partitions[begin]))
            self._positions[key].passed(batch.offsets[begin:end])
