"""Rows of an observation set's files as a test looks at them, also while the set is written to.

A judgement reads them strictly (harness.rundir.rows): there a torn row is damage.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from harness.arrays import Rows
from harness.rundir.rows import BATCH, EXTRA, parts, without_repeats


def _whole_rows(path: Path, dtype: np.dtype[np.void]) -> Rows:
    """The whole rows of a file; none where it is missing."""
    data = path.read_bytes() if path.exists() else b""
    return np.frombuffer(data, dtype=dtype, count=len(data) // dtype.itemsize)


def read_extras(folder: Path) -> Rows:
    """The rows of a set's extras.bin, in the order read; those that repeat are left out."""
    files = [part / "extras.bin" for part in (folder, *parts(folder))]
    return without_repeats(np.concatenate([_whole_rows(path, EXTRA) for path in files]))


def read_batches(folder: Path) -> Rows:
    """The rows of a live set's batches.bin, in the order read."""
    return _whole_rows(folder / "batches.bin", BATCH)


def error_code(detail: int) -> int:
    """The signed error code that an entry of a member's journal holds as `detail`."""
    return int(np.uint32(detail).astype(np.int32))
