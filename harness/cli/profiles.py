"""`harness validate` and `harness list`.

Results go to stdout: on a terminal for people, piped as one line each for other programs.
"""

from __future__ import annotations

import argparse
import ast
import json
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cli.files import STDOUT, save, writable
from harness.errors import EXIT_KEPT, EXIT_USAGE, UsageError
from harness.profiles.load import load_builtin
from harness.profiles.model import is_true
from harness.profiles.validate import FileReport
from harness.report.sarif import sarif
from harness.system.output import console, print_json

KINDS: Final = ("profiles", "experiments", "scenarios", "faults")
EXIT_FINDINGS: Final = 1


def add_validate_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `harness validate`."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="profile YAML, topic YAML, Strimzi's resources (Kafka, KafkaNodePool, KafkaTopic, "
        "KafkaUser), or a Java client's .properties",
    )
    parser.add_argument(
        "--sarif",
        metavar="FILE",
        help="write SARIF 2.1.0 for code scanning: each finding with its rule, level, file and "
        "line; - for stdout",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def sarif_file(args: argparse.Namespace) -> Path | None:
    """The file that was asked for. Raises UsageError where none can be."""
    if args.sarif == STDOUT and args.json:
        raise UsageError(
            "--sarif - with --json: both print to stdout. Give --sarif a file, or leave --json out."
        )
    return None if args.sarif in (None, STDOUT) else writable(args.sarif, "--sarif")


def run_validate(args: argparse.Namespace) -> int:
    """Lint files: 1 for errors, 0 for warnings alone, 2 for a file that cannot be read as one."""
    from harness.runs.linting import lint_files

    into = sarif_file(args)
    reports = lint_files(Path(file) for file in args.files)
    errors = sum(report.count("error") for report in reports)
    warnings = sum(report.count("warning") for report in reports)
    if args.sarif == STDOUT:
        print_json(sarif(reports))
    elif args.json:
        document = {
            "files": [report.to_json() for report in reports],
            "errors": errors,
            "warnings": warnings,
        }
        print_json(document)
    else:
        out, complaints = console(), console(stderr=True)
        for report in reports:
            _print_report(report, out, complaints)
        read = [report for report in reports if report.error is None]
        if read:
            out.print(
                f"{_many(errors, 'error')}, {_many(warnings, 'warning')} in "
                f"{_many(len(read), 'file')}. Rules: docs/profiles.md",
                soft_wrap=True,
            )
    if into is not None:
        save(into, "--sarif", json.dumps(sarif(reports), indent=2) + "\n")
    if any(report.error is not None for report in reports):
        return EXIT_USAGE
    return EXIT_FINDINGS if errors else EXIT_KEPT


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _print_report(report: FileReport, out: Console, complaints: Console) -> None:
    for finding in report.findings:
        style = "bold red" if finding.severity == "error" else "yellow"
        line = Text(f"{finding.where}: ")
        line.append(f"{finding.severity} ", style=style)
        line.append(f"[{finding.rule}] ", style="dim")
        line.append(finding.message)
        out.print(line, soft_wrap=True)
        if finding.fix:
            out.print(Text(f"    {finding.fix}", style="green"), soft_wrap=True)
    if report.error is not None:
        complaints.print(Text(report.error), soft_wrap=True)
        return
    found = ", ".join(
        _many(count, severity)
        for severity in ("error", "warning")
        if (count := report.count(severity))
    )
    what = f"{report.kind}: {', '.join(report.subjects)}" if report.subjects else report.kind
    summary = found or "nothing to object to"
    out.print(Text(f"{report.file}: {summary} ({what})"), soft_wrap=True)


def add_list_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `harness list`."""
    parser.add_argument("kind", choices=KINDS, help="what to list")
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on stdout, with all columns"
    )


def run_list(args: argparse.Namespace) -> int:
    """Print names: one untruncated name a line when piped, a table on a terminal.

    With --json everything that the table shows, as one object for each name.
    """
    header, rows = {
        "profiles": _profiles,
        "experiments": _experiments,
        "scenarios": _scenarios,
        "faults": _faults,
    }[args.kind]()
    if args.json:
        print_json([dict(zip(header, row, strict=True)) for row in rows])
        return EXIT_KEPT
    out = console()
    if not out.is_terminal:
        for row in rows:
            print(row[0])
        return EXIT_KEPT
    table = Table(*header, box=None, header_style="bold", pad_edge=False)
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out.print(table)
    return EXIT_KEPT


Listing = tuple[tuple[str, ...], list[tuple[str, ...]]]


def _profiles() -> Listing:
    rows: list[tuple[str, ...]] = [
        (
            profile.name,
            profile.acks,
            "on" if is_true(profile.producer.get("enable.idempotence")) else "off",
            str(len(profile.promises)),
            profile.summary,
        )
        for profile in load_builtin().values()
    ]
    return ("profile", "acks", "idempotence", "promises", "summary"), rows


def _experiments() -> Listing:
    from harness.faults.experiments import list_experiments

    rows: list[tuple[str, ...]] = [
        (
            experiment.name,
            ", ".join(f"{anomaly} in {control}" for anomaly, control in experiment.aims.items())
            or "–",
            ", ".join(sorted(experiment.needs)) or "–",
            experiment.title,
        )
        for experiment in list_experiments()
    ]
    return ("experiment", "expects", "needs", "title"), rows


def _scenarios() -> Listing:
    from harness.runs.scenarios import built_in_scenarios

    rows: list[tuple[str, ...]] = []
    for name, path in built_in_scenarios().items():
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        rows.append((name, text.partition("\n")[0]))
    return ("scenario", "summary"), rows


def _faults() -> Listing:
    from harness.faults.registry import FAULTS

    rows: list[tuple[str, ...]] = [
        (fault.name, ", ".join(sorted(fault.needs)) or "–", fault.description)
        for fault in FAULTS.values()
    ]
    return ("fault", "needs", "what it does"), rows
