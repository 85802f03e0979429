"""Delivery reports: collected by callbacks that only append, read in batches as arrays.

librdkafka calls back from inside `poll`, on whichever thread polls. The callback appends to a list
and nothing else; a drain loop takes the list and decides. Which attempt a report is about follows
from one of two things, as the run's codec has it:

- a head at a fixed place is read out of the values of a whole batch at once. All records share one
  callback, and no state is kept between produce and report;
- values of many lengths are not read: each record gets its own callback that knows its
  identity.

Measured with librdkafka's mock brokers and values of 100 bytes, the second takes 0.47 µs more CPU a
record (1.67 against 1.20, from produce to the arrays), and reading one JSON event 9 µs.

    report                                     outcome
    no error, acks=0                           SENT
    no error, with an offset                   ACKED at it
    no error, without one                      ACKED_NO_OFFSET (after a duplicate sequence)
    any error                                  UNKNOWN
    refused by produce itself, no report       FAILED

An error in a report is never FAILED, whatever it says: a retry can be refused after a first copy
was appended, and the report tells of the last try alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from confluent_kafka import Message

from harness.arrays import I64, U64, Indices, Rows
from harness.record.codec import IDENTITY, Codec

NO_OFFSET = -1

Report: TypeAlias = Any
"""A message, or (identity, message) where records have their own callbacks."""
OnDelivery: TypeAlias = Callable[[Any, Any], None]


@dataclass(frozen=True, slots=True)
class Delivered:
    """Records of one topic-partition that were reported without error.

    sequences, intended_us: (n,) as the record carries them. offsets: (n,), -1 for none.
    reported_us: (n,) when the report came. service_us: (n,) from produce() to the response.
    """

    topic: int
    partition: int
    sequences: U64
    intended_us: I64
    offsets: I64
    reported_us: I64
    service_us: I64


@dataclass(frozen=True, slots=True)
class Errored:
    """Records of one topic-partition that were reported with an error."""

    topic: int
    partition: int
    sequences: U64


class Reports:
    """The delivery reports of one incarnation that are not decided yet."""

    def __init__(self, codec: Codec) -> None:
        delivered: list[Report] = []
        errored: list[tuple[Any, Report]] = []
        append, append_errored = delivered.append, errored.append

        def on_delivery(error: Any, message: Any) -> None:
            if error is None:
                append(message)
            else:
                append_errored((error, message))

        def on_delivery_of(identity: tuple[int, ...], error: Any, message: Any) -> None:
            # One item: a thread that takes the list sees both or neither.
            if error is None:
                append((identity, message))
            else:
                append_errored((error, (identity, message)))

        self._own_heads = codec.own_heads
        self.on_delivery: OnDelivery = on_delivery
        """For records without their own callback."""
        self._on_delivery_of = on_delivery_of
        self._delivered = delivered
        self._errored = errored
        self._stamps: list[tuple[int, int]] = []
        self._stamped = 0

    def callbacks(
        self, topic: int, partition: int, first: int, intended_us: I64
    ) -> list[OnDelivery] | None:
        """A callback for each of the attempts from sequence `first` on; None where all share
        `on_delivery`."""
        if self._own_heads is not None:
            return None
        return [
            partial(self._on_delivery_of, (0, 0, sequence, at_us, topic, partition))
            for sequence, at_us in enumerate(intended_us.tolist(), first)
        ]

    def __len__(self) -> int:
        return len(self._delivered) + len(self._errored)

    def stamp(self, at_us: int) -> None:
        """Reports since the last stamp came in by `at_us`: called after each poll."""
        count = len(self._delivered)
        if count > self._stamped:
            self._stamps.append((count - self._stamped, at_us))
            self._stamped = count

    def take(
        self, at_us: int, *, with_offsets: bool
    ) -> tuple[list[Delivered], list[tuple[Any, Report]]]:
        """Hand out what came in: delivered ones by topic-partition, and (error, report) pairs.

        with_offsets: false for acks=0, where no report has one.
        """
        # One slice and one deletion: a callback on another thread appends behind them.
        self.stamp(at_us)
        reports = self._delivered[: self._stamped]
        del self._delivered[: self._stamped]
        errored = self._errored[:]
        del self._errored[: len(errored)]
        if not reports:
            return [], errored
        counts, times = zip(*self._stamps, strict=True)
        reported = np.repeat(np.array(times, dtype=np.int64), counts)
        self._stamps.clear()
        self._stamped = 0
        return list(self._by_partition(reports, reported, with_offsets)), errored

    def _heads(self, reports: Sequence[Report]) -> tuple[Rows, Sequence[Any]]:
        """The identities of reports, and their messages."""
        if self._own_heads is not None:
            values = cast("list[bytes]", list(map(Message.value, reports)))
            return self._own_heads(values), reports
        identities, messages = zip(*reports, strict=True)
        return np.array(list(identities), dtype=IDENTITY), messages

    def _by_partition(
        self, reports: Sequence[Report], reported_us: I64, with_offsets: bool
    ) -> Iterator[Delivered]:
        heads, messages = self._heads(reports)
        offsets = np.maximum(_offsets(messages, with_offsets), NO_OFFSET)
        latencies_s = np.fromiter(map(Message.latency, messages), np.float64, len(messages))
        service_us = (latencies_s * 1e6).astype(np.int64)
        for topic, partition, rows in groups(heads["topic"], heads["partition"]):
            part = heads[rows]
            yield Delivered(
                topic,
                partition,
                part["sequence"],
                part["intended_us"].astype(np.int64),
                offsets[rows],
                reported_us[rows],
                service_us[rows],
            )

    def errored(self, reports: Sequence[Report]) -> Iterator[Errored]:
        """Group reports of records that have an error."""
        if reports:
            heads, _ = self._heads(reports)
            for topic, partition, rows in groups(heads["topic"], heads["partition"]):
                yield Errored(topic, partition, heads["sequence"][rows])


def _offsets(messages: Sequence[Any], with_offsets: bool) -> I64:
    if not with_offsets:
        return np.full(len(messages), NO_OFFSET, dtype=np.int64)
    try:
        return np.fromiter(map(Message.offset, messages), np.int64, len(messages))
    except TypeError:
        offsets = [message.offset() for message in messages]
        return np.array(
            [NO_OFFSET if offset is None or offset < 0 else offset for offset in offsets],
            dtype=np.int64,
        )


def groups(
    topics: npt.NDArray[np.integer], partitions: npt.NDArray[np.integer]
) -> Iterator[tuple[int, int, Indices | slice]]:
    """(topic, partition, rows) of each topic-partition, rows in their order."""
    keys = topics.astype(np.int64) << 32 | partitions.astype(np.int64)
    first = int(keys[0])
    if (keys == first).all():
        yield first >> 32, first & 0xFFFFFFFF, slice(None)
        return
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 1))
    for begin, end in zip(starts.tolist(), [*starts[1:].tolist(), len(keys)], strict=True):
        key = int(ordered[begin])
        yield key >> 32, key & 0xFFFFFFFF, order[begin:end]
