"""What a compacted log has to keep of each key, and what may be gone from it.

Compaction keeps the record with the highest offset of each key. So an absent record was compacted
away, for all that can be known, when one of its key has a higher offset. The last record of a key
stays, unless it is a tombstone: that goes too, after all earlier records of its key.

No client library is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.arrays import I64, Bools
from harness.reconcile.partition_walk import PartitionWalk
from harness.record.keys import LaneKeys
from harness.rundir import cells
from harness.rundir.columns import ACKED, FAILED, NEVER, unpack_offsets
from harness.rundir.copies import Copies
from harness.rundir.run_record import RunRecord


@dataclass(frozen=True, slots=True)
class CompactedRecords:
    """(n,) records that are gone: each is `last`, `removed` or `open`."""

    last: Bools
    """It was the last of its key, and had to stay."""
    removed: Bools
    """Compaction may have removed it: a later one has its key, or it was a tombstone."""
    deleted: Bools
    """Of those, the tombstones of which no later record has the key."""
    open: Bools
    """What is on record does not say which."""


class LastValues:
    """The last offset of each key of a compacted topic-partition, by who names it.

    The last element of every array is for records whose key is not known (index −1).
    """

    def __init__(self, keys: int, odd_reach: int) -> None:
        """odd_reach: the highest offset of a record whose identity names no attempt here."""
        self.acked = np.full(keys + 1, -1, dtype=np.int64)
        self.present = np.full(keys + 1, -1, dtype=np.int64)
        self.live = np.full(keys + 1, -1, dtype=np.int64)
        self.aside = np.full(keys + 1, -1, dtype=np.int64)
        """Where only a reading that was set aside saw one: it may not have been committed."""
        self.deleted = np.zeros(keys + 1, dtype=np.bool_)
        """Was there a tombstone of which it is not known whether and where it was written?"""
        self._odd_reach = odd_reach
        self._bare = np.zeros(keys + 1, dtype=np.bool_)

    def take(self, key_indices: I64, acked_at: I64, drained: tuple[I64, Copies],
             live: tuple[I64, Copies]) -> None:  # fmt: skip
        """Note (n,) cells: the index of each one's key, its offsets or −1, and further copies."""
        np.maximum.at(self.acked, key_indices, acked_at)
        for known, (at, copies) in ((self.present, drained), (self.live, live)):
            np.maximum.at(known, key_indices, at)
            if len(copies):
                np.maximum.at(known, key_indices[copies.sequences], copies.offsets)

    @property
    def newest(self) -> I64:
        """The highest offset of each key that counts, −1 without one."""
        return np.maximum(np.maximum(self.acked, self.present), self.live)

    @property
    def nameless_reach(self) -> int:
        """The highest offset of a record whose key is not known: it may have anybody's key."""
        known = max(int(each[-1]) for each in (self.acked, self.present, self.live, self.aside))
        return max(self._odd_reach, known)

    def standing(self, key_indices: I64, at: I64, tombstones: Bools) -> CompactedRecords:
        """What may have become of records that were at `at` and are gone."""
        keyed = key_indices >= 0
        followed = keyed & (self.newest[key_indices] > at)
        # An earlier record of its key goes before a tombstone does.
        deleted = keyed & tombstones & ~followed & (self.present[key_indices] < 0)
        removed = followed | deleted
        doubtful = ~keyed | tombstones | (at < self.nameless_reach) | (self.aside[key_indices] > at)
        doubtful |= self.deleted[key_indices] | self.deleted[-1]
        doubtful &= ~removed
        return CompactedRecords(~removed & ~doubtful, removed, deleted, doubtful)

    def alone(self, key_indices: I64) -> Bools:
        """Whether no record of the key has a known offset; each key is reported only once."""
        found = (key_indices >= 0) & (self.newest[key_indices] < 0) & ~self._bare[key_indices]
        found &= (self.aside[key_indices] < 0) & ~self.deleted[key_indices] & ~self.deleted[-1]
        found &= self.nameless_reach < 0
        _, firsts = np.unique(key_indices, return_index=True)
        once = np.zeros(len(key_indices), dtype=np.bool_)
        once[firsts] = True
        self._bare[key_indices[found & once]] = True
        return np.asarray(found & once)


