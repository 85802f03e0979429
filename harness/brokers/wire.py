"""One question to one broker: which brokers do you see?

A client library asks whichever broker it likes; readiness has to be asked of each one. So this
speaks the one request that is needed, Metadata version 2 (served by every Kafka 4), over a plain
connection.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import Final

from harness.brokers.config import HOST

_METADATA: Final = 3
_VERSION: Final = 2
_CLIENT_ID: Final = b"delivery-harness"
_ANSWER_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class View:
    """The cluster as one broker sees it."""

    brokers: frozenset[int]
    """Registered and unfenced."""
    cluster_id: str
    controller_id: int
    """-1 when none is known. In KRaft a broker answers with some live broker's id."""


def metadata_request(correlation: int) -> bytes:
    """The bytes of a Metadata request for no topic."""
    head = struct.pack(">hhih", _METADATA, _VERSION, correlation, len(_CLIENT_ID)) + _CLIENT_ID
    body = struct.pack(">i", 0)
    return struct.pack(">i", len(head) + len(body)) + head + body


def parse_metadata(answer: bytes, correlation: int) -> View:
    """A Metadata answer of version 2. Raises ValueError when it is none."""
    try:
        (echoed, count) = struct.unpack_from(">ii", answer)
        if echoed != correlation or not 0 <= count < 1000:
            raise ValueError("not an answer to the question asked")
        at = 8
        brokers = set()
        for _ in range(count):
            (node,) = struct.unpack_from(">i", answer, at)
            brokers.add(node)
            _, at = _string(answer, at + 4)
            _, at = _string(answer, at + 4)  # the port stands before the rack
        cluster_id, at = _string(answer, at)
        (controller,) = struct.unpack_from(">i", answer, at)
    except struct.error as error:
        raise ValueError(f"a Metadata answer cut short: {error}") from error
    return View(frozenset(brokers), cluster_id, controller)


def _string(data: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from(">h", data, at)
    if length < 0:
        return "", at + 2
    return data[at + 2 : at + 2 + length].decode(), at + 2 + length


async def ask(port: int, timeout_s: float) -> View | None:
    """The view of the broker behind `port`; None when it gives none in time."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(HOST, port)
            try:
                writer.write(metadata_request(1))
                (length,) = struct.unpack(">i", await reader.readexactly(4))
                if not 0 < length <= _ANSWER_BYTES_MAX:
                    return None
                return parse_metadata(await reader.readexactly(length), 1)
            finally:
                writer.close()
    except (OSError, asyncio.IncompleteReadError, ValueError):
        return None  # TimeoutError is an OSError
