"""Children that end when their parent ends, however it ends.

Each child process gets the reading end of a pipe to which no process ever writes. The parent holds
the writing end; when the parent dies, even by SIGKILL, the kernel closes it and the child reads the
end of the file. This works on Linux and macOS alike, for children in their own sessions, and
does not depend on which thread started the child, as PR_SET_PDEATHSIG does.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

LIFELINE_FD: Final = "HARNESS_LIFELINE_FD"


class Child:
    """A process in its own session that learns when its parent is gone."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        piped: bool = False,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """`piped`: its standard input and output are pipes to its parent, and only its standard
        error goes to `log`. `pass_fds`: further descriptors that it inherits."""
        reading, self._writing = os.pipe()
        os.set_inheritable(self._writing, False)
        log.parent.mkdir(parents=True, exist_ok=True)
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else output,
                stderr=output,
                env={
                    "OPENBLAS_NUM_THREADS": "1",  # see harness/cli/main.py
                    **os.environ,
                    **(environment or {}),
                    LIFELINE_FD: str(reading),
                },
                pass_fds=(reading, *pass_fds),
                start_new_session=True,
                cwd=cwd,
            )
        os.close(reading)

    def release(self) -> None:
        """Close the lifeline: to the child this looks like its parent's death."""
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1

    def stop(self, *, grace_s: float) -> int:
        """SIGTERM, SIGKILL after `grace_s`; the exit status. Safe to call again."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            try:
                self.process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.release()
        return self.process.wait()

    def tail(self, lines: int = 12) -> str:
        """The end of its log, for a message that says why it failed."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def watch(on_loss: Callable[[], None]) -> None:
    """In a child: call `on_loss`, on its own thread, when the parent is gone.

    Does nothing in a process that was not started as a `Child`. A real thread is used even where
    gevent has patched threading, since reading the pipe blocks.
    """
    text = os.environ.get(LIFELINE_FD)
    if text is None:
        return
    descriptor = int(text)
    try:
        os.set_inheritable(descriptor, False)
    except OSError:
        return

    start_thread: Callable[..., object] = _thread.start_new_thread
    read = os.read
    if "gevent" in sys.modules:
        from gevent import monkey

        start_thread = monkey.get_original("_thread", "start_new_thread")
        read = monkey.get_original("os", "read")

    def wait() -> None:
        while read(descriptor, 1):
            pass
        on_loss()

    start_thread(wait, ())
