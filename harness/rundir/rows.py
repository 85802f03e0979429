"""Files of fixed-size rows in a set of observations: extras.bin, batches.bin and inputs.bin.

Rows have no checksum. What can be known is whether the file is as long as its writer left it, and
whether each row can be one of this run at all: its topics, partitions and offsets. A file whose
writer did not come to its end may break off within a row; that row is left out.

No client library is imported here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from harness.arrays import I64, Bools, Rows
from harness.errors import RunDirError
from harness.record.codec import ANY_PARTITION
from harness.record.codecs import codec_named
from harness.rundir.columns import OFFSET_MAX
from harness.rundir.run_info import RunInfo
from harness.system.disk import write_whole

COPY: Final = 1
CORRUPT: Final = 2
MISROUTED: Final = 3
FOREIGN: Final = 4
STRAY: Final = 5

EXTRA: Final = np.dtype(
    [
        ("kind", "u1"),
        ("pad", "u1"),
        ("topic", "<u2"),
        ("partition", "<u4"),
        ("incarnation", "<u4"),
        ("identity_topic", "<u2"),
        ("pad2", "<u2"),
        ("identity_partition", "<u4"),
        ("leader_epoch", "<i4"),
        ("sequence", "<u8"),
        ("offset", "<i8"),
        ("run", "<u8"),
    ]
)
"""`topic` and `partition` say where it was read, `identity_…` what its head says; identity fields
of a corrupt record are zero. `leader_epoch` is −1 where the broker named none."""

BATCH: Final = np.dtype(
    [
        ("topic", "<u2"),
        ("pad", "<u2"),
        ("partition", "<u4"),
        ("read_us", "<u8"),
        ("first_offset", "<i8"),
        ("last_offset", "<i8"),
    ]
)

_KINDS: Final = (
    ("copies", COPY), ("corrupt", CORRUPT), ("misrouted", MISROUTED), ("foreign", FOREIGN),
    ("stray", STRAY),
)  # fmt: skip


@dataclass(slots=True)
class Counts:
    """How a set accounts for the records handed to it."""

    read: int = 0
    """How many records were handed in?"""
    cells: int = 0
    """How many distinct attempts have a cell?"""
    copies: int = 0
    corrupt: int = 0
    misrouted: int = 0
    foreign: int = 0
    stray: int = 0
    again: int = 0
    """How many were an attempt at the very offset that its cell holds already?"""

    @property
    def extras(self) -> int:
        return self.copies + self.corrupt + self.misrouted + self.foreign + self.stray

    def plus(self, other: Counts) -> Counts:
        """Both together: parts of one set."""
        return Counts(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Written:
    """What is known of how a set was written.

    whole: its writer came to its end, so no row may break off. counts: how many records of each
    kind it then had; None where it did not say.
    """

    whole: bool = False
    counts: Counts | None = None


def mapped(path: Path, dtype: np.dtype[np.void], *, whole: bool) -> Rows:
    """The rows of a file, mapped; none where it is not there.

    Raises RunDirError where `whole` and the file ends within a row.
    """
    if not path.exists():
        return np.zeros(0, dtype=dtype)
    size = path.stat().st_size
    if whole and size % dtype.itemsize:
        raise RunDirError(
            f"{path}: {size} bytes, which end within a row of {dtype.itemsize}. Restore the file "
            "as its writer left it."
        )
    count = size // dtype.itemsize
    if not count:
        return np.zeros(0, dtype=dtype)
    return np.memmap(path, dtype, mode="r", shape=(count,))


def check_rows(path: Path, rows: Rows, wrong: Iterable[tuple[str, Bools]]) -> None:
    """Raises RunDirError that names file, row and field of the first row that cannot be one."""
    for name, mask in wrong:
        if mask.any():
            at = int(np.flatnonzero(mask)[0])
            field = name.partition(" ")[0]
            said = f" {rows[field][at]}" if field in (rows.dtype.names or ()) else ""
            raise RunDirError(
                f"{path}, row {at + 1}: its {name}{said} is none of this run. Restore the file as "
                "its writer left it."
            )


def checked_extras(folder: Path, info: RunInfo, written: Written) -> Rows:
    """The rows of a set's extras.bin in the order read, those that repeat left out.

    Raises RunDirError when a row cannot be one, or rows are missing.
    """
    found, files = [], [part / "extras.bin" for part in (folder, *parts(folder))]
    for path in files:
        if written.counts is not None and not path.exists():
            raise RunDirError(f"{path}: is missing. Restore the file as its writer left it.")
        rows = mapped(path, EXTRA, whole=written.whole)
        check_rows(path, rows, _wrong_extras(rows, info))
        found.append(rows)
    every = np.concatenate(found)
    if written.counts is not None:
        for name, kind in _KINDS:
            said = getattr(written.counts, name)
            there = int(np.count_nonzero(every["kind"] == kind))
            if said != there:
                raise RunDirError(
                    f"{files[0]}: {there} rows of kind {name}, and its writer counted {said}. "
                    "Restore the file as its writer left it."
                )
    return without_repeats(every)


def _wrong_extras(rows: Rows, info: RunInfo) -> Iterable[tuple[str, Bools]]:
    run = codec_named(info.load.codec).run_number(info.run_id)
    kind = rows["kind"]
    ours = (kind == COPY) | (kind == MISROUTED) | (kind == STRAY)
    yield "kind", ~np.isin(kind, [kind for _, kind in _KINDS])
    yield from _wrong_places(rows, info)
    yield "offset", _no_offset(rows["offset"])
    yield "leader_epoch", rows["leader_epoch"] < -1
    yield "run hash", (ours & (rows["run"] != run)) | ((kind == FOREIGN) & (rows["run"] == run))
    yield "pad", (rows["pad"] != 0) | (rows["pad2"] != 0)
    at_home = (kind == COPY) | (kind == STRAY)
    identity = rows["identity_partition"]
    home = rows["topic"] == rows["identity_topic"]
    home &= (rows["partition"] == identity) | (identity == ANY_PARTITION)
    yield "identity", (at_home & ~home) | ((kind == MISROUTED) & home)


def check_batches(path: Path, rows: Rows, info: RunInfo) -> None:
    """Raises RunDirError for a row of batches.bin that cannot be one."""
    first, last = rows["first_offset"], rows["last_offset"]
    wrong = [
        *_wrong_places(rows, info),
        ("first_offset", _no_offset(first)),
        ("last_offset", _no_offset(last) | (last < first)),
        ("read_us", rows["read_us"] >= 1 << 62),
        ("pad", rows["pad"] != 0),
    ]
    check_rows(path, rows, wrong)


def check_inputs(path: Path, rows: Rows, info: RunInfo) -> None:
    """Raises RunDirError for a row of inputs.bin that cannot be one."""
    wrong = [
        *_wrong_places(rows, info),
        ("input_topic", rows["input_topic"] >= len(info.topics)),
        ("output_offset", _no_offset(rows["output_offset"])),
        ("input_offset", _no_offset(rows["input_offset"])),
    ]
    check_rows(path, rows, wrong)


def _wrong_places(rows: Rows, info: RunInfo) -> Iterable[tuple[str, Bools]]:
    yield "topic", rows["topic"] >= len(info.topics)
    yield "partition", rows["partition"] >= info.load.partitions


def _no_offset(offsets: I64) -> Bools:
    return np.asarray((offsets < 0) | (offsets > OFFSET_MAX), dtype=np.bool_)


class AppendedRows:
    """A file of fixed-size rows, each batch written at once so that it survives a SIGKILL."""

    def __init__(self, path: Path) -> None:
        """Raises FileExistsError when there is such a file."""
        self.path = path
        self._descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644
        )

    def append(self, rows: Rows) -> None:
        """Raises EnvironmentFailure when the disk is full."""
        data = rows.tobytes()
        write_whole(
            self._descriptor,
            data,
            f"{self.path}: no space for {len(data)} more bytes of observations. What "
            "was recorded is kept; free disk space or choose another --out.",
        )

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def without_repeats(rows: Rows) -> Rows:
    """Rows of dtype EXTRA in their order; the same record read again is left out."""
    if len(rows) < 2:
        return rows
    compared = rows.copy()
    compared["leader_epoch"] = 0
    _, firsts = np.unique(compared, return_index=True)
    return rows[np.sort(firsts)]


def parts(folder: Path) -> list[Path]:
    """The folders of the parts that other processes read, in order."""
    return sorted(folder.glob("part-*"), key=lambda part: int(part.name.removeprefix("part-")))


def cell_files(folder: Path) -> list[Path]:
    """The files of a set's cells, those of its parts included."""
    return [path for part in (folder, *parts(folder)) for path in sorted(part.glob("*.obs"))]
