"""One producer incarnation on one topic-partition: every rule about single attempts.

A *cell* is one attempt. `at` arrays hold offsets, −1 for none. A cell is *acknowledged* when it is
acked or, with acks=0, sent: the states from SENT on. Rules are in the order of
docs/verification.md, section 4.

No client library is imported here.
"""

from __future__ import annotations

import numpy as np

from harness.arrays import I64, U8, Bools
from harness.reconcile.compaction import Compaction, LastValues, key_indices_of
from harness.reconcile.gaps import Gaps
from harness.reconcile.order import Order
from harness.reconcile.partition_walk import PartitionWalk
from harness.reconcile.transaction_tally import Tally
from harness.record.keys import LaneKeys
from harness.rundir import cells
from harness.rundir.clock import NEVER_US
from harness.rundir.columns import (
    ACKED,
    ACKED_NO_OFFSET,
    FAILED,
    NEVER,
    OPEN,
    SENT,
    UNKNOWN,
    unpack_offsets,
)
from harness.rundir.copies import Copies
from harness.rundir.read_times import first_reads
from harness.rundir.run_record import RunRecord
from harness.rundir.transactions import NOT_KNOWN_US

Reading = tuple[I64, Copies]
"""The first offset at which each attempt was read, −1 for none, and all further copies."""


