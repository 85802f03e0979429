"""Whether a leader's log ends at its high watermark: that no record there is still unreplicated.

In full ISR a high watermark may trail its log, for as long as a follower does not fetch (until the
leader takes it out of the ISR, replica.lag.time.max.ms). ListOffsets names the high watermark and
no API of a client the log's end. But a fetch above the log's end is refused, OFFSET_OUT_OF_RANGE,
and one above the high watermark is not (Kafka's UnifiedLog.read): it waits. So asking for the
offset after the end tells which of the two it is.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from confluent_kafka import KafkaError, TopicPartition

from harness.kafka.consumer import OnError, new_consumer
from harness.read.read_positions import Key

_POLL_S: Final = 0.1
_BATCH: Final = 1_000
_SETTINGS: Final[Mapping[str, str | int | bool]] = {
    "fetch.wait.max.ms": 100,
    "fetch.message.max.bytes": 1_024,
    "queued.min.messages": 1,
}


def ending_logs(
    client_config: Mapping[str, str],
    ends: Mapping[Key, int],
    *,
    group: str,
    timeout_s: float,
    on_error: OnError,
) -> set[Key]:
    """The topic-partitions whose leader says that its log goes no further than `ends`.

    ends: high watermarks by (topic, partition). Those missing from the result have grown, hold
    records that no follower has, or have a leader that did not answer within timeout_s.
    """
    ended: set[Key] = set()
    if not ends:
        return ended
    consumer = new_consumer(
        client_config,
        group=group,
        isolation_level="read_uncommitted",
        on_error=on_error,
        settings=_SETTINGS,
    )
    try:
        consumer.assign([TopicPartition(*key, end + 1) for key, end in ends.items()])
        waiting, deadline = set(ends), time.monotonic() + timeout_s
        while waiting and time.monotonic() < deadline:
            for message in consumer.consume(_BATCH, _POLL_S):
                topic, partition, error = message.topic(), message.partition(), message.error()
                if topic is None or partition is None:
                    continue
                if error is None:  # it has grown
                    waiting.discard((topic, partition))
                elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                    waiting.discard((topic, partition))
                    ended.add((topic, partition))
    finally:
        consumer.close()
    return ended
