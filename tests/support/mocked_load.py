"""Load processes against librdkafka's own mock brokers: real processes, no Kafka.

Each producer has mock brokers of its own, so nothing can be read back; what the processes record is
what these tests look at.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.rundir.columns import ColumnFile
from harness.rundir.events import IncarnationEvent, RunEvent, WorkerEvent
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ProfileRun, new_run_id
from tests.support.runs import load_plan, run_info

ROOT = Path(__file__).resolve().parents[2]
STEADY = ROOT / "scenarios" / "steady.py"
MOCKED = {"HARNESS_CLIENT_CONFIG": json.dumps({"test.mock.num.brokers": "1", "log_level": "2"})}
WAIT_S = 90.0


def a_run(path: Path, *, producers: int = 2, rate: float = 200) -> RunDir:
    """A prepared run of two profiles, with no cluster to compare with."""
    run_dir = RunDir.create(path)
    profiles = [
        ProfileRun(
            profile=name,
            role="subject",
            topics=[f"harness-mocked-{name}"],
            topic_ids=["A" * 22],
            producer={"acks": "all"},
            consumer={},
            topic={},
            promises=["no_lost"],
        )
        for name in ("one", "two")
    ]
    load = load_plan(
        rate_per_s=rate, partitions=3, producers=producers, warm_up_s=1.0, lag_limit_ms=1000.0
    )
    run_dir.write_info(
        run_info(
            *profiles,
            run_id=new_run_id(),
            seed=7,
            bootstrap="127.0.0.1:9",
            cluster_id="",
            load=load,
        )
    )
    return run_dir


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def process(
    log: Path, *arguments: str, run_dir: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """`python ARGUMENTS`, which is gone afterwards."""
    given = {} if run_dir is None else {"HARNESS_RUN_DIR": str(run_dir)}
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=log.parent,
            env={**os.environ, "PYTHONPATH": str(ROOT), **MOCKED, **given},
        )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def until(condition: Callable[[], object], what: str, log: Path) -> None:
    """Await a condition; a failure shows the end of a log."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"{what}: {log.read_text()[-3000:]}"
        time.sleep(0.1)


def phase(run_dir: RunDir, name: str) -> bool:
    """Whether the load has reached it."""
    if not run_dir.timeline.exists():
        return False
    return any(event.phase == name for event in run_dir.events(RunEvent))


def workers(run_dir: RunDir, name: str) -> list[WorkerEvent]:
    """The events of workers with that phase."""
    return [event for event in run_dir.events(WorkerEvent) if event.phase == name]


def clients_started(run_dir: RunDir) -> list[tuple[str, int | None]]:
    """(profile, instance) of every producer that began, in order of name."""
    begun = [event for event in run_dir.events(IncarnationEvent) if event.phase == "started"]
    return sorted((event.profile, event.instance or 0) for event in begun)


def attempts(run_dir: RunDir, first: int, last: int) -> int:
    """How many attempts the ledgers of these numbers hold."""
    return _cells(run_dir.ledger, "ledger", first, last)


def read_live(run_dir: RunDir, event: WorkerEvent) -> int:
    """How many records of a worker the run has read so far."""
    return _cells(run_dir.live, "obs", event.first or 0, event.last or 0)


def _cells(folder: Path, suffix: str, first: int, last: int) -> int:
    total = 0
    for path in folder.glob(f"*.{suffix}"):
        if path.stem.isdigit() and first <= int(path.stem) <= last:
            file = ColumnFile.open(path)
            total += sum(
                int((extent.high > 0).sum())
                for key in file.partitions
                for extent in file.extents(*key)
            )
            file.close()
    return total


def process_of(event: WorkerEvent) -> int:
    """The number of a worker's process."""
    return int(event.name.rpartition("process ")[2].rstrip(")"))
