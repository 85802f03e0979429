"""The load of a run over several workers: `python -m harness.load.master RUN_DIR SCENARIO …`.

It is a Locust master without Locust's command line. With --workers it starts that many workers on
this machine itself; with --expect it waits for workers that somebody starts elsewhere. SIGTERM, or
the death of the harness, stops the load everywhere and awaits what the workers recorded. The exit
status is 0, or 4 when too few workers came, when all of them were lost, or when a user failed for a
reason that is not Kafka's.
"""

from __future__ import annotations

import locust  # noqa: F401 - patches the process: before everything that opens sockets or starts threads

# ruff: noqa: I001
import argparse
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Final

import gevent
from gevent.event import Event
from locust.env import Environment
from locust.exception import RPCError
from locust.runners import MasterRunner

from harness.errors import EXIT_HARNESS_FAILED, EXIT_KEPT, EnvironmentFailure, HarnessError
from harness.load.master_side import MasterSide
from harness.load.process import LOCUST_STOP_TIMEOUT_S, SPAWN_RATE_PER_S
from harness.load.scenario import scenario, scenario_name
from harness.load.users import ProducerUser, user_class
from harness.rundir.run_dir import RunDir
from harness.system.lifeline import Child, watch

OWN_WORKERS_S: Final = 60.0
"""So long the workers that this process starts have to connect."""
LOOPBACK: Final = "127.0.0.1"


class _OwnWorkers:
    """Workers on this machine, which end when this process does."""

    def __init__(self, run_dir: RunDir, scenario_file: Path, count: int, port: int) -> None:
        # Should a worker fail to write into the run directory it would make its part here.
        work = run_dir.path / "workers"
        self._children = [
            Child(
                [
                    *(sys.executable, "-m", "harness.load.worker"),
                    *("--master-host", LOOPBACK, "--master-port", str(port)),
                    *("--scenario", str(scenario_file), "--work", str(work)),
                    *("--number", str(number)),
                ],
                log=run_dir.logs / f"worker-{number}.log",
            )
            for number in range(1, count + 1)
        ]

    def dead(self, pid: int) -> bool:
        """Whether one of these processes is gone."""
        return any(
            each.process.pid == pid and each.process.poll() is not None for each in self._children
        )

    def first_dead(self) -> str:
        """Why one of them is gone, if one is."""
        for each in self._children:
            if (status := each.process.poll()) is not None:
                return f"a worker ended with status {status} before the load: {each.tail(3)}"
        return ""

    def stop(self) -> None:
        """End those that are still there."""
        for each in self._children:
            with contextlib.suppress(ProcessLookupError):
                each.process.terminate()
        for each in self._children:
            each.stop(grace_s=5)


def _listening(environment: Environment, host: str, port: int) -> MasterRunner:
    """Raises EnvironmentFailure when the address cannot be listened on."""
    try:
        return environment.create_master_runner(host, port)
    except (RPCError, SystemExit, OSError) as error:
        why = "it is in use" if isinstance(error, SystemExit) else error
        raise EnvironmentFailure(
            f"--master-bind-host {host}, --master-bind-port {port}: cannot be listened on ({why})."
        ) from None


def run(run_dir: RunDir, scenario_file: Path, args: argparse.Namespace) -> int:
    """Let workers put load on the run's topics until somebody says stop; the exit status."""
    stop = Event()
    failures: list[str] = []

    def failed(reason: str) -> None:
        failures.append(reason)
        stop.set()

    loop = gevent.get_hub().loop
    orphaned = loop.async_()
    orphaned.start(stop.set)
    watch(orphaned.send)
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stop.set)

    environment = Environment(stop_timeout=LOCUST_STOP_TIMEOUT_S)
    host, port = (LOOPBACK, 0) if args.workers else (args.host, args.port)
    runner = _listening(environment, host, port)
    own = (
        _OwnWorkers(run_dir, scenario_file, args.workers, runner.server.port)
        if args.workers
        else None
    )
    side = MasterSide(
        runner,
        on_failure=failed,
        stopped=stop.is_set,
        dead=own.dead if own is not None else lambda _: False,
    )
    environment.events.init.fire(environment=environment, runner=runner, web_ui=None)
    try:
        wait_s = OWN_WORKERS_S if own is not None else args.wait
        if not side.gather(args.workers or args.expect, wait_s, at_least=own is None):
            return EXIT_KEPT
        side.assign(run_dir, scenario_name(scenario_file))
        if stop.is_set():
            return EXIT_KEPT
        environment.user_classes = master_classes(run_dir, scenario(scenario_file))
        runner.start(side.clients, SPAWN_RATE_PER_S)
        side.start()
        # Locust stops the test by itself once the last worker is gone.
        environment.events.test_stop.add_listener(lambda **_: stop.set())
        stop.wait()
        runner.stop()
        side.collect()
        if side.workers and all(worker.reported_lost for worker in side.workers):
            failures.append("all workers were lost")
    finally:
        runner.quit()
        if own is not None:
            own.stop()
    for failure in failures:
        print(failure, file=sys.stderr)
    return EXIT_HARNESS_FAILED if failures else EXIT_KEPT


def master_classes(run_dir: RunDir, base: type[ProducerUser]) -> list[type[ProducerUser]]:
    """The user classes of a run as a master has them, for their names."""
    info = run_dir.read_info()
    every = range(info.load.producers)
    return [user_class(base, profile, list(every)) for profile in info.profiles]


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m harness.load.master")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("scenario", type=Path)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--expect", type=int, default=0)
    parser.add_argument("--wait", type=float)
    parser.add_argument("--host", default=LOOPBACK)
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    run_dir = RunDir(args.run_dir)
    try:
        return run(run_dir, args.scenario, args)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
