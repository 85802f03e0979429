"""Attempts whose partition is not known when they are made: a service or an outbox will choose it.

In the ledger they are lanes with partition ANY_PARTITION, whose cells are wider than others: `low`
is a uint64 that holds the partition of the acknowledged offset in bits 40 and up, above all bits of
an offset. Then `unpack_offsets` gives *positions*, partition << 40 | offset. A position is as good
as an offset for everything but order: it is distinct over all partitions of a topic.

What is read back has a partition. An observation set keeps such attempts in cells of five bytes by
the partition that they were read from, with READ_ANYWHERE set in its number, so that an identity
that names a partition and one that names none are never taken for each other.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from harness.arrays import I64, U8, U64
from harness.rundir.columns import pack_offsets

PARTITION_SHIFT: Final = 40
READ_ANYWHERE: Final = 1 << 31


def pack_positions(partitions: I64, offsets: I64) -> tuple[U64, U8]:
    """(low, high) of cells that hold a partition below 2**16 and an offset of it.

    Raises ValueError for an offset that does not fit.
    """
    low, high = pack_offsets(offsets)
    return partitions.astype(np.uint64) << np.uint64(PARTITION_SHIFT) | low, high


def positions(partition: int, offsets: I64) -> I64:
    """Positions of offsets of one partition; −1 for −1."""
    return np.where(offsets >= 0, offsets | np.int64(partition << PARTITION_SHIFT), np.int64(-1))


def of_position(position: int) -> tuple[int, int]:
    """(partition, offset) of a position."""
    return position >> PARTITION_SHIFT, position & (1 << PARTITION_SHIFT) - 1
