"""Ends the brokers of a supervisor that was killed, where the kernel does not do it.

Linux kills a supervisor's brokers with it (PR_SET_PDEATHSIG). Elsewhere the supervisor starts
`python -m harness.brokers.local.reaper DIRECTORY` beside them and holds the writing end of its
standard input; when that closes and the cluster's lock is free, what the state file names is
killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from harness.brokers.local.state import kill_leftovers, read_state, take_lock
from harness.errors import ClusterError


def start(directory: Path) -> subprocess.Popen[bytes]:
    """Start a reaper for the calling supervisor's cluster; close its stdin to let it go."""
    return subprocess.Popen(
        [sys.executable, "-m", "harness.brokers.local.reaper", str(directory)],
        stdin=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
    )


def main() -> int:
    """Wait for the supervisor's end, then look at what it left."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    directory = Path(sys.argv[1])
    # An orderly end has removed the directory, or left no process in its state.
    with contextlib.suppress(ClusterError, FileNotFoundError):
        lock = take_lock(directory)
        if lock is not None:  # else another supervisor has taken over
            state = read_state(directory)
            kill_leftovers(state)
            if not state.kept:
                shutil.rmtree(directory, ignore_errors=True)
            os.close(lock)
    return 0


if __name__ == "__main__":
    sys.exit(main())
