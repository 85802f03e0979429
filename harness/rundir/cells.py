"""Stretches of cells of one topic-partition, however its extents are cut.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol, TypeAlias

import numpy as np

from harness.arrays import I64, U8, U32, U64
from harness.record.codec import ANY_PARTITION
from harness.rundir.columns import unpack_offsets
from harness.rundir.extents import Extent

CHUNK: Final = 65_536
"""Cells that are looked at together: small enough for a processor's cache."""


Low: TypeAlias = U32 | U64
"""Of lanes with a partition, and of those without one (anywhere.py)."""


class Columns(Protocol):
    """What reconciling needs of a column file, or of columns that were never in one."""

    @property
    def partitions(self) -> list[tuple[int, int]]: ...

    def extents(self, topic: int, partition: int) -> list[Extent]: ...

    def allocated(self, topic: int, partition: int) -> int: ...

    @property
    def closed_cleanly(self) -> bool: ...

    def close(self) -> None: ...


def cells(
    columns: Columns | None, topic: int, partition: int, first: int, count: int
) -> tuple[Low, U8]:
    """(low, high) of `count` cells from `first` on: views where one extent has them, else copies.

    Cells that do not exist are 0: never attempted, not read.
    """
    wide = partition == ANY_PARTITION
    low: Low = np.zeros(count, np.uint64) if wide else np.zeros(count, np.uint32)
    high = np.zeros(count, dtype=np.uint8)
    if columns is None:
        return low, high
    for extent in columns.extents(topic, partition):
        begin = extent.first_sequence - first
        if begin >= count:
            break
        end = begin + len(extent)
        if end <= 0:
            continue
        if begin <= 0 and end >= count:
            return extent.low[-begin : count - begin], extent.high[-begin : count - begin]
        lo, hi = max(begin, 0), min(end, count)
        low[lo:hi] = extent.low[lo - begin : hi - begin]
        high[lo:hi] = extent.high[lo - begin : hi - begin]
    return low, high


def offsets(columns: Columns | None, topic: int, partition: int) -> Iterator[I64]:
    """The offsets of all cells, a chunk at a time; −1 for none."""
    if columns is None:
        return
    for extent in columns.extents(topic, partition):
        for begin in range(0, len(extent), CHUNK):
            chosen = slice(begin, begin + CHUNK)
            yield unpack_offsets(extent.low[chosen], extent.high[chosen])
