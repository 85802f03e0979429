"""The `harness` command: parses, calls the library, turns errors into exit codes.

Each command's own module is imported when it is called, so that `harness --version` and a usage
error answer at once, and so that nothing is started by an import.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import harness
from harness.cli.arguments import Parser, add_connection_arguments
from harness.cli.ending import guarded
from harness.cli.verify import add_verify_arguments, run_verify

_EXIT_CODES = """\
exit codes:
  0  every promise kept          3  inconclusive
  1  a promise broken            4  the harness or its environment failed
  2  wrong usage or configuration, found before anything was started or touched"""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; the documentation test reads it too."""
    parser = Parser(
        prog="harness",
        description="Find out which delivery promises a Kafka keeps, under load and faults.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument(
        "--version", action="version", version=f"harness {harness.__version__} (delivery-harness)"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="load, break, heal, read back, judge", epilog=_EXIT_CODES)
    add_run_arguments(run)

    verify = commands.add_parser(
        "verify",
        help="judge a run again from its directory, or a history recorded elsewhere",
        epilog=_EXIT_CODES,
    )
    add_verify_arguments(verify)

    bench = commands.add_parser(
        "bench", help="measure load and verification beside Kafka's own performance tools"
    )
    from harness import bench as bench_module

    bench_module.add_bench_arguments(bench)

    from harness.cli.report import add_report_arguments

    add_report_arguments(
        commands.add_parser("report", help="write report.html again from a run directory")
    )

    from harness.cli.profiles import add_list_arguments, add_validate_arguments

    add_list_arguments(commands.add_parser("list", help="what there is, by name"))
    add_validate_arguments(
        commands.add_parser("validate", help="lint profiles, topics and client properties")
    )

    from harness.cli.cluster import add_cluster_arguments
    from harness.cli.doctor import add_doctor_arguments

    add_cluster_arguments(commands.add_parser("cluster", help="local clusters: up, down, …"))
    add_doctor_arguments(
        commands.add_parser("doctor", help="what this machine has, and what is missing for what")
    )
    return parser


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `harness run`."""
    what = parser.add_argument_group("what is judged")
    what.add_argument(
        "--profile", action="append", metavar="NAME", help="a delivery profile (repeatable)"
    )
    what.add_argument("--all", action="store_true", help="every built-in profile")
    what.add_argument("--profiles", metavar="FILE", help="a YAML file with profiles of your own")
    what.add_argument(
        "--experiment",
        action="append",
        metavar="NAME|FILE",
        help="what breaks; several run one after the other "
        "(default: stop_followers_then_kill_leader, then cut_responses)",
    )
    what.add_argument(
        "--no-control",
        action="store_true",
        help="do not add the control profiles; nothing then shows that the faults hit",
    )
    what.add_argument(
        "--until-bound",
        type=float,
        metavar="P",
        help="repeat the experiments in the same run until zero breaches bound the chance per "
        "fault to P for every promise they aim at, until a promise looks broken, or until the load "
        "has gone on for --duration (without it an hour)",
    )
    what.add_argument(
        "--repeat",
        type=int,
        metavar="N",
        help="N runs with seeds that follow from --seed, and what they show together; --out then "
        "holds run-1 … run-N and aggregate.json",
    )
    where = parser.add_argument_group("where")
    where.add_argument(
        "--brokers",
        metavar="local|HOST:PORT,…|strimzi://NS/CLUSTER",
        help="three brokers of our own (default), or brokers that run already; bootstrap.servers "
        "of --config or --properties names them as well",
    )
    where.add_argument("--kafka-version", metavar="V", help="of the local brokers")
    add_connection_arguments(where)
    where.add_argument(
        "--keep-cluster", action="store_true", help="leave the local brokers running"
    )
    where.add_argument(
        "--keep-topics",
        action="store_true",
        help="leave the topics on brokers that were running before",
    )
    load = parser.add_argument_group("load")
    load.add_argument("--rate", type=float, default=1000, metavar="N", help="records/s a profile")
    load.add_argument(
        "--schedule",
        default="constant",
        choices=("constant", "ramp", "burst", "poisson"),
        help="when records are due, whatever Kafka does",
    )
    load.add_argument(
        "--duration",
        type=float,
        metavar="S",
        help="seconds of load after the warm-up at least (default: as long as the experiments)",
    )
    load.add_argument("--message-size", type=int, default=200, metavar="B", help="bytes a record")
    load.add_argument("--compression", metavar="C", help="none, gzip, snappy, lz4 or zstd")
    load.add_argument(
        "--keys", type=int, default=0, metavar="N", help="distinct keys (default 0: no key)"
    )
    load.add_argument("--partitions", type=int, default=3, metavar="N", help="of each topic")
    load.add_argument(
        "--producers", type=int, default=1, metavar="N", help="client instances a profile"
    )
    load.add_argument("--seed", type=int, metavar="N", help="every random choice follows from it")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out", metavar="DIR", help="the run directory (default reports/runs/<run_id>)"
    )
    output.add_argument("--json", action="store_true", help="print verdict.json to stdout")


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `harness` command."""
    arguments = list(sys.argv[1:] if argv is None else argv)

    def work() -> int:
        args = build_parser().parse_args(arguments)
        args.argv = ["harness", *arguments]
        return dispatch(args)

    return guarded(work)


def dispatch(args: argparse.Namespace) -> int:
    """Call the command that was asked for."""
    if args.command == "run":
        from harness.cli.run import run_run

        return run_run(args)
    if args.command == "verify":
        return run_verify(args)
    if args.command == "bench":
        from harness.bench import run_bench

        return run_bench(args)
    if args.command == "report":
        from harness.cli.report import run_report

        return run_report(args)
    if args.command in ("list", "validate"):
        from harness.cli import profiles as commands

        return commands.run_list(args) if args.command == "list" else commands.run_validate(args)
    if args.command == "cluster":
        from harness.cli.cluster import run_cluster

        return run_cluster(args)
    from harness.cli.doctor import run_doctor

    return run_doctor(args)


if __name__ == "__main__":
    sys.exit(main())
