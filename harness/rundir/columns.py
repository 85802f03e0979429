"""Packed columns: five bytes for each attempt of a producer incarnation, in one file.

The ledger and both observation sets have the same shape: for a producer incarnation and a
topic-partition, one cell for each sequence from 0 on. A cell is a `low` uint32 and a `high`
uint8. `high` is the state; from ACKED on it also carries bits 32 and up of a log offset whose
low 32 bits are in `low`:

    high   ledger                                   observation
       0   never attempted                          not read
       1   OPEN: handed to the client               –
       2   FAILED: certainly absent                 –
       3   UNKNOWN: may or may not be there         –
       4   SENT: acks=0, reported without error     –
       5   ACKED_NO_OFFSET                          –
    ≥ 16   acked at offset (high-16) << 32 | low    first read at that offset

Writing `low` before `high` makes each cell valid at every instant, whichever instruction a
SIGKILL falls on: the offset is there before the state that says so. What is written into the
mapping survives the death of the process; it does not survive the death of the machine.
The layout of the file is in extents.py.

Cells of lanes whose partition was not known are wider: see anywhere.py.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.arrays import I64, U8, U32, U64, Indices
from harness.errors import RunDirError
from harness.rundir.extents import (
    CAPACITY_MAX,
    CAPACITY_MIN,
    COLUMN_HEADER,
    COLUMN_MAGIC,
    EXTENT,
    EXTENT_MAGIC,
    PAGE_BYTES,
    SEGMENT_MAX_BYTES,
    SEGMENT_MIN_BYTES,
    Extent,
    Extents,
    extent_bytes,
    find_extents,
)
from harness.system.disk import needs_space

NEVER: Final = 0
OPEN: Final = 1
FAILED: Final = 2
UNKNOWN: Final = 3
SENT: Final = 4
ACKED_NO_OFFSET: Final = 5
ACKED: Final = 16
"""The first state that carries an offset; also what an observation's cells hold."""

OFFSET_MAX: Final = (255 - ACKED + 1) * 2**32 - 1

_TRIES: Final = 5


def pack_offsets(offsets: npt.NDArray[np.integer]) -> tuple[U32, U8]:
    """(low, high) of log offsets; high is at least ACKED. Raises ValueError beyond OFFSET_MAX."""
    wide = np.asarray(offsets, dtype=np.int64)
    if wide.size and (int(wide.min()) < 0 or int(wide.max()) > OFFSET_MAX):
        raise ValueError(f"an offset outside 0…{OFFSET_MAX} cannot be packed into five bytes")
    low = (wide & 0xFFFFFFFF).astype(np.uint32)
    high = ((wide >> 32) + ACKED).astype(np.uint8)
    return low, high


def unpack_offsets(low: U32 | U64, high: U8) -> I64:
    """Log offsets of cells; -1 where the cell carries none."""
    offsets = low.astype(np.int64) | ((high.astype(np.int64) - ACKED) << 32)
    return np.where(high >= ACKED, offsets, np.int64(-1))


