"""How a command ends: with an exit code of the harness, whatever happened inside it.

an error of the harness     its message, and the exit code that it carries
any other exception         one sentence, the traceback in a file, exit code 4
a thread that failed        the same, once the command is over; a broken promise stays 1
output that does not arrive one sentence, exit code 4 (see harness.system.output)
Ctrl-C                      130
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from typing import Final

from harness.errors import (
    EXIT_BROKEN,
    EXIT_HARNESS_FAILED,
    EXIT_INTERRUPTED_TWICE,
    HarnessError,
    scrub,
)
from harness.system import output

_PROGRAM: Final = "harness"


def guarded(work: Callable[[], int]) -> int:
    """Carry out a command; the exit code that it ends with. SystemExit passes through."""
    output.prepare()
    failures: list[BaseException] = []
    before = threading.excepthook, sys.unraisablehook

    def in_thread(found: threading.ExceptHookArgs) -> None:
        if found.exc_value is not None and not isinstance(found.exc_value, SystemExit):
            failures.append(found.exc_value)
            report(found.exc_value, f"thread {found.thread.name if found.thread else '?'}")

    def unraisable(found: sys.UnraisableHookArgs) -> None:
        if found.exc_value is not None:
            report(found.exc_value, "clean-up")

    threading.excepthook, sys.unraisablehook = in_thread, unraisable
    try:
        code = _code(work)
    except SystemExit as ended:
        # Of argparse: 2 with a message on stderr, or 0 after a help text on stdout.
        if _flushed(0) != 0 and not ended.code:
            raise SystemExit(EXIT_HARNESS_FAILED) from None
        raise
    finally:
        threading.excepthook, sys.unraisablehook = before
    if failures and code != EXIT_BROKEN:
        code = EXIT_HARNESS_FAILED
    return _flushed(code)


def _code(work: Callable[[], int]) -> int:
    try:
        return work()
    except HarnessError as error:
        output.complain(f"{_PROGRAM}: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        output.complain(f"{_PROGRAM}: interrupted")
        return EXIT_INTERRUPTED_TWICE
    except OSError as error:
        failed = output.failure_of_stdout()
        if failed is None:
            report(error)
            return EXIT_HARNESS_FAILED
        output.complain(f"{_PROGRAM}: {output.lost(failed)}")
        return EXIT_HARNESS_FAILED
    except Exception as error:
        report(error)
        return EXIT_HARNESS_FAILED


def _flushed(code: int) -> int:
    """The exit code once everything that was printed has arrived, or has not."""
    failed = output.failure_of_stdout()
    if failed is not None:
        output.complain(f"{_PROGRAM}: {output.lost(failed)}")
        code = EXIT_HARNESS_FAILED
    output.flush_stderr()
    return code


def report(error: BaseException, where: str = "") -> None:
    """One sentence about an exception that is not the harness's own; its traceback in a file."""
    what = (
        f"{type(error).__name__}: {error}".splitlines()[0] if str(error) else type(error).__name__
    )
    thread = f" in a {where}" if where.startswith("thread") else f" in {where}" if where else ""
    output.complain(f"{_PROGRAM}: a defect of the harness{thread}: {scrub(what)}. {_saved(error)}")


def _saved(error: BaseException) -> str:
    text = scrub("".join(traceback.format_exception(error)))
    try:
        descriptor, path = tempfile.mkstemp(prefix="harness-error-", suffix=".txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as failed:
        return f"Its traceback could not be saved ({failed.strerror})."
    return f"The traceback is in {path}; please report it."
