"""`harness verify`: judge a run again from its directory, or a history recorded elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.arguments import (
    add_connection_arguments,
    add_require_argument,
    add_summary_arguments,
)
from harness.errors import UsageError
from harness.system.output import delivering, print_json


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `harness verify`."""
    parser.add_argument("run_dir", nargs="?", metavar="RUN_DIR", help="a run's directory")
    parser.add_argument(
        "--history",
        action="extend",
        nargs="+",
        metavar="FILE",
        help="a history recorded elsewhere (repeatable): our own format, or the output of Kafka's "
        "VerifiableProducer and VerifiableConsumer",
    )
    parser.add_argument(
        "--profile",
        metavar="NAME",
        help="whose promises a history is judged by (default: at-least-once)",
    )
    parser.add_argument(
        "--profiles", metavar="FILE", help="a YAML file with profiles of your own, for a history"
    )
    parser.add_argument(
        "--lenient", action="store_true", help="count and skip malformed lines of a history"
    )
    parser.add_argument(
        "--report", metavar="FILE", help="write the verdict on a history as a page, too"
    )
    parser.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="read in so many processes, by partition (default: as many as cores and records are "
        "worth); the result is the same",
    )
    parser.add_argument(
        "--drain",
        action="store_true",
        help="read the topics back again in any case: where the brokers do not answer or have the "
        "topics no more, the verdict is inconclusive (default: where they do not, judge again "
        "from the observations that the run directory holds)",
    )
    add_require_argument(parser)
    add_connection_arguments(parser)
    add_summary_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print verdict.json to stdout")


def run_verify(args: argparse.Namespace) -> int:
    """Carry out `harness verify`."""
    if args.history:
        return verify_history(args)
    if args.profile or args.profiles or args.lenient or args.report:
        option = next(
            f"--{each}" for each in ("profile", "profiles", "lenient", "report") if vars(args)[each]
        )
        raise UsageError(f"verify: {option} goes with --history; a run directory needs none.")
    if not args.run_dir:
        raise UsageError(
            "verify: name a run directory, harness verify reports/runs/<run_id>, or a history, "
            "harness verify --history FILE"
        )
    from harness.cli.summaries import summaries_of
    from harness.judge.judge import exit_code
    from harness.report.origin import origin_of_run
    from harness.report.progress import TerminalProgress
    from harness.report.terminal import print_verdict
    from harness.runs.verification import verify_run

    summaries = summaries_of(args)
    shown = TerminalProgress(quiet=args.json or summaries.printed)
    with summaries.reporting_failure(args.run_dir), shown:
        verification = verify_run(
            Path(args.run_dir),
            config=args.config,
            properties=None if args.properties is None else Path(args.properties),
            fresh_drain=args.drain,
            require=args.require,
            processes=args.processes,
            on_progress=shown,
        )
    verdict = verification.verdict
    code = exit_code(verdict)
    with delivering(code, str(verification.path)):
        if args.json:
            print_json(verdict.to_json())
        else:
            print_verdict(verdict, shown.output)
            shown.output.print(f"verdict  {verification.path}", soft_wrap=True)
        return summaries.write(
            verdict, lambda: origin_of_run(Path(args.run_dir), verification.path), code
        )


def verify_history(args: argparse.Namespace) -> int:
    """Carry out `harness verify --history`."""
    if args.run_dir:
        raise UsageError(
            f"verify: {args.run_dir} and --history: judge either a run directory or a history."
        )
    if args.processes is not None:
        raise UsageError("verify: --processes: a history is judged in one process; leave it out.")
    if args.drain:
        raise UsageError("verify: --drain: a history has no brokers to read from; leave it out.")
    if args.config or args.properties:
        option = "--config" if args.config else "--properties"
        raise UsageError(f"verify: {option}: a history is judged without any broker; leave it out.")
    from harness.cli.summaries import summaries_of
    from harness.judge.judge import exit_code
    from harness.report.origin import origin_of_command
    from harness.report.terminal import print_verdict
    from harness.runs.library import judge_history
    from harness.system.output import console

    summaries = summaries_of(args)
    with summaries.reporting_failure("history"):
        verdict = judge_history(
            args.history,
            args.profile,
            profiles_file=Path(args.profiles) if args.profiles else None,
            lenient=args.lenient,
            require=args.require,
            report=Path(args.report) if args.report else None,
        )
    code = exit_code(verdict)
    with delivering(code):
        if args.json:
            print_json(verdict.to_json())
        else:
            print_verdict(verdict, console(stderr=summaries.printed))
        return summaries.write(verdict, lambda: origin_of_command(args.argv), code)
