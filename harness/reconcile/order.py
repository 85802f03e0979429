"""The order of a lane's records: who comes before a record that was handed over earlier.

A record's *place* is its first offset: the lowest at which the drain returned it, else the lowest
at which the live reader did, else the offset of its acknowledgement. An acknowledged record
promises that everything handed over after it comes after it, whatever became of that. A record of
unknown outcome promises nothing about itself.

No client library is imported here.
"""

from __future__ import annotations

import numpy as np

from harness.arrays import I64, U8
from harness.reconcile.key_order import key_order
from harness.reconcile.partition_walk import PartitionWalk
from harness.record.keys import LaneKeys
from harness.rundir.columns import FAILED, NEVER, SENT

_NONE = np.int64(-1)


class Order:
    """Finds the inversions of one incarnation on one topic-partition, chunk by chunk."""

    def __init__(self, walk: PartitionWalk, keys: LaneKeys | None) -> None:
        self._walk = walk
        self._keys = None if keys is None else key_order(keys)
        self._highest = -1
        """The highest place of an acknowledged record so far."""

    def rising(self, first: int, at: I64) -> bool:
        """Take acknowledged records that are at `at`, from sequence `first` on, if nothing of
        them is out of order; else nothing is taken."""
        if int(at[0]) <= self._highest or not bool((at[1:] > at[:-1]).all()):
            return False
        self._highest = int(at[-1])
        if self._keys is not None:
            self._keys.rising(first, at)
        return True

    def add(
        self, first: int, state: U8, acked_at: I64, drained_at: I64, live_at: I64
    ) -> tuple[I64, I64]:
        """Take the next cells: (positions, places) of those that are inversions."""
        walk = self._walk
        acknowledged = state >= SENT
        read_at = np.where(drained_at >= 0, drained_at, live_at)
        if walk.compacted:
            # A first copy that was compacted away did stand where it was acknowledged.
            earlier = (acked_at >= 0) & (acked_at < read_at)
            read_at = np.where(earlier, acked_at, read_at)
        places = np.where(read_at >= 0, read_at, acked_at)
        places[(state == NEVER) | (state == FAILED)] = _NONE
        # A lower copy may not have been read. The acknowledged one is known to have been there.
        bounds = np.where(acked_at >= 0, np.minimum(places, acked_at), _NONE)
        if walk.proof.proven and not walk.proof.floor:
            # Every lower offset was read, and does not hold it.
            bounds = np.where(acknowledged & walk.proof.reaches(places - 1), places, bounds)
        if self._keys is not None and walk.key_marks is not None:
            inverted = first + self._keys.add(first, places, bounds)
            walk.found.keyed.inversions += len(inverted)
            walk.key_marks.inverted[self._keys.keys.key_indices(inverted)] = True
        highest = np.maximum.accumulate(bounds)
        before = np.empty_like(highest)
        before[0] = self._highest
        np.maximum(highest[:-1], self._highest, out=before[1:])
        self._highest = max(self._highest, int(highest[-1]))
        where = np.flatnonzero((places >= 0) & (places < before))
        return where, places[where]