class ColumnFile:
    """One file of packed columns; create it for writing, or open it to read what is there.

    Not safe for two writers. Reading a file that another process still writes is fine: what is
    seen is some recent state of each cell.
    """

    def __init__(
        self,
        path: Path,
        *,
        run: int,
        incarnation: int,
        kind: str,
        profile: str,
        closed: bool,
        descriptor: int | None,
    ) -> None:
        self.path = path
        self.run = run
        self.incarnation = incarnation
        self.kind = kind
        self.profile = profile
        self.closed_cleanly = closed
        self._descriptor = descriptor
        self._maps: list[mmap.mmap] = []
        self._size = PAGE_BYTES
        self._segment: mmap.mmap | None = None
        self._segment_used = 0
        self._extents: Extents = {}
        self._starts: dict[tuple[int, int], list[int]] = {}

    # -- opening ---------------------------------------------------------------------------

    @classmethod
    def create(
        cls, path: Path, *, run: int, incarnation: int, kind: str, profile: str
    ) -> ColumnFile:
        """Make a new file; FileExistsError when there is one, which is how incarnations are
        distinguished by processes that share a run directory. It gets its name once it has its
        header: a process that looks, or is killed, at any moment leaves or sees no file without
        one."""
        if path.exists():  # os.link decides; this spares a draft for each number that is taken
            raise FileExistsError(path)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        file = cls(
            path,
            run=run,
            incarnation=incarnation,
            kind=kind,
            profile=profile,
            closed=False,
            descriptor=descriptor,
        )
        try:
            file._write_header()
            os.link(draft, path)
        except BaseException:
            os.close(descriptor)
            raise
        finally:
            draft.unlink()
        return file

    @classmethod
    def open(cls, path: Path) -> ColumnFile:
        """Map an existing file for reading. Raises RunDirError when it is no column file."""
        try:
            data = path.open("rb")
        except OSError as error:
            raise RunDirError(f"{path}: cannot be read ({error.strerror}).") from error
        with data:
            head = data.read(PAGE_BYTES)
            if len(head) < COLUMN_HEADER.itemsize or head[:8] != COLUMN_MAGIC:
                raise RunDirError(
                    f"{path}: not a ledger or observation file of this harness (its first bytes "
                    f"are {head[:8]!r}, expected {COLUMN_MAGIC!r})."
                )
            fields = np.frombuffer(head, dtype=COLUMN_HEADER, count=1)[0]
            file = cls(
                path,
                run=int(fields["run"]),
                incarnation=int(fields["incarnation"]),
                kind=bytes(fields["kind"]).decode(errors="replace"),
                profile=bytes(fields["profile"]).decode(errors="replace"),
                closed=bool(fields["closed"]),
                descriptor=None,
            )
            size, length = os.fstat(data.fileno()).st_size, int(fields["length"])
            if length and size != length:
                raise RunDirError(
                    f"{path}: has {size} bytes, and had {length} when it was closed: it was cut or "
                    "written to. Restore the file as it was."
                )
            if size > PAGE_BYTES:
                mapping = mmap.mmap(data.fileno(), size, prot=mmap.PROT_READ)
                file._maps.append(mapping)
                file._read_extents(mapping, size, tries=1 if length else _TRIES)
            return file

    def _read_extents(self, mapping: mmap.mmap, size: int, *, tries: int) -> None:
        """Find the extents. While its writer still adds some, a file can look damaged for a moment,
        so one that was not closed is looked at again before it is refused."""
        for left in reversed(range(tries)):
            try:
                self._extents = find_extents(mapping, size)
            except ValueError as error:
                if not left:
                    raise RunDirError(
                        f"{self.path}: is damaged: {error}. Restore the file as its writer left it."
                    ) from None
            else:
                break
        self._starts = {
            key: [extent.first_sequence for extent in extents]
            for key, extents in self._extents.items()
        }

    def _write_header(self) -> None:
        assert self._descriptor is not None
        head = np.zeros(1, dtype=COLUMN_HEADER)
        head["magic"] = COLUMN_MAGIC
        head["run"] = self.run
        head["incarnation"] = self.incarnation
        head["closed"] = int(self.closed_cleanly)
        head["kind"] = self.kind.encode()
        head["profile"] = self.profile.encode()
        head["length"] = os.fstat(self._descriptor).st_size if self.closed_cleanly else 0
        os.pwrite(self._descriptor, head.tobytes().ljust(PAGE_BYTES, b"\0"), 0)

    # -- extents ---------------------------------------------------------------------------

    def _add(
        self, key: tuple[int, int], first: int, mapping: mmap.mmap, position: int, capacity: int
    ) -> Extent:
        extent = Extent(*key, first, capacity, mapping, position + EXTENT.size)
        self._extents.setdefault(key, []).append(extent)
        self._starts.setdefault(key, []).append(first)
        return extent

    def _grow(self, topic: int, partition: int) -> Extent:
        if self._descriptor is None:
            raise RunDirError(f"{self.path}: opened for reading; it takes no new extents.")
        key = (topic, partition)
        have = self._extents.get(key)
        first = have[-1].end if have else 0
        capacity = min(max(CAPACITY_MIN, first), CAPACITY_MAX)
        if self._segment is None or self._segment_used + extent_bytes(capacity, partition) > len(
            self._segment
        ):
            self._new_segment(extent_bytes(capacity, partition))
        assert self._segment is not None
        position = self._segment_used
        extent = self._add(key, first, self._segment, position, capacity)
        head = EXTENT.pack(EXTENT_MAGIC, topic, partition, capacity, first)
        self._segment[position : position + EXTENT.size] = head
        self._segment_used += extent_bytes(capacity, partition)
        return extent

    def _new_segment(self, need_bytes: int) -> None:
        assert self._descriptor is not None
        size = min(max(SEGMENT_MIN_BYTES, self._size), SEGMENT_MAX_BYTES)
        size = max(size, -(-need_bytes // PAGE_BYTES) * PAGE_BYTES)
        size = -(-size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        offset = -(-self._size // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
        _allocate(self._descriptor, offset, size, self.path)
        self._segment = mmap.mmap(self._descriptor, size, offset=offset)
        self._maps.append(self._segment)
        self._segment_used = 0
        self._size = offset + size

    def include(self, part: ColumnFile) -> None:
        """Take over the extents of another file of the same incarnation, opened for reading.

        Raises RunDirError when a topic-partition is in both.
        """
        for key, extents in part._extents.items():
            if key in self._extents:
                raise RunDirError(
                    f"{part.path}: holds topic {key[0]}, partition {key[1]}, which {self.path} "
                    "holds too; parts of a set have no topic-partition in common."
                )
            self._extents[key] = extents
            self._starts[key] = part._starts[key]
        self._maps += part._maps
        self.closed_cleanly &= part.closed_cleanly

    # -- cells -----------------------------------------------------------------------------

    @property
    def partitions(self) -> list[tuple[int, int]]:
        """(topic index, partition) pairs that have cells, sorted."""
        return sorted(self._extents)

    def extents(self, topic: int, partition: int) -> list[Extent]:
        """The extents of one topic-partition in sequence order."""
        return self._extents.get((topic, partition), [])

    def allocated(self, topic: int, partition: int) -> int:
        """One past the last sequence that has a cell."""
        extents = self._extents.get((topic, partition))
        return extents[-1].end if extents else 0

    def spans(
        self, topic: int, partition: int, first: int, count: int
    ) -> Iterator[tuple[Extent, slice, slice]]:
        """Cells first…first+count-1, made where missing: (extent, its cells, part of the range)."""
        done = 0
        while self.allocated(topic, partition) < first + count:
            self._grow(topic, partition)
        starts = self._starts[(topic, partition)]
        extents = self._extents[(topic, partition)]
        index = int(np.searchsorted(np.asarray(starts), first, side="right")) - 1
        while done < count:
            extent = extents[index]
            begin = first + done - extent.first_sequence
            length = min(count - done, len(extent) - begin)
            yield extent, slice(begin, begin + length), slice(done, done + length)
            done += length
            index += 1

    def mark(self, topic: int, partition: int, first: int, count: int, state: int) -> None:
        """Set the state of `count` consecutive cells that carry no offset."""
        for extent, cells, _ in self.spans(topic, partition, first, count):
            extent.high[cells] = state

    def scatter(self, topic: int, partition: int, sequences: U64, low: U32 | U64, high: U8) -> None:
        """Write cells at any sequences: every `low` before any `high`."""
        for extent, cells, chosen in self._by_extent(topic, partition, sequences):
            extent.low[cells] = low[chosen]
            extent.high[cells] = high[chosen]

    def gather(self, topic: int, partition: int, sequences: U64) -> tuple[U32, U8]:
        """(low, high) of cells at any sequences; cells that do not exist yet are made."""
        low = np.zeros(len(sequences), dtype=np.uint32)
        high = np.zeros(len(sequences), dtype=np.uint8)
        for extent, cells, chosen in self._by_extent(topic, partition, sequences):
            low[chosen] = extent.low[cells]
            high[chosen] = extent.high[cells]
        return low, high

    def _by_extent(
        self, topic: int, partition: int, sequences: U64
    ) -> Iterator[tuple[Extent, Indices, Indices | slice]]:
        if not len(sequences):
            return
        first, last = int(sequences.min()), int(sequences.max())
        for extent, _, _ in self.spans(topic, partition, first, last - first + 1):
            begin, end = extent.first_sequence, extent.first_sequence + len(extent)
            if begin <= first and last < end:
                yield extent, (sequences - np.uint64(begin)).astype(np.intp), slice(None)
                return
            chosen = np.flatnonzero((sequences >= np.uint64(begin)) & (sequences < np.uint64(end)))
            if len(chosen):
                yield extent, (sequences[chosen] - np.uint64(begin)).astype(np.intp), chosen

    # -- closing ---------------------------------------------------------------------------

    def close(self, *, cleanly: bool = True) -> None:
        """Let go of the mappings. `cleanly` records that the writer reached its end."""
        if self._descriptor is not None:
            self.closed_cleanly = cleanly
            self._write_header()
            os.close(self._descriptor)
            self._descriptor = None
        self._extents.clear()
        self._starts.clear()
        self._segment = None
        for mapping in self._maps:
            # A view that somebody still holds keeps its mapping until it goes.
            with contextlib.suppress(BufferError):
                mapping.close()
        self._maps.clear()

    def __enter__(self) -> ColumnFile:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.close(cleanly=kind is None)


def _allocate(descriptor: int, offset: int, size: int, path: Path) -> None:
    with needs_space(
        f"{path}: no space for {size} more bytes of ledger. What was recorded is kept; "
        "free disk space or choose another --out."
    ):
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, offset, size)
        else:  # macOS: blocks that are written are there
            os.pwrite(descriptor, bytes(size), offset)
