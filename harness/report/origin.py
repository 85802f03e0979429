"""Where a verdict comes from: what summaries for CI say beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import redact_argv
from harness.report.repeat import repeat_command
from harness.rundir.clock import now
from harness.rundir.run_dir import RunDir


@dataclass(frozen=True, slots=True)
class Origin:
    """The run or the history that a verdict is about; what is not known is empty."""

    command: str = ""
    """What makes it again, as a shell takes it."""
    variables: tuple[str, ...] = ()
    """Environment variables to set before: secrets that no record holds."""
    started_at: str = ""
    """RFC 3339; of a command when it ended."""
    kafka: str = ""
    """The brokers' version."""
    directory: str = ""
    """The run directory, as it was named."""
    files: tuple[str, ...] = ()
    """The verdict's file and its report, by name in that directory."""


def origin_of_run(path: Path, verdict: Path | None = None) -> Origin:
    """Of a run directory. Raises RunDirError where it is none."""
    run_dir = RunDir(path)
    info = run_dir.read_info()
    command, variables = repeat_command(redact_argv(info.command))
    files = [verdict or run_dir.verdict(1), run_dir.report_html]
    return Origin(
        command,
        tuple(variables),
        info.started_at,
        info.versions.get("kafka", ""),
        str(path),
        tuple(each.name for each in files if each.exists()),
    )


def origin_of_command(argv: Sequence[str], directory: str = "") -> Origin:
    """Of a command that is not in a run directory: a history, or a series of runs."""
    command, variables = repeat_command(redact_argv(list(argv)))
    return Origin(command, tuple(variables), now(), directory=directory)
