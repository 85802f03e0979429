"""Watches a run's partitions and writes what changes into the timeline.

Leader, leader epoch and in-sync replicas of every partition of the run are asked for a few times
a second, and so is who of the brokers is registered. Each change is one event. For transactional
topics the last stable offset against the high watermark is asked for as well. While brokers are
down nothing is known, and nothing is written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from harness.kafka.admin import admin_client
from harness.rundir.events import BrokersEvent, IsrEvent, LeaderEvent, OffsetsEvent
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import RunInfo

INTERVAL_S = 0.25
OFFSETS_EVERY = 4
EPOCHS_EVERY = 8
"""A leader that is elected again is the same leader in a new epoch, which metadata do not show."""
OFFSETS_AGAIN_S = 10.0
_ANSWER_S = 2.0


class Observer:
    """A thread that records leaders, ISR and last stable offsets until it is stopped."""

    def __init__(self, run_dir: RunDir, info: RunInfo, client_config: Mapping[str, str]) -> None:
        self._run_dir = run_dir
        self._admin = admin_client(client_config)
        self._topics = info.topics
        self._transactional = [
            TopicPartition(topic, partition)
            for profile in info.profiles
            if profile.transactional
            for topic in profile.topics
            for partition in range(info.load.partitions)
        ]
        self._leaders: dict[tuple[str, int], tuple[int, int]] = {}
        self._isr: dict[tuple[str, int], list[int]] = {}
        self._brokers: list[int] = []
        self._asked: dict[TopicPartition, Any] = {}
        self._grown: dict[tuple[str, int], tuple[int, int]] = {}
        self._offsets: dict[tuple[str, int], tuple[tuple[int, int], float]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread. Raises what ended it early, since a blind observer is a defect."""
        self._stop.set()
        self._thread.join(2 * _ANSWER_S + 1)
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        rounds = 0
        try:
            while not self._stop.wait(INTERVAL_S):
                self._look_at_leaders()
                if self._transactional and rounds % OFFSETS_EVERY == 0:
                    self._look_at_offsets()
                if rounds % EPOCHS_EVERY == 0:
                    self._look_at_epochs()
                rounds += 1
        except BaseException as error:
            self.failure = error

    def _look_at_leaders(self) -> None:
        # Any live broker answers a metadata request; DescribeTopics is asked of the controller
        # that the client knew last, and stays unanswered for long when that one was killed.
        try:
            metadata = self._admin.list_topics(timeout=_ANSWER_S)
        except KafkaException:
            return
        brokers = sorted(metadata.brokers)
        if brokers != self._brokers:
            self._brokers = brokers
            self._run_dir.append(BrokersEvent(source="observer", brokers=brokers))
        moved: list[tuple[str, int, int]] = []
        for topic in self._topics:
            described = metadata.topics.get(topic)
            if described is None or described.error is not None:
                continue
            for partition in described.partitions.values():
                key = (topic, partition.id)
                isr = sorted(partition.isrs)
                if self._leaders.get(key, (None, None))[0] != partition.leader:
                    moved.append((topic, partition.id, partition.leader))
                if self._isr.get(key) != isr:
                    self._isr[key] = isr
                    self._run_dir.append(
                        IsrEvent(source="observer", topic=topic, partition=partition.id, isr=isr)
                    )
        if moved:
            self._record_leaders(moved)

    def _record_leaders(self, moved: list[tuple[str, int, int]]) -> None:
        """Write the new leaders with their epochs, which only ListOffsets tells."""
        led = [(topic, partition) for topic, partition, leader in moved if leader >= 0]
        futures = self._admin.list_offsets(
            {TopicPartition(*key): OffsetSpec.latest() for key in led}, request_timeout=_ANSWER_S
        )
        epochs: dict[tuple[str, int], int] = {}
        for at, future in futures.items():
            result = _answer(future)
            # A leader that did not answer comes as a negative offset, and as no error.
            if result is not None and result.offset >= 0 and result.leader_epoch is not None:
                epochs[(at.topic, at.partition)] = result.leader_epoch
        for topic, partition, leader in moved:
            key = (topic, partition)
            if leader >= 0 and key not in epochs:
                continue  # asked again in the next round
            self._note_leader(key, leader, epochs.get(key, -1))

    def _note_leader(self, key: tuple[str, int], leader: int, epoch: int) -> None:
        self._leaders[key] = (leader, epoch)
        self._run_dir.append(
            LeaderEvent(
                source="observer",
                topic=key[0],
                partition=key[1],
                leader=leader,
                leader_epoch=epoch,
            )
        )

    def _look_at_epochs(self) -> None:
        """Find leaders that were elected again, without waiting for any answer.

        A new epoch counts once two answers in a row said it and the leader was the same all along:
        an answer may come from a new leader that metadata do not name yet.
        """
        if not all(future.done() for future in self._asked.values()):
            return
        grown: dict[tuple[str, int], tuple[int, int]] = {}
        for at, future in self._asked.items():
            key = (at.topic, at.partition)
            result = _answer(future)
            leader, epoch = self._leaders.get(key, (-1, -1))
            if result is None or result.offset < 0 or result.leader_epoch is None or leader < 0:
                continue
            if result.leader_epoch > epoch >= 0:
                grown[key] = (leader, result.leader_epoch)
                if self._grown.get(key) == grown[key]:
                    self._note_leader(key, leader, result.leader_epoch)
        self._grown = grown
        led = [TopicPartition(*key) for key, (leader, _) in self._leaders.items() if leader >= 0]
        self._asked = (
            self._admin.list_offsets(
                dict.fromkeys(led, OffsetSpec.latest()), request_timeout=_ANSWER_S
            )
            if led
            else {}
        )

    def _look_at_offsets(self) -> None:
        wanted = dict.fromkeys(self._transactional, OffsetSpec.latest())
        stable, high = (
            self._admin.list_offsets(wanted, isolation_level=level, request_timeout=_ANSWER_S)
            for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
        )
        highs = {(at.topic, at.partition): _answer(future) for at, future in high.items()}
        for at, future in stable.items():
            last_stable = _answer(future)
            watermark = highs.get((at.topic, at.partition))
            if last_stable is None or watermark is None:
                continue
            if last_stable.offset < 0 or watermark.offset < 0:
                continue
            # The two were asked one after the other: the first can lie behind, never ahead.
            pair = (last_stable.offset, max(watermark.offset, last_stable.offset))
            before = self._offsets.get((at.topic, at.partition))
            # Where nothing moved and nothing is open, it is on record only now and then. It has to
            # be: where no look is on record, one may have failed.
            settled = before is not None and before[0] == pair and pair[0] == pair[1]
            if before and settled and time.monotonic() - before[1] < OFFSETS_AGAIN_S:
                continue
            self._offsets[(at.topic, at.partition)] = (pair, time.monotonic())
            self._run_dir.append(
                OffsetsEvent(
                    source="observer",
                    topic=at.topic,
                    partition=at.partition,
                    last_stable=pair[0],
                    high_watermark=pair[1],
                )
            )


def _answer(future: Any) -> Any | None:
    """The result, or None while the brokers cannot say."""
    try:
        return future.result(_ANSWER_S * 2)
    except (KafkaException, TimeoutError):
        return None
