"""`harness report`: write report.html again from a run directory."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.errors import EXIT_KEPT, RunDirError, UsageError
from harness.report.aggregate_page import AGGREGATE, read_aggregate, write_aggregate_report
from harness.report.html import write_report
from harness.report.terminal import plain_columns, witness_lines
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict_file import read_verdict
from harness.system.output import console


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `harness report`."""
    parser.add_argument(
        "run_dir",
        metavar="RUN_DIR",
        help="a run directory, such as of --out, or the directory of a series of --repeat",
    )
    parser.add_argument(
        "--verdict",
        metavar="FILE",
        help="the verdict to report on (default: the newest in the run directory)",
    )
    parser.add_argument(
        "--asked-by",
        default="",
        metavar="TEXT",
        help="who asks for the report (default: what the run's own --asked-by said)",
    )


def run_report(args: argparse.Namespace) -> int:
    """Write the report of a run's newest verdict, or of the one named.

    Its path goes to stdout, the first witness of each anomaly of each profile to stderr.
    """
    run_dir = RunDir(Path(args.run_dir))
    if not run_dir.path.is_dir():
        raise UsageError(
            f"{args.run_dir}: no directory. Name a run directory: harness report "
            "reports/runs/<run_id>"
        )
    series = run_dir.path / AGGREGATE
    if series.exists() and not run_dir.run_json.exists():
        if args.verdict:
            raise UsageError(
                f"report: --verdict: {run_dir.path} is a series; name one of its runs."
            )
        written = write_aggregate_report(run_dir.path, read_aggregate(series), args.asked_by)
        sys.stdout.write(f"{written}\n")
        return EXIT_KEPT
    if not run_dir.run_json.exists():
        raise RunDirError(f"{run_dir.path}: no run directory, it holds no run.json.")
    path = Path(args.verdict) if args.verdict else run_dir.latest_verdict()
    written = write_report(run_dir, path, asked_by=args.asked_by)
    notes = console(stderr=True)
    for line in witness_lines(
        read_verdict(path), notes.width if notes.is_terminal else plain_columns()
    ):
        notes.print(line)
    sys.stdout.write(f"{written}\n")
    return EXIT_KEPT