def last_values(
    run: RunRecord, walk: PartitionWalk, lanes: dict[int, LaneKeys | None]
) -> LastValues:
    """Walk all lanes of a compacted topic-partition once.

    lanes: incarnation → its keys, None where they are not known.
    """
    key = walk.key
    # Those of one partition count its keys alike.
    numbered = next((keys for keys in lanes.values() if keys is not None), None)
    values = LastValues(0 if numbered is None else numbered.count, walk.odd_reach)
    if numbered is not None:
        values.deleted[numbered.deleted_anywhere] = True
    for incarnation, keys in lanes.items():
        ledger = run.ledgers.get(incarnation)
        drained = run.drained.columns.get(incarnation)
        live = run.live.columns.get(incarnation)
        further, more = walk.drained.copies(incarnation), walk.live.copies(incarnation)
        aside = walk.aside.copies(incarnation)
        end = max((file.allocated(*key) for file in (ledger, drained, live) if file), default=0)
        for first in range(0, end, cells.CHUNK):
            count = min(cells.CHUNK, end - first)
            low, state = cells.cells(ledger, *key, first, count)
            drained_at = unpack_offsets(*cells.cells(drained, *key, first, count))
            live_at = unpack_offsets(*cells.cells(live, *key, first, count))
            key_indices = key_indices_of(keys, first + np.arange(count))
            seen = further.within(first, count).merged(drained_at)
            seen_live = more.within(first, count).merged(live_at)
            values.take(key_indices, unpack_offsets(low, state), seen, seen_live)
            hidden = aside.within(first, count)
            if len(hidden):
                # What was aborted, or never sent, takes no record's place.
                counts = state[hidden.sequences] != FAILED
                where = key_indices[hidden.sequences[counts]]
                np.maximum.at(values.aside, where, hidden.offsets[counts])
            if keys is not None:
                deletes = keys.tombstones(first + np.arange(count))
                nowhere = (state != NEVER) & (state != FAILED) & (state < ACKED)
                nowhere &= (seen[0] < 0) & (seen_live[0] < 0)
                values.deleted[key_indices[deletes & nowhere]] = True
    return values


def key_indices_of(keys: LaneKeys | None, sequences: I64) -> I64:
    """The indices of keys; −1 where they are not known."""
    return (
        np.full(len(sequences), -1, dtype=np.int64) if keys is None else keys.key_indices(sequences)
    )


class Compaction:
    """What a compacted log tells about the records of one lane that are gone."""

    def __init__(self, walk: PartitionWalk, values: LastValues, keys: LaneKeys | None) -> None:
        self._walk = walk
        self._values = values
        self._keys = keys

    def absent(
        self, first: int, absent: Bools, acked_at: I64, live_at: I64, more: Copies
    ) -> tuple[I64, I64]:
        """Positions, of acknowledged cells that the proven drain does not hold: (lost, unseen)."""
        at = np.maximum(acked_at, live_at)
        if len(more):
            np.maximum.at(at, more.sequences, more.offsets)
        where = np.flatnonzero(absent)
        at = at[where]
        key_indices, tombstones = self._known(first + where)
        standing = self._values.standing(key_indices, at, tombstones)
        known = at >= 0
        reachable = self._walk.proof.reaches(at)
        lost = known & standing.last & reachable
        unseen = known & (standing.open | (standing.last & ~reachable))
        unseen |= known & standing.deleted & ~reachable
        if not known.all():
            # Without an offset it is not known to be the last one, unless nothing else is there.
            bare = np.flatnonzero(~known)
            alone = self._values.alone(key_indices[bare]) & ~tombstones[bare]
            lost[bare[alone & self._walk.proof.whole]] = True
            unseen[bare] = ~lost[bare]
        found = self._walk.found
        found.keyed.superseded += int(np.count_nonzero(~lost & ~unseen))
        found.keyless += int(np.count_nonzero(unseen & (key_indices < 0)))
        return where[lost], where[unseen]

    def had_to_stay(self, sequences: I64, at: I64) -> Bools:
        """Whether compaction cannot have removed these records at these offsets."""
        key_indices, tombstones = self._known(sequences)
        return self._values.standing(key_indices, at, tombstones).last

    def gone(self, sequences: I64, at: I64) -> Bools:
        """As `had_to_stay`, of what was read live and is gone; notes of how many are not known."""
        key_indices, tombstones = self._known(sequences)
        standing = self._values.standing(key_indices, at, tombstones)
        self._walk.found.perhaps_compacted += int(np.count_nonzero(standing.open))
        return standing.last

    def _known(self, sequences: I64) -> tuple[I64, Bools]:
        key_indices = key_indices_of(self._keys, sequences)
        if self._keys is None:
            return key_indices, np.zeros(len(sequences), dtype=np.bool_)
        return key_indices, self._keys.tombstones(sequences)
