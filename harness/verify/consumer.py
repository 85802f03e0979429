"""A librdkafka consumer that is told what to read, and what it returns as arrays.

Partitions are assigned by hand with explicit offsets; nothing is committed, no offset is reset
behind our back (`auto.offset.reset=error`), and without a client.rack every fetch goes to the
leader.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from confluent_kafka import Consumer, KafkaError, Message

from harness.errors import UsageError
from harness.rundir import RunInfo
from harness.verify.batch import Batch

READ_MESSAGES_MAX: Final = 10_000
CLIENT_CONFIG: Final = "HARNESS_CLIENT_CONFIG"

OnError = Callable[[KafkaError], None]


def new_consumer(
    client_config: Mapping[str, str],
    *,
    group: str,
    isolation_level: str,
    on_error: OnError,
    settings: Mapping[str, str | int | bool],
) -> Consumer:
    """A consumer for reading by hand; `settings` add to what every such consumer needs."""
    return Consumer(
        {
            **client_config,
            "group.id": group,
            "isolation.level": isolation_level,
            "auto.offset.reset": "error",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            # librdkafka waits this long after a full queue; its default of 1 s idles the reader.
            "fetch.queue.backoff.ms": 1,
            "error_cb": on_error,
            "log_level": 2,
            **settings,
        }
    )


class Unbatcher:
    """Turns messages into a Batch; knows the run's topics by name."""

    def __init__(self, topics: Sequence[str]) -> None:
        self._index = {topic: number for number, topic in enumerate(topics)}

    def split(self, messages: list[Message]) -> tuple[list[Message], list[Message]]:
        """(records, events): what carries an error is an event, such as the end of a partition."""
        if any(map(Message.error, messages)):
            return (
                [message for message in messages if message.error() is None],
                [message for message in messages if message.error() is not None],
            )
        return messages, []

    def batch(self, records: list[Message]) -> Batch:
        """The records as arrays; leader epochs are asked from the messages when wanted."""
        count = len(records)
        names = set(map(Message.topic, records))
        if len(names) == 1:
            topics = np.full(count, self._index[names.pop()], dtype=np.int64)
        else:
            indexes = map(self._index.__getitem__, map(Message.topic, records))
            topics = np.fromiter(indexes, dtype=np.int64, count=count)
        return Batch(
            values=list(map(Message.value, records)),
            topics=topics,
            partitions=np.fromiter(map(Message.partition, records), np.int64, count),
            offsets=np.fromiter(map(Message.offset, records), np.int64, count),
            leader_epochs=lambda places: [records[at].leader_epoch() for at in places.tolist()],
        )


def client_config(info: RunInfo) -> dict[str, str]:
    """Connection settings from the environment, or the run's bootstrap servers alone.

    Raises UsageError when HARNESS_CLIENT_CONFIG is no JSON object; its content is not repeated.
    """
    text = os.environ.get(CLIENT_CONFIG)
    if text is None:
        return {"bootstrap.servers": info.bootstrap}
    try:
        settings: Any = json.loads(text)
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise UsageError(f"{CLIENT_CONFIG}: a JSON object of librdkafka settings is expected.")
    return {str(key): str(value) for key, value in settings.items()}
