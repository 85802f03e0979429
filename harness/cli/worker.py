"""`harness worker`: make a share of the load of runs whose master is elsewhere."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path
from types import FrameType

from harness.cli.arguments import add_connection_arguments
from harness.errors import EXIT_KEPT
from harness.system.output import complain

MASTER_PORT = 5557


def add_worker_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `harness worker`."""
    add = parser.add_argument
    add("--master-host", required=True, metavar="HOST", help="where `harness run` or Locust waits")
    add(
        "--master-port",
        type=int,
        default=MASTER_PORT,
        metavar="PORT",
        help="its port (default %(default)s)",
    )
    add(
        "--brokers",
        metavar="local:NAME|HOST:PORT,…|strimzi://NS/CLUSTER",
        help="the brokers of the run as they are reached from here; otherwise HARNESS_BROKERS, or "
        "where the run reaches them",
    )
    add_connection_arguments(parser)
    add(
        "--scenario",
        metavar="NAME|FILE",
        help="the run's Locust file, where it is not a built-in one",
    )
    add(
        "--work-dir",
        metavar="DIR",
        help="record here and hand it in over the network, also where the run directory could be "
        "written (default: a temporary folder, used on other machines)",
    )


def run_worker(args: argparse.Namespace) -> int:
    """Serve runs until SIGTERM or Ctrl-C; the second Ctrl-C ends at once."""
    from harness.runs.worker import WorkerOptions, serve

    asked: list[int] = []

    def handle(number: int, _: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {each: signal.signal(each, handle) for each in (signal.SIGINT, signal.SIGTERM)}
    options = WorkerOptions(
        master_host=args.master_host,
        master_port=args.master_port,
        brokers=args.brokers or "",
        config=tuple(args.config),
        properties=None if args.properties is None else Path(args.properties),
        scenario=args.scenario,
        work_dir=None if args.work_dir is None else Path(args.work_dir),
    )
    try:
        serve(options, complain, lambda: bool(asked))
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    return EXIT_KEPT
