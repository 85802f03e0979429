"""`harness run`: from arguments to what is printed and the exit code."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Final

from harness.cli.ending import report
from harness.cli.interrupts import interruptible
from harness.cli.run_arguments import options_of
from harness.cli.summaries import summaries_of
from harness.errors import HarnessError
from harness.judge.judge import exit_code
from harness.report.aggregate import print_aggregate
from harness.report.origin import origin_of_command, origin_of_run
from harness.report.progress import TerminalProgress
from harness.report.terminal import print_verdict
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict import BROKEN, Verdict
from harness.runs.plan import plan
from harness.runs.repeat import plan_series, run_series
from harness.runs.run import broken_before, run_plan, verdict_reached
from harness.runs.stop import Stop
from harness.system.output import complain, delivering, print_json

_OF_THE_SERIES: Final = ("--repeat", "--seed", "--out")


def run_run(args: argparse.Namespace) -> int:
    """Carry out `harness run`; the exit code of its verdict."""
    if args.repeat is not None:
        return run_repeated(args)
    summaries = summaries_of(args)
    planned = plan(options_of(args), args.argv)
    shown = TerminalProgress(quiet=args.json or summaries.printed)
    run_dir = RunDir(planned.request.out)
    stop = Stop()
    with summaries.reporting_failure(planned.request.run_id):
        try:
            with interruptible(stop, shown.note), shown:
                verdict = run_plan(planned, shown, stop)
        except Exception as error:
            verdict = reached_before(error, run_dir)
    code = exit_code(verdict)
    with delivering(code, str(run_dir.verdict(1))):
        if args.json:
            print_json(verdict.to_json())
        else:
            print_verdict(verdict, shown.output)
            shown.output.print(
                f"verdict  {run_dir.verdict(1)}\nreport   {run_dir.report_html}", soft_wrap=True
            )
        return summaries.write(verdict, lambda: origin_of_run(run_dir.path), code)


def reached_before(error: Exception, run_dir: RunDir) -> Verdict:
    """The verdict of a run that failed after it, where a promise is broken: that wins over exit 4.

    Raises the error otherwise, and says where the verdict is if there is one.
    """
    try:
        verdict = broken_before(error, run_dir)
    except Exception:
        other = verdict_reached(run_dir)
        if other is not None and other.verdict != BROKEN:
            path = run_dir.verdict(1)
            complain(f"harness: the run failed after its verdict, {other.verdict}, in {path}")
        raise
    if isinstance(error, HarnessError):
        complain(f"harness: {error}")
    else:
        report(error)
    return verdict


def run_repeated(args: argparse.Namespace) -> int:
    """Carry out `harness run --repeat`; the exit code of the worst run."""
    summaries = summaries_of(args)
    options = options_of(args)
    first = plan_series(options, args.repeat, args.argv)
    folder = first.request.out
    shown = TerminalProgress(quiet=args.json or summaries.printed)
    stop = Stop()
    reporting = summaries.reporting_failure(f"{args.repeat} runs")
    with reporting, interruptible(stop, shown.note), shown:
        found = run_series(
            options,
            first,
            args.repeat,
            shown,
            stop,
            command_of=lambda seed: argv_of_one(args.argv, seed),
            after_error=_reached_before_in_series,
        )
    with delivering(found.exit_code, str(folder / "aggregate.json")):
        if args.json:
            print_json(found.to_json())
        else:
            print_aggregate(found, shown.output)
            shown.output.print(f"aggregate  {folder / 'aggregate.json'}", soft_wrap=True)
            shown.output.print(f"report     {folder / 'report.html'}", soft_wrap=True)
        argv = args.argv if args.seed is not None else [*args.argv, "--seed", str(found.seed)]
        return summaries.write(found, lambda: origin_of_command(argv, str(folder)), found.exit_code)


def _reached_before_in_series(error: Exception, run_dir: RunDir) -> Verdict:
    """As `reached_before`; a defect that ends one run of a series is reported, since it ends
    no more than that run."""
    try:
        return reached_before(error, run_dir)
    except HarnessError:
        raise
    except Exception as failed:
        report(failed)
        raise


def argv_of_one(argv: Sequence[str], seed: int) -> list[str]:
    """The command that makes one run of a series alone."""
    kept: list[str] = []
    skip = False
    for word in argv:
        if skip:
            skip = False
        elif word in _OF_THE_SERIES:
            skip = True
        elif word.partition("=")[0] not in _OF_THE_SERIES:
            kept.append(word)
    return [*kept, "--seed", str(seed)]
