"""A real topic with records of a run, written by hand: what the tests of drain and reader read."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import (
    IsolationLevel,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import NewTopic, OffsetSpec

from harness.brokers import LocalCluster
from harness.kafka.admin import admin_client
from harness.kafka.topics import CREATE_TIMEOUT_S, await_created
from harness.read.log_end import ending_logs
from harness.record.encoder import Encoder
from harness.rundir.clock import now, now_us
from harness.rundir.columns import ColumnFile, unpack_offsets
from harness.rundir.rows import cell_files
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import new_run_id
from tests.support.runs import load_plan, profile_run, run_info

PARTITIONS = 3
MESSAGE_BYTES = 100


class Reading:
    """A run directory and its topics on a real cluster, and the records that went there."""

    def __init__(
        self,
        cluster: LocalCluster,
        path: Path,
        profiles: Iterable[str] = ("idempotent",),
        topic_settings: dict[str, str] | None = None,
    ) -> None:
        self.cluster = cluster
        self.config = dict(cluster.client_config)
        self.admin = admin_client(self.config)
        self.run_id = f"{new_run_id()}-{secrets.token_hex(2)}"
        self.sequences: dict[tuple[int, int, int], int] = {}
        self.producers: dict[tuple[tuple[str, object], ...], Producer] = {}
        topics = [f"harness-{self.run_id}-{profile}" for profile in profiles]
        self.create(topics, topic_settings or {"min.insync.replicas": "2"})
        runs = [
            profile_run(
                profile,
                topic,
                topic_ids=[self.topic_id(topic)],
                producer={"transactional.id": "t"} if profile == "transactional" else {},
            )
            for profile, topic in zip(profiles, topics, strict=True)
        ]
        plan = load_plan(rate_per_s=1_000, message_bytes=MESSAGE_BYTES, partitions=PARTITIONS)
        cluster_id = str(self.admin.describe_cluster().result(10).cluster_id)
        self.info = run_info(
            *runs,
            run_id=self.run_id,
            bootstrap=cluster.bootstrap,
            cluster_id=cluster_id,
            load=plan,
            started_at=now(),
        )
        self.run_dir = RunDir.create(path)
        self.run_dir.write_info(self.info)

    @property
    def topics(self) -> list[str]:
        return self.info.topics

    def create(self, topics: list[str], settings: dict[str, str]) -> None:
        """Create topics and await that all of their partitions can be written to."""
        new = [NewTopic(topic, PARTITIONS, 3, config=settings) for topic in topics]
        await_created(self.admin.create_topics(new, request_timeout=CREATE_TIMEOUT_S))
        deadline = time.monotonic() + 60
        for topic in topics:
            while len(self.leaders(topic)) < PARTITIONS:
                assert time.monotonic() < deadline, f"{topic} got no leaders"
                time.sleep(0.05)

    def describe(self, topic: str) -> Any:
        """By a new client: an old one may go on waiting for a dead controller."""
        admin = admin_client(self.config)
        futures = admin.describe_topics(TopicCollection([topic]), request_timeout=10)
        return futures[topic].result(15)

    def topic_id(self, topic: str) -> str:
        """The topic's id; a broker that has not heard of it yet is asked again."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return str(self.describe(topic).topic_id)
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def leaders(self, topic: str) -> dict[int, int]:
        """The leader of each partition that has one and is in full ISR."""
        try:
            described = self.describe(topic)
        except (KafkaException, TimeoutError):
            return {}
        return {
            partition.id: partition.leader.id
            for partition in described.partitions
            if partition.leader is not None
            and partition.leader.id >= 0
            and len(partition.isr) == len(partition.replicas)
        }

    def values(
        self, count: int, *, topic: int = 0, partition: int = 0, incarnation: int = 1
    ) -> list[bytes]:
        """The next `count` values of an incarnation for a topic-partition."""
        key = (incarnation, topic, partition)
        first = self.sequences.get(key, 0)
        self.sequences[key] = first + count
        intended = np.arange(count, dtype=np.uint64) + np.uint64(now_us())
        encoder = Encoder(self.run_id, incarnation, MESSAGE_BYTES)
        return encoder.encode(topic, partition, first, intended)

    def write(
        self, values: list[bytes], *, topic: int = 0, partition: int = 0, **settings: Any
    ) -> list[int]:
        """Write values with acks=all; their offsets."""
        offsets: list[int] = []

        def note(error: object, message: Any) -> None:
            assert error is None, error
            offsets.append(message.offset())

        # An idempotent producer waits half a second for its id: one for each kind of settings.
        kind = tuple(sorted(settings.items()))
        if kind not in self.producers:
            self.producers[kind] = Producer(
                {**self.config, "acks": "all", "enable.idempotence": True, **settings}
            )
        producer = self.producers[kind]
        for value in values:
            producer.produce(self.topics[topic], value, partition=partition, on_delivery=note)
        assert producer.flush(30) == 0
        assert len(offsets) == len(values)
        return offsets

    def fill(self, count: int, *, incarnations: int = 2) -> None:
        """`count` records for each incarnation × topic-partition of the run."""
        for topic in range(len(self.topics)):
            for partition in range(PARTITIONS):
                for incarnation in range(1, incarnations + 1):
                    values = self.values(
                        count, topic=topic, partition=partition, incarnation=incarnation
                    )
                    self.write(values, topic=topic, partition=partition)

    def transaction(self, values: list[bytes], end: str, *, topic: int = 0) -> Producer:
        """One transaction on partition 0: `end` is commit, abort or leave it open."""
        producer = Producer(
            {
                **self.config,
                "transactional.id": f"{self.run_id}-{secrets.token_hex(4)}",
                "transaction.timeout.ms": 60_000,
            }
        )
        producer.init_transactions(30)
        producer.begin_transaction()
        for value in values:
            producer.produce(self.topics[topic], value, partition=0)
        assert producer.flush(30) == 0
        if end == "commit":
            producer.commit_transaction(30)
        elif end == "abort":
            producer.abort_transaction(30)
        if end in ("commit", "abort"):
            # Its markers may come after the call returned, and take offsets too.
            await_settled(self.config, self.topics, PARTITIONS)
        return producer

    def delete_before(self, offset: int, *, topic: int = 0, partition: int = 0) -> None:
        """Move a log's start."""
        where = TopicPartition(self.topics[topic], partition, offset)
        for future in self.admin.delete_records([where]).values():
            future.result(20)

    def delete_topics(self) -> None:
        for future in self.admin.delete_topics(self.topics).values():
            future.result(20)


