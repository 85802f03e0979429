"""When the live reader first read an offset: batches.bin as a step function.

No client library is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

I64: TypeAlias = npt.NDArray[np.int64]
Rows: TypeAlias = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True)
class ReadInstants:
    """Stretches of offsets of one topic-partition, sorted and apart, each with its instant in µs.

    All (n,) int64; `lasts` inclusive.
    """

    firsts: I64
    lasts: I64
    read_us: I64

    @classmethod
    def of(cls, rows: Rows, topic: int, partition: int) -> ReadInstants:
        """From rows of dtype BATCH. A stretch read again keeps the instant of the first time."""
        rows = rows[(rows["topic"] == topic) & (rows["partition"] == partition)]
        rows = rows[np.argsort(rows["read_us"], kind="stable")]
        firsts = rows["first_offset"].astype(np.int64)
        lasts = rows["last_offset"].astype(np.int64)
        # A reader moves forward; what lies below what it had already reached is a second reading.
        reached = np.full(len(rows), -1, dtype=np.int64)
        if len(rows) > 1:
            reached[1:] = np.maximum.accumulate(lasts)[:-1]
        firsts = np.maximum(firsts, reached + 1)
        new = firsts <= lasts
        return cls(firsts[new], lasts[new], rows["read_us"].astype(np.int64)[new])

    def of_offsets(self, offsets: I64) -> I64:
        """The instant at which each offset was read, −1 where none is known."""
        if not len(self.firsts):
            return np.full(len(offsets), -1, dtype=np.int64)
        found = np.searchsorted(self.firsts, offsets, side="right") - 1
        known = (found >= 0) & (offsets <= self.lasts[found]) & (offsets >= 0)
        return np.where(known, self.read_us[found], np.int64(-1))
