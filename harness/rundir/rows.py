"""Files of fixed-size rows in a run directory, read strictly: extras.bin, batches.bin, inputs.bin.

Rows have no checksum. What can be known is whether the file is as long as its writer left it, and
whether each row can be one of this run at all: its topics, partitions and offsets. A file whose
writer did not come to its end may break off within a row; that row is left out.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from harness.arrays import I64, Bools, Rows
from harness.errors import RunDirError
from harness.record.codecs import codec_named
from harness.rundir.observations import (
    COPY,
    CORRUPT,
    EXTRA,
    FOREIGN,
    MISROUTED,
    STRAY,
    Counts,
    parts,
    without_repeats,
)
from harness.rundir.run_info import RunInfo

OFFSET_MAX: Final = 1 << 40
"""Above what a cell of an observation file holds."""
_KINDS: Final = (
    ("copies", COPY), ("corrupt", CORRUPT), ("misrouted", MISROUTED), ("foreign", FOREIGN),
    ("stray", STRAY),
)  # fmt: skip


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
    home = (rows["topic"] == rows["identity_topic"]) & (
        rows["partition"] == rows["identity_partition"]
    )
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
    return np.asarray((offsets < 0) | (offsets >= OFFSET_MAX), dtype=np.bool_)