def cells(folder: Path) -> dict[tuple[int, int, int], list[int]]:
    """Offsets of the filled cells by (incarnation, topic, partition), in sequence order.

    Asserts that the cells are filled from sequence 0 on without a gap.
    """
    found: dict[tuple[int, int, int], list[int]] = {}
    for path in cell_files(folder):
        file = ColumnFile.open(path)
        for topic, partition in file.partitions:
            offsets = np.concatenate(
                [unpack_offsets(e.low, e.high) for e in file.extents(topic, partition)]
            )
            filled = np.flatnonzero(offsets >= 0)
            assert (filled == np.arange(len(filled))).all(), "a cell in between is empty"
            if len(filled):
                found[file.incarnation, topic, partition] = offsets[filled].tolist()
        file.close()
    return found


def await_settled(config: dict[str, str], topics: Iterable[str], partitions: int) -> None:
    """Await that all that stands in the logs can be read, at read_committed too.

    A high watermark trails its log until followers have fetched, and a last stable offset the high
    watermark until markers have followed the commit that returned.
    """
    keys = [(topic, partition) for topic in topics for partition in range(partitions)]
    deadline = time.monotonic() + 30
    while True:
        admin = admin_client(config)
        ends, stable = (
            admin.list_offsets(
                {TopicPartition(*key): OffsetSpec.latest() for key in keys}, isolation_level=level
            )
            for level in (IsolationLevel.READ_UNCOMMITTED, IsolationLevel.READ_COMMITTED)
        )
        offsets = {(at.topic, at.partition): each.result(20).offset for at, each in ends.items()}
        last = {(at.topic, at.partition): each.result(20).offset for at, each in stable.items()}
        told = min(offsets.values()) >= 0  # a leader that did not answer comes as -1001
        if told and offsets == last:
            ended = ending_logs(
                config, offsets, group="unused", timeout_s=2, on_error=lambda _: None
            )
            if ended == set(keys):
                return
        assert time.monotonic() < deadline, f"not all of it can be read: {offsets}, {last}"
