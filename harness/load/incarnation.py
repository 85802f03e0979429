"""One producer incarnation: one librdkafka producer and its ledger.

An incarnation is what the broker can tell apart: a new process or a new producer client is a
new one, with sequences of its own from 0. Order and idempotence are promised inside it only.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from confluent_kafka import KafkaError, KafkaException, Producer

from harness.arrays import I64
from harness.errors import HarnessError
from harness.load.context import LoadContext, producer_settings
from harness.load.outcomes import Delivered, OnDelivery, Report, Reports, groups
from harness.record.codec import run_hash
from harness.record.codecs import codec_named
from harness.record.encoder import Encoder
from harness.rundir.clock import from_us
from harness.rundir.events import IncarnationEvent
from harness.rundir.ledger import Ledger
from harness.rundir.load_events import LEFT_OPEN, SLOT_US
from harness.rundir.run_info import ProfileRun

_OWN_DOING = {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}
"""What an abort does to records that were not delivered yet."""


def _by_code(errors: Sequence[Any]) -> list[tuple[Any, int]]:
    """One error of each code, with how often that code occurs."""
    counts = Counter(error.code() for error in errors)
    return [(error, counts[code]) for code, error in {e.code(): e for e in errors}.items()]


class Incarnation:
    """Hands records to one librdkafka producer and puts on record what became of them."""

    def __init__(
        self, context: LoadContext, profile: ProfileRun, instance: int, first_record: int = 0
    ) -> None:
        """first_record: which of its client's records is its first; their keys follow from it."""
        info = context.info
        self._context = context
        self._slots = context.slots
        self._topics = info.topics
        self.profile = profile
        self.acks = profile.acks
        self.open_records = 0
        """Handed to the client and not decided about."""
        self.fatal: str | None = None
        """Why this producer cannot go on, once it cannot."""
        self.acked = 0
        """How many of its records were acknowledged, or reported as sent."""
        self.refused = 0
        """How many records produce() refused locally."""
        self.acked_in_slot = 0
        self.errored_in_slot = 0
        self.ack_us_in_slot = 0
        """Sum over the records acknowledged since somebody last set it to 0."""
        codec = codec_named(info.load.codec)
        self.reports = Reports(codec)
        settings = producer_settings(profile, info.run_id, instance, context.connection)
        settings["error_cb"] = self._on_error
        try:
            self.producer = Producer(settings)
        except (KafkaException, ValueError, TypeError) as error:
            raise HarnessError(
                f"profile {profile.profile}: librdkafka refuses its producer settings ({error}). "
                "Correct them in the profile or in --config."
            ) from None
        run = run_hash(info.run_id)
        self.ledger = Ledger.create(
            context.run_dir.ledger, run=run, profile=profile.profile, numbers=context.numbers
        )
        self.number = self.ledger.incarnation
        self._encoder = Encoder(
            info.run_id, self.number, info.load.message_bytes, info.seed + self.number, codec
        )
        self._latency = {
            metric: context.latency.of(profile.profile, metric, self.number)
            for metric in ("ack", "service")
        }
        context.run_dir.append(
            IncarnationEvent(
                at=from_us(context.clock.now_us()),
                source="load",
                profile=profile.profile,
                incarnation=self.number,
                instance=instance,
                first_record=first_record,
                phase="started",
            )
        )

    @property
    def why_open(self) -> str:
        """Why a record without any report stays so: a fatal error's code, or LEFT_OPEN."""
        return LEFT_OPEN if self.fatal is None else self.fatal.partition(":")[0]

    # -- sending ---------------------------------------------------------------------------

    def produce(
        self,
        topics: npt.NDArray[np.integer],
        partitions: npt.NDArray[np.integer],
        intended_us: I64,
        keys: Sequence[bytes] | None = None,
    ) -> dict[tuple[int, int], tuple[int, int]]:
        """Attempt n records: topic index, partition, intended send time and key of each.

        Returns the first and last sequence of each (topic index, partition). Refusals are
        FAILED at once; whether there were any shows in `refused`.
        """
        at_us = self._context.clock.now_us()
        count = len(intended_us)
        sequences = np.empty(count, dtype=np.uint64)
        ranges: dict[tuple[int, int], tuple[int, int]] = {}
        parts = list(groups(topics, partitions))
        for topic, partition, rows in parts:
            size = count if isinstance(rows, slice) else len(rows)
            first = self.ledger.open(topic, partition, size)
            sequences[rows] = np.arange(first, first + size, dtype=np.uint64)
            self._slots.attempted(topic, partition, at_us, size, self.number)
            ranges[(topic, partition)] = (first, first + size - 1)
        self.open_records += count
        values = self._encoder.encode_rows(topics, partitions, sequences, intended_us)
        for topic, partition, rows in parts:
            if isinstance(rows, slice):
                chosen, chosen_keys = values, keys
            else:
                wanted = rows.tolist()
                chosen = [values[row] for row in wanted]
                chosen_keys = None if keys is None else [keys[row] for row in wanted]
            first = ranges[(topic, partition)][0]
            callbacks = self.reports.callbacks(topic, partition, first, intended_us[rows])
            self._enqueue(topic, partition, first, chosen, chosen_keys, callbacks)
        return ranges

    def _enqueue(
        self,
        topic: int,
        partition: int,
        first: int,
        values: list[bytes],
        keys: Sequence[bytes] | None,
        callbacks: Sequence[OnDelivery] | None,
    ) -> None:
        messages: list[dict[str, Any]]
        if keys is None:
            messages = [{"value": value} for value in values]
        else:
            messages = [
                {"value": value, "key": key} for value, key in zip(values, keys, strict=True)
            ]
        if callbacks is not None:
            for message, callback in zip(messages, callbacks, strict=True):
                message["callback"] = callback
        try:
            queued = self.producer.produce_batch(
                self._topics[topic],
                messages,
                partition=partition,
                on_delivery=self.reports.on_delivery,
            )
        except (KafkaException, BufferError) as error:
            # How many of the batch were enqueued is not known: they stay OPEN.
            self._fail(error)
            return
        if queued != len(messages):
            # The mark stays in a dict for ever, so dicts are never used again.
            refused = [index for index, message in enumerate(messages) if "_error" in message]
            self.open_records -= len(refused)
            self.errored_in_slot += len(refused)
            at_us = self._context.clock.now_us()
            sequences = np.array(refused, dtype=np.uint64) + np.uint64(first)
            self.ledger.failed(topic, partition, sequences)
            self.refused += len(refused)
            errors = [messages[index]["_error"] for index in refused]
            for refusal, count in _by_code(errors):
                self._slots.failed(topic, partition, at_us, count, refusal.name())
                self._note(refusal, count)

    # -- reports ---------------------------------------------------------------------------

    def poll(self, wait_s: float = 0.0) -> None:
        """Serve what librdkafka has to report; waits for one only where it is asked to."""
        try:
            self.producer.poll(wait_s)
        except KafkaException as error:
            self._fail(error)
        self.reports.stamp(self._context.clock.now_us())

    def settle(self) -> None:
        """Decide about everything that was reported."""
        delivered, errored = self.take_reports()
        for part in delivered:
            if self.acks == "0":
                self.ledger.sent(part.topic, part.partition, part.sequences)
            else:
                self.ledger.acked(part.topic, part.partition, part.sequences, part.offsets)
            self.record_acknowledged(part)
        if errored:
            at_us = self._context.clock.now_us()
            for error, _ in _by_code([error for error, _ in errored]):
                code = error.code()
                reports = [report for each, report in errored if each.code() == code]
                for group in self.reports.errored(reports):
                    count = len(group.sequences)
                    self.ledger.unknown(group.topic, group.partition, group.sequences)
                    self._slots.unknown(group.topic, group.partition, at_us, count, error.name())
                    self.open_records -= count
                    self.errored_in_slot += count

    def take_reports(self) -> tuple[list[Delivered], list[tuple[Any, Report]]]:
        """What was reported since the last time, undecided; errors are noted."""
        delivered, errored = self.reports.take(
            self._context.clock.now_us(), with_offsets=self.acks != "0"
        )
        for error, count in _by_code([error for error, _ in errored]):
            if error.code() not in _OWN_DOING:
                self._note(error, count)
        return delivered, errored

    def record_acknowledged(self, part: Delivered) -> None:
        """Count acknowledged records and their latency; the ledger has them already."""
        count = len(part.sequences)
        self.open_records -= count
        ack_us = part.reported_us - part.intended_us
        self.acked += count
        self.acked_in_slot += count
        self.ack_us_in_slot += int(ack_us.sum())
        first, last = int(part.reported_us[0]), int(part.reported_us[-1])
        if first // SLOT_US == last // SLOT_US:
            self._slots.acked(part.topic, part.partition, first, count, int(ack_us.max()))
        else:
            numbers = part.reported_us // SLOT_US
            for number in np.unique(numbers):
                chosen = ack_us[numbers == number]
                at_us = int(number) * SLOT_US
                self._slots.acked(part.topic, part.partition, at_us, len(chosen), int(chosen.max()))
        intended, service_us = part.intended_us, part.service_us
        warm = intended >= self._context.warm_until_us
        if not warm.all():
            intended, ack_us, service_us = intended[warm], ack_us[warm], service_us[warm]
        self._latency["ack"].record(intended, ack_us)
        self._latency["service"].record(intended, service_us)

    # -- errors ----------------------------------------------------------------------------

    def _on_error(self, error: Any) -> None:
        self._note(error)

    def _note(self, error: Any, count: int = 1) -> None:
        """Put a KafkaError on the timeline; a fatal one ends this incarnation."""
        reason = error.str()
        self._slots.error(
            self.profile.profile, self.number, error.name(), reason, error.fatal(), count
        )
        if error.fatal() and self.fatal is None:
            self.fatal = f"{error.name()}: {reason}"

    def _fail(self, error: BaseException) -> None:
        """A call raised: whatever it was, this producer is not used again."""
        cause = error.args[0] if error.args else None
        if isinstance(cause, KafkaError):
            self._note(cause)
            self.fatal = self.fatal or f"{cause.name()}: {cause.str()}"
        else:
            name = type(error).__name__
            self._slots.error(self.profile.profile, self.number, name, str(error), True)
            self.fatal = self.fatal or f"{name}: {error}"

    # -- the end ---------------------------------------------------------------------------

    def close(self, phase: Literal["closed", "replaced"], reason: str) -> None:
        """Everything still open becomes UNKNOWN, and the ledger is complete."""
        at_us = self._context.clock.now_us()
        for (topic, partition), count in self.ledger.close().items():
            self._slots.unknown(topic, partition, at_us, count, self.why_open)
        self.open_records = 0
        self._context.run_dir.append(
            IncarnationEvent(
                at=from_us(at_us),
                source="load",
                profile=self.profile.profile,
                incarnation=self.number,
                phase=phase,
                reason=reason,
            )
        )
        self._dispose()

    def _dispose(self) -> None:
        """Let go of the producer on another thread: destroying one joins its threads."""
        holder = [self.producer]
        del self.producer

        def destroy() -> None:
            with contextlib.suppress(KafkaException):
                holder[0].purge(in_queue=True, in_flight=True, blocking=False)
            holder.clear()

        self._context.start_call(destroy)
