"""What a stopped process can still do, as far as it can be known.

SIGSTOP ends no thread in the middle of a system call, and a process counts as stopped as soon as
its first thread is: on a busy machine others are seen to run for some milliseconds more. So a
process is stopped when every thread of it is.

A stopped follower takes in one thing more when it continues: the reply to the fetch that it had
open. It sends one fetch at a time to a leader, so there is at most one such reply
(replica.fetch.response.max.bytes). The leader builds it when the first record arrives, or after
replica.fetch.wait.max.ms, or later where the leader or the network was slow, and then it holds all
that was written until then. Where a follower's log ended when it was stopped, beside where its log
went on as the next leader, shows how much that was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import psutil

from harness.replicas.files import Replica
from harness.rundir.fault_evidence import STOPPED, FollowerLog

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


def follower_logs(
    followers: Iterable[int],
    partitions: Iterable[tuple[str, int]],
    data_directory: Callable[[int], Path],
    time_max_s: float,
) -> list[FollowerLog]:
    """Where the logs of stopped followers end.

    partitions: (topic, partition). A log that was not read within `time_max_s`, or that cannot
    be read, has the end None.
    """
    deadline = time.monotonic() + time_max_s
    keys = list(partitions)
    return [
        FollowerLog(follower, *key, _end(Replica(data_directory(follower), *key), deadline))
        for follower in followers
        for key in keys
    ]


def _end(replica: Replica, deadline: float) -> int | None:
    if time.monotonic() > deadline:
        return None
    try:
        return replica.end()
    except (OSError, ValueError):
        return None
