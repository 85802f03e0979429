"""What a drain notes about a pipeline: of which input record each record of its output is.

A module of its own, without an admin client: each process that reads a share of a drain loads it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from confluent_kafka import Message

from harness.record.binary import OUTPUT_BYTES_MIN, decode, inputs_of
from harness.record.codec import run_hash
from harness.rundir.consumption import INPUT_ROW, InputsWriter
from harness.rundir.run_info import RunInfo


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
        self._file = InputsWriter(folder) if self._topics else None

    def add(self, messages: list[Message]) -> None:
        """Take in what a drain was handed: records of any topic, and events."""
        if self._file is None:
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
        rows = np.zeros(len(chosen), dtype=INPUT_ROW)
        rows["output_offset"] = [records[at].offset() for at in chosen]
        rows["partition"] = [records[at].partition() for at in chosen]
        rows["topic"] = [self._topics[str(records[at].topic())] for at in chosen]
        rows["input_offset"] = inputs["offset"]
        rows["input_topic"] = inputs["topic"]
        self._file.append(rows)
