"""The rare records of an observation set, grouped so that a walk over cells can look them up.

extras.bin holds what has no cell: further copies of an attempt, strays, and odd records (corrupt,
misrouted, foreign). Copies and strays belong to an attempt and are merged with the cells of the
chunk they fall into; the others belong to a topic-partition only.

No client library is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.arrays import I64, U64, Bools, Rows
from harness.record.codec import ANY_PARTITION
from harness.rundir.anywhere import PARTITION_SHIFT
from harness.rundir.rows import COPY, CORRUPT, EXTRA, FOREIGN, MISROUTED, STRAY


@dataclass(frozen=True, slots=True)
class Copies:
    """(position, offset) pairs within a chunk, sorted by both and distinct; int64."""

    sequences: I64
    offsets: I64

    def __len__(self) -> int:
        return len(self.sequences)

    def merged(self, at: I64) -> tuple[I64, Copies]:
        """The lowest offset of each position, and all pairs beyond that.

        at: the cells' own offsets, −1 for none; changed in place.
        """
        if not len(self):
            return at, self
        touched = np.unique(self.sequences)
        touched = touched[at[touched] >= 0]
        positions = np.concatenate([self.sequences, touched])
        offsets = np.concatenate([self.offsets, at[touched]])
        order = np.lexsort((offsets, positions))
        positions, offsets = positions[order], offsets[order]
        first = np.ones(len(positions), dtype=np.bool_)
        first[1:] = positions[1:] != positions[:-1]
        distinct = first.copy()
        distinct[1:] |= offsets[1:] != offsets[:-1]
        at[positions[first]] = offsets[first]
        further = distinct & ~first
        return at, Copies(positions[further], offsets[further])

    def holds(self, positions: I64, offsets: I64) -> Bools:
        """Whether each of the given pairs is one of these."""
        known = set(zip(self.sequences.tolist(), self.offsets.tolist(), strict=True))
        pairs = zip(positions.tolist(), offsets.tolist(), strict=True)
        return np.fromiter((pair in known for pair in pairs), dtype=np.bool_, count=len(positions))


_NO_PAIRS = Copies(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class LaneCopies:
    """Copies and strays of one incarnation on one topic-partition, sorted by sequence.

    sequences: (n,) uint64, because what is read may claim any; offsets: (n,) int64.
    """

    sequences: U64
    offsets: I64

    def within(self, first: int, count: int) -> Copies:
        """Those of the cells first…first+count-1, with sequences relative to `first`."""
        if not len(self.offsets):
            return _NO_PAIRS
        lo, hi = np.searchsorted(
            self.sequences, np.array([first, first + count], dtype=np.uint64), side="left"
        )
        sequences = (self.sequences[lo:hi] - np.uint64(first)).astype(np.int64)
        return Copies(sequences, self.offsets[lo:hi])

    def beyond(self, end: int) -> list[tuple[int, int]]:
        """Distinct (sequence, offset) pairs from sequence `end` on."""
        if not len(self.offsets):
            return []
        lo = int(np.searchsorted(self.sequences, np.uint64(end), side="left"))
        pairs = zip(self.sequences[lo:].tolist(), self.offsets[lo:].tolist(), strict=True)
        return sorted(set(pairs))


_NO_COPIES = LaneCopies(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64))


def _of_attempts(rows: Rows) -> Bools:
    return np.asarray((rows["kind"] == COPY) | (rows["kind"] == STRAY), dtype=np.bool_)


class PartitionExtras:
    """All rows of one topic-partition."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        identified = rows[_of_attempts(rows) & (rows["identity_partition"] != ANY_PARTITION)]
        self._sort(identified)

    def _sort(self, identified: Rows) -> None:
        order = np.lexsort((identified["offset"], identified["sequence"]))
        self._identified = identified[order]

    @classmethod
    def anywhere(cls, rows: Rows) -> PartitionExtras:
        """The copies and strays of attempts without a partition, of all partitions of a topic.
        Their offsets are positions (anywhere.py)."""
        rows = rows[_of_attempts(rows) & (rows["identity_partition"] == ANY_PARTITION)].copy()
        rows["offset"] |= rows["partition"].astype(np.int64) << PARTITION_SHIFT
        found = cls(rows)
        found._sort(rows)
        return found

    @property
    def incarnations(self) -> list[int]:
        """The incarnations that copies and strays name."""
        return [int(each) for each in np.unique(self._identified["incarnation"])]

    def copies(self, incarnation: int) -> LaneCopies:
        """The copies and strays of one incarnation."""
        if not len(self._identified):
            return _NO_COPIES
        rows = self._identified[self._identified["incarnation"] == incarnation]
        if not len(rows):
            return _NO_COPIES
        return LaneCopies(
            np.ascontiguousarray(rows["sequence"], dtype=np.uint64),
            np.ascontiguousarray(rows["offset"], dtype=np.int64),
        )

    def _kind(self, kind: int) -> Rows:
        return np.asarray(self._rows[self._rows["kind"] == kind])

    @cached_property
    def corrupt(self) -> Rows:
        return self._kind(CORRUPT)

    @cached_property
    def misrouted(self) -> Rows:
        return self._kind(MISROUTED)

    @cached_property
    def foreign(self) -> Rows:
        return self._kind(FOREIGN)

    @property
    def offsets(self) -> I64:
        """Offsets of all rows."""
        return np.asarray(self._rows["offset"], dtype=np.int64)

    @property
    def offsets_but_corrupt(self) -> I64:
        """Offsets of all rows whose record is known."""
        known = self._rows["kind"] != CORRUPT
        return np.asarray(self._rows["offset"][known], dtype=np.int64)

    @cached_property
    def _epochs(self) -> dict[int, int]:
        known = self._rows[self._rows["leader_epoch"] >= 0]
        return dict(zip(known["offset"].tolist(), known["leader_epoch"].tolist(), strict=True))

    def leader_epoch(self, offset: int) -> int | None:
        """The leader epoch of the row at an offset, where one is known."""
        return self._epochs.get(offset)


NO_ROWS = PartitionExtras(np.zeros(0, dtype=EXTRA))


class Extras:
    """The rows of one observation set by topic-partition."""

    def __init__(self, rows: Rows) -> None:
        self._of: dict[tuple[int, int], PartitionExtras] = {}
        self._rows = rows
        if not len(rows):
            return
        order = np.lexsort((rows["partition"], rows["topic"]))
        rows = rows[order]
        changed = np.flatnonzero(
            (rows["topic"][1:] != rows["topic"][:-1])
            | (rows["partition"][1:] != rows["partition"][:-1])
        )
        for part in np.split(rows, changed + 1):
            key = (int(part["topic"][0]), int(part["partition"][0]))
            self._of[key] = PartitionExtras(part)

    @property
    def partitions(self) -> list[tuple[int, int]]:
        """The topic-partitions that have rows."""
        return list(self._of)

    @property
    def topics_anywhere(self) -> set[int]:
        """The topics that have rows of attempts without a partition."""
        mine = _of_attempts(self._rows) & (self._rows["identity_partition"] == ANY_PARTITION)
        return {int(topic) for topic in np.unique(self._rows["topic"][mine])}

    def anywhere(self, topic: int) -> PartitionExtras:
        """The copies and strays of a topic's attempts without a partition."""
        return PartitionExtras.anywhere(self._rows[self._rows["topic"] == topic])

    def of(self, topic: int, partition: int) -> PartitionExtras:
        """The rows of one topic-partition."""
        return self._of.get((topic, partition), NO_ROWS)


NO_EXTRAS = Extras(np.zeros(0, dtype=EXTRA))
