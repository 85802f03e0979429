"""Delivery reports: collected by callbacks that only append, read in batches as arrays.

librdkafka calls back from inside `poll`, on whichever thread polls. The callback appends the
message to a list and nothing else; a drain loop takes the list, reads the identities out of the
values and decides. No per-message state is kept between produce and report.

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

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from confluent_kafka import Message

from harness.arrays import I64, U64, Indices, Rows
from harness.record.binary import HEAD, HEAD_BYTES

NO_OFFSET = -1


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
    """The delivery reports of one incarnation that nobody has decided about yet."""

    def __init__(self) -> None:
        delivered: list[Any] = []
        errored: list[tuple[Any, Any]] = []
        append, append_errored = delivered.append, errored.append

        def on_delivery(error: Any, message: Any) -> None:
            if error is None:
                append(message)
            else:
                append_errored((error, message))

        self.on_delivery: Callable[[Any, Any], None] = on_delivery
        self._delivered = delivered
        self._errored = errored
        self._stamps: list[tuple[int, int]] = []
        self._stamped = 0

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
    ) -> tuple[list[Delivered], list[tuple[Any, Any]]]:
        """Hand out what came in: delivered ones by topic-partition, and (error, message) pairs.

        with_offsets: false for acks=0, where no report has one.
        """
        # One slice and one deletion: a callback on another thread appends behind them.
        self.stamp(at_us)
        messages = self._delivered[: self._stamped]
        del self._delivered[: self._stamped]
        errored = self._errored[:]
        del self._errored[: len(errored)]
        if not messages:
            return [], errored
        counts, times = zip(*self._stamps, strict=True)
        reported = np.repeat(np.array(times, dtype=np.int64), counts)
        self._stamps.clear()
        self._stamped = 0
        return list(_by_partition(messages, reported, with_offsets)), errored


def identities(messages: list[Any]) -> Rows:
    """The heads of records that this process made itself: read, not checked again."""
    values = list(map(Message.value, messages))
    size = len(values[0])
    joined = b"".join(values)
    if size * len(values) != len(joined):
        raise ValueError("records of one incarnation are all of one size")
    matrix = np.frombuffer(joined, dtype=np.uint8).reshape(len(values), size)
    return np.ascontiguousarray(matrix[:, :HEAD_BYTES]).view(HEAD)[:, 0]


def _offsets(messages: list[Any], with_offsets: bool) -> I64:
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


def _by_partition(messages: list[Any], reported_us: I64, with_offsets: bool) -> Iterator[Delivered]:
    heads = identities(messages)
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


def by_partition(messages: list[Any]) -> Iterator[Errored]:
    """Group records that were reported with an error."""
    if messages:
        heads = identities(messages)
        for topic, partition, rows in groups(heads["topic"], heads["partition"]):
            yield Errored(topic, partition, heads["sequence"][rows])


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
