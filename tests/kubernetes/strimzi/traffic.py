"""A producer and a reader of tests, run in the node's network as a user of the cluster.

    python -m tests.kubernetes.strimzi.traffic TOPIC SECONDS

KAFKA_CLIENT in the environment holds librdkafka's settings as JSON. The topic is made, with three
replicas. Once records are acknowledged the line `leader ID` names the broker that leads partition
0; the last line says what came of it, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic

RATE_PER_S: Final = 500
PARTITIONS: Final = 3
_FLUSH_S: Final = 90
_READ_TIMEOUT_S: Final = 60


@dataclass(slots=True)
class Outcome:
    """What was acknowledged, and what could be read afterwards."""

    acked: set[int] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    last_ack_s: float = 0.0
    longest_gap_s: float = 0.0

    def report(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.failed.append(str(error))
            return
        now = time.monotonic()
        if self.acked:
            self.longest_gap_s = max(self.longest_gap_s, now - self.last_ack_s)
        self.last_ack_s = now
        self.acked.add(int(message.value() or b"-1"))


@dataclass(frozen=True, slots=True)
class Count:
    """The last line of output."""

    acked: int
    failed: int
    lost: int
    duplicates: int
    longest_gap_s: float


def make_topic(settings: dict[str, Any], topic: str) -> None:
    """Raises KafkaException when the user may not."""
    client = AdminClient(settings)
    config = {"min.insync.replicas": "2"}
    client.create_topics([NewTopic(topic, PARTITIONS, 3, config=config)])[topic].result(30)


def produce(settings: dict[str, Any], topic: str, seconds: float) -> Outcome:
    """Records with a sequence number each, acknowledged by all replicas in sync."""
    outcome = Outcome()
    producer = Producer({**settings, "acks": "all", "enable.idempotence": True, "linger.ms": 5})
    begun = time.monotonic()
    announced = False
    sequence = 0
    while (elapsed := time.monotonic() - begun) < seconds:
        while sequence < elapsed * RATE_PER_S:
            partition = sequence % PARTITIONS
            value = str(sequence).encode()
            producer.produce(topic, value, partition=partition, on_delivery=outcome.report)
            sequence += 1
        producer.poll(0.01)
        if outcome.acked and not announced:
            announced = True
            metadata = producer.list_topics(topic, timeout=20)
            print(f"leader {metadata.topics[topic].partitions[0].leader}", flush=True)
    producer.flush(_FLUSH_S)
    return outcome


def read(settings: dict[str, Any], topic: str) -> list[int]:
    """Everything up to each partition's end."""
    consumer = Consumer({**settings, "group.id": f"harness-{topic}", "enable.partition.eof": True})
    where = [TopicPartition(topic, each, OFFSET_BEGINNING) for each in range(PARTITIONS)]
    consumer.assign(where)
    found: list[int] = []
    ended: set[int] = set()
    deadline = time.monotonic() + _READ_TIMEOUT_S
    while len(ended) < PARTITIONS:
        if time.monotonic() > deadline:
            raise TimeoutError(f"read to the end of {sorted(ended)} only")
        message = consumer.poll(1)
        if message is None:
            continue
        error = message.error()
        if error is None:
            found.append(int(message.value() or b"-1"))
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(int(message.partition() or 0))
        else:
            raise KafkaException(error)
    consumer.close()
    return found


def main() -> int:
    settings = json.loads(os.environ["KAFKA_CLIENT"])
    topic, seconds = sys.argv[1], float(sys.argv[2])
    make_topic(settings, topic)
    outcome = produce(settings, topic, seconds)
    found = read(settings, topic)
    count = Count(
        acked=len(outcome.acked),
        failed=len(outcome.failed),
        lost=len(outcome.acked - set(found)),
        duplicates=len(found) - len(set(found)),
        longest_gap_s=round(outcome.longest_gap_s, 2),
    )
    print(json.dumps(asdict(count)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
