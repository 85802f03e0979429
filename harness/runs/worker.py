"""A worker that serves one run after another: a Locust worker process for each.

Each process starts from nothing, so no run can leave anything to the next. Brokers and client
settings are resolved here, anew for each process, and never come from the master.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.errors import HarnessError, UsageError
from harness.load.left_over import WorkFolder
from harness.runs.scenarios import scenario_file
from harness.runs.worker_brokers import worker_environment
from harness.system.lifeline import Child

PORT: Final = 5557
STOP_S: Final = 150.0
"""A worker that is to stop ends its share, and hands in what it recorded, within this time."""
PAUSE_S: Final = 1.0
_POLL_S: Final = 0.1
_PORT_MAX: Final = 65_535
_LOG_NAME: Final = "worker.log"


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What `harness worker` takes."""

    master_host: str
    master_port: int = PORT
    brokers: str = ""
    config: tuple[str, ...] = field(default=(), repr=False)
    properties: Path | None = None
    scenario: str | None = None
    work_dir: Path | None = None
    """Write partial run directories here, also where a run's own could be written."""


def serve(options: WorkerOptions, say: Callable[[str], None], stop: Callable[[], bool]) -> None:
    """Serve runs until `stop` says so. say: gets a line at a time.

    Raises UsageError for what cannot be used, ClusterError when the brokers cannot be found.
    """
    if not 1 <= options.master_port <= _PORT_MAX:
        raise UsageError(f"--master-port {options.master_port}: accepted is 1 to {_PORT_MAX}.")
    scenario = None if options.scenario is None else scenario_file(options.scenario)
    environment = _environment(options)
    with _work_folder(options.work_dir, say) as work:
        say(f"waiting for a run at {options.master_host}:{options.master_port}")
        while not stop():
            status = _one_run(options, scenario, environment, work, say, stop)
            if stop():
                return
            if status:
                _pause(stop)
            try:
                environment = _environment(options)
            except HarnessError as error:
                # What reaches the brokers may be about to change; the next run may find it.
                say(str(error))


def _environment(options: WorkerOptions) -> dict[str, str]:
    return worker_environment(options.brokers, options.config, options.properties)


def _one_run(
    options: WorkerOptions,
    scenario: Path | None,
    environment: Mapping[str, str],
    work: Path,
    say: Callable[[str], None],
    stop: Callable[[], bool],
) -> int:
    """One process, from its start to its end; its exit status."""
    log = work / _LOG_NAME
    log.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "harness.load.worker"),
        *("--master-host", options.master_host, "--master-port", str(options.master_port)),
        *("--work", str(work), "--log", str(log)),
    ]
    if scenario is not None:
        command += ["--scenario", str(scenario)]
    command.append("--temporary" if options.work_dir is None else "--apart")
    child = Child(command, log=log, environment=environment)
    lines = _Lines(log, say)
    try:
        while child.process.poll() is None and not stop():
            lines.tell()
            time.sleep(_POLL_S)
    finally:
        status = child.stop(grace_s=STOP_S)
        lines.tell()
    return status


class _Lines:
    """Passes on the lines of a log as they come."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path = path
        self._say = say
        self._read_bytes = 0

    def tell(self) -> None:
        """The whole lines since the last time."""
        with contextlib.suppress(OSError), self._path.open("rb") as log:
            log.seek(self._read_bytes)
            data = log.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._read_bytes += len(whole)
            for line in whole.decode(errors="replace").splitlines():
                self._say(line)


def _pause(stop: Callable[[], bool]) -> None:
    until = time.monotonic() + PAUSE_S
    while time.monotonic() < until and not stop():
        time.sleep(_POLL_S)


@contextlib.contextmanager
def _work_folder(given: Path | None, say: Callable[[str], None]) -> Iterator[Path]:
    """Where partial run directories are; one of ours goes when nothing is left in it."""
    if given is not None:
        try:
            given.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--work-dir {given}: cannot be made ({error.strerror}).") from error
        yield given.resolve()
        return
    folder = WorkFolder()
    try:
        yield folder.made()
    finally:
        if not folder.remove(folder.made() / _LOG_NAME):
            say(f"what was not handed in stays in {folder.path}")
