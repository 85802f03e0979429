"""Where the partitions of a share group begin: up to there every record is done with.

confluent-kafka has no call for it, so this speaks the one request that is needed,
DescribeShareGroupOffsets version 0 (KIP-932), to each broker until the group's coordinator has
answered. Only over plaintext connections.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping, Sequence
from typing import Final

from harness.kafka.flexible import (
    NO_TAGS,
    FlexibleAnswer,
    compact_length,
    compact_string,
    flexible_request,
)
from harness.kafka.wire import exchange

_KEY: Final = 90
_VERSION: Final = 0
Offsets = dict[tuple[str, int], int]


def offsets_request(correlation: int, group: str, topic: str, partitions: Sequence[int]) -> bytes:
    """The bytes of a request for the start offsets of some partitions."""
    body = compact_length(1) + compact_string(group)
    body += compact_length(1) + compact_string(topic) + compact_length(len(partitions))
    body += b"".join(struct.pack(">i", partition) for partition in partitions)
    body += NO_TAGS * 3  # of the topic, of the group, of the request
    return flexible_request(_KEY, _VERSION, correlation, body)


def parse_offsets(answer: bytes, correlation: int) -> Offsets | None:
    """Start offsets by (topic, partition), those that have one; None when the broker refused.

    Raises ValueError when the bytes are no such answer.
    """
    reader = FlexibleAnswer(answer)
    reader.header(correlation)
    found: Offsets = {}
    refused = False
    for _ in range(reader.length()):
        reader.string()  # the group
        for _ in range(reader.length()):
            topic = reader.string()
            reader.skip(16)  # the topic's id
            for _ in range(reader.length()):
                partition, start = reader.int32(), reader.int64()
                reader.int32()  # leader epoch
                refused |= reader.int16() != 0
                reader.string()
                reader.tags()
                if start >= 0:
                    found[topic, partition] = start
            reader.tags()
        refused |= reader.int16() != 0
        reader.string()
        reader.tags()
    return None if refused else found


def share_offsets(
    client_config: Mapping[str, str],
    group: str,
    topic: str,
    partitions: Sequence[int],
    timeout_s: float,
) -> Offsets | None:
    """The start offset of each partition of a share group; None when nobody answers that.

    Brokers that are reached with TLS or SASL are not asked.
    """
    protocol = client_config.get("security.protocol", "plaintext")
    if protocol.lower() != "plaintext":
        return None
    for server in client_config["bootstrap.servers"].split(","):
        host, _, port = server.strip().rpartition(":")
        try:
            request = offsets_request(1, group, topic, partitions)
            data = asyncio.run(exchange(host, int(port), request, timeout_s))
            answer = parse_offsets(data, 1)
        except (OSError, asyncio.IncompleteReadError, ValueError):
            continue  # another broker may be the coordinator, or may live
        if answer is not None:
            return answer
    return None
