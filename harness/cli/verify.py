"""`harness verify`: judge a run again from its directory, or a history recorded elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from harness.cli.arguments import add_connection_arguments
from harness.errors import UsageError
from harness.system.output import delivering, print_json

PROCESSES_MAX: Final = 64


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
    add_connection_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print verdict.json to stdout")


def run_verify(args: argparse.Namespace) -> int:
    """Carry out `harness verify`."""
    if args.history:
        return verify_history(args)
    if args.profile or args.profiles or args.lenient:
        option = next(
            f"--{each}" for each in ("profile", "profiles", "lenient") if vars(args)[each]
        )
        raise UsageError(f"verify: {option} goes with --history; a run directory needs none.")
    if args.processes is not None and not 1 <= args.processes <= PROCESSES_MAX:
        raise UsageError(f"verify: --processes {args.processes}: accepted is 1 to {PROCESSES_MAX}.")
    if not args.run_dir:
        raise UsageError(
            "verify: name a run directory, harness verify reports/runs/<run_id>, or a history, "
            "harness verify --history FILE"
        )
    from harness.brokers.foreign import parse_bootstrap
    from harness.brokers.local.running import running_cluster
    from harness.judge.judge import exit_code
    from harness.kafka.client_check import check_connection
    from harness.report.terminal import print_verdict
    from harness.rundir.run import RunDir
    from harness.runs.judging import best_drain, judge_again, judge_run, why_no_drain
    from harness.runs.options import BOOTSTRAP, overrides_of
    from harness.runs.progress import Progress

    run_dir = RunDir(Path(args.run_dir))
    info = run_dir.read_info()
    overrides = overrides_of(args.config, args.properties)
    connection = {BOOTSTRAP: info.bootstrap, **overrides.connection}
    if BOOTSTRAP in overrides.connection:
        parse_bootstrap(connection[BOOTSTRAP], overrides.places[BOOTSTRAP])
    check_connection(connection, overrides.places)
    progress = Progress(quiet=args.json)
    with progress:
        progress.stage(f"verifying run {info.run_id}")
        number = run_dir.next_verification()
        drained = None if args.drain else best_drain(run_dir)
        why = None if drained is None else why_no_drain(info, connection)
        if drained is not None and why is not None:
            progress.note(
                f"no fresh drain: {why}. Judging again from the observations of "
                f"{run_dir.drained(drained).name}; --drain asks for a fresh one all the same"
            )
            verdict, _ = judge_again(run_dir, drained, number)
        else:
            verdict = judge_run(
                run_dir,
                info,
                connection,
                number=number,
                drain_timeout_s=60.0,
                say=progress.detail,
                cluster=running_cluster(info.cluster_id),
                processes=args.processes,
            )
        beside = run_dir.path / f"report-{number}.html"
        if beside.exists():
            progress.note(f"report.html is of a better verdict and stays; this report is {beside}")
    code = exit_code(verdict)
    with delivering(code, str(run_dir.verdict(number))):
        if args.json:
            print_json(verdict.to_json())
        else:
            print_verdict(verdict, progress.output)
            progress.output.print(f"verdict  {run_dir.verdict(number)}", soft_wrap=True)
    return code


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
    from harness.history.judging import judge_files
    from harness.judge.judge import exit_code
    from harness.report.terminal import print_verdict
    from harness.runs.progress import Progress

    verdict = judge_files(
        [Path(each) for each in args.history],
        args.profile,
        lenient=args.lenient,
        profiles=[Path(args.profiles)] if args.profiles else [],
    )
    code = exit_code(verdict)
    with delivering(code):
        if args.json:
            print_json(verdict.to_json())
        else:
            print_verdict(verdict, Progress(quiet=False).output)
    return code
