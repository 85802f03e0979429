"""What a drain notes about consumers: the committed offsets of each group.

Written into the drained set (harness.rundir.consumption reads it), so that a later `verify`
judges what the brokers say by then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.kafka.share_offsets import share_offsets
from harness.members.lag import GroupOffsets, Offsets
from harness.rundir.consumption import Committed, write_groups
from harness.rundir.run_info import ProfileRun, RunInfo

_ASK_S: Final = 5.0
_PAUSE_S: Final = 0.1


def capture_groups(
    folder: Path, info: RunInfo, client_config: Mapping[str, str], timeout_s: float
) -> None:
    """Write groups.json: the committed offsets of each group whose coordinator answers in time.

    For a share group these are the start offsets of its partitions. Nothing is written for a run
    without consumers.
    """
    consuming = [profile for profile in info.profiles if profile.consume is not None]
    if not consuming:
        return
    index = {topic: number for number, topic in enumerate(info.topics)}
    groups: dict[str, Committed] = {}
    deadline = time.monotonic() + timeout_s
    for profile in consuming:
        assert profile.consume is not None
        committed = _ask(profile, info.load.partitions, client_config, deadline)
        if committed is not None:
            groups[profile.consume.group] = {
                (index[topic], partition): offset
                for (topic, partition), offset in sorted(committed.items())
                if topic in index
            }
    write_groups(folder, groups)


def _ask(
    profile: ProfileRun, partitions: int, client_config: Mapping[str, str], deadline: float
) -> Offsets | None:
    """The offsets of one group, asked again until the deadline; None when none answered."""
    assert profile.consume is not None
    group, topic = profile.consume.group, profile.topics[0]
    shared = profile.consume.mode == "share"
    # A confirmed commit may still wait for its marker; asked too early, it would seem to be lost.
    asking = None if shared else GroupOffsets(client_config, group, settled=True)
    try:
        while True:
            if asking is None:
                found = share_offsets(client_config, group, topic, range(partitions), _ASK_S)
            else:
                found = asking.committed([(topic, each) for each in range(partitions)], _ASK_S)
            if found is not None or time.monotonic() > deadline:
                return found
            time.sleep(_PAUSE_S)
    finally:
        if asking is not None:
            asking.close()
