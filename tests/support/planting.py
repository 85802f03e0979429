"""Weights for the scale: anomalies planted on purpose into the topics of a finished run.

Each function changes what a real Kafka holds by a known number of records and returns what a
verification must then find, and nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from harness.record.binary import decode
from harness.record.encoder import Encoder
from harness.rundir.clock import now_us

_BATCH_HEAD = struct.Struct(">qii")  # base offset, batch length, partition leader epoch
_LAST_OFFSET_DELTA = struct.Struct(">i")


def read_values(
    client_config: dict[str, str], topic: str, partition: int, count: int
) -> list[bytes]:
    """The first `count` values of a topic-partition."""
    consumer = Consumer(
        {
            **client_config,
            "group.id": "planting",
            "auto.offset.reset": "error",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, 0)])
        values: list[bytes] = []
        while len(values) < count:
            message = consumer.poll(10)
            assert message is not None, f"{topic}/{partition} gave only {len(values)} records"
            error = message.error()
            if error is not None:
                assert error.code() != KafkaError._PARTITION_EOF, (
                    f"{topic}/{partition} holds only {len(values)} records"
                )
                continue
            value = message.value()
            assert value is not None
            values.append(value)
        return values
    finally:
        consumer.close()


def append(client_config: dict[str, str], topic: str, partition: int, values: list[bytes]) -> None:
    """Write values to one partition with acks=all; every one is acknowledged when this returns."""
    failed: list[object] = []
    producer = Producer({**client_config, "acks": "all", "enable.idempotence": True})
    for value in values:
        producer.produce(
            topic,
            value,
            partition=partition,
            on_delivery=lambda error, _: failed.append(error) if error is not None else None,
        )
    assert producer.flush(30) == 0
    assert not failed, failed


def plant_copies(client_config: dict[str, str], topic: str, partition: int, count: int) -> None:
    """`count` records written once more, byte for byte."""
    append(client_config, topic, partition, read_values(client_config, topic, partition, count))


def plant_changed_byte(
    client_config: dict[str, str], topic: str, partition: int, count: int
) -> None:
    """`count` records written once more with one byte changed, each at another place."""
    changed = []
    for index, value in enumerate(read_values(client_config, topic, partition, count)):
        body = bytearray(value)
        body[(index * 37) % len(body)] ^= 1 << (index % 8)
        changed.append(bytes(body))
    append(client_config, topic, partition, changed)


def plant_never_attempted(
    client_config: dict[str, str], topic: str, partition: int, count: int, run_id: str
) -> None:
    """`count` intact records of this run with sequences that its producer never attempted."""
    head = decode(read_values(client_config, topic, partition, 1)).heads[0]
    values = Encoder(run_id, int(head["incarnation"]), 200).encode(
        int(head["topic"]), partition, 10_000_000, _intended(count)
    )
    append(client_config, topic, partition, values)


def plant_foreign(client_config: dict[str, str], topic: str, partition: int, count: int) -> None:
    """`count` intact records of a run that is not this one."""
    values = Encoder("another-run", 1, 200).encode(0, partition, 0, _intended(count))
    append(client_config, topic, partition, values)


def _intended(count: int):
    import numpy as np

    return np.arange(count, dtype=np.uint64) + np.uint64(now_us())


@dataclass(frozen=True)
class Batch:
    """A record batch in a log segment: where it begins in the file, and the offsets it holds."""

    position: int
    first_offset: int
    last_offset: int


def batches(segment: Path) -> list[Batch]:
    """The record batches of a log segment (record format v2), in file order."""
    data = segment.read_bytes()
    found: list[Batch] = []
    position = 0
    while position + 61 <= len(data):
        base, length, _ = _BATCH_HEAD.unpack_from(data, position)
        if length <= 0:
            break
        delta = _LAST_OFFSET_DELTA.unpack_from(data, position + 23)[0]
        found.append(Batch(position, base, base + delta))
        position += 12 + length
    return found


def cut_last_batches(
    data_directories: list[Path],
    topic: str,
    partition: int,
    count: int,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> range:
    """Cut the last `count` batches off every replica's log; the brokers must be down.

    Returns the offsets that are gone. Indexes, the marker of a clean shutdown and the snapshots
    of producer state go too, so that the brokers recover the shorter log as after a crash.
    """
    gone: set[range] = set()
    for directory in data_directories:
        log = directory / f"{topic}-{partition}"
        segments = sorted(log.glob("*.log"))
        assert len(segments) == 1, segments
        cut = batches(segments[0])[-count:]
        with segments[0].open("r+b") as file:
            file.truncate(cut[0].position)
        gone.add(range(cut[0].first_offset, cut[-1].last_offset + 1))
        for pattern in ("*.index", "*.timeindex", "*.snapshot"):
            for path in log.glob(pattern):
                path.unlink()
        for path in directory.glob(".kafka_cleanshutdown*"):
            path.unlink()
        say(f"{segments[0]}: cut at {cut[0].position}")
    assert len(gone) == 1, f"the replicas' last batches differ: {gone}"
    return gone.pop()
