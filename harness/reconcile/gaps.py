"""Attempts without acknowledgement that are missing between acknowledged ones.

Whether a missing attempt is a gap depends on what comes later: it waits for the next
acknowledgement of its lane. In a transactional profile it also depends on its transaction, and
whether an undecided one was committed is known only once all of it has been walked; there the
tally keeps the counts by transaction.

No client library is imported here.
"""

from __future__ import annotations

import numpy as np

from harness.arrays import I64, U8, Bools
from harness.reconcile.partition_walk import PartitionWalk
from harness.reconcile.transaction_tally import Tally
from harness.rundir.columns import OPEN, SENT, UNKNOWN
from harness.rundir.transactions import COMMITTED, UNDECIDED


class Gaps:
    """The gaps of one incarnation on one topic-partition."""

    def __init__(self, walk: PartitionWalk, incarnation: int, tally: Tally | None) -> None:
        self._walk = walk
        self._incarnation = incarnation
        self._tally = tally
        transactional = walk.found.profile.transactional
        # Without a record of its transactions nothing is known to have been committed.
        self._countable = (
            walk.proof.whole
            and not walk.compacted  # what was compacted away looks just the same
            and (tally is not None or not transactional)
        )
        self._acknowledged = False
        self._waiting = 0
        self._waiting_samples: list[int] = []
        self._waiting_in_commits: list[I64] = []

    def add(self, first: int, state: U8, present: Bools) -> None:
        """The next cells, from `first` on."""
        if not self._countable:
            return
        missing = (state >= OPEN) & (state <= UNKNOWN) & ~present
        acknowledged = np.flatnonzero(state >= SENT)
        if len(acknowledged):
            begin = 0 if self._acknowledged else int(acknowledged[0])
            end = int(acknowledged[-1])
            self._settle()
            self._count(first + begin + np.flatnonzero(missing[begin:end]))
            self._acknowledged = True
            self._wait(first + end + np.flatnonzero(missing[end:]))
        elif self._acknowledged:
            self._wait(first + np.flatnonzero(missing))

    def acknowledged(self) -> None:
        """The next cells are all acknowledged."""
        if self._countable:
            self._settle()
            self._acknowledged = True

    def _wait(self, sequences: I64) -> None:
        """Hold attempts back until something after them is acknowledged."""
        if not len(sequences):
            return
        if self._tally is not None:
            self._waiting_in_commits.append(self._in_commits(self._tally, sequences)[0])
            return
        self._waiting += len(sequences)
        room = self._walk.found.room("gap") - len(self._waiting_samples)
        self._waiting_samples += sequences[: max(room, 0)].tolist()

    def _settle(self) -> None:
        """Something was acknowledged after those that waited."""
        for sequences in self._waiting_in_commits:
            self._count(sequences)
        self._waiting_in_commits.clear()
        self._walk.found.counts["gap"] += self._waiting
        for sequence in self._waiting_samples:
            self._walk.occurrence("gap", self._incarnation, sequence, None)
        self._waiting = 0
        self._waiting_samples.clear()

    def _count(self, sequences: I64) -> None:
        if not len(sequences):
            return
        if self._tally is None:
            self._walk.count("gap", self._incarnation, sequences)
            return
        sequences, transactions = self._in_commits(self._tally, sequences)
        self._tally.gaps.update(transactions.tolist())
        room = self._walk.found.room("gap")
        rows = zip(transactions[:room].tolist(), sequences[:room].tolist(), strict=True)
        self._tally.gap_samples += [
            (transaction, *self._walk.key, sequence) for transaction, sequence in rows
        ]

    def _in_commits(self, tally: Tally, sequences: I64) -> tuple[I64, I64]:
        """Those of transactions that were or may have been committed, and these transactions."""
        transactions = tally.log.ranges_of(*self._walk.key).of_sequences(sequences)
        inside = transactions >= 0
        states = tally.log.states[transactions[inside]]
        inside[inside] = (states == COMMITTED) | (states == UNDECIDED)
        return sequences[inside], transactions[inside]
