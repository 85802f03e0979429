"""A user's command as a process group of its own: how it ended, and the last lines that it printed.

No shell is involved: the command's words are its arguments. Its output goes into a file without a
name, so that a process which it leaves in the background can go on printing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Final, Literal

from harness.errors import scrub
from harness.system.printable import printable

LINES_MAX: Final = 20
"""Of a command's output so many lines are kept, the last ones."""
LINE_CHARACTERS_MAX: Final = 300
OUTPUT_BYTES_MAX: Final = 16 * 1024 * 1024
"""A command that prints more than this is ended: a full disk would end the whole run."""
_TAIL_BYTES: Final = LINES_MAX * LINE_CHARACTERS_MAX * 4
_GRACE_S: Final = 2.0
"""So long after SIGTERM a process group may take until it gets SIGKILL."""
_POLL_S: Final = 0.05

End = Literal["exited", "timeout", "output"]


@dataclass(frozen=True, slots=True)
class CommandEnd:
    """How a command ended."""

    end: End
    """timeout, output: its process group was ended, since it took too long or printed too much."""
    status: int
    """The exit status; negative: the signal that ended it."""
    output: list[str]
    """The last lines of its standard output and error, without the secrets that are known."""


def carry_out(
    words: Sequence[str],
    environment: Mapping[str, str],
    *,
    timeout_s: float,
    begun: Callable[[int], None] = lambda _: None,
    end_when_interrupted: bool = True,
) -> CommandEnd:
    """Run a command until it ends, `timeout_s` at most.

    begun: called once it runs, with the id of its process group. end_when_interrupted: does an
    exception, such as one that a signal raises here, end its process group too? Otherwise the
    command goes on by itself.
    Raises OSError where it cannot be run.
    """
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            words,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            begun(process.pid)
            end = _await(process, output, time.monotonic() + timeout_s)
        except BaseException:
            if end_when_interrupted:
                _end_group(process)
            raise
        if end != "exited":
            _end_group(process)
        return CommandEnd(end, process.returncode, _last_lines(output))


def _await(process: subprocess.Popen[bytes], output: IO[bytes], deadline: float) -> End:
    while process.poll() is None:
        if time.monotonic() > deadline:
            return "timeout"
        if os.fstat(output.fileno()).st_size > OUTPUT_BYTES_MAX:
            return "output"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)
    return "exited"


def _end_group(process: subprocess.Popen[bytes]) -> None:
    def await_end(timeout_s: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)

    end_group(process.pid, await_end)
    process.wait()


def end_group(group: int, await_end: Callable[[float], None]) -> None:
    """SIGTERM to a process group, and SIGKILL to what is left of it after a grace.

    await_end: waits for the end of its first process, for so many seconds at most.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGTERM)
    await_end(_GRACE_S)
    # Also where its first process has ended: others of the group may have ignored SIGTERM.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _last_lines(output: IO[bytes]) -> list[str]:
    size = os.fstat(output.fileno()).st_size
    output.seek(max(0, size - _TAIL_BYTES))
    text = scrub(output.read(_TAIL_BYTES).decode(errors="replace"))
    lines = [printable(line.rstrip())[:LINE_CHARACTERS_MAX] for line in text.splitlines()]
    return [line for line in lines if line][-LINES_MAX:]
