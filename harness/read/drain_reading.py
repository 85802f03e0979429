"""Reading topic-partitions up to given offsets, into one set of observations.

This is the part of a drain that costs time. It knows nothing of proofs: what it was asked to read
and how far it came are plain data, so that it runs in the drain's own process and in others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError, Message, TopicPartition

from harness.kafka.consumer import READ_MESSAGES_MAX, Unbatcher, new_consumer
from harness.read.pipeline_inputs import InputRows
from harness.read.read_positions import Key, Position, Positions
from harness.record.codecs import codec_named
from harness.rundir.observations import ObservationSet
from harness.rundir.run_info import RunInfo

Say = Callable[[str], None]

FETCH_BYTES: Final = 1024 * 1024
"""What is asked for of one partition at a time."""
_POLL_S: Final = 0.1
_READ_SETTINGS: Final[Mapping[str, str | int | bool]] = {
    "enable.partition.eof": True,
    "check.crcs": True,
    "fetch.wait.max.ms": 100,
    "fetch.message.max.bytes": FETCH_BYTES,
    # A short queue stays in the processor's cache, and bounds the memory.
    "queued.min.messages": 20_000,
    "queued.max.messages.kbytes": 8 * 1024,
}

_UNREADABLE: Final = frozenset(
    (
        KafkaError._AUTO_OFFSET_RESET,
        KafkaError._LOG_TRUNCATION,
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    )
)


@dataclass(frozen=True, slots=True)
class ReadRange:
    """What to read of one topic-partition: from `start` (its log start; a later request for the
    same one goes on where the last ended) until the broker says at or past `target` that there is
    nothing further."""

    topic: str
    partition: int
    start: int
    target: int
    isolation_level: str
    noting: bool = False
    """Are its holes noted one by one?"""

    @property
    def key(self) -> Key:
        return self.topic, self.partition


class DrainReading:
    """Reads stretches one request after another; what it saw is in `observations`."""

    def __init__(
        self,
        info: RunInfo,
        client_config: Mapping[str, str],
        observations: ObservationSet,
        timeout_s: float,
        say: Say,
    ) -> None:
        self.observations = observations
        self.last_error = ""
        """What the client said last of its connections."""
        self._info = info
        self._client_config = client_config
        self._timeout_s = timeout_s
        self._say = say
        self._positions = Positions([])
        self._inputs = InputRows(observations.folder, info)

    def read(self, stretches: Sequence[ReadRange]) -> dict[Key, Position]:
        """Read them all; how far each came. `timeout_s` bounds a time without any progress.

        Raises EnvironmentFailure when the disk is full.
        """
        for level in sorted({stretch.isolation_level for stretch in stretches}, reverse=True):
            chosen = [stretch for stretch in stretches if stretch.isolation_level == level]
            self._read_at(level, chosen)
        return {stretch.key: self._positions[stretch.key] for stretch in stretches}

    def _read_at(self, level: str, stretches: list[ReadRange]) -> None:
        positions, keys = self._positions, [stretch.key for stretch in stretches]
        targets = {stretch.key: stretch.target for stretch in stretches}
        for stretch in stretches:
            positions.begin(stretch.key, stretch.start, noting=stretch.noting)
        total = sum(targets[key] - positions[key].next for key in keys)
        codec = codec_named(self._info.load.codec)
        unbatcher = Unbatcher(self._info.topics, {topic for topic, _ in keys}, codec)
        consumer = new_consumer(
            self._client_config,
            group=f"harness-{self._info.run_id}-drain",
            isolation_level=level,
            on_error=self._note,
            settings=_READ_SETTINGS,
        )
        try:
            consumer.assign([TopicPartition(*key, positions[key].next) for key in keys])
            done, said_at, moved_at = 0, 0.0, time.monotonic()
            while any(positions[key].behind(targets[key]) for key in keys):
                messages = consumer.consume(READ_MESSAGES_MAX, _POLL_S)
                instant = time.monotonic()
                batch, events = unbatcher.take(messages)
                if len(batch):
                    positions.advance(self._info.topics, batch)
                    self.observations.add(batch)
                    self._inputs.add(messages)
                    done += len(batch)
                    moved_at = instant
                # The end of a partition comes after its records.
                for event in events:
                    moved_at = instant if self._note_event(event) else moved_at
                if instant - moved_at >= self._timeout_s:
                    self._stalled(keys, targets)
                    return
                if instant - said_at >= 1.0:
                    said_at = instant
                    self._say(f"read {done:,} of {total:,} offsets ({level})")
        finally:
            consumer.close()

    def _note(self, error: KafkaError) -> None:
        self.last_error = error.str()

    def _note_event(self, event: Message) -> bool:
        """Take in what is no record; whether it brings a partition forward."""
        error = event.error()
        topic, partition, offset = event.topic(), event.partition(), event.offset()
        if error is None or topic is None or partition is None:
            return False
        if error.code() == KafkaError._PARTITION_EOF and offset is not None:
            self._positions[topic, partition].ended(offset)
            return True
        self._note(error)
        if error.code() in _UNREADABLE:
            self._positions[topic, partition].failure = f"it cannot be read on: {error.str()}"
        return False

    def _stalled(self, keys: list[Key], targets: Mapping[Key, int]) -> None:
        for key in keys:
            position = self._positions[key]
            if position.behind(targets[key]) and not position.failure:
                position.failure = (
                    f"no record for {self._timeout_s:g} s at offset {position.next} of "
                    f"{targets[key]}" + (f" ({self.last_error})" if self.last_error else "")
                )
