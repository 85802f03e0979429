"""HdrHistogram V2 logs: the bucket layout, and lines that the Java and JavaScript tools read.

Values are whole µs up to one hour with three significant digits, the layout of
`new Histogram(1, 3_600_000_000L, 3)` in HdrHistogram for Java: 2,048 cells of one µs, then 1,024
cells for each doubling. A value's cell is pure arithmetic, so a batch of values is recorded by one
numpy expression instead of a call a value. The payload of a line (ZigZag LEB128 counts, zlib,
base64) is encoded and decoded by the hdrhistogram package; the lines around it are written here,
because that package's log writer fails on a start time and cuts the interval's maximum to whole
units.

    #[Histogram log format version 1.3]
    #[StartTime: 1700000000.000 (seconds since epoch), 2023-11-14T22:13:20.000000Z]
    "StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"
    1700000000.000,1.000,12.345,HISTFAAA…

Time stamps are absolute seconds since the epoch. Interval_Max is in ms; Java's
HistogramLogProcessor prints ms with `-outputValueUnitRatio 1000`.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from hdrh.codec import HdrCookieException, HdrHistogramEncoder, HdrLengthException, HdrPayload

from harness.arrays import I64
from harness.errors import RunDirError
from harness.rundir.clock import from_us

HIGHEST_US: Final = 3_600_000_000
CELLS: Final = 23_552
SIGNIFICANT_DIGITS: Final = 3
_HALF: Final = 1_024
_HALF_BITS: Final = 10
_FULL_MASK: Final = 2 * _HALF - 1
_COMPRESSED_COOKIE: Final = 0x1C849314

Counts = I64


def cells_of(values_us: I64) -> I64:
    """The cell of each value, which must lie in 0…HIGHEST_US."""
    # frexp is exact below 2**53: its exponent is the bit length, so this is floor(log2) − 10.
    doublings = np.frexp((values_us | _FULL_MASK).astype(np.float64))[1].astype(np.int64) - 11
    return np.asarray((doublings << _HALF_BITS) + (values_us >> doublings), dtype=np.int64)


def _highest_equivalents() -> I64:
    cells = np.arange(CELLS, dtype=np.int64)
    doublings = np.maximum((cells >> _HALF_BITS) - 1, 0)
    within = np.where(cells < 2 * _HALF, cells, (cells & (_HALF - 1)) + _HALF)
    return np.asarray(((within + 1) << doublings) - 1, dtype=np.int64)


HIGHEST_EQUIVALENT_US: Final = _highest_equivalents()
"""(CELLS,) the largest value that falls into each cell: what Java reports for that cell."""


@dataclass(frozen=True, slots=True)
class Interval:
    """What one line of a log holds.

    start_us, end_us: the interval of intended send times, µs since the epoch.
    counts: (CELLS,) int64, how many values fell into each cell.
    """

    start_us: int
    end_us: int
    counts: Counts


def start_line(start_us: int) -> str:
    """The line that names a log's start; Java leaves out intervals that begin before it."""
    return f"#[StartTime: {start_us / 1e6:.3f} (seconds since epoch), {from_us(start_us)}]\n"


def header(start_us: int) -> str:
    """The lines that open a log."""
    return (
        "#[Delivery harness: latency in microseconds by intended send time; "
        "Interval_Max in milliseconds]\n"
        "#[Histogram log format version 1.3]\n"
        f"{start_line(start_us)}"
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    )


class LineEncoder:
    """Makes log lines; keeps one payload buffer of CELLS counters for all of them."""

    def __init__(self) -> None:
        payload: Any = HdrPayload(8, CELLS)
        fields = payload.payload
        fields.normalizing_index_offset = 0
        fields.conversion_ratio_bits = 1.0
        fields.significant_figures = SIGNIFICANT_DIGITS
        fields.lowest_trackable_value = 1
        fields.highest_trackable_value = HIGHEST_US
        self._payload = payload
        self._counts = np.frombuffer(payload.get_counts(), dtype=np.int64)

    def line(self, interval: Interval) -> str:
        """One line with its line feed; `interval` must hold at least one value."""
        top = int(np.flatnonzero(interval.counts)[-1])
        self._counts[:] = interval.counts
        packed = self._payload.compress(top + 1)
        head = _COMPRESSED_COOKIE.to_bytes(4, "big") + len(packed).to_bytes(4, "big")
        text = base64.b64encode(head + packed).decode()
        return (
            f"{interval.start_us / 1e6:.3f},{(interval.end_us - interval.start_us) / 1e6:.3f},"
            f"{HIGHEST_EQUIVALENT_US[top] / 1e3:.3f},{text}\n"
        )


def _decode(text: str) -> Counts:
    payload: Any = HdrHistogramEncoder.decode(text)
    fields = payload.payload
    layout = (
        fields.significant_figures,
        fields.lowest_trackable_value,
        fields.highest_trackable_value,
        fields.normalizing_index_offset,
    )
    if layout != (SIGNIFICANT_DIGITS, 1, HIGHEST_US, 0):
        raise ValueError(
            f"its layout (digits, lowest, highest, shift) is {layout}, "
            f"expected {(SIGNIFICANT_DIGITS, 1, HIGHEST_US, 0)}"
        )
    payload.init_counts(CELLS)
    return np.frombuffer(payload.get_counts(), dtype=np.int64).copy()


def interval_of(line: str) -> Interval:
    """What one line of a log holds. Raises one of many errors where it is no such line."""
    start, length, _, text = line.split(",")[-4:]
    start_us = round(float(start) * 1e6)
    return Interval(start_us, start_us + round(float(length) * 1e6), _decode(text.strip()))


def intervals(path: Path) -> Iterator[Interval]:
    """The intervals of a log in file order, one at a time; a torn last line is left out.

    Raises RunDirError that names file and line when any other line cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunDirError(f"{path}: a latency log is expected here ({error.strerror}).") from None
    # What follows the last line feed is a line that a killed process did not finish.
    yield from _intervals_of(path, data[: data.rfind(b"\n") + 1], 1)


def _intervals_of(path: Path, data: bytes, first: int) -> Iterator[Interval]:
    """The intervals of whole lines, of which the first has this number. Raises RunDirError."""
    lines = data.decode("utf-8", errors="replace").split("\n")[:-1]
    for number, line in enumerate(lines, start=first):
        if not line or line.startswith(("#", '"')):
            continue
        try:
            yield interval_of(line)
        except (
            ValueError,
            IndexError,
            TypeError,
            OverflowError,
            MemoryError,
            struct.error,
            binascii.Error,
            zlib.error,
            HdrCookieException,
            HdrLengthException,
        ) as error:
            raise RunDirError(
                f"{path}, line {number}: not a line of an HdrHistogram V2 log ({error})."
            ) from None


class LogFollower:
    """Reads what is appended to a log; a line is read once it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = 0
        self._read_lines = 0

    def intervals(self) -> Iterator[Interval]:
        """The intervals that were appended since the last call. Raises RunDirError as
        `intervals` does."""
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        first = self._read_lines + 1
        self._read_bytes += len(whole)
        self._read_lines += whole.count(b"\n")
        return _intervals_of(self._path, whole, first)
