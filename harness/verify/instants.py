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
        """From rows of dtype BATCH. An offset that was read again keeps its first instant."""
        rows = rows[(rows["topic"] == topic) & (rows["partition"] == partition)]
        firsts = rows["first_offset"].astype(np.int64)
        lasts = rows["last_offset"].astype(np.int64)
        read_us = rows["read_us"].astype(np.int64)
        order = np.argsort(firsts, kind="stable")
        if bool((firsts[order[1:]] > lasts[order[:-1]]).all()):
            return cls(firsts[order], lasts[order], read_us[order])
        # Stretches overlap: cut them at every border, and let the earliest be written last.
        borders = np.unique(np.concatenate([firsts, lasts + 1]))
        begins, ends = np.searchsorted(borders, firsts), np.searchsorted(borders, lasts + 1)
        earliest = np.full(len(borders), -1, dtype=np.int64)
        for index in np.argsort(read_us, kind="stable")[::-1].tolist():
            earliest[begins[index] : ends[index]] = read_us[index]
        return cls(borders[:-1], borders[1:] - 1, earliest[:-1])

    def of_offsets(self, offsets: I64) -> I64:
        """The instant at which each offset was read, −1 where none is known."""
        if not len(self.firsts):
            return np.full(len(offsets), -1, dtype=np.int64)
        found = np.searchsorted(self.firsts, offsets, side="right") - 1
        known = (found >= 0) & (offsets <= self.lasts[found]) & (offsets >= 0)
        return np.where(known, self.read_us[found], np.int64(-1))
