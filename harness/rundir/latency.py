"""Latency as HDR histograms for each second of intended send time.

`IntervalRecorder` is what the load and the reader write with, `read_log`, `merge` and
`percentiles` what the judge and the report read with. A value belongs to the second in which its
record was meant to be sent, not to the one in which the answer came: after a stall the second that
suffered shows it (the correction for coordinated omission that wrk2 makes).

Percentiles are those of HdrHistogram for Java: the rank is rounded up, and the value is the
largest that the cell at that rank can hold.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.arrays import I64
from harness.errors import EnvironmentFailure
from harness.rundir.hlog import (
    CELLS,
    HIGHEST_EQUIVALENT_US,
    HIGHEST_US,
    Counts,
    Interval,
    LineEncoder,
    cells_of,
    header,
    intervals,
    start_line,
)
from harness.rundir.percentiles import Percentiles
from harness.system.disk import write_whole

__all__ = [
    "CELLS",
    "Interval",
    "IntervalRecorder",
    "merge",
    "percentile_us",
    "percentiles",
    "read_log",
]

METRICS: Final = ("ack", "service", "end_to_end")
"""What is measured: latency/<profile>.<metric>.<who>.hlog"""
INTERVAL_US: Final = 1_000_000
_OPEN_MAX: Final = 8
_FLUSH_S: Final = 1.0


class IntervalRecorder:
    """Writes one HdrHistogram V2 log.

    Intervals are whole seconds since the epoch, so logs of several producers share one grid. At
    most eight intervals are held in memory (188 KB each); a value for one that was written
    already opens it again, and its further line adds up with the first. Once a second `record`
    writes what has not been the newest interval, nor the one before, for a while; a process that
    is killed loses about the last two seconds.

    Not safe for two threads.
    """

    def __init__(self, path: Path, start_us: int) -> None:
        """Open `path` for appending.

        start_us: the second that holds it is noted as the log's start time. Java leaves out what
        begins before the start that it read last, so an earlier interval is preceded by its own.
        Raises EnvironmentFailure when the file cannot be written.
        """
        self.path = path
        self.below_range = 0
        """How many negative values were recorded as 0: the clock was set back meanwhile."""
        self.above_range = 0
        """How many values beyond one hour were recorded as one hour."""
        self._noted = (0, 0)
        self._encoder = LineEncoder()
        self._open: dict[int, Counts] = {}
        self._spare: list[Counts] = []
        self._newest = 0
        self._flushed_at = time.monotonic()
        try:
            self._descriptor = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
            )
        except OSError as error:
            raise EnvironmentFailure(f"{path}: cannot be written ({error.strerror}).") from error
        self._start = sys.maxsize
        if os.fstat(self._descriptor).st_size == 0:
            self._start = start_us // INTERVAL_US
            self._write(header(self._start * INTERVAL_US))

    def record(
        self, intended_us: npt.NDArray[np.integer], value_us: npt.NDArray[np.integer]
    ) -> None:
        """Record a batch.

        intended_us: (n,) intended send times, µs since the epoch.
        value_us: (n,) latencies in µs; what lies outside 0…one hour is clamped and counted.
        Raises EnvironmentFailure when the disk is full.
        """
        if not len(intended_us):
            return
        values = np.asarray(value_us).astype(np.int64, copy=False)
        lowest, highest = int(values.min()), int(values.max())
        if lowest < 0 or highest > HIGHEST_US:
            self.below_range += int(np.count_nonzero(values < 0))
            self.above_range += int(np.count_nonzero(values > HIGHEST_US))
            values = np.clip(values, 0, HIGHEST_US)
        cells = cells_of(values)
        first = int(intended_us.min()) // INTERVAL_US
        last = int(intended_us.max()) // INTERVAL_US
        if first == last:
            self._add(first, cells)
        else:
            numbers = np.asarray(intended_us).astype(np.int64, copy=False) // INTERVAL_US
            for number in np.unique(numbers):
                self._add(int(number), cells[numbers == number])
        if time.monotonic() - self._flushed_at >= _FLUSH_S:
            self._flush(self._newest - 2)

    def _add(self, number: int, cells: I64) -> None:
        counts = self._open.get(number)
        if counts is None:
            if len(self._open) >= _OPEN_MAX:
                self._flush(min(self._open))
            counts = self._spare.pop() if self._spare else np.zeros(CELLS, dtype=np.int64)
            self._open[number] = counts
            self._newest = max(self._newest, number)
        np.add.at(counts, cells, 1)

    def flush(self) -> None:
        """Write everything recorded so far."""
        self._flush(self._newest)

    def _flush(self, up_to: int) -> None:
        self._flushed_at = time.monotonic()
        lines = []
        for number in sorted(number for number in self._open if number <= up_to):
            counts = self._open.pop(number)
            start_us = number * INTERVAL_US
            if number < self._start:
                self._start = number
                lines.append(start_line(start_us))
            lines.append(self._encoder.line(Interval(start_us, start_us + INTERVAL_US, counts)))
            counts[:] = 0
            self._spare.append(counts)
        if self._noted != (self.below_range, self.above_range):
            self._noted = (self.below_range, self.above_range)
            lines.append(
                f"#[Clamped so far: {self.below_range} below 0, "
                f"{self.above_range} above {HIGHEST_US} us]\n"
            )
        if lines:
            self._write("".join(lines))

    def _write(self, text: str) -> None:
        write_whole(
            self._descriptor,
            text.encode(),
            f"{self.path}: no space left for the latency log; free disk space or "
            "choose another --out.",
        )

    def close(self) -> None:
        """Write everything and close the file; safe to call again."""
        if self._descriptor >= 0:
            try:
                self.flush()
            finally:
                os.close(self._descriptor)
                self._descriptor = -1

    def __enter__(self) -> IntervalRecorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_log(path: Path) -> list[Interval]:
    """All intervals of a log in file order; several may cover the same second and add up.

    A torn last line, left by a process that was killed, is left out. Raises RunDirError for a
    file that is no such log.
    """
    return list(intervals(path))


def merge(parts: Iterable[Interval]) -> Counts:
    """The sum of the intervals' counts, (CELLS,) int64; zeros when there are none."""
    total = np.zeros(CELLS, dtype=np.int64)
    for part in parts:
        total += part.counts
    return total


def percentile_us(counts: Counts, percentile: float) -> int | None:
    """The value at a percentile in 0…100, as Java's getValueAtPercentile; None when empty."""
    cumulated = np.cumsum(counts)
    total = int(cumulated[-1])
    if total == 0:
        return None
    # Java takes one ulp off, so that 99.9 % of 1,000 is rank 999 however the product rounds.
    exact = max(math.nextafter(percentile, -math.inf), 0.0) * total / 100.0
    rank = min(max(math.ceil(exact), 1), total)
    return int(HIGHEST_EQUIVALENT_US[np.searchsorted(cumulated, rank)])


def percentiles(counts: Counts) -> Percentiles:
    """Count, percentiles and maximum in ms of merged counts; null where nothing was recorded."""

    def ms(percentile: float) -> float | None:
        value = percentile_us(counts, percentile)
        return None if value is None else value / 1000

    return Percentiles(
        count=int(counts.sum()),
        p50=ms(50.0),
        p90=ms(90.0),
        p99=ms(99.0),
        p999=ms(99.9),
        p9999=ms(99.99),
        max=ms(100.0),
    )
