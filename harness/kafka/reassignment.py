"""The order of a partition's replicas, which decides who leads by preference, changed.

confluent-kafka has no call for it, and Kafka's own tool takes a JVM. So this speaks the one
request that is needed, AlterPartitionReassignments version 0 (KIP-455), which any broker of a
KRaft cluster passes on to the controller. A change of nothing but the order moves no data and is
done when it is answered.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping, Sequence
from typing import Final

from harness.errors import FaultError
from harness.kafka.flexible import (
    NO_TAGS,
    FlexibleAnswer,
    compact_length,
    compact_string,
    flexible_request,
)
from harness.kafka.wire import Address, exchange

_KEY: Final = 45
_VERSION: Final = 0
Key = tuple[str, int]


def reassignment_request(
    correlation: int, replicas: Mapping[Key, Sequence[int]], timeout_ms: int
) -> bytes:
    """The bytes of a request that gives each (topic, partition) its replicas in that order."""
    topics: dict[str, list[tuple[int, Sequence[int]]]] = {}
    for (topic, partition), order in replicas.items():
        topics.setdefault(topic, []).append((partition, order))
    body = struct.pack(">i", timeout_ms) + compact_length(len(topics))
    for topic, partitions in topics.items():
        body += compact_string(topic) + compact_length(len(partitions))
        for partition, order in partitions:
            body += struct.pack(">i", partition) + compact_length(len(order))
            body += b"".join(struct.pack(">i", broker) for broker in order) + NO_TAGS
        body += NO_TAGS
    return flexible_request(_KEY, _VERSION, correlation, body + NO_TAGS)


def parse_reassignment(answer: bytes, correlation: int) -> dict[Key, str]:
    """What was refused, with the broker's code and words; empty when all was done.

    Raises ValueError when the bytes are no such answer. A refusal of the whole request stands
    under ("", -1).
    """
    reader = FlexibleAnswer(answer)
    reader.header(correlation)
    refused: dict[Key, str] = {}
    code, message = reader.int16(), reader.string()
    if code:
        refused["", -1] = f"error {code} {message}".strip()
    for _ in range(reader.length()):
        topic = reader.string()
        for _ in range(reader.length()):
            partition, code, message = reader.int32(), reader.int16(), reader.string()
            reader.tags()
            if code:
                refused[topic, partition] = f"error {code} {message}".strip()
        reader.tags()
    return refused


def reorder_replicas(
    address: Address, replicas: Mapping[Key, Sequence[int]], timeout_s: float = 10.0
) -> None:
    """Give partitions their replicas in a new order, asked of the broker at `address`.

    Raises FaultError when it does not answer in `timeout_s` or refuses.
    """
    what = "changing the order of replicas of " + ", ".join(
        f"{topic}-{partition}" for topic, partition in replicas
    )
    try:
        request = reassignment_request(1, replicas, int(timeout_s * 1000))
        refused = parse_reassignment(asyncio.run(exchange(*address, request, timeout_s)), 1)
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise FaultError(f"{what}: no answer within {timeout_s:g} s ({reason}).") from error
    if refused:
        (topic, partition), reason = next(iter(refused.items()))
        where = f"{topic}-{partition}" if topic else "the request"
        raise FaultError(f"{what}: {where} was refused: {reason}.")
