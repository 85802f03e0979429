"""One input partition: which of its offsets hold a record, and which of these were processed.

What is held grows with the records and with what members did, never with offsets: a log of one
record at offset 900,000,000,000 takes as little room as one at offset 0.
"""

from __future__ import annotations

import numpy as np

from harness.arrays import I64, Bools
from harness.rundir import cells
from harness.rundir.anywhere import READ_ANYWHERE
from harness.rundir.copies import PartitionExtras
from harness.rundir.drained import DrainedPartition
from harness.rundir.member_journal import ACCEPT, REJECT, SYNCHRONOUS, Entries, Step
from harness.rundir.run_record import RunRecord

NOTHING = np.zeros(0, dtype=np.int64)


class InputPartition:
    """The records of one partition: `real` holds their offsets, sorted.

    Effects are taken in first and settled then; `done` says which records have one.
    """

    def __init__(self, run: RunRecord, topic: int, partition: int, extras: PartitionExtras) -> None:
        self.topic = topic
        self.partition = partition
        self.proof: DrainedPartition = run.drained_partition(topic, partition)
        self.real: I64 = _real(run, topic, partition, extras)
        self.done: Bools = np.zeros(len(self.real), dtype=np.bool_)
        self.effects = 0
        self.distinct = 0
        """How many offsets have an effect, those without a record included."""
        self.repeated_offsets: I64 = NOTHING
        """The offsets that have several effects, sorted; records or not."""
        self.passed: Bools = np.zeros(len(self.real), dtype=np.bool_)
        """Which records are below the group's committed offset; in a share group, accepted."""
        self.ended: Bools = np.zeros(len(self.real), dtype=np.bool_)
        """Which records a share group rejected or archived."""
        self.committed = 0
        """The group's committed offset, as far as it is known."""
        self._effects: list[I64] = []

    @property
    def end(self) -> int | None:
        """Where the log is known to end; None where that is not known."""
        if not self.proof.proven or self.proof.ceiling is not None or self.proof.end is None:
            return None
        return max(self.proof.end, int(self.real[-1]) + 1 if len(self.real) else 0)

    def take_committed(self, offset: int) -> None:
        """Note the group's committed offset."""
        self.committed = offset
        self.passed[: int(np.searchsorted(self.real, offset))] = True

    def take_acknowledged(self, entries: Entries) -> None:
        """Note what a member of a share group acknowledged, where that was confirmed."""
        confirmed = entries["step"] == Step.ACKNOWLEDGED
        confirmed &= (entries["flags"] & SYNCHRONOUS) != 0
        for kind, records in ((ACCEPT, self.passed), (REJECT, self.ended)):
            offsets = entries["offset"][confirmed & (entries["detail"] == kind)]
            records[self._places(offsets.astype(np.int64))] = True

    def take_archived(self, offsets: I64) -> None:
        """Note records that a share group gave up at their delivery limit."""
        self.ended[self._places(offsets)] = True

    def _places(self, offsets: I64) -> I64:
        """The indices in `real` of those offsets that hold a record."""
        if not len(self.real):
            return NOTHING
        indices = np.minimum(np.searchsorted(self.real, offsets), len(self.real) - 1)
        return np.asarray(indices[self.real[indices] == offsets], dtype=np.int64)

    @property
    def given_up(self) -> int:
        """Records below a share group's start that no member accepted or processed, and that is
        not known to be rejected or archived."""
        below = slice(0, int(np.searchsorted(self.real, self.committed)))
        known = self.passed[below] | self.done[below] | self.ended[below]
        return int(np.count_nonzero(~known))

    def take_effects(self, offsets: I64) -> None:
        """Note effects of these offsets, in any order."""
        if len(offsets):
            self._effects.append(offsets.astype(np.int64))

    def settle(self) -> None:
        """All effects were taken in: find out what has one and what has several."""
        taken = np.concatenate(self._effects) if self._effects else NOTHING
        self._effects = []
        self.effects = len(taken)
        distinct, times = np.unique(taken, return_counts=True)
        self.distinct = len(distinct)
        self.repeated_offsets = distinct[times > 1]
        self.done[self._places(distinct)] = True

    @property
    def repeated(self) -> int:
        """How many effects there are beyond the first of each offset."""
        return self.effects - self.distinct

    def unprocessed(self, uncertain: I64) -> I64:
        """Offsets of records without effect that were committed.

        uncertain: offsets whose effect may have happened unseen; they are left out.
        """
        missing = self.real[self.passed & ~self.done]
        return np.asarray(missing[~np.isin(missing, uncertain)], dtype=np.int64)

    def open_between(self, begin: int, end: int) -> int:
        """How many records from `begin` to below `end` have no effect."""
        lo, hi = np.searchsorted(self.real, [begin, end])
        return int(np.count_nonzero(~self.done[lo : max(hi, lo)]))

    def records_between(self, begin: I64, end: I64) -> I64:
        """How many records there are from `begin` to below `end`, pair by pair."""
        counts = np.searchsorted(self.real, end) - np.searchsorted(self.real, begin)
        return np.maximum(np.asarray(counts, dtype=np.int64), 0)

    def first_record(self, begin: int, end: int) -> int:
        """The offset of the first record from `begin` to below `end`; else `begin`."""
        index = int(np.searchsorted(self.real, begin))
        found = int(self.real[index]) if index < len(self.real) else end
        return found if found < end else begin


def _real(run: RunRecord, topic: int, partition: int, extras: PartitionExtras) -> I64:
    """The offsets at which the drain returned a record, sorted, each once."""
    parts = [extras.offsets]
    for file in run.drained.columns.values():
        for number in (partition, partition | READ_ANYWHERE):
            parts += [at[at >= 0] for at in cells.offsets(file, topic, number)]
    offsets = np.concatenate(parts).astype(np.int64)
    # A producer's cells mostly ascend already; only several producers have to be merged.
    if len(offsets) < 2 or bool((offsets[1:] > offsets[:-1]).all()):
        return offsets
    return np.unique(offsets)
