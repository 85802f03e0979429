"""--junit and --markdown: files for CI, written whatever a command comes to."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.cli.files import STDOUT, save, writable
from harness.errors import EXIT_BROKEN, EXIT_HARNESS_FAILED, HarnessError, UsageError
from harness.judge.aggregate import Aggregate
from harness.report.ci_outcomes import outcomes_of_failure
from harness.report.junit import junit, junit_of
from harness.report.markdown import markdown, markdown_of_failure
from harness.report.origin import Origin
from harness.rundir.verdict import Verdict
from harness.system.output import complain


@dataclass(frozen=True, slots=True)
class Summaries:
    """Which files a command was asked for."""

    junit: Path | None = None
    markdown: Path | None = None
    printed: bool = False
    """Does the Markdown go to stdout?"""

    def write(self, found: Verdict | Aggregate, origin: Callable[[], Origin], code: int) -> int:
        """Write what was asked for; the exit code, which is 4 where a file could not be written.

        A broken promise wins over that.
        """
        if self.printed:
            sys.stdout.write(markdown(found, origin()))
        try:
            self._save(lambda: junit(found, origin()), lambda: markdown(found, origin()))
        except HarnessError as error:
            complain(f"harness: {error}")
            return code if code == EXIT_BROKEN else EXIT_HARNESS_FAILED
        return code

    @contextlib.contextmanager
    def reporting_failure(self, name: str) -> Iterator[None]:
        """A command that fails leaves that in its files, and not the result of an earlier one."""
        try:
            yield
        except Exception as error:
            known = isinstance(error, HarnessError)
            if not known or error.exit_code == EXIT_HARNESS_FAILED:  # type: ignore[attr-defined]
                message = str(error) if known else f"a defect: {type(error).__name__}"
                outcomes = outcomes_of_failure(name, message)
                with contextlib.suppress(HarnessError):
                    self._save(
                        lambda: junit_of(outcomes, Origin()),
                        lambda: markdown_of_failure(outcomes, Origin()),
                        only_beside=True,
                    )
            raise

    def _save(
        self,
        as_junit: Callable[[], str],
        as_markdown: Callable[[], str],
        *,
        only_beside: bool = False,
    ) -> None:
        for path, option, text in (
            (self.junit, "--junit", as_junit),
            (self.markdown, "--markdown", as_markdown),
        ):
            # The folder may be that of --out, which a run that failed leaves free.
            if path is not None and not (only_beside and not path.parent.is_dir()):
                save(path, option, text())


def summaries_of(args: argparse.Namespace) -> Summaries:
    """What was asked for. Raises UsageError for a place where no file can be."""
    if args.markdown == STDOUT and args.json:
        raise UsageError(
            "--markdown - with --json: both print to stdout. Give --markdown a file, or leave "
            "--json out."
        )
    if args.junit == STDOUT:
        raise UsageError("--junit -: JUnit's XML goes to a file, such as --junit junit.xml.")
    places = [
        writable(value, option)
        for value, option in ((args.junit, "--junit"), (args.markdown, "--markdown"))
        if value is not None and value != STDOUT
    ]
    if len({place.resolve() for place in places}) < len(places):
        raise UsageError(f"--junit and --markdown: {places[0]} for both. Name two files.")
    printed = args.markdown == STDOUT
    return Summaries(
        None if args.junit is None else Path(args.junit),
        None if args.markdown is None or printed else Path(args.markdown),
        printed,
    )
