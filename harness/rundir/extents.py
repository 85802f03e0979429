"""How a file of packed columns is laid out: a header page, then segments that hold extents.

Cells of a lane whose partition was not known are wider: their `low` has eight bytes, and the
partition of the acknowledged offset in bits 40 and up (columns.py).

A segment is preallocated on the disk before it is mapped (a full disk under a sparse mapping is a
SIGBUS) and begins on a page. An extent is a 32-byte head, `low[capacity]`, `high[capacity]`, padded
to eight bytes. Extents of a partition double from 128 cells to 65,536, so that 1,000 partitions ×
200 producers stay small; a file is mapped a segment at a time, so that its mappings stay few. A
reader walks the extents in file order and needs no closing record. All numbers are little-endian.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from harness.arrays import U8, U32, U64
from harness.record.codec import ANY_PARTITION

COLUMN_MAGIC: Final = b"HKCOL01\n"
COLUMN_HEADER: Final = np.dtype(
    [
        ("magic", "S8"),
        ("run", "<u8"),
        ("incarnation", "<u4"),
        ("closed", "<u4"),
        ("kind", "S16"),
        ("profile", "S64"),
        ("length", "<u8"),
    ]
)
"""length: of the whole file when it was closed; 0 until then"""
PAGE_BYTES: Final = 4096
"""The header takes one page, zeros behind its fields."""
EXTENT: Final = struct.Struct("<IH2xIIQ8x")
"""magic, topic, partition, capacity and first sequence of an extent's head"""
EXTENT_MAGIC: Final = 0x54584548
CAPACITY_MIN: Final = 128
CAPACITY_MAX: Final = 65_536
SEGMENT_MIN_BYTES: Final = 64 * 1024
SEGMENT_MAX_BYTES: Final = 13 * (EXTENT.size + CAPACITY_MAX * 5)
"""A whole number of the largest extents: what does not hold one more is lost."""


@dataclass(slots=True)
class Extent:
    """Consecutive cells of one topic-partition; `low` and `high` are views into a buffer.

    A view is made when it is asked for: a thousand partitions of two hundred producers have more
    extents than there is memory for arrays.
    """

    topic: int
    partition: int
    first_sequence: int
    capacity: int
    _buffer: mmap.mmap | bytes
    _start: int
    """Of `low[capacity]` in the buffer; `high[capacity]` is behind it."""

    @property
    def _low(self) -> str:
        return "<u8" if self.partition == ANY_PARTITION else "<u4"

    @classmethod
    def of(cls, topic: int, partition: int, low: U32, high: U8) -> Extent:
        """Cells from sequence 0 on that are in no file."""
        return cls(topic, partition, 0, len(high), low.astype("<u4").tobytes() + high.tobytes(), 0)

    @property
    def low(self) -> U32 | U64:
        return np.frombuffer(self._buffer, self._low, self.capacity, self._start)

    @property
    def high(self) -> U8:
        start = self._start + self.capacity * np.dtype(self._low).itemsize
        return np.frombuffer(self._buffer, np.uint8, self.capacity, start)

    @property
    def end(self) -> int:
        """One past its last sequence."""
        return self.first_sequence + self.capacity

    def __len__(self) -> int:
        return self.capacity


Extents: TypeAlias = dict[tuple[int, int], list[Extent]]
"""(topic index, partition) → its extents in sequence order"""


def cell_bytes(partition: int) -> int:
    """How long a cell is: five bytes, nine where it holds its partition too."""
    return 9 if partition == ANY_PARTITION else 5


def extent_bytes(capacity: int, partition: int) -> int:
    """How much of a segment an extent of so many cells takes."""
    return EXTENT.size + -(-capacity * cell_bytes(partition) // 8) * 8


def find_extents(mapping: mmap.mmap, size: int) -> Extents:
    """The extents of a mapped file of `size` bytes. Raises ValueError that says what is damaged."""
    found: Extents = {}
    position = PAGE_BYTES
    while position + EXTENT.size <= size:
        magic, topic, partition, capacity, first = EXTENT.unpack_from(mapping, position)
        if magic != EXTENT_MAGIC or capacity == 0:
            # The unused rest of a segment: segments begin on pages.
            end = min((position // PAGE_BYTES + 1) * PAGE_BYTES, size)
            if mapping[position:end].strip(b"\0"):
                raise ValueError(f"no extent begins at byte {position}, and none ended there")
            position = end
            continue
        if position + EXTENT.size + capacity * cell_bytes(partition) > size:
            raise ValueError(f"the extent at byte {position} is cut off")
        before = found.setdefault((topic, partition), [])
        expected = before[-1].end if before else 0
        if first != expected or capacity > CAPACITY_MAX:
            raise ValueError(
                f"the extent at byte {position} holds sequences from {first} on, and those "
                f"before it end at {expected}"
            )
        before.append(Extent(topic, partition, first, capacity, mapping, position + EXTENT.size))
        position += extent_bytes(capacity, partition)
    if mapping[position:size].strip(b"\0"):
        raise ValueError(f"the extent at byte {position} is cut off")
    return found
