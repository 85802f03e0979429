"""A command that is to run in any case: also when the process that was to run it is killed.

    deferred = Deferred(words, environment)   # from now on: at the end of this process
    …
    deferred.cancel()                         # it has been run

A second process waits at the end of a pipe. It runs the command when the pipe closes without the
word that cancels it, which the kernel sees to, however this process ends.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Final

_CANCELLED: Final = "cancelled"


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
    if not first.endswith("\n") or sys.stdin.readline():
        return 0
    task = json.loads(first)
    print(f"harness: {task['why']}", file=sys.stderr, flush=True)
    try:
        status = subprocess.run(task["words"], stdin=subprocess.DEVNULL, check=False).returncode
    except OSError as error:
        print(f"harness: it cannot be run: {error.strerror}", file=sys.stderr, flush=True)
        return 1
    print(f"harness: it ended with status {status}", file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
