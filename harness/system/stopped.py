"""When a process is stopped, as far as it can be known.

SIGSTOP ends no thread in the middle of a system call, and a process counts as stopped as soon as
its first thread is: on a busy machine others are seen to run for some milliseconds more. So a
process is stopped when every thread of it is.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import psutil

STOPPED: Final = "stopped"
_STATE_TIMEOUT_S: Final = 2.0
_POLL_S: Final = 0.005
_STOPPED_STATES: Final = frozenset("TtZX")
"""Stopped, stopped by a debugger, ended: none of these runs on."""


def state_after_stop(pid: int) -> str:
    """A process's state, waited for a moment: a signal is delivered, not called.

    `stopped` once every thread of it is stopped; `gone` when there is no such process.
    """
    deadline = time.monotonic() + _STATE_TIMEOUT_S
    while True:
        try:
            state = str(psutil.Process(pid).status())
        except psutil.NoSuchProcess:
            return "gone"
        running = running_threads(pid)
        if state == STOPPED and not running:
            return state
        if time.monotonic() > deadline:
            return f"{running} threads running" if state == STOPPED else state
        time.sleep(_POLL_S)


def running_threads(pid: int) -> int:
    """How many threads of a process are not stopped; 0 where the system does not show threads."""
    count = 0
    for path in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            # The name in parentheses may hold anything; the state follows the last one.
            state = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # the thread has ended
        count += bool(state) and state[0] not in _STOPPED_STATES
    return count
