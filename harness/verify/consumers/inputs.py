"""One input partition: which of its offsets hold a record, and which of these were processed.

Four bytes for each offset of the partition, whatever the members did with it.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from harness.members.journal import ACCEPT, SYNCHRONOUS, Entries, Step
from harness.verify import cells
from harness.verify.copies import PartitionExtras
from harness.verify.evidence import DrainedPartition, Evidence

I64: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]


class InputPartition:
    """The offsets 0…length-1 of one partition.

    real: where the drain returned a record; done: of which there is an effect; again: of which
    there are several. All (length,) bool. What is outside is kept in `beyond`: offsets that
    members name though the drained log does not reach them.
    """

    def __init__(
        self, evidence: Evidence, topic: int, partition: int, extras: PartitionExtras
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.proof: DrainedPartition = evidence.drained_partition(topic, partition)
        self.real = _real(evidence, topic, partition, extras, self.proof.end or 0)
        self.done = np.zeros(len(self.real), dtype=np.bool_)
        self.again = np.zeros(len(self.real), dtype=np.bool_)
        self.effects = 0
        self.passed = np.zeros(len(self.real), dtype=np.bool_)
        """Below the group's committed offset; in a share group, accepted."""
        self.committed = 0
        """The group's committed offset, as far as it is known."""
        self._beyond: dict[int, int] = {}

    def take_committed(self, offset: int) -> None:
        """Note the group's committed offset."""
        self.committed = offset
        self.passed[:offset] = True

    def take_accepted(self, entries: Entries) -> None:
        """Note what a member of a share group acknowledged as processed, and that was confirmed."""
        offsets = entries["offset"][
            (entries["step"] == Step.ACKNOWLEDGED)
            & (entries["detail"] == ACCEPT)
            & ((entries["flags"] & SYNCHRONOUS) != 0)
        ]
        self.passed[offsets[(offsets >= 0) & (offsets < len(self.passed))]] = True

    @property
    def given_up(self) -> int:
        """How many records below the group's offset were neither committed nor processed."""
        below = slice(0, self.committed)
        return int(np.count_nonzero(self.real[below] & ~self.passed[below] & ~self.done[below]))

    def take_effects(self, offsets: I64) -> None:
        """Note effects of these offsets, in any order."""
        self.effects += len(offsets)
        distinct, times = np.unique(offsets, return_counts=True)
        within = (distinct >= 0) & (distinct < len(self.real))
        for offset, count in zip(distinct[~within].tolist(), times[~within].tolist(), strict=True):
            self._beyond[offset] = self._beyond.get(offset, 0) + count
        distinct, times = distinct[within], times[within]
        self.again[distinct[(times > 1) | self.done[distinct]]] = True
        self.done[distinct] = True

    @property
    def repeated(self) -> int:
        """How many effects there are beyond the first of each offset."""
        return self.effects - int(np.count_nonzero(self.done)) - len(self._beyond)

    @property
    def repeated_offsets(self) -> I64:
        """The offsets that have several effects, sorted."""
        beyond = sorted(offset for offset, count in self._beyond.items() if count > 1)
        within = np.flatnonzero(self.again).astype(np.int64)
        return np.sort(np.concatenate([within, np.array(beyond, dtype=np.int64)]))

    def unprocessed(self, uncertain: I64) -> I64:
        """Offsets of records without effect that were committed.

        uncertain: offsets whose effect may have happened unseen; they are left out.
        """
        missing = np.flatnonzero(self.real & self.passed & ~self.done).astype(np.int64)
        return missing[~np.isin(missing, uncertain)]

    def records_between(self, begin: I64, end: I64) -> I64:
        """How many records there are from `begin` to below `end`, pair by pair."""
        length = len(self.real)
        begin, end = np.clip(begin, 0, length), np.clip(end, 0, length)
        counts = np.zeros(len(begin), dtype=np.int64)
        some = np.flatnonzero(end > begin)
        if len(some):
            padded = np.append(self.real, False)
            bounds = np.stack([begin[some], end[some]], axis=1).ravel()
            counts[some] = np.add.reduceat(padded, bounds, dtype=np.int64)[::2]
        return counts

    def first_record(self, begin: int, end: int) -> int:
        """The offset of the first record from `begin` to below `end`; else `begin`."""
        found = np.flatnonzero(self.real[max(begin, 0) : max(end, 0)])
        return max(begin, 0) + int(found[0]) if len(found) else begin


def _real(
    evidence: Evidence, topic: int, partition: int, extras: PartitionExtras, end: int
) -> Bools:
    length = max(end, extras.offset_max + 1)
    real = np.zeros(length, dtype=np.bool_)
    for file in evidence.drained.columns.values():
        for at in cells.offsets(file, topic, partition):
            if not len(at):
                continue
            top = int(at.max()) + 1
            if top > len(real):
                real = np.append(real, np.zeros(top - len(real), dtype=np.bool_))
            real[at[at >= 0]] = True
    real[extras.offsets] = True
    return real
