"""Disk and memory a record: the slope between a run of one million records and one of ten.

Disk is what the run directory takes after load, live reading and a verification, in allocated
blocks. Memory is the most anonymous memory that each of the three processes had, sampled; files
that are mapped, as the ledger is, belong to the kernel's cache and not to it. A slope leaves out
what a process needs for one record as well as for many.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from harness.bench.cases import FOOTPRINT, FOOTPRINT_RECORDS, LOAD, Case
from harness.bench.measured import Measured
from harness.bench.sides import TIMEOUT_S, Sides
from harness.columns import ColumnFile
from harness.errors import HarnessError
from harness.rundir import RunDir
from harness.verify.observations import cell_files

PROFILE: Final = "idempotent"
MESSAGE_BYTES: Final = 100
_PRODUCER: Final = {"compression.type": "lz4"}
_TOPIC: Final = {"replication.factor": 1, "min.insync.replicas": 1}
_LIVE_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Footprint:
    """The `footprint` entry."""

    records: tuple[int, int]
    disk_bytes_per_record: float
    anonymous_bytes_per_record: float | None
    """Load, live reader and verification together; None where the kernel does not tell."""
    processes: dict[str, list[int | None]]
    """Peak anonymous bytes of each process, in the smaller and in the larger run."""
    records_per_s: float
    """Of the larger run's load, the live reader beside it."""
    cpu_us_per_record: float
    """Of the larger run: all three processes together."""

    def to_json(self) -> dict[str, Any]:
        """As every entry, without a peer: Kafka's tools keep no account."""
        return {
            "name": FOOTPRINT,
            "records_per_s": round(self.records_per_s),
            "cpu_us_per_record": round(self.cpu_us_per_record, 3),
            "peer": None,
            "peer_records_per_s": None,
            "peer_cpu_us_per_record": None,
            "disk_bytes_per_record": round(self.disk_bytes_per_record, 3),
            "anonymous_bytes_per_record": None
            if self.anonymous_bytes_per_record is None
            else round(self.anonymous_bytes_per_record, 3),
            "anonymous_bytes_peak": self.processes,
            "records": list(self.records),
            "message_bytes": MESSAGE_BYTES,
        }


@dataclass(frozen=True, slots=True)
class _Taken:
    """What one run took."""

    records: int
    disk_bytes: int
    processes: Mapping[str, Measured]
    load_records_per_s: float


def measure_footprint(sides: Sides, records: tuple[int, int] = FOOTPRINT_RECORDS) -> Footprint:
    """Measure a smaller and a larger run and the slope between them.

    One replica and lz4, to be quick: neither enters a ledger.
    """
    smaller, larger = (_take(sides, count) for count in records)
    more = larger.records - smaller.records
    peaks = {
        name: [run.processes[name].anonymous_bytes for run in (smaller, larger)]
        for name in larger.processes
    }
    known = [peak for pair in peaks.values() for peak in pair if peak is not None]
    anonymous = None
    if len(known) == 2 * len(peaks):
        anonymous = sum(known[1::2]) - sum(known[0::2])
    return Footprint(
        records=records,
        disk_bytes_per_record=(larger.disk_bytes - smaller.disk_bytes) / more,
        anonymous_bytes_per_record=None if anonymous is None else anonymous / more,
        processes=peaks,
        records_per_s=larger.load_records_per_s,
        cpu_us_per_record=sum(m.cpu_s for m in larger.processes.values()) / larger.records * 1e6,
    )


def _take(sides: Sides, records: int) -> _Taken:
    case = Case(f"{FOOTPRINT} {records}", LOAD, PROFILE, MESSAGE_BYTES, records, "")
    with sides.run(case, producer=_PRODUCER, topic=_TOPIC) as run:
        run_dir = run.run_dir
        reader = sides.start(
            ["harness.verify.reader", str(run_dir.path)], "our live reader", memory=True
        )
        try:
            load, result = sides.worker("load", run_dir, records, case.name, memory=True)
            _await_live(run_dir, records)
            reader.terminate()
            live = reader.finish(TIMEOUT_S)
        finally:
            reader.stop()
        verify, _ = sides.worker("verify", run_dir, 1, case.name, memory=True)
        return _Taken(
            records,
            allocated_bytes(run_dir.path),
            {"load": load, "reader": live, "verify": verify},
            result.records_per_s,
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
        time.sleep(_POLL_S)


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
