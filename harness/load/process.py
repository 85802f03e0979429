"""The load process of a run: `python -m harness.load.process RUN_DIR`.

It runs the users of scenarios/steady.py under Locust's own local runner, without Locust's command
line and the listeners that the file has for it: a locust.conf in the working directory or a
LOCUST_ variable in the environment must not change what a run measures. SIGTERM, or the death of
the harness, stops the schedule, awaits what is open within a bound, and closes the ledgers; the
exit status is 0, or 4 when a user failed for a reason of its own.
"""

from __future__ import annotations

import locust  # noqa: F401 - patches the process: before everything that opens sockets or starts threads

# ruff: noqa: I001
import argparse
import importlib.util
import logging
import os
import signal
import sys
from pathlib import Path

import gevent
from gevent.event import Event
from locust.env import Environment

from harness.system.assets import folder
from harness.system.collector import rare_collections
from harness.errors import EXIT_HARNESS_FAILED, EXIT_KEPT, HarnessError, UsageError
from harness.system.lifeline import watch
from harness.load.users import Load, ProducerUser
from harness.rundir.run_dir import RunDir

ORPHAN_STOP_TIMEOUT_S = 3.0
"""Without a harness the brokers are going down too: what is open is not awaited for long."""
LOCUST_STOP_TIMEOUT_S = 60.0
SPAWN_RATE_PER_S = 100


def scenario(path: Path) -> type[ProducerUser]:
    """The user class that a Locust file defines. Raises UsageError when it has not exactly one."""
    name = f"scenario_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    users: list[type[ProducerUser]] = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ProducerUser) and not value.abstract
    ]
    if len(users) != 1:
        raise UsageError(f"{path}: one class of producer users is expected, found {len(users)}.")
    return users[0]


def run(run_dir: RunDir) -> int:
    """Put load on the run's topics until somebody says stop; the exit status."""
    stop = Event()
    failures: list[str] = []

    def failed(reason: str) -> None:
        failures.append(reason)
        stop.set()

    load = Load(run_dir, on_failure=failed)
    loop = gevent.get_hub().loop
    orphaned = loop.async_()

    def on_orphaned() -> None:
        load.stop_timeout_s = ORPHAN_STOP_TIMEOUT_S
        stop.set()

    orphaned.start(on_orphaned)
    # `send` is the one call of the event loop that another thread may make.
    watch(orphaned.send)
    gevent.signal_handler(signal.SIGTERM, stop.set)
    gevent.signal_handler(signal.SIGINT, stop.set)

    environment = Environment(
        user_classes=load.user_classes(scenario(folder("scenarios") / "steady.py")),
        stop_timeout=LOCUST_STOP_TIMEOUT_S,
    )
    runner = environment.create_local_runner()
    environment.events.init.fire(environment=environment, runner=runner, web_ui=None)
    runner.start(len(load.instances), SPAWN_RATE_PER_S)
    stop.wait()
    load.stop()
    runner.quit()
    load.end()
    for failure in failures:
        print(failure, file=sys.stderr)
    return EXIT_HARNESS_FAILED if failures else EXIT_KEPT


def main() -> int:
    """Parse the one argument and run."""
    parser = argparse.ArgumentParser(prog="python -m harness.load.process")
    parser.add_argument("run_dir", type=Path)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        with rare_collections():
            return run(RunDir(args.run_dir))
    except HarnessError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A commit that waits for dead brokers on the thread pool must not hold up the end.
    os._exit(status)
