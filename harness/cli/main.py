"""The `harness` command: parses, calls the library, turns errors into exit codes.

Each command's own module is imported when it is called, so that `harness --version` and a usage
error answer at once, and so that nothing is started by an import.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import harness
from harness.cli.arguments import Parser
from harness.cli.ending import guarded
from harness.cli.run_arguments import add_run_arguments
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
        description="Find out which delivery promises a Kafka cluster keeps under load and faults.",
        epilog=_EXIT_CODES,
    )
    parser.add_argument(
        "--version", action="version", version=f"harness {harness.__version__} (delivery-harness)"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    run = commands.add_parser("run", help="load, break, heal, read back, judge", epilog=_EXIT_CODES)
    add_run_arguments(run)

    from harness.cli.worker import add_worker_arguments

    add_worker_arguments(
        commands.add_parser("worker", help="make a share of the load of runs that wait for workers")
    )

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

    from harness.cli.compare import add_compare_arguments

    add_compare_arguments(
        commands.add_parser("compare", help="two measurements: better, worse or not shown")
    )
    from harness.cli.report import add_report_arguments

    add_report_arguments(
        commands.add_parser("report", help="write report.html again from a run directory")
    )

    _add_descriptions(commands)

    from harness.cli.cluster import add_cluster_arguments
    from harness.cli.doctor import add_doctor_arguments

    add_cluster_arguments(commands.add_parser("cluster", help="local clusters: up, down, …"))
    add_doctor_arguments(
        commands.add_parser("doctor", help="what this machine has, and what is missing for what")
    )
    from harness.cli.k8s import add_k8s_arguments

    add_k8s_arguments(
        commands.add_parser("k8s", help="Strimzi's Kafka and runs in Kubernetes, by kubectl")
    )
    from harness.cli.completion import add_completion_arguments
    from harness.cli.examples import add_examples

    add_completion_arguments(
        commands.add_parser("completion", help="a script that completes commands in a shell")
    )
    add_examples(parser)
    return parser


def _add_descriptions(commands: argparse._SubParsersAction[Parser]) -> None:
    """The commands that say what there is, and what is wrong with it; they start nothing."""
    from harness.cli.profiles import add_list_arguments, add_validate_arguments

    add_list_arguments(commands.add_parser("list", help="what there is, by name"))
    from harness.cli.show import add_show_arguments

    add_show_arguments(
        commands.add_parser("show", help="what a fault, a profile or an experiment is")
    )
    add_validate_arguments(
        commands.add_parser("validate", help="lint profiles, topics and client properties")
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the `harness` command."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # numpy's linear algebra starts a thread for each core, which nothing here uses; their start
    # and their idling are a tenth of a second of CPU time in each of a run's processes.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

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
    if args.command == "worker":
        from harness.cli.worker import run_worker

        return run_worker(args)
    if args.command == "verify":
        return run_verify(args)
    if args.command == "bench":
        from harness.bench import run_bench

        return run_bench(args)
    if args.command == "compare":
        from harness.cli.compare import run_compare

        return run_compare(args)
    if args.command == "report":
        from harness.cli.report import run_report

        return run_report(args)
    if args.command in ("list", "validate"):
        from harness.cli import profiles as commands

        return commands.run_list(args) if args.command == "list" else commands.run_validate(args)
    if args.command == "cluster":
        from harness.cli.cluster import run_cluster

        return run_cluster(args)
    if args.command == "show":
        from harness.cli.show import run_show

        return run_show(args)
    if args.command == "completion":
        from harness.cli.completion import run_completion

        return run_completion(args, build_parser())
    if args.command == "k8s":
        from harness.cli.k8s import run_k8s

        return run_k8s(args)
    from harness.cli.doctor import run_doctor

    return run_doctor(args)


if __name__ == "__main__":
    sys.exit(main())
