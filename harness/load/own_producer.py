"""A user's own function as a producer of a run: called on schedule, its reports put on record.

The function gets one attempt at a time and reports what became of it, at once or later from any
thread. The attempt is OPEN in the ledger before the function is called, as with producers of the
harness, so that the same rules judge both. An exception of the function says nothing about the
record: its outcome is unknown unless the function had reported one.
"""

from __future__ import annotations

import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np

from harness.arrays import I64
from harness.load.attempt import ACKED, FAILED, UNKNOWN, Attempt, Outcome
from harness.load.client import Lanes
from harness.load.context import LoadContext
from harness.load.outcomes import groups
from harness.load.schedule import schedule_of
from harness.record.codec import run_hash
from harness.record.codecs import codec_named
from harness.record.encoder import Encoder
from harness.rundir.clock import from_us
from harness.rundir.events import IncarnationEvent
from harness.rundir.ledger import Ledger
from harness.rundir.load_events import LEFT_OPEN, SLOT_US
from harness.rundir.run_info import ProfileRun

Produce: TypeAlias = Callable[[Attempt], None]
IDLE_S: Final = 0.002
"""So long a producer sleeps at most between looks at the schedule."""
_REASON_MAX: Final = 120


class OwnProducer:
    """One thread of the user's function: its schedule, its ledger, its reports."""

    def __init__(
        self, context: LoadContext, profile: ProfileRun, instance: int, produce: Produce
    ) -> None:
        info = context.info
        self.profile = profile
        self.failure = ""
        """The first exception of the function, as a traceback."""
        self.calls = 0
        self.raised = 0
        """How often the function raised."""
        self.open_records = 0
        self.context = context
        self._slots = context.slots
        self._instance = instance
        self._produce = produce
        self._topics = info.topics
        self._lanes = Lanes(
            list(info.input_topics_of(profile)),
            info.load.partitions,
            info.load.keys,
            first=instance,
        )
        self._schedule = schedule_of(info, instance)
        codec = codec_named(info.load.codec)
        self._ledger = Ledger.create(
            context.run_dir.ledger, run=run_hash(info.run_id), profile=profile.profile
        )
        self.number = self._ledger.incarnation
        self._encoder = Encoder(
            info.run_id, self.number, info.load.message_bytes, info.seed + self.number, codec
        )
        self._latency = {
            metric: context.latency.of(profile.profile, metric, self.number)
            for metric in ("ack", "service")
        }
        self._open: dict[tuple[int, int, int], tuple[int, int]] = {}
        """(topic, partition, sequence) → (intended, handed over), both in µs"""
        self._reports: deque[tuple[int, Outcome]] = deque()
        self._flush_us = 0
        self._tell("started", first_record=instance)

    def _tell(self, phase: str, reason: str | None = None, first_record: int | None = None) -> None:
        self.context.run_dir.append(
            IncarnationEvent(
                at=from_us(self.context.clock.now_us()),
                source="load",
                profile=self.profile.profile,
                incarnation=self.number,
                instance=self._instance if phase == "started" else None,
                first_record=first_record,
                phase="started" if phase == "started" else "closed",
                reason=reason,
            )
        )

    def run(self, start_us: int, stopping: Callable[[], bool]) -> None:
        """Call the function on schedule until `stopping` says so."""
        now_us = self.context.clock.now_us
        wake_us = start_us
        while not stopping():
            at_us = now_us()
            if at_us >= wake_us:
                # Only the sleep counts: how long the function took is the function's own matter.
                self._slots.lag(at_us, at_us - wake_us)
            due = self._schedule.due(at_us - start_us, 1)
            if len(due):
                self._attempt(int(due[0]) + start_us)
                wake_us = now_us()
            else:
                wake_us = now_us() + int(IDLE_S * 1e6)
                time.sleep(IDLE_S)
            self.settle()

    def unsent(self, start_us: int) -> int:
        """How many records are due and were never attempted."""
        return self._schedule.waiting(self.context.clock.now_us() - start_us)

    def _attempt(self, intended_us: int) -> None:
        topics, partitions, keys = self._lanes.take(1)
        topic, partition = int(topics[0]), int(partitions[0])
        sequence = self._ledger.open(topic, partition, 1)
        (value,) = self._encoder.encode(topic, partition, sequence, np.array([intended_us]))
        at_us = self.context.clock.now_us()
        self._slots.attempted(topic, partition, at_us, 1, self.number)
        self._open[topic, partition, sequence] = intended_us, at_us
        self.open_records += 1
        attempt = Attempt(
            topic=self._topics[topic],
            topic_index=topic,
            partition=partition,
            key=None if keys is None else keys[0],
            value=value,
            producer=self._instance,
            sequence=sequence,
            intended_us=intended_us,
            report=self._report,
        )
        self.calls += 1
        try:
            self._produce(attempt)
        except Exception as error:
            self.raised += 1
            self.failure = self.failure or traceback.format_exc()
            attempt.unknown(type(error).__name__)

    def _report(self, outcome: Outcome) -> None:
        """From any thread: note a report and when it came."""
        self._reports.append((self.context.clock.now_us(), outcome))

    # -- reports ---------------------------------------------------------------------------

    def settle(self) -> None:
        """Put on record what was reported, and write the slots that are over."""
        acked: list[tuple[int, int, int, int, int, int, int]] = []
        while self._reports:
            at_us, (attempt, outcome, offset, reason) = self._reports.popleft()
            key = attempt.topic_index, attempt.partition, attempt.sequence
            times = self._open.pop(key, None)
            if times is None:
                continue  # reported before
            self.open_records -= 1
            if outcome == ACKED:
                acked.append((*key, offset, at_us, *times))
            else:
                self._not_acked(key, outcome, at_us, reason[:_REASON_MAX] or outcome)
        if acked:
            self._acked(np.array(acked, dtype=np.int64))
        now_us = self.context.clock.now_us()
        if now_us >= self._flush_us:
            self._flush_us = now_us + SLOT_US
            self._slots.flush(now_us)

    def _not_acked(self, key: tuple[int, int, int], outcome: str, at_us: int, reason: str) -> None:
        topic, partition, sequence = key
        sequences = np.array([sequence], dtype=np.uint64)
        if outcome == FAILED:
            self._ledger.failed(topic, partition, sequences)
            self._slots.failed(topic, partition, at_us, 1, reason)
        else:
            assert outcome == UNKNOWN
            self._ledger.unknown(topic, partition, sequences)
            self._slots.unknown(topic, partition, at_us, 1, reason)

    def _acked(self, rows: I64) -> None:
        """rows: (n, 7) topic, partition, sequence, offset, reported, intended, handed over."""
        for topic, partition, chosen in groups(rows[:, 0], rows[:, 1]):
            part = rows[chosen]
            sequences, offsets = part[:, 2].astype(np.uint64), part[:, 3]
            if self.profile.acks == "0":
                self._ledger.sent(topic, partition, sequences)
            else:
                self._ledger.acked(topic, partition, sequences, offsets)
            reported, intended, handed = part[:, 4], part[:, 5], part[:, 6]
            for at, latency in zip(reported.tolist(), (reported - intended).tolist(), strict=True):
                self._slots.acked(topic, partition, at, 1, latency)
            warm = intended >= self.context.warm_until_us
            self._latency["ack"].record(intended[warm], (reported - intended)[warm])
            self._latency["service"].record(intended[warm], (reported - handed)[warm])

    # -- the end ---------------------------------------------------------------------------

    def close(self) -> None:
        """What nothing was reported about becomes unknown, and the ledger is complete."""
        self.settle()
        at_us = self.context.clock.now_us()
        left = self._ledger.close()
        for (topic, partition), count in left.items():
            self._slots.unknown(topic, partition, at_us, count, LEFT_OPEN)
        open_at_end = sum(left.values())
        self._tell(
            "closed", f"stopped with {open_at_end} records open" if open_at_end else "stopped"
        )
        self.context.close()
