"""What of a run that still goes on looks lost or out of order, by what was read along with it.

Provisional by nature: only a complete drain proves that a record is absent, and the verdict rests
on that alone. An acknowledged record looks lost once the live reader has got a later one of the
same topic-partition (for acks=0: of the same producer in it) without having got this one. Two
acknowledged records look out of order as the verdict has it: what was handed over earlier is at a
higher offset.

A lane is one producer incarnation on one topic-partition. Its old cells change no more, so each
look goes over the last few chunks alone, however long the run is.

No client library is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.rundir import cells
from harness.rundir.cells import Columns
from harness.rundir.columns import ACKED, OPEN, SENT, unpack_offsets

_BEHIND: int = 2 * cells.CHUNK
"""So many cells before the last one that was read, a chunk is looked at no more: acks=0 records can
change places over a new connection, but not over so many."""


@dataclass(frozen=True, slots=True)
class SoFar:
    """Provisional counts; sums of lanes are those of a profile."""

    lost: int = 0
    inversion: int = 0

    def plus(self, other: SoFar) -> SoFar:
        """Both together."""
        return SoFar(self.lost + other.lost, self.inversion + other.inversion)


class LaneSoFar:
    """The counts of one lane, look by look."""

    def __init__(self, topic: int, partition: int) -> None:
        self.topic = topic
        self.partition = partition
        self._first = 0
        """The first sequence that is still looked at."""
        self._settled = SoFar()
        self._highest = -1
        """The highest place of an acknowledged record before `_first`."""

    def reached(self, live: Columns | None) -> int:
        """The highest offset of this lane that was read along so far; −1 for none."""
        highest = self._highest
        allocated = 0 if live is None else live.allocated(self.topic, self.partition)
        for begin in range(self._first, allocated, cells.CHUNK):
            low, high = cells.cells(live, self.topic, self.partition, begin, cells.CHUNK)
            highest = max(highest, int(unpack_offsets(low, high).max()))
        return highest

    def look(self, ledger: Columns, live: Columns | None, reached: int) -> SoFar:
        """The counts as the files are now.

        reached: the highest offset of the topic-partition that was read, of whichever producer.
        """
        key = (self.topic, self.partition)
        last_read = self._last_read(live)
        found, highest = self._settled, self._highest
        settling = True
        for begin in range(self._first, ledger.allocated(*key), cells.CHUNK):
            low, state = cells.cells(ledger, *key, begin, cells.CHUNK)
            read_low, read = cells.cells(live, *key, begin, cells.CHUNK)
            acked_at = unpack_offsets(low, state)
            sequences = np.arange(begin, begin + cells.CHUNK)
            passed = np.where(state >= ACKED, acked_at <= reached, sequences < last_read)
            lost = int(np.count_nonzero((state >= SENT) & (read == 0) & passed))
            places = np.where(read >= ACKED, unpack_offsets(read_low, read), acked_at)
            places = places[(state >= SENT) & (places >= 0)]
            before = np.maximum.accumulate(np.concatenate(([highest], places)))
            found = found.plus(SoFar(lost, int(np.count_nonzero(places < before[:-1]))))
            highest = int(before[-1])
            open_ones = bool((state <= OPEN).any())
            settling = settling and not open_ones and begin + cells.CHUNK + _BEHIND <= last_read
            if settling:
                self._first, self._settled, self._highest = begin + cells.CHUNK, found, highest
        return found

    def _last_read(self, live: Columns | None) -> int:
        """The highest sequence of this lane that was read along so far; −1 for none."""
        allocated = 0 if live is None else live.allocated(self.topic, self.partition)
        last = -1
        for begin in range(self._first, allocated, cells.CHUNK):
            _, read = cells.cells(live, self.topic, self.partition, begin, cells.CHUNK)
            there = np.flatnonzero(read)
            last = max(last, begin + int(there[-1])) if len(there) else last
        return last
