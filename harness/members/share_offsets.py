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

from harness.brokers.flexible import FlexibleAnswer, compact_length

_KEY: Final = 90
_VERSION: Final = 0
_CLIENT_ID: Final = b"delivery-harness"
_ANSWER_BYTES_MAX: Final = 1 << 20
Offsets = dict[tuple[str, int], int]


def offsets_request(correlation: int, group: str, topic: str, partitions: Sequence[int]) -> bytes:
    """The bytes of a request for the start offsets of some partitions."""
    head = struct.pack(">hhih", _KEY, _VERSION, correlation, len(_CLIENT_ID)) + _CLIENT_ID + b"\0"
    body = compact_length(1) + _text(group)
    body += compact_length(1) + _text(topic) + compact_length(len(partitions))
    body += b"".join(struct.pack(">i", partition) for partition in partitions)
    body += b"\0" * 3  # no tagged fields: of the topic, of the group, of the request
    return struct.pack(">i", len(head) + len(body)) + head + body


def parse_offsets(answer: bytes, correlation: int) -> Offsets | None:
    """Start offsets by (topic, partition), those that have one; None when the broker refused.

    Raises ValueError when the bytes are no such answer.
    """
    reader = FlexibleAnswer(answer)
    if reader.int32() != correlation:
        raise ValueError("not an answer to the question asked")
    reader.tags()
    reader.int32()  # throttle time
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
            answer = asyncio.run(_ask(host, int(port), group, topic, partitions, timeout_s))
        except (OSError, asyncio.IncompleteReadError, ValueError):
            continue  # another broker may be the coordinator, or may live
        if answer is not None:
            return answer
    return None


async def _ask(
    host: str, port: int, group: str, topic: str, partitions: Sequence[int], timeout_s: float
) -> Offsets | None:
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(offsets_request(1, group, topic, partitions))
            (length,) = struct.unpack(">i", await reader.readexactly(4))
            if not 0 < length <= _ANSWER_BYTES_MAX:
                raise ValueError(f"an answer of {length} bytes")
            return parse_offsets(await reader.readexactly(length), 1)
        finally:
            writer.close()


def _text(value: str) -> bytes:
    encoded = value.encode()
    return compact_length(len(encoded)) + encoded
