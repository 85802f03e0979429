"""The load process of a run: `python -m harness.load.process RUN_DIR [SCENARIO]`.

It runs the users of a Locust file, such as scenarios/steady.py, under Locust's own local runner,
without Locust's command line and the listeners that the file has for it: a locust.conf in the
working directory or a LOCUST_ variable in the environment must not change what a run measures.
SIGTERM, or the death of the harness, stops the schedule, awaits what is open within a bound, and
closes the ledgers; the exit status is 0, or 4 when a user failed for its own reason.
"""

from __future__ import annotations

import locust  # noqa: F401 - patches the process: before everything that opens sockets or starts threads

# ruff: noqa: I001
import argparse
import logging
import os
import random
import signal
import sys
from pathlib import Path

import gevent
from gevent.event import Event
from locust.env import Environment

from harness.system.assets import folder
from harness.system.garbage_collector import rare_collections
from harness.errors import EXIT_HARNESS_FAILED, EXIT_KEPT, HarnessError
from harness.system.lifeline import watch
from harness.load.scenario import scenario
from harness.load.users import Load
from harness.rundir.run_dir import RunDir

ORPHAN_STOP_TIMEOUT_S = 3.0
"""Without a harness the brokers are going down too: what is open is not awaited for long."""
LOCUST_STOP_TIMEOUT_S = 60.0
SPAWN_RATE_PER_S = 100


def run(run_dir: RunDir, scenario_file: Path) -> int:
    """Put load on the run's topics until somebody says stop; the exit status."""
    stop = Event()
    failures: list[str] = []

    def failed(reason: str) -> None:
        failures.append(reason)
        stop.set()

    load = Load(run_dir, on_failure=failed)
    # Locust chooses among the tasks of a user, and a scenario may choose more.
    random.seed(load.info.seed)
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
        user_classes=load.user_classes(scenario(scenario_file)),
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
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m harness.load.process")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("scenario", type=Path, nargs="?", default=folder("scenarios") / "steady.py")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        with rare_collections():
            return run(RunDir(args.run_dir), args.scenario)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A commit that waits for dead brokers on the thread pool must not hold up the end.
    os._exit(status)
