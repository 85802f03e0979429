"""Records as a client returned them, as arrays. No client library is imported here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from harness.arrays import I64, Indices
from harness.record.codec import Decoded

Ints = I64
LeaderEpochs = Callable[[Indices], Sequence[int | None]]


@dataclass(frozen=True, slots=True)
class ReadBatch:
    """Records in the order read.

    decoded: what their values say.
    topics, partitions, offsets: (n,) where each was read; topics are indexes into the run's.
    leader_epochs: positions → their leader epochs; asked only for the few that need them.
    """

    decoded: Decoded
    topics: Ints
    partitions: Ints
    offsets: Ints
    leader_epochs: LeaderEpochs

    def __len__(self) -> int:
        return len(self.offsets)

    def stretches(self) -> list[tuple[int, int]]:
        """(begin, end) of each run of consecutive records of one topic-partition."""
        if not len(self):
            return []
        changes = (self.topics[1:] != self.topics[:-1]) | (
            self.partitions[1:] != self.partitions[:-1]
        )
        return list(pairwise([0, *(np.flatnonzero(changes) + 1).tolist(), len(self)]))
