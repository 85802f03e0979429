"""A command that is to run in any case: also when the process that was to run it is killed.

    deferred = Deferred(words, environment)   # from now on: at the end of this process
    deferred.end_first(process_group)         # what must not go on beside the command
    …
    deferred.cancel()                         # it has been run

A second process waits at the end of a pipe. It runs the command when the pipe closes without the
word that cancels it, which the kernel sees to, however this process ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

import psutil

from harness.system.commands import end_group

_CANCELLED: Final = "cancelled"
_END_FIRST: Final = "end_first"
_GONE_S: Final = 5.0
"""So long the end of processes that got SIGKILL is awaited."""
_POLL_S: Final = 0.02


class Deferred:
    """A command that is run by another process unless it is cancelled before this one ends."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], *, why: str = ""
    ) -> None:
        """environment: the whole one, of the command and of the process that waits.

        why: what the waiting process says on stderr when it runs the command.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.system.deferred"],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        self._say({"words": list(words), "why": why})

    def end_first(self, group: int | None) -> None:
        """Should the command be run there, this process group is ended before, if the process that
        leads it still runs. None: nothing is."""
        with contextlib.suppress(BrokenPipeError):  # somebody has killed it
            self._say({_END_FIRST: group})

    def cancel(self) -> None:
        """It is not needed any more. Safe to call again."""
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            return
        with contextlib.suppress(BrokenPipeError):  # somebody has killed it
            self._say(_CANCELLED)
        with contextlib.suppress(BrokenPipeError):
            stdin.close()
        self._process.wait()

    def _say(self, what: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()


def main() -> int:
    """Wait for the word or the end of the pipe; the command's exit status."""
    first = sys.stdin.readline()
    if not first.endswith("\n"):
        return 0
    task = json.loads(first)
    running: psutil.Process | None = None
    for line in sys.stdin:
        if not line.endswith("\n"):
            break  # killed in the middle of a line
        said = json.loads(line)
        if said == _CANCELLED:
            return 0
        running = _process(said[_END_FIRST])
    print(f"harness: {task['why']}", file=sys.stderr, flush=True)
    if running is not None and _runs(running):
        print("harness: ending the command that still runs", file=sys.stderr, flush=True)
        _end(running)
    try:
        status = subprocess.run(task["words"], stdin=subprocess.DEVNULL, check=False).returncode
    except OSError as error:
        print(f"harness: it cannot be run: {error.strerror}", file=sys.stderr, flush=True)
        return 1
    print(f"harness: it ended with status {status}", file=sys.stderr, flush=True)
    return status


def _process(pid: int | None) -> psutil.Process | None:
    """Known by its start as well, from now on: its number may be given to another process."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return None if pid is None else psutil.Process(pid)
    return None


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _end(leader: psutil.Process) -> None:
    """End its process group, and await the end of every process in it."""
    members = [each for each in psutil.process_iter() if _group_of(each.pid) == leader.pid]
    end_group(leader.pid, lambda timeout_s: _await_end([leader], timeout_s))
    _await_end(members, _GONE_S)


def _await_end(processes: Sequence[psutil.Process], timeout_s: float) -> None:
    """Not by `psutil.wait_procs`: process 1 may take long to reap what has ended."""
    deadline = time.monotonic() + timeout_s
    while any(map(_runs, processes)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _group_of(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return os.getpgid(pid)
    return None


if __name__ == "__main__":
    sys.exit(main())