class Lane:
    """One incarnation on one topic-partition, walked from its first sequence to its last."""

    def __init__(
        self,
        run: RunRecord,
        partition_walk: PartitionWalk,
        incarnation: int,
        tally: Tally | None,
        keys: LaneKeys | None = None,
        values: LastValues | None = None,
    ) -> None:
        self.partition_walk = partition_walk
        self.keys = keys
        self.compaction = None if values is None else Compaction(partition_walk, values, keys)
        self.found = partition_walk.found
        self.counts = partition_walk.found.counts
        self.incarnation = incarnation
        self.ledger = run.ledgers.get(incarnation)
        self.live = run.live.columns.get(incarnation)
        self.drained = run.drained.columns.get(incarnation)
        self.proof = partition_walk.proof
        self.drained_copies = partition_walk.drained.copies(incarnation)
        self.live_copies = partition_walk.live.copies(incarnation)
        self.set_aside = partition_walk.aside.copies(incarnation)
        self.tally = tally
        self.order = Order(partition_walk, keys)
        self.unaccounted = run.unaccounted(incarnation)
        self.attempted = 0
        self.gaps = Gaps(partition_walk, incarnation, tally)

    def walk(self) -> None:
        """Count every cell, and the strays that lie beyond all of them."""
        key, end = self.partition_walk.key, self._end()
        for first in range(0, end, cells.CHUNK):
            self._chunk(first, min(cells.CHUNK, end - first))
        self._beyond(end)
        if self.attempted:
            self.found.attempted_by.setdefault(key, {})[self.incarnation] = self.attempted

    def _end(self) -> int:
        """One past the last sequence that has a cell."""
        key = self.partition_walk.key
        return max(
            (file.allocated(*key) for file in (self.ledger, self.live, self.drained) if file),
            default=0,
        )

    def _chunk(self, first: int, count: int) -> None:
        key = self.partition_walk.key
        low, state = cells.cells(self.ledger, *key, first, count)
        drained_low, drained_high = cells.cells(self.drained, *key, first, count)
        live_low, live_high = cells.cells(self.live, *key, first, count)
        drained_copies = self.drained_copies.within(first, count)
        live_copies = self.live_copies.within(first, count)
        anything = state.any() or drained_high.any() or live_high.any()
        if not (anything or len(drained_copies) or len(live_copies)):
            return
        if self.tally is None and not len(drained_copies) and not len(live_copies):
            seen_live = live_high > 0
            if not (
                ((live_high != drained_high) & seen_live).any()
                or ((live_low != drained_low) & seen_live).any()
            ) and self._undisturbed(first, low, state, drained_low, drained_high):
                self.partition_walk.coverage.again += int(np.count_nonzero(seen_live))
                return
        drained = drained_copies.merged(unpack_offsets(drained_low, drained_high))
        live = live_copies.merged(unpack_offsets(live_low, live_high))
        self._apply_rules(first, state, unpack_offsets(low, state), drained, live)

    def _apply_rules(
        self, first: int, state: U8, acked_at: I64, drained: Reading, live: Reading
    ) -> None:
        """Every rule, on cells and where each of them was read."""
        key, (drained_at, copies), (live_at, more_live) = self.partition_walk.key, drained, live
        present, attempted = drained_at >= 0, state != NEVER
        self._outcomes(state, attempted, present)
        self._lost(first, state, acked_at, present, live_at, more_live)
        only_live = self._only_live(live_at, more_live, drained_at, copies)
        self._covered(attempted, drained_at, live_at, more_live)
        self._copies(first, attempted, copies)
        self._copies_live(first, attempted, live_at, present, *only_live)
        self._phantoms(first, attempted, drained_at)
        self._failed_visible(first, state, drained_at, live_at)
        self._inversions(first, state, acked_at, drained_at, live_at)
        self.gaps.add(first, state, present)
        self._inconsistent(first, acked_at, drained_at, copies, live_at, more_live)
        self._vanished(first, *only_live)
        if self.tally is not None:
            member = attempted & (state != FAILED)
            absent = member & ~present & self._proven_absent(acked_at)
            self.tally.add(key, first, member, present, live_at >= 0, absent)
            acknowledged = first + np.flatnonzero(state >= ACKED_NO_OFFSET)
            self.tally.compare(key, first + np.flatnonzero(attempted), acknowledged)
            self._precommitted(self.tally, first, state, drained_at, live_at, more_live)

    def _undisturbed(
        self, first: int, low: cells.Low, state: U8, drained_low: cells.Low, drained_high: U8
    ) -> bool:
        """Counts cells of which no rule has anything to say, and whether they are such.

        They are when each attempt was acknowledged at an offset, the drain holds it there, and the
        offsets rise. That is nearly all of a run, and takes a fifth of the time of all the rules.
        """
        count = int(np.count_nonzero(state))
        if not count or int(state[:count].min()) < ACKED:
            return False
        if not (np.array_equal(state, drained_high) and np.array_equal(low, drained_low)):
            return False
        at = unpack_offsets(low[:count], state[:count])
        if not self.order.rising(first, at):
            return False
        self.attempted += count
        self.partition_walk.coverage.returned += count
        for name in ("attempted", "acked", "seen"):
            self.counts[name] += count
        self.gaps.acknowledged()
        return True

    # -- rules, in the order of docs/verification.md ---------------------------------------

    def _outcomes(self, state: U8, attempted: Bools, present: Bools) -> None:
        by_state = np.bincount(state, minlength=256)
        unknown = (state == UNKNOWN) | (state == OPEN)
        number = int(np.count_nonzero(attempted))
        self.attempted += number
        self.counts["attempted"] += number
        self.counts["acked"] += int(by_state[ACKED:].sum() + by_state[ACKED_NO_OFFSET])
        self.counts["failed"] += int(by_state[FAILED])
        self.counts["unknown"] += int(by_state[UNKNOWN] + by_state[OPEN])
        self.counts["sent"] += int(by_state[SENT])
        self.counts["unknown_present"] += int(np.count_nonzero(unknown & present))
        self.counts["seen"] += int(np.count_nonzero(attempted & present))

    def _lost(
        self, first: int, state: U8, acked_at: I64, present: Bools, live_at: I64, more_live: Copies
    ) -> None:
        """Acknowledged and absent: lost where the drain proves it, otherwise unseen."""
        absent = (state >= SENT) & ~present
        if not absent.any():
            return
        if self.compaction is not None and self.proof.proven:
            lost, unseen = self.compaction.absent(first, absent, acked_at, live_at, more_live)
            self._count("lost", first + lost, acked_at[lost])
            self._count("unseen", first + unseen, acked_at[unseen])
        elif self.proof.whole:
            self._found("lost", first, absent, acked_at)
        elif self.proof.proven:
            # What lay below the log's start looks like what was never there, and what lies beyond
            # the reading's end was not looked for.
            reachable = self.proof.reaches(acked_at)
            self._found("lost", first, absent & reachable, acked_at)
            self._found("unseen", first, absent & ~reachable, acked_at)
        else:
            self._found("unseen", first, absent, acked_at)

    def _proven_absent(self, acked_at: I64) -> Bools:
        """Which cells are proven absent where the drain does not hold them."""
        if self.partition_walk.compacted or not self.proof.proven:
            return np.zeros(len(acked_at), dtype=np.bool_)
        if self.proof.whole:
            return np.ones(len(acked_at), dtype=np.bool_)
        return (acked_at >= 0) & self.proof.reaches(acked_at)

    def _copies(self, first: int, attempted: Bools, copies: Copies) -> None:
        """Further copies in the drain: duplicates of attempts, phantoms of what was none."""
        if not len(copies):
            return
        ours = attempted[copies.sequences]
        self._mark_duplicated(first + copies.sequences[ours])
        self.counts["copies"] += int(np.count_nonzero(ours))
        self._count("duplicate", first + copies.sequences[ours], copies.offsets[ours])
        self._never_attempted(first + copies.sequences[~ours], copies.offsets[~ours])

    def _copies_live(
        self, first: int, attempted: Bools, live_at: I64, present: Bools, where: I64, at: I64
    ) -> None:
        """Further copies that only the live reader saw; where, at: what the drain did not return.

        Of an attempt that the drain returned each of them is a further one, else all but the first.
        """
        further = attempted[where] & (present[where] | (at != live_at[where]))
        where, at = where[further], at[further]
        self._mark_duplicated(first + where)
        self.counts["duplicate_live"] += len(where)
        self._count("duplicate", first + where, at)

    def _mark_duplicated(self, sequences: I64) -> None:
        """Note the keys of records of which there are further copies."""
        if self.keys is not None and self.partition_walk.key_marks is not None:
            of_keys = key_indices_of(self.keys, sequences)
            self.partition_walk.key_marks.duplicated[of_keys[of_keys >= 0]] = True

    def _phantoms(self, first: int, attempted: Bools, drained_at: I64) -> None:
        strays = ~attempted & (drained_at >= 0)
        if strays.any():
            where = np.flatnonzero(strays)
            self._never_attempted(first + where, drained_at[where])

    def _never_attempted(self, sequences: I64, offsets: I64) -> None:
        """Records of the drain without an attempt: phantoms, unless the ledger that would tell of
        their attempts never arrived."""
        if self._unaccounted(len(sequences)):
            return
        self._count("phantom", sequences, offsets)

    def _unaccounted(self, count: int) -> bool:
        """Count records without an attempt; false for phantoms, which the caller counts."""
        if self.unaccounted:
            self.counts["unaccounted"] += count
        elif self.ledger is None:
            self.found.phantoms_without_ledger += count
        return self.unaccounted

    def _failed_visible(self, first: int, state: U8, drained_at: I64, live_at: I64) -> None:
        at = np.where(drained_at >= 0, drained_at, live_at)
        self._found("failed_visible", first, (state == FAILED) & (at >= 0), at)

    def _inversions(
        self, first: int, state: U8, acked_at: I64, drained_at: I64, live_at: I64
    ) -> None:
        """Records that come before an acknowledged one that was handed over earlier."""
        where, at = self.order.add(first, state, acked_at, drained_at, live_at)
        self._count("inversion", first + where, at)

    def _inconsistent(
        self,
        first: int,
        acked_at: I64,
        drained_at: I64,
        copies: Copies,
        live_at: I64,
        more_live: Copies,
    ) -> None:
        """Acknowledged at an offset at which it was never read.

        What was read elsewhere may have a second copy there, unless the drain shows that it has
        not, or the profile promises that there is none. Of the rest another record tells, one that
        was read or acknowledged at that offset: `Partition` looks for it.
        """
        unread = (acked_at >= 0) & (acked_at != drained_at) & (acked_at != live_at)
        where = np.flatnonzero(unread)
        for further in (copies, more_live, self.set_aside.within(first, len(acked_at))):
            if len(where) and len(further):
                where = where[~further.holds(where, acked_at[where])]
        if not len(where):
            return
        at = acked_at[where]
        drained = drained_at[where] >= 0
        shown = drained & self.proof.reaches(at) if self.proof.proven else np.zeros_like(drained)
        if self.compaction is not None:
            # The copy at that offset may have been compacted away.
            shown &= self.compaction.had_to_stay(first + where, at)
        elif self.partition_walk.no_copies:
            shown |= drained | (live_at[where] >= 0)
        self._count("inconsistent_offset", first + where[shown], at[shown])
        self.partition_walk.claims.add(self.incarnation, first + where[~shown], at[~shown])

    def _only_live(
        self, live_at: I64, more: Copies, drained_at: I64, copies: Copies
    ) -> tuple[I64, I64]:
        """(positions, offsets) of what the live reader saw and the drain did not return."""
        where = np.flatnonzero((live_at >= 0) & (live_at != drained_at))
        at = live_at[where]
        if len(more):
            where = np.concatenate([where, more.sequences])
            at = np.concatenate([at, more.offsets])
            differs = at != drained_at[where]
            where, at = where[differs], at[differs]
        if len(where) and len(copies):
            gone = ~copies.holds(where, at)
            where, at = where[gone], at[gone]
        return where, at

    def _covered(self, attempted: Bools, drained_at: I64, live_at: I64, more: Copies) -> None:
        """Count what the drain returned, and what of it was read live at the same offset."""
        returned = attempted & (drained_at >= 0)
        again = returned & (live_at == drained_at)
        coverage = self.partition_walk.coverage
        coverage.returned += int(np.count_nonzero(returned))
        coverage.again += int(np.count_nonzero(again))
        if len(more):
            other = np.unique(more.sequences[more.offsets == drained_at[more.sequences]])
            coverage.again += int(np.count_nonzero(returned[other] & ~again[other]))

    def _vanished(self, first: int, where: I64, at: I64) -> None:
        """Pairs of attempt and offset that the live reader saw and the drain does not hold."""
        if not len(where):
            return
        if self.proof.proven:
            within = self.proof.reaches(at)
            if self.compaction is not None:
                within[within] = self.compaction.gone(first + where[within], at[within])
            self._count("vanished", first + where[within], at[within])
            where, at = where[~within], at[~within]
        self.partition_walk.suspects.add(self.incarnation, first + where, at)

    def _precommitted(
        self, tally: Tally, first: int, state: U8, drained_at: I64, live_at: I64, more_live: Copies
    ) -> None:
        """Visible to read_committed before its commit was called, or without any call of it."""
        read_us, timed = first_reads(
            self.partition_walk.instants, self.incarnation, first, live_at, more_live, drained_at
        )
        self.partition_walk.coverage.timed += int(np.count_nonzero(timed & (state != NEVER)))
        visible = np.flatnonzero(
            ((live_at >= 0) | (drained_at >= 0)) & (state != FAILED) & (state != NEVER)
        )
        if not len(visible):
            return
        log = tally.log
        ranges = log.ranges_of(*self.partition_walk.key)
        transactions = ranges.of_sequences(first + visible)
        inside = transactions >= 0
        called_us = np.full(len(visible), NOT_KNOWN_US)
        called_us[inside] = log.commit_called_us[transactions[inside]]
        early = called_us == NEVER_US
        early |= (read_us[visible] >= 0) & (read_us[visible] < called_us)
        at = np.where(live_at >= 0, live_at, drained_at)[visible]
        if early.any():
            self._count("precommitted_read", first + visible[early], at[early])
        if not inside.all():
            tally.uncalled.append((self.partition_walk.key, first + visible[~inside], at[~inside]))

    def _beyond(self, end: int) -> None:
        """Identities beyond every cell: never attempted, whatever their sequence."""
        strays = self.drained_copies.beyond(end)
        if not self._unaccounted(len(strays)):
            self.counts["phantom"] += len(strays)
            for sequence, offset in strays[: self.found.room("phantom")]:
                self.partition_walk.occurrence("phantom", self.incarnation, sequence, offset)
        gone = sorted(set(self.live_copies.beyond(end)) - set(strays))
        for sequence, offset in gone:
            if self.proof.proven and bool(self.proof.reaches(np.array([offset]))[0]):
                self.counts["vanished"] += 1
                self.partition_walk.occurrence("vanished", self.incarnation, sequence, offset)
            else:
                claimed = min(sequence, int(np.iinfo(np.int64).max))
                self.partition_walk.suspects.add(
                    self.incarnation, np.array([claimed]), np.array([offset])
                )

    # -- counting --------------------------------------------------------------------------

    def _found(self, anomaly: str, first: int, mask: Bools, at: I64) -> None:
        """Count the cells of a mask; `at` are the offsets of all."""
        if mask.any():
            where = np.flatnonzero(mask)
            self._count(anomaly, first + where, at[where])

    def _count(self, anomaly: str, sequences: I64, offsets: I64) -> None:
        """Count attempts by sequence."""
        self.partition_walk.count(anomaly, self.incarnation, sequences, offsets)
