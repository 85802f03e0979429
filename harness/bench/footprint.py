"""How time, disk and memory grow: runs of one million records, ten million and so on.

Disk is what the run directory takes after load, live reading and a verification, in allocated
blocks. Memory is the most anonymous memory that each of the three stages had, sampled; files
that are mapped, as the ledger is, belong to the kernel's cache and not to it. A slope leaves out
what a process needs for one record as well as for many.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from harness.bench.cases import FOOTPRINT, LOAD, Case
from harness.bench.sides import TIMEOUT_S, Sides
from harness.errors import HarnessError
from harness.rundir.columns import ColumnFile
from harness.rundir.rows import cell_files
from harness.rundir.run_dir import RunDir

PROFILE: Final = "idempotent"
MESSAGE_BYTES: Final = 100
_PRODUCER: Final = {"compression.type": "lz4"}
_TOPIC: Final = {"replication.factor": 1, "min.insync.replicas": 1}
_LIVE_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.25
_POLL_RECORDS_PER_S: Final = 50_000_000
"""Counting what was read costs time itself: it is done the more rarely the more there is."""
_RECORDS_PER_S_MIN: Final = 50_000
_DISK_BYTES_PER_RECORD: Final = 160
"""The topic, compressed, the run directory, and as much again to spare."""


@dataclass(frozen=True, slots=True)
class Size:
    """One run of the growth table: load with the live reader beside it, then a verification."""

    records: int
    load_records_per_s: float
    load_cpu_us_per_record: float
    verify_s: float
    """From the first question to the brokers to the verdict."""
    verify_cpu_us_per_record: float
    disk_bytes: int
    anonymous_bytes: dict[str, int | None]
    """Peak of each process with those it started; None where the kernel does not tell."""

    @property
    def anonymous_bytes_peak(self) -> int | None:
        """All of them together, though they are not at work at the same time."""
        known = [each for each in self.anonymous_bytes.values() if each is not None]
        return sum(known) if len(known) == len(self.anonymous_bytes) else None

    def to_json(self) -> dict[str, Any]:
        return {
            "records": self.records,
            "load_records_per_s": round(self.load_records_per_s),
            "load_cpu_us_per_record": round(self.load_cpu_us_per_record, 3),
            "verify_s": round(self.verify_s, 2),
            "verify_records_per_s": round(self.records / self.verify_s),
            "verify_cpu_us_per_record": round(self.verify_cpu_us_per_record, 3),
            "disk_bytes_per_record": round(self.disk_bytes / self.records, 3),
            "anonymous_bytes_peak": self.anonymous_bytes,
        }


@dataclass(frozen=True, slots=True)
class Footprint:
    """The `footprint` entry: sizes from the smallest to the largest."""

    sizes: tuple[Size, ...]

    @property
    def disk_bytes_per_record(self) -> float:
        """Slope from the smallest to the largest."""
        first, last = self.sizes[0], self.sizes[-1]
        return (last.disk_bytes - first.disk_bytes) / (last.records - first.records)

    @property
    def anonymous_bytes_per_record(self) -> float | None:
        """Slope from the smallest to the largest."""
        first, last = self.sizes[0], self.sizes[-1]
        before, after = first.anonymous_bytes_peak, last.anonymous_bytes_peak
        if before is None or after is None:
            return None
        return (after - before) / (last.records - first.records)

    @property
    def marginal_time(self) -> float:
        """Time of verification that each further record takes, over that of the smallest run."""
        first, last = self.sizes[0], self.sizes[-1]
        marginal_s = (last.verify_s - first.verify_s) / (last.records - first.records)
        return marginal_s / (first.verify_s / first.records)

    def to_json(self) -> dict[str, Any]:
        """As every entry, without a peer: Kafka's tools keep no account."""
        last, anonymous = self.sizes[-1], self.anonymous_bytes_per_record
        return {
            "name": FOOTPRINT,
            "records_per_s": round(last.load_records_per_s),
            "cpu_us_per_record": round(
                last.load_cpu_us_per_record + last.verify_cpu_us_per_record, 3
            ),
            "peer": None,
            "peer_records_per_s": None,
            "peer_cpu_us_per_record": None,
            "disk_bytes_per_record": round(self.disk_bytes_per_record, 3),
            "anonymous_bytes_per_record": None if anonymous is None else round(anonymous, 3),
            "marginal_time": round(self.marginal_time, 3),
            "records": [size.records for size in self.sizes],
            "growth": [size.to_json() for size in self.sizes],
            "message_bytes": MESSAGE_BYTES,
        }


