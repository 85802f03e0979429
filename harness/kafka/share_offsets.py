"""Where the partitions of a share group begin: up to there every record is done with.

confluent-kafka has no call for it. DescribeShareGroupOffsets (KIP-932) goes to each broker until
the group's coordinator has answered. Only over plaintext connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from kio.schema.describe_share_group_offsets.v0.request import (
    DescribeShareGroupOffsetsRequest,
    DescribeShareGroupOffsetsRequestGroup,
    DescribeShareGroupOffsetsRequestTopic,
)
from kio.schema.describe_share_group_offsets.v0.response import (
    DescribeShareGroupOffsetsResponse,
)
from kio.schema.types import GroupId, TopicName
from kio.static.primitive import i32

from harness.kafka.wire import ask

Offsets = dict[tuple[str, int], int]


def offsets_request(
    group: str, topic: str, partitions: Sequence[int]
) -> DescribeShareGroupOffsetsRequest:
    """A request for the start offsets of some partitions."""
    asked = DescribeShareGroupOffsetsRequestTopic(
        topic_name=TopicName(topic), partitions=tuple(i32(number) for number in partitions)
    )
    return DescribeShareGroupOffsetsRequest(
        groups=(DescribeShareGroupOffsetsRequestGroup(group_id=GroupId(group), topics=(asked,)),)
    )


def start_offsets(answer: DescribeShareGroupOffsetsResponse) -> Offsets | None:
    """Start offsets by (topic, partition), those that have one; None when the broker refused."""
    found: Offsets = {}
    for group in answer.groups:
        if group.error_code:
            return None
        for topic in group.topics:
            for partition in topic.partitions:
                if partition.error_code:
                    return None
                if partition.start_offset >= 0:
                    key = (str(topic.topic_name), int(partition.partition_index))
                    found[key] = int(partition.start_offset)
    return found


def share_offsets(
    client_config: Mapping[str, str],
    group: str,
    topic: str,
    partitions: Sequence[int],
    timeout_s: float,
) -> Offsets | None:
    """The start offset of each partition of a share group; None when no broker answers.

    Brokers that are reached with TLS or SASL are not asked.
    """
    protocol = client_config.get("security.protocol", "plaintext")
    if protocol.lower() != "plaintext":
        return None
    request = offsets_request(group, topic, partitions)
    for server in client_config["bootstrap.servers"].split(","):
        host, _, port = server.strip().rpartition(":")
        address = (host, int(port))
        try:
            answer = asyncio.run(
                ask(address, request, DescribeShareGroupOffsetsResponse, timeout_s)
            )
        except (OSError, asyncio.IncompleteReadError, ValueError):
            continue  # another broker may be the coordinator, or may live
        offsets = start_offsets(answer)
        if offsets is not None:
            return offsets
    return None
