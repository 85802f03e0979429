"""When the live reader first read an offset: batches.bin as a step function.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from harness.arrays import I64, Bools, Rows
from harness.rundir.copies import Copies

Contested: TypeAlias = dict[int, dict[tuple[int, int], int]]
"""offset → (incarnation, sequence) → when that record was read live there, in µs"""


@dataclass(frozen=True, slots=True)
class ReadInstants:
    """Stretches of offsets of one topic-partition, sorted and apart, each with its instant in µs.

    All (n,) int64; `lasts` inclusive. `contested`: offsets at which several records were read live;
    there an instant is that of one record, and the stretches say nothing.
    """

    firsts: I64
    lasts: I64
    read_us: I64
    contested: Mapping[int, Mapping[tuple[int, int], int]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, rows: Rows, topic: int, partition: int, contested: Contested | None = None
    ) -> ReadInstants:
        """From rows of dtype BATCH. An offset that was read again keeps its first instant."""
        contested = contested or {}
        rows = rows[(rows["topic"] == topic) & (rows["partition"] == partition)]
        firsts = rows["first_offset"].astype(np.int64)
        lasts = rows["last_offset"].astype(np.int64)
        read_us = rows["read_us"].astype(np.int64)
        order = np.argsort(firsts, kind="stable")
        if bool((firsts[order[1:]] > lasts[order[:-1]]).all()):
            return cls(firsts[order], lasts[order], read_us[order], contested)
        # Stretches overlap: cut them at every border, and let the earliest be written last.
        borders = np.unique(np.concatenate([firsts, lasts + 1]))
        begins, ends = np.searchsorted(borders, firsts), np.searchsorted(borders, lasts + 1)
        earliest = np.full(len(borders), -1, dtype=np.int64)
        for index in np.argsort(read_us, kind="stable")[::-1].tolist():
            earliest[begins[index] : ends[index]] = read_us[index]
        return cls(borders[:-1], borders[1:] - 1, earliest[:-1], contested)

    def of_records(self, incarnation: int, sequences: I64, offsets: I64) -> I64:
        """The instant at which each record was read at its offset, −1 where none is known."""
        read_us = self.of_offsets(offsets)
        if self.contested:
            among = np.isin(offsets, np.fromiter(self.contested, dtype=np.int64))
            for index in np.flatnonzero(among).tolist():
                records = self.contested[int(offsets[index])]
                read_us[index] = records.get((incarnation, int(sequences[index])), -1)
        return read_us

    def of_offsets(self, offsets: I64) -> I64:
        """The instant at which each offset was read, −1 where none is known."""
        if not len(self.firsts):
            return np.full(len(offsets), -1, dtype=np.int64)
        found = np.searchsorted(self.firsts, offsets, side="right") - 1
        known = (found >= 0) & (offsets <= self.lasts[found]) & (offsets >= 0)
        return np.where(known, self.read_us[found], np.int64(-1))


def first_reads(
    instants: ReadInstants | None,
    incarnation: int,
    first: int,
    live_at: I64,
    more: Copies,
    drained_at: I64,
) -> tuple[I64, Bools]:
    """When each cell was read live for the first time, -1 where that is not known, and which cells
    were read live at a known instant at the offset at which the drain returned them.

    live_at, drained_at: (n,) offsets of the cells from `first` on; more: their further offsets.
    """
    earliest = np.full(len(live_at), -1, dtype=np.int64)
    timed = np.zeros(len(live_at), dtype=np.bool_)
    if instants is None:
        return earliest, timed
    where = np.flatnonzero(live_at >= 0)
    at = live_at[where]
    if len(more):
        where, at = np.concatenate([where, more.sequences]), np.concatenate([at, more.offsets])
    read_us = instants.of_records(incarnation, first + where, at)
    known = np.flatnonzero(read_us >= 0)
    timed[where[known[at[known] == drained_at[where[known]]]]] = True
    # Of several instants of one cell the lowest is written last.
    known = known[np.argsort(read_us[known], kind="stable")[::-1]]
    earliest[where[known]] = read_us[known]
    return earliest, timed
