"""Requests that no client library makes for us, written by hand, over plain connections.

One question is asked here: which brokers do you see? A client library asks whichever broker it
likes; readiness has to be asked of each one. So this speaks Metadata version 2, served by every
Kafka 4.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import Final

_METADATA: Final = 3
_VERSION: Final = 2
_CLIENT_ID: Final = b"delivery-harness"
_ANSWER_BYTES_MAX: Final = 1 << 20
Address = tuple[str, int]
"""(host, port)"""


def framed(key: int, version: int, correlation: int, body: bytes) -> bytes:
    """A request with its length and its header, as older message versions have it."""
    head = struct.pack(">hhih", key, version, correlation, len(_CLIENT_ID)) + _CLIENT_ID
    return struct.pack(">i", len(head) + len(body)) + head + body


async def exchange(host: str, port: int, request: bytes, timeout_s: float) -> bytes:
    """Send a request over its own connection; the answer without its length.

    Raises OSError (TimeoutError is one) or IncompleteReadError when none comes, and ValueError
    when what comes is too long for one.
    """
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(request)
            (length,) = struct.unpack(">i", await reader.readexactly(4))
            if not 0 < length <= _ANSWER_BYTES_MAX:
                raise ValueError(f"an answer of {length} bytes")
            return await reader.readexactly(length)
        finally:
            writer.close()


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
    return framed(_METADATA, _VERSION, correlation, struct.pack(">i", 0))


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
            _, at = _string(answer, at + 4)  # the port comes before the rack
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


async def ask(address: Address, timeout_s: float) -> View | None:
    """The view of the broker at `address`; None when it gives none in time."""
    try:
        return parse_metadata(await exchange(*address, metadata_request(1), timeout_s), 1)
    except (OSError, asyncio.IncompleteReadError, ValueError):
        return None  # TimeoutError is an OSError
