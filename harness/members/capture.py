"""What a drain notes about consumers: committed offsets, and the input of each output record.

Written into the drained set (harness.verify.consumers.recorded reads it), so that a later `verify`
judges what the brokers say by then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from confluent_kafka import Message

from harness.disk import write_whole
from harness.members.lag import GroupOffsets, Offsets
from harness.members.share_offsets import share_offsets
from harness.record import OUTPUT_BYTES_MIN, decode, inputs_of, run_hash
from harness.rundir import ProfileRun, RunInfo, write_json
from harness.verify.consumers.recorded import INPUT

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
    groups: dict[str, dict[str, int]] = {}
    deadline = time.monotonic() + timeout_s
    for profile in consuming:
        assert profile.consume is not None
        committed = _ask(profile, info.load.partitions, client_config, deadline)
        if committed is not None:
            groups[profile.consume.group] = {
                f"{index[topic]}:{partition}": offset
                for (topic, partition), offset in sorted(committed.items())
                if topic in index
            }
    write_json(folder / "groups.json", groups)


def _ask(
    profile: ProfileRun, partitions: int, client_config: Mapping[str, str], deadline: float
) -> Offsets | None:
    """The offsets of one group, asked again until the deadline; None when nobody said."""
    assert profile.consume is not None
    group, topic = profile.consume.group, profile.topics[0]
    asking = None if profile.consume.mode == "share" else GroupOffsets(client_config, group)
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


class InputRows:
    """inputs.bin: for each intact record of a pipeline's output, which input record it is of."""

    def __init__(self, folder: Path, info: RunInfo) -> None:
        """Makes the file, also when it will stay empty; none for a run without pipelines."""
        self._run = run_hash(info.run_id)
        self._topics = {
            topic: info.topics.index(topic)
            for profile in info.profiles
            if profile.consume is not None and profile.consume.mode == "transactional"
            for topic in profile.topics[1:]
        }
        self._path = folder / "inputs.bin"
        if self._topics:
            self._path.touch()

    def add(self, messages: list[Message]) -> None:
        """Take in what a drain was handed: records of any topic, and events."""
        if not self._topics:
            return
        records = [
            message
            for message in messages
            if message.error() is None
            and message.topic() in self._topics
            and len(message.value() or b"") >= OUTPUT_BYTES_MIN
        ]
        values = [message.value() or b"" for message in records]
        decoded = decode(values)
        ours = decoded.intact & (decoded.heads["run"] == self._run)
        chosen = np.flatnonzero(ours).tolist()
        if not chosen:
            return
        inputs = inputs_of([values[at] for at in chosen])
        rows = np.zeros(len(chosen), dtype=INPUT)
        rows["output_offset"] = [records[at].offset() for at in chosen]
        rows["partition"] = [records[at].partition() for at in chosen]
        rows["topic"] = [self._topics[str(records[at].topic())] for at in chosen]
        rows["input_offset"] = inputs["offset"]
        rows["input_topic"] = inputs["topic"]
        with self._path.open("ab", buffering=0) as file:
            write_whole(
                file.fileno(),
                rows.tobytes(),
                f"{self._path}: no space for {rows.nbytes} more bytes. What was recorded is kept; "
                "free disk space or choose another --out.",
            )
