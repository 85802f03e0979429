"""Linting files of settings: the rules, and what the client itself refuses."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.errors import UsageError
from harness.kafka.client_check import origin_of, refusal
from harness.profiles.java import read_properties
from harness.profiles.rule import Finding
from harness.profiles.validate import FileReport, validate_all


def lint_files(paths: Iterable[Path]) -> list[FileReport]:
    """See `harness.validate`."""
    return [with_client(report) for report in validate_all(list(paths))]


def with_client(report: FileReport) -> FileReport:
    """Add what the client itself refuses of a properties file, which `harness run` refuses too."""
    if report.kind != "properties" or report.error is not None:
        return report
    try:
        overrides = read_properties(Path(report.file))
    except UsageError:
        return report  # what cannot be read as settings is among the findings already
    found = refusal(overrides.connection)
    if found is not None:
        name, why = found
        where = origin_of(name, overrides.connection, overrides.origins)
        fix = "`harness run` ends with exit code 2 for this setting. Correct it."
        report.findings.insert(0, Finding("client-refuses", "error", where, why, fix))
    return report
