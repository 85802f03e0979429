"""Standard output and standard error of the commands, and what is done when they fail.

A result is written to stdout: that it could not be written is an error. Progress is written to
stderr: that it cannot be written ends nothing. A character that the output's encoding does not have
is replaced by a similar one of ASCII.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import IO, Any, Final, cast

from rich.console import Console
from rich.segment import Segment

from harness.errors import EXIT_BROKEN, EXIT_HARNESS_FAILED, HarnessError
from harness.system.printable import printable

SIMILAR: Final = {
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "...",
    "·": ".",
    "×": "x",
    "→": "->",
    "≥": ">=",
    "≤": "<=",
    "≠": "!=",
    "±": "+-",
    "✓": "+",
    "✗": "x",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
    "\N{NO-BREAK SPACE}": " ",
    "\N{NARROW NO-BREAK SPACE}": " ",
}
_HANDLER: Final = "harness-similar"


class OutputLost(HarnessError):
    """A result could not be written to stdout; `exit_code` is 1 where it is a broken promise."""

    def __init__(self, message: str, exit_code: int = EXIT_HARNESS_FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class _Raw(io.FileIO):
    """A descriptor that remembers why it could not be written."""

    failure: OSError | None = None

    def write(self, data: Any) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)
        except OSError as error:
            self.failure = error
            raise


class _Console(Console):
    """A console that leaves a closed pipe to its caller; rich itself ends the process with 1."""

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        """What is printed, with the control characters of others as escapes."""
        return super()._render_buffer(
            segment
            if segment.control
            else segment._replace(text=printable(segment.text, keep="\n"))
            for segment in buffer
        )

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class _StandardError:
    """stderr for progress: what cannot be written to it is dropped."""

    @property
    def _stream(self) -> Any:
        # While rich shows a live line, sys.stderr is a proxy that writes back into the console.
        return getattr(sys.stderr, "rich_proxied_file", sys.stderr)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def isatty(self) -> bool:
        return bool(self._stream.isatty())

    def fileno(self) -> int:
        return int(self._stream.fileno())

    @property
    def encoding(self) -> str:
        return str(self._stream.encoding)


def console(*, stderr: bool = False) -> Console:
    """A console on stdout; on stderr where failing to write must end nothing."""
    if stderr:
        return Console(file=cast("IO[str]", _StandardError()), highlight=False)
    return _Console(highlight=False)


def print_json(document: Any) -> None:
    """One JSON document on stdout, in ASCII, so that every locale can write it."""
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


def prepare() -> None:
    """Make the standard streams safe to use; called once, before any file is opened.

    A closed standard descriptor is opened on the null device: otherwise the next file that is
    opened gets its number, and what a library prints goes into that file.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for name in ("COLUMNS", "LINES"):
        # What is no number, or no sensible one, would end rich with an exception.
        if not re.fullmatch("[0-9]{1,5}", os.environ.get(name, "0")):
            del os.environ[name]
    codecs.register_error(_HANDLER, _similar)
    if sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.flush()
        sys.stdout = io.TextIOWrapper(
            io.BufferedWriter(_Raw(1, "w", closefd=False)),
            encoding=sys.stdout.encoding,
            line_buffering=sys.stdout.isatty(),
        )
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.reconfigure(errors=_HANDLER)  # type: ignore[union-attr]


def _similar(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    part = error.object[error.start : error.end]
    shown = "".join(SIMILAR.get(character, "?") for character in part)
    return shown, error.end


def complain(text: str) -> None:
    """A sentence on stderr; where nothing can be written to it there is no reader."""
    with contextlib.suppress(OSError, ValueError):
        print(printable(text, keep="\n"), file=sys.stderr, flush=True)


@contextlib.contextmanager
def delivering(exit_code: int, kept_in: str = "") -> Iterator[None]:
    """Write a result to stdout inside; raises OutputLost when it does not arrive.

    exit_code: what the command would end with. A broken promise wins over the lost output.
    kept_in: where the result can be found all the same.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        failure_of_stdout()
        found = f" The result is in {kept_in}." if kept_in else ""
        raise OutputLost(
            f"stdout: the result could not be written to its end ({_why(error)}).{found}",
            EXIT_BROKEN if exit_code == EXIT_BROKEN and kept_in else EXIT_HARNESS_FAILED,
        ) from error


def _why(error: OSError) -> str:
    if isinstance(error, BrokenPipeError):
        return "its reader has closed the pipe"
    return error.strerror or str(error)


def failure_of_stdout() -> OSError | None:
    """Why what was printed to stdout does not arrive; None when all of it has arrived.

    After a failure stdout is the null device. The interpreter flushes it once more at its end; a
    failure there would print "Exception ignored" and replace the exit code by 120.
    """
    failure: OSError | None = None
    with contextlib.suppress(ValueError):
        try:
            sys.stdout.flush()
        except OSError as error:
            failure = error
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Raw) and raw.failure is not None:
        failure, raw.failure = raw.failure, None
    if failure is not None:
        _silence(sys.stdout)
    return failure


def flush_stderr() -> None:
    """The same for stderr, whose loss is no failure."""
    try:
        sys.stderr.flush()
    except (OSError, ValueError):
        _silence(sys.stderr)


def lost(error: OSError) -> OutputLost:
    """The error for a command whose output did not arrive."""
    return OutputLost(f"stdout: could not be written to its end ({_why(error)}).")


def _silence(stream: Any) -> None:
    """Send what is left in a stream's buffer to the null device."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
        stream.flush()
