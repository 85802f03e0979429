"""A load process among several: `python -m harness.load.worker --master-host H --master-port P`.

It is a Locust worker without Locust's command line. It makes its share of one run, hands in what it
recorded and ends with status 0; whoever started it starts the next one. SIGTERM, or the death of
its parent, ends its share earlier, and in order. How to reach the brokers it reads from
HARNESS_CLIENT_CONFIG, never from the master. --temporary: the folder of --work is its parent's, and
once the parent is gone no other process removes it.
"""

from __future__ import annotations

import locust  # noqa: F401 - patches the process: before everything that opens sockets or starts threads

# ruff: noqa: I001
import argparse
import logging
import os
import signal
import sys
from pathlib import Path

import gevent
from gevent.event import Event
from locust.env import Environment

from harness.errors import EXIT_HARNESS_FAILED, EXIT_KEPT, HarnessError
from harness.load.left_over import WorkFolder
from harness.load.process import LOCUST_STOP_TIMEOUT_S, ORPHAN_STOP_TIMEOUT_S
from harness.load.scenario import scenario_named
from harness.load.worker_side import WorkerSide
from harness.system.garbage_collector import rare_collections
from harness.system.lifeline import watch

HAND_IN_S = 120.0
"""A process that is asked to end hands in what it recorded within this time, or keeps it."""

log = logging.getLogger(__name__)


def work(args: argparse.Namespace) -> int:
    """Take part in one run; the exit status."""
    folder = WorkFolder(args.work)
    orphaned: list[bool] = []
    try:
        return _take_part(args, folder, orphaned)
    finally:
        if orphaned and args.temporary:
            folder.remove(args.log)


def _take_part(args: argparse.Namespace, folder: WorkFolder, orphaned: list[bool]) -> int:
    """orphaned: gets an entry when the parent dies."""
    stop = Event()
    loop = gevent.get_hub().loop
    loss = loop.async_()

    def on_loss() -> None:
        orphaned.append(True)
        stop.set()

    loss.start(on_loss)
    # `send` is the one call of the event loop that another thread may make.
    watch(loss.send)
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stop.set)

    environment = Environment(stop_timeout=LOCUST_STOP_TIMEOUT_S)
    connecting = gevent.spawn(environment.create_worker_runner, args.master_host, args.master_port)
    gevent.wait([connecting, stop], count=1)
    if not connecting.ready():
        return EXIT_KEPT
    if connecting.exception is not None:
        log.error("no master at %s:%s", args.master_host, args.master_port)
        return EXIT_HARNESS_FAILED
    runner = connecting.value
    side = WorkerSide(
        environment,
        lambda name: scenario_named(name, args.scenario),
        folder,
        apart=args.apart,
        number=args.number,
        log_file=args.log,
    )
    environment.events.init.fire(environment=environment, runner=runner, web_ui=None)
    over = gevent.spawn(runner.greenlet.join)
    gevent.wait([over, stop], count=1)
    if orphaned and side.load is not None:
        side.load.stop_timeout_s = ORPHAN_STOP_TIMEOUT_S
    if stop.is_set():
        log.info("asked to end: this worker's share of the load ends here")
        runner.stop()
    side.end()
    if not orphaned:
        side.handed_in.wait(HAND_IN_S)
    if not over.ready():
        environment.events.quitting.fire(environment=environment)
    return EXIT_KEPT


def main() -> int:
    """Parse the arguments and take part."""
    parser = argparse.ArgumentParser(prog="python -m harness.load.worker")
    parser.add_argument("--master-host", required=True)
    parser.add_argument("--master-port", type=int, required=True)
    parser.add_argument("--scenario", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--temporary", action="store_true")
    parser.add_argument("--apart", action="store_true")
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--log", type=Path)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        with rare_collections():
            return work(args)
    except HarnessError as error:
        print(error, file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # A commit that waits for dead brokers on the thread pool must not hold up the end.
    os._exit(status)
