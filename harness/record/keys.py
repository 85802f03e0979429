"""Which key each attempt of a lane carries: in a run of ours keys take turns, so it is arithmetic;
histories say it record by record.

A client's record i (counted over all its incarnations) belongs to turn i // topics; that turn's key
is turn modulo the number of keys, and key k always goes to partition k modulo the number of
partitions (`harness.load.client.Lanes`). So on one topic-partition an incarnation's sequences go
round the partition's own keys, always in the same order; all that differs is where it begins.

No client library is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from harness.arrays import I64, Bools

_NOWHERE: Final[I64] = np.zeros(0, dtype=np.int64)


class LaneKeys(Protocol):
    """The keys of one incarnation on one topic-partition. Those of one partition count alike."""

    @property
    def count(self) -> int:
        """How many keys the partition has."""
        ...

    def key_indices(self, sequences: npt.NDArray[np.integer]) -> I64:
        """Which of the partition's keys each sequence has: 0…count-1, −1 where it is not known."""
        ...

    def tombstones(self, sequences: npt.NDArray[np.integer]) -> Bools:
        """Whether each is a tombstone: without a value, so that it deletes its key."""
        ...

    @property
    def deleted_anywhere(self) -> I64:
        """The indices of keys of which there are tombstones on a partition that no line says, −1
        where the key is not known either. They may have been written here."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class KeyTable:
    """The keys of a lane of a history, by cell."""

    count: int
    of_cells: I64
    """(n,) indices of keys, −1 where no line says the key"""
    deleting: Bools | None = None
    """(n,) which are tombstones; None for none"""
    deleted_anywhere: I64 = field(default_factory=lambda: _NOWHERE)

    def key_indices(self, sequences: npt.NDArray[np.integer]) -> I64:
        return np.asarray(self.of_cells[sequences], dtype=np.int64)

    def tombstones(self, sequences: npt.NDArray[np.integer]) -> Bools:
        if self.deleting is None:
            return np.zeros(len(sequences), dtype=np.bool_)
        return np.asarray(self.deleting[sequences], dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class KeyCycle:
    """The keys of one incarnation on one topic-partition, in the order of its sequences.

    count: how many keys there are on the partition; phase: which of them sequence 0 has, counted
    from the lowest. Two cycles of one partition number its keys alike, whatever their phase.
    """

    partition: int
    partitions: int
    count: int
    phase: int

    @classmethod
    def of(
        cls,
        *,
        topics: int,
        topic: int,
        partitions: int,
        partition: int,
        keys: int,
        first_record: int,
    ) -> KeyCycle:
        """The cycle of an incarnation that began with its client's record `first_record`.

        topics: how many the client writes to in turn; topic: the number of this one among them.
        Raises ValueError when no key goes to the partition.
        """
        count = _below(keys, partition, partitions)
        if not count:
            raise ValueError(f"none of {keys} keys goes to partition {partition} of {partitions}")
        # The first turn in which it writes to this topic, and how many of the partition's turns
        # all clients' arithmetic puts before that.
        turn = -((topic - first_record) // topics)
        rounds, within = divmod(turn, keys)
        before = rounds * count + _below(within, partition, partitions)
        return cls(partition, partitions, count, before % count)

    def key_indices(self, sequences: npt.NDArray[np.integer]) -> I64:
        """Which of the partition's keys each sequence has, counted from the lowest: 0…count-1."""
        return np.asarray((sequences.astype(np.int64) + self.phase) % self.count, dtype=np.int64)

    def tombstones(self, sequences: npt.NDArray[np.integer]) -> Bools:
        """None: every record of a run has a value."""
        return np.zeros(len(sequences), dtype=np.bool_)

    @property
    def deleted_anywhere(self) -> I64:
        """None: the partition of each record of a run is known."""
        return _NOWHERE

    def key(self, index: int) -> int:
        """The number of the key with this index among those of the partition."""
        return self.partition + index * self.partitions


def _below(keys: int, partition: int, partitions: int) -> int:
    """How many of the keys 0…keys-1 go to a partition."""
    return max(0, -((partition - keys) // partitions))
