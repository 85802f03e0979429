"""Where the logs of stopped followers end.

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

from harness.replicas.files import Replica
from harness.rundir.fault_evidence import FollowerLog


def follower_logs(
    followers: Iterable[int],
    partitions: Iterable[tuple[str, int]],
    log_directory: Callable[[int], Path],
    time_max_s: float,
) -> list[FollowerLog]:
    """Where the logs of stopped followers end.

    partitions: (topic, partition). A log that was not read within `time_max_s`, or that cannot
    be read, has the end None.
    """
    deadline = time.monotonic() + time_max_s
    keys = list(partitions)
    return [
        FollowerLog(follower, *key, _end(Replica(log_directory(follower), *key), deadline))
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
