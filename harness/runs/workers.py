"""Over how many load processes a run spreads, who starts them, and where they meet."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import UsageError
from harness.load.shares import too_many_workers
from harness.runs.options import DEFAULTS, RunOptions

WORKERS_MAX: Final = 1_000
_PORT_MAX: Final = 65_535


@dataclass(frozen=True, slots=True)
class WorkersPlan:
    """count: of workers. expected: are they started elsewhere, or by the run itself?"""

    count: int
    expected: bool
    wait_s: float | None
    """So long the expected ones are awaited; None: until they come."""
    host: str
    port: int

    @property
    def waiting_for(self) -> str:
        """What is waited for, and where."""
        return f"waiting for {self.count} workers at {self.host}:{self.port}"


def workers_plan(options: RunOptions, profiles: int) -> WorkersPlan | None:
    """What the options say; None for a load in one process.

    Raises UsageError for numbers that are none, and for more workers than the load has clients.
    """
    _check(options)
    count = options.workers or options.expect_workers
    if not count:
        return None
    if count > profiles * options.producers:
        raise UsageError(too_many_workers(count, profiles, options.producers))
    return WorkersPlan(
        count=count,
        expected=bool(options.expect_workers),
        wait_s=options.expect_workers_max_wait_s or None,
        host=options.master_bind_host,
        port=options.master_bind_port,
    )


def _check(options: RunOptions) -> None:
    if options.workers and options.expect_workers:
        raise UsageError(
            "--workers starts load processes here, --expect-workers waits for others: give one."
        )
    for value, option, least, most in (
        (options.workers, "--workers", 1, WORKERS_MAX),
        (options.expect_workers, "--expect-workers", 1, WORKERS_MAX),
        (options.expect_workers_max_wait_s, "--expect-workers-max-wait", 0, 86_400),
        (options.master_bind_port, "--master-bind-port", 1, _PORT_MAX),
    ):
        if value is not None and not least <= value <= most:
            raise UsageError(f"{option} {value:g}: accepted is {least} to {most}.")
    for given, default, option in (
        (options.master_bind_host, DEFAULTS.master_bind_host, "--master-bind-host"),
        (options.master_bind_port, DEFAULTS.master_bind_port, "--master-bind-port"),
        (
            options.expect_workers_max_wait_s,
            DEFAULTS.expect_workers_max_wait_s,
            "--expect-workers-max-wait",
        ),
    ):
        if given != default and not options.expect_workers:
            raise UsageError(
                f"{option}: is for workers that come from elsewhere: --expect-workers."
            )


def load_command(run_dir: Path, scenario: Path, workers: WorkersPlan | None) -> list[str]:
    """The command of a run's load process, or of the master of several."""
    if workers is None:
        return [sys.executable, "-m", "harness.load.process", str(run_dir), str(scenario)]
    command = [sys.executable, "-m", "harness.load.master", str(run_dir), str(scenario)]
    if not workers.expected:
        return [*command, "--workers", str(workers.count)]
    command += ["--expect", str(workers.count), "--host", workers.host]
    command += ["--port", str(workers.port)]
    return command if workers.wait_s is None else [*command, "--wait", str(workers.wait_s)]