def measure_footprint(
    sides: Sides,
    records: Sequence[int],
    say: Callable[[str], None] = lambda _: None,
) -> Footprint:
    """Measure runs of growing size. Those for which the disk has no room are left out, and said.

    One replica and lz4, to be quick: neither enters a ledger.
    """
    sizes: list[Size] = []
    for count in records:
        free_bytes = shutil.disk_usage(sides.folder).free
        if len(sizes) > 1 and free_bytes < count * _DISK_BYTES_PER_RECORD:
            say(
                f"{FOOTPRINT}: {count:,} records need {count * _DISK_BYTES_PER_RECORD >> 30} GiB "
                f"of disk, and {free_bytes >> 30} GiB are free: left out"
            )
            break
        say(f"{FOOTPRINT}: {count:,} records")
        sizes.append(_take(sides, count))
    return Footprint(tuple(sizes))


def _take(sides: Sides, records: int) -> Size:
    case = Case(f"{FOOTPRINT} {records}", LOAD, PROFILE, MESSAGE_BYTES, records, "")
    timeout_s = max(TIMEOUT_S, records / _RECORDS_PER_S_MIN)
    with sides.run(case, producer=_PRODUCER, topic=_TOPIC) as run:
        run_dir = run.run_dir
        reader = sides.start(
            ["harness.read.live_reader", str(run_dir.path)], "our live reader", memory=True
        )
        try:
            load, result = sides.worker(
                "load", run_dir, records, case.name, memory=True, timeout_s=timeout_s
            )
            _await_live(run_dir, records)
            reader.terminate()
            live = reader.finish(TIMEOUT_S)
        finally:
            reader.stop()
        verify, verified = sides.worker(
            "verify", run_dir, 1, case.name, memory=True, timeout_s=timeout_s
        )
        processes = {"load": load, "reader": live, "verify": verify}
        return Size(
            records=records,
            load_records_per_s=result.records_per_s,
            load_cpu_us_per_record=(load.cpu_s + live.cpu_s) / records * 1e6,
            verify_s=verified.elapsed_s,
            verify_cpu_us_per_record=verify.cpu_s / records * 1e6,
            disk_bytes=allocated_bytes(run_dir.path),
            anonymous_bytes={name: each.anonymous_bytes for name, each in processes.items()},
        )


def _await_live(run_dir: RunDir, records: int) -> None:
    """Await that the live reader has seen every record; raises HarnessError when it does not."""
    seen, moved_s = -1, time.monotonic()
    while (now := _cells(run_dir.live)) < records:
        if now > seen:
            seen, moved_s = now, time.monotonic()
        elif time.monotonic() - moved_s > _LIVE_TIMEOUT_S:
            raise HarnessError(
                f"the live reader stopped at {seen} of {records} records for {_LIVE_TIMEOUT_S:g} s."
            )
        time.sleep(max(_POLL_S, records / _POLL_RECORDS_PER_S))


def _cells(folder: Path) -> int:
    count = 0
    for path in cell_files(folder):
        with ColumnFile.open(path) as file:
            for key in file.partitions:
                count += sum(int(np.count_nonzero(e.high)) for e in file.extents(*key))
    return count


def allocated_bytes(folder: Path) -> int:
    """The blocks that a folder's files have on the disk, whatever their length."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
