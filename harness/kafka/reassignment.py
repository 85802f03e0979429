"""The order of a partition's replicas, which decides who leads by preference, changed.

confluent-kafka has no call for it, and Kafka's own tool takes a JVM. AlterPartitionReassignments
(KIP-455) goes to any broker of a KRaft cluster, which passes it on to the controller. A change of
nothing but the order moves no data and is done when it is answered.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Mapping, Sequence
from typing import Final

from kio.schema.alter_partition_reassignments.v0.request import (
    AlterPartitionReassignmentsRequest,
    ReassignablePartition,
    ReassignableTopic,
)
from kio.schema.alter_partition_reassignments.v0.response import (
    AlterPartitionReassignmentsResponse,
)
from kio.schema.types import BrokerId, TopicName
from kio.static.primitive import i32, i32Timedelta

from harness.errors import FaultError
from harness.kafka.address import Address
from harness.kafka.wire import ask

Key = tuple[str, int]
_PLAINTEXT: Final[Mapping[str, str]] = {}


def reassignment_request(
    replicas: Mapping[Key, Sequence[int]], timeout_s: float
) -> AlterPartitionReassignmentsRequest:
    """A request that gives each (topic, partition) its replicas in that order."""
    topics: dict[str, list[ReassignablePartition]] = {}
    for (topic, partition), order in replicas.items():
        brokers = tuple(BrokerId(broker) for broker in order)
        topics.setdefault(topic, []).append(
            ReassignablePartition(partition_index=i32(partition), replicas=brokers)
        )
    return AlterPartitionReassignmentsRequest(
        timeout=i32Timedelta.parse(datetime.timedelta(seconds=timeout_s)),
        topics=tuple(
            ReassignableTopic(name=TopicName(topic), partitions=tuple(partitions))
            for topic, partitions in topics.items()
        ),
    )


def refused_partitions(answer: AlterPartitionReassignmentsResponse) -> dict[Key, str]:
    """What was refused, with the broker's code and words; empty when all was done.

    A refusal of the whole request has the key ("", -1).
    """
    refused: dict[Key, str] = {}
    if answer.error_code:
        refused["", -1] = _refusal(answer.error_code, answer.error_message)
    for topic in answer.responses:
        for partition in topic.partitions:
            if partition.error_code:
                key = (str(topic.name), int(partition.partition_index))
                refused[key] = _refusal(partition.error_code, partition.error_message)
    return refused


def _refusal(code: int, message: str | None) -> str:
    return f"error {int(code)} {message or ''}".strip()


def reorder_replicas(
    address: Address,
    replicas: Mapping[Key, Sequence[int]],
    settings: Mapping[str, str] = _PLAINTEXT,
    timeout_s: float = 10.0,
) -> None:
    """Give partitions their replicas in a new order, asked of the broker at `address`.

    settings: librdkafka's, of which TLS and the login are taken.

    Raises FaultError when it does not answer in `timeout_s` or refuses.
    """
    what = "changing the order of replicas of " + ", ".join(
        f"{topic}-{partition}" for topic, partition in replicas
    )
    request = reassignment_request(replicas, timeout_s)
    try:
        answer = asyncio.run(
            ask(address, request, AlterPartitionReassignmentsResponse, timeout_s, settings)
        )
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise FaultError(f"{what}: no answer within {timeout_s:g} s ({reason}).") from error
    refused = refused_partitions(answer)
    if refused:
        (topic, partition), reason = next(iter(refused.items()))
        where = f"{topic}-{partition}" if topic else "the request"
        raise FaultError(f"{what}: {where} was refused: {reason}.")
