"""Requests that librdkafka does not make for us, over connections of our own.

kio describes the messages of Kafka's protocol; this module frames them and sends them to one
broker. A client library asks whichever broker it likes. Whether a broker is ready has to be asked
of each one.
"""

from __future__ import annotations

import asyncio
import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from kio.schema.metadata.v2.request import MetadataRequest
from kio.schema.metadata.v2.response import MetadataResponse
from kio.serial import entity_reader, entity_writer
from kio.serial.errors import DecodeError
from kio.static.primitive import i32
from kio.static.protocol import RequestPayload, ResponsePayload

from harness.kafka.address import Address
from harness.kafka.login import log_in, tls_context

_CLIENT_ID: Final = "delivery-harness"
_ANSWER_BYTES_MAX: Final = 1 << 20
_CORRELATION: Final = i32(1)
_PLAINTEXT: Final[Mapping[str, str]] = {}
AnswerT = TypeVar("AnswerT", bound=ResponsePayload)


def encode(request: RequestPayload, correlation: int) -> bytes:
    """A request's bytes, with its length and the header that its version has."""
    header = type(request).__header_schema__
    buffer = io.BytesIO()
    entity_writer(header)(
        buffer,
        header(
            request_api_key=type(request).__api_key__,
            request_api_version=type(request).__version__,
            correlation_id=i32(correlation),
            client_id=_CLIENT_ID,
        ),
    )
    entity_writer(type(request))(buffer, request)
    return struct.pack(">i", buffer.tell()) + buffer.getvalue()


def decode(data: bytes, kind: type[AnswerT], correlation: int) -> AnswerT:
    """A response without its length. Raises ValueError when the bytes are no such answer."""
    try:
        header, length = entity_reader(kind.__header_schema__)(data, 0)
        if header.correlation_id != correlation:
            raise ValueError("not an answer to the question asked")
        answer, size = entity_reader(kind)(data, length)
    except DecodeError as error:
        raise ValueError(f"an answer cut short: {error}") from error
    if length + size != len(data):
        raise ValueError(f"an answer with {len(data) - length - size} bytes too many")
    return answer


class WireConnection:
    """One open connection, and its requests in turn."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def exchange(self, request: bytes) -> bytes:
        """Send a request; the answer without its length. Raises ValueError for one too long."""
        self._writer.write(request)
        (length,) = struct.unpack(">i", await self._reader.readexactly(4))
        if not 0 < length <= _ANSWER_BYTES_MAX:
            raise ValueError(f"an answer of {length} bytes")
        return await self._reader.readexactly(length)

    async def ask(self, request: RequestPayload, kind: type[AnswerT]) -> AnswerT:
        """The answer to a request."""
        return decode(await self.exchange(encode(request, _CORRELATION)), kind, _CORRELATION)


async def exchange(host: str, port: int, request: bytes, timeout_s: float) -> bytes:
    """Send a request over its own plaintext connection; the answer without its length.

    Raises OSError (TimeoutError is one) or IncompleteReadError when none comes, and ValueError
    when what comes is too long for one.
    """
    async with asyncio.timeout(timeout_s):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            return await WireConnection(reader, writer).exchange(request)
        finally:
            writer.close()


async def ask(
    address: Address,
    request: RequestPayload,
    kind: type[AnswerT],
    timeout_s: float,
    settings: Mapping[str, str] = _PLAINTEXT,
) -> AnswerT:
    """What the broker at `address` answers to one request.

    settings: librdkafka's, of which TLS and the login are taken. Raises OSError (TimeoutError and
    LoginRefused are such), IncompleteReadError or ValueError when no answer comes.
    """
    async with asyncio.timeout(timeout_s):
        context = tls_context(settings)
        reader, writer = await asyncio.open_connection(*address, ssl=context)
        try:
            connection = WireConnection(reader, writer)
            await log_in(connection, settings)
            return await connection.ask(request, kind)
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


_NO_TOPIC: Final = MetadataRequest(topics=())


def view_of(answer: MetadataResponse) -> View:
    """What a Metadata answer says of the brokers. Version 2 is served by every Kafka 4."""
    brokers = frozenset(int(broker.node_id) for broker in answer.brokers)
    return View(brokers, answer.cluster_id or "", int(answer.controller_id))


async def ask_view(address: Address, timeout_s: float) -> View | None:
    """The view of the broker at `address`; None when it gives none in time."""
    try:
        return view_of(await ask(address, _NO_TOPIC, MetadataResponse, timeout_s))
    except (OSError, asyncio.IncompleteReadError, ValueError):
        return None  # TimeoutError is an OSError
