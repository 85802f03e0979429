"""The producing half of a pipeline's member: one transactional producer, its ledger, its log.

What it writes are attempts like any other: its own incarnation, each attempt OPEN in the
ledger before it is handed to the client, each step of a transaction in the log before its call.
So every rule about producers holds for a pipeline's output as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from harness.errors import REDACTED
from harness.load.transactions import END_MARGIN_S
from harness.record.binary import INPUT, OUTPUT_BYTES_MIN, with_inputs
from harness.record.codec import run_hash
from harness.record.encoder import Encoder
from harness.rundir.clock import Clock
from harness.rundir.columns import ACKED_NO_OFFSET, FAILED, UNKNOWN
from harness.rundir.ledger import Ledger
from harness.rundir.member_names import transactional_id
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ProfileRun, RunInfo
from harness.rundir.transaction_steps import SentRanges, TransactionLogWriter

INIT_TIMEOUT_S: Final = 20.0


class Output:
    """Writes output records in transactions, one at a time. Not used again once it failed."""

    def __init__(
        self,
        run_dir: RunDir,
        info: RunInfo,
        profile: ProfileRun,
        slot: int,
        clock: Clock,
        connection: Mapping[str, Any],
        on_error: Any,
    ) -> None:
        self.clock = clock
        self.topic = profile.topics[1]
        self.topic_index = info.topics.index(self.topic)
        self.timeout_s = profile.transaction_timeout_ms / 1000 + END_MARGIN_S
        settings = {key: value for key, value in profile.producer.items() if value != REDACTED}
        settings |= {
            "transactional.id": transactional_id(info.run_id, profile.profile, slot),
            "client.id": f"harness-{profile.profile}-output-{slot}",
            "error_cb": on_error,
            "log_level": 2,
            **connection,
        }
        self.producer = Producer(settings)
        run = run_hash(info.run_id)
        self.ledger = Ledger.create(run_dir.ledger, run=run, profile=profile.profile)
        self.incarnation = self.ledger.incarnation
        self.number = 0
        """Of the transaction that was begun last."""
        self._log = TransactionLogWriter(run_dir.ledger / f"{self.incarnation}.txn.ndjson")
        self._encoder = Encoder(
            info.run_id,
            self.incarnation,
            max(info.load.message_bytes, OUTPUT_BYTES_MIN),
            info.seed + self.incarnation,
        )
        self._ranges: SentRanges = {}
        self._reports: list[tuple[int, int, int]] = []

    def init(self) -> None:
        """Register its transactional.id; fences and ends what an earlier producer left open.

        Raises KafkaException.
        """
        self.producer.init_transactions(INIT_TIMEOUT_S)

    def begin(self) -> None:
        """Begin the next transaction. Raises KafkaException."""
        self.number += 1
        self._ranges, self._reports = {}, []
        self._log.write(self.number, "begin", self.clock.now_us())
        self.producer.begin_transaction()

    def attempt(self, input_topic: int, records: Sequence[Message]) -> list[tuple[int, bytes]]:
        """Put one output record for each input record in the ledger: (sequence, value) each.

        They go to the partition that their input came from.
        """
        made: list[tuple[int, bytes]] = [(0, b"")] * len(records)
        indices: dict[int, list[int]] = {}
        for index, record in enumerate(records):
            indices.setdefault(int(record.partition() or 0), []).append(index)
        for number, chosen in indices.items():
            count = len(chosen)
            first = self.ledger.open(self.topic_index, number, count)
            self._ranges[self.topic_index, number] = (first, first + count - 1)
            inputs = np.zeros(count, dtype=INPUT)
            inputs["topic"], inputs["partition"] = input_topic, number
            inputs["offset"] = [records[index].offset() for index in chosen]
            intended = np.full(count, self.clock.now_us(), dtype=np.int64)
            values = self._encoder.encode(self.topic_index, number, first, intended)
            for at, index in enumerate(chosen):
                made[index] = (first + at, b"")
            for index, value in zip(chosen, with_inputs(values, inputs), strict=True):
                made[index] = (made[index][0], value)
        return made

    def send(self, number: int, sequence: int, value: bytes) -> None:
        """Hand one of them to the client. Raises KafkaException or BufferError."""
        self.producer.produce(
            self.topic,
            value,
            partition=number,
            on_delivery=partial(self._reported, number, sequence),
        )
        self.producer.poll(0)

    def _reported(self, number: int, sequence: int, error: KafkaError | None, at: Message) -> None:
        if error is None:
            offset = at.offset()
            self._reports.append((number, sequence, -1 if offset is None else offset))

    def send_offsets(self, offsets: Sequence[TopicPartition], consumer: Consumer) -> None:
        """Make the input offsets part of the transaction. Raises KafkaException."""
        self.producer.send_offsets_to_transaction(
            list(offsets), consumer.consumer_group_metadata(), self.timeout_s
        )

    def commit_called(self) -> None:
        """Put on record that the commit is about to be called."""
        self._log.write(self.number, "commit_called", self.clock.now_us(), self._ranges)

    def commit(self) -> None:
        """Commit; returns only when it succeeded. Raises KafkaException."""
        self.producer.commit_transaction(self.timeout_s)
        self._log.write(self.number, "committed", self.clock.now_us())
        for number in {number for number, _, _ in self._reports}:
            rows = [(s, o) for n, s, o in self._reports if n == number]
            sequences = np.array([sequence for sequence, _ in rows], dtype=np.uint64)
            offsets = np.array([offset for _, offset in rows], dtype=np.int64)
            self.ledger.acked(self.topic_index, number, sequences, offsets)
        # Success holds for all of them, also for those whose report has not come.
        self._settle(ACKED_NO_OFFSET)

    def abort(self) -> None:
        """Abort; returns only when it succeeded. Raises KafkaException."""
        self._log.write(self.number, "abort_called", self.clock.now_us(), self._ranges)
        self.producer.abort_transaction(self.timeout_s)
        self._log.write(self.number, "aborted", self.clock.now_us())
        self._settle(FAILED)

    def _settle(self, state: int) -> None:
        for (topic, number), (first, last) in self._ranges.items():
            self.ledger.settle_range(topic, number, first, last, state)
        self._ranges = {}

    def close(self) -> None:
        """What is still open becomes UNKNOWN; the producer is let go."""
        if self._ranges:
            self._log.write(self.number, "unknown", self.clock.now_us(), self._ranges)
        self._settle(UNKNOWN)
        self.ledger.close()
        self._log.close()
        with contextlib.suppress(KafkaException):
            self.producer.purge(in_queue=True, in_flight=True, blocking=False)
        del self.producer
