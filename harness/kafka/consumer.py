"""A librdkafka consumer that is given what to read, and what it returns as arrays.

Partitions are assigned by hand with explicit offsets; nothing is committed, no offset is reset
behind our back (`auto.offset.reset=error`), and without a client.rack every fetch goes to the
leader.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, cast

import numpy as np
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from harness.record.codec import Codec, Decoded
from harness.rundir.read_batch import ReadBatch

READ_MESSAGES_MAX: Final = 4_000
"""A call's worth. More do not fit into a processor's cache and cost more each, fewer cost more
calls."""

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
    """Turns what a consumer returns into batches.

    all_topics: the run's topics; a batch names them by their index.
    assigned: the topics that the consumer was given to read.
    codec: the one that the run's values were made with.
    """

    def __init__(self, all_topics: Sequence[str], assigned: Collection[str], codec: Codec) -> None:
        self._decode = codec.decode
        # A message without a topic has no place here; its type allows for one.
        self._index: dict[str | None, int] = {topic: all_topics.index(topic) for topic in assigned}

    def take(self, messages: list[Message]) -> tuple[ReadBatch, list[Message]]:
        """(records, events): what carries an error is an event, such as the end of a partition.

        The payload of an event is the text of its error, which never decodes to an identity. So
        only a batch with a value that is not intact is searched for events.
        """
        decoded = self._decode(list(map(Message.value, messages)))
        if decoded.intact.all() or not any(map(Message.error, messages)):
            return self._batch(messages, decoded), []
        records, events = split(messages)
        return self.batch(records), events

    def batch(self, records: list[Message]) -> ReadBatch:
        """Messages that are all records."""
        return self._batch(records, self._decode(list(map(Message.value, records))))

    def _batch(self, records: list[Message], decoded: Decoded) -> ReadBatch:
        count = len(records)
        if len(self._index) == 1:
            topics = np.full(count, next(iter(self._index.values())), dtype=np.int64)
        else:
            indexes = map(self._index.__getitem__, map(Message.topic, records))
            topics = np.fromiter(indexes, dtype=np.int64, count=count)
        return ReadBatch(
            decoded=decoded,
            topics=topics,
            partitions=np.fromiter(map(Message.partition, records), np.int64, count),
            offsets=np.fromiter(map(Message.offset, records), np.int64, count),
            # Asked from the messages only when wanted.
            leader_epochs=lambda indices: [records[at].leader_epoch() for at in indices.tolist()],
        )


def watermarks(
    consumer: Consumer, key: tuple[str, int], timeout_s: float
) -> tuple[int, int] | None:
    """(log start, high watermark) of a topic-partition; None when its leader does not answer.

    Raises KafkaException for what it answers instead.
    """
    bounds = consumer.get_watermark_offsets(TopicPartition(*key), timeout=timeout_s, cached=False)
    # The client's own types leave out that a timeout gives None.
    return cast("tuple[int, int] | None", bounds)


def split(messages: list[Message]) -> tuple[list[Message], list[Message]]:
    """(records, events) of what a consumer returned."""
    if not any(map(Message.error, messages)):
        return messages, []
    return (
        [message for message in messages if message.error() is None],
        [message for message in messages if message.error() is not None],
    )
