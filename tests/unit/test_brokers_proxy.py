"""The proxy's modes, seen from a client's socket and from the socket of the broker behind it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from harness.brokers.local.proxy import MODES, Proxy
from harness.errors import ClusterError

SOON_S = 5.0
QUIET_S = 0.15
"""How long nothing must arrive, where the claim is that nothing does."""

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Broker:
    """A server that echoes and remembers what it got."""

    received: bytearray = field(default_factory=bytearray)
    connections: list[asyncio.StreamWriter] = field(default_factory=list)
    ended: int = 0
    """connections that reached their end or a reset"""
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                self.received += data
                writer.write(data)
                await writer.drain()
        self.ended += 1
        writer.close()


@contextlib.asynccontextmanager
async def linked() -> AsyncIterator[tuple[Proxy, Broker]]:
    broker = Broker()
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    proxy = Proxy(await free_port(), broker.port)
    proxy.open()
    try:
        yield proxy, broker
    finally:
        proxy.close()
        server.close()
        for writer in broker.connections:
            writer.close()


async def free_port() -> int:
    server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    return int(port)


async def connect(proxy: Proxy) -> Stream:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def says(client: Stream, data: bytes) -> bytes:
    client[1].write(data)
    return await asyncio.wait_for(client[0].readexactly(len(data)), SOON_S)


async def eventually(condition: Callable[[], bool], what: str) -> None:
    async with asyncio.timeout(SOON_S):
        while not condition():
            await asyncio.sleep(0.005)
    assert condition(), what


async def hears_nothing(client: Stream) -> bool:
    try:
        await asyncio.wait_for(client[0].read(1), QUIET_S)
    except TimeoutError:
        return True
    return False


async def is_reset(client: Stream) -> bool:
    """False for an orderly end, and for bytes."""
    try:
        await asyncio.wait_for(client[0].read(1), SOON_S)
    except ConnectionResetError:
        return True
    return False


def run(test: Callable[[Proxy, Broker], Awaitable[None]]) -> None:
    async def main() -> None:
        async with linked() as (proxy, broker):
            await test(proxy, broker)

    asyncio.run(main())


def test_pass_carries_bytes_both_ways_unchanged() -> None:
    async def test(proxy: Proxy, broker: Broker) -> None:
        client = await connect(proxy)
        sent = os.urandom(8 * 1024 * 1024)
        reading = asyncio.create_task(client[0].readexactly(len(sent)))
        client[1].write(sent)
        back = await asyncio.wait_for(reading, 30)
        assert hashlib.sha256(back).digest() == hashlib.sha256(sent).digest()
        assert bytes(broker.received) == sent

    run(test)


def test_many_connections_through_one_buffer_do_not_mix() -> None:
    size = 6_000_000  # more than the kernel takes at once, so that part of a read stays behind

    async def main() -> None:
        got: list[bytes] = []
        may_read = asyncio.Event()

        async def reads_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await may_read.wait()
            got.append(await reader.readexactly(size))
            writer.close()

        server = await asyncio.start_server(reads_later, "127.0.0.1", 0, limit=1024)
        proxy = Proxy(await free_port(), server.sockets[0].getsockname()[1])
        proxy.open()
        for number in range(8):
            client = await connect(proxy)
            client[1].write(bytes([number]) * size)
        await asyncio.sleep(0.3)
        may_read.set()
        await eventually(lambda: len(got) == 8, "every stream arrives")
        assert sorted(got) == [bytes([number]) * size for number in range(8)]
        proxy.close()
        server.close()

    asyncio.run(main())


def test_a_slow_receiver_stops_the_sender_instead_of_filling_memory() -> None:
    async def main() -> None:
        async def never_reads(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]

        server = await asyncio.start_server(never_reads, "127.0.0.1", 0)
        proxy = Proxy(await free_port(), server.sockets[0].getsockname()[1])
        proxy.open()
        client = await connect(proxy)
        chunk, sent = bytes(1 << 20), 0
        with contextlib.suppress(TimeoutError):
            while sent < 256 << 20:
                client[1].write(chunk)
                await asyncio.wait_for(client[1].drain(), 0.5)
                sent += len(chunk)
        assert sent < 64 << 20, "the sender was never stopped"
        client[1].transport.abort()
        proxy.close()
        server.close()

    asyncio.run(main())


def test_the_end_of_a_stream_reaches_the_other_side_after_its_last_byte() -> None:
    async def test(proxy: Proxy, _broker: Broker) -> None:
        client = await connect(proxy)
        sent = os.urandom(3_000_000)
        client[1].write(sent)
        client[1].write_eof()
        assert await asyncio.wait_for(client[0].read(-1), SOON_S) == sent
        await eventually(lambda: not proxy.connections, "the connection is closed")

    run(test)


def test_blackhole_forwards_nothing_either_way_and_loses_nothing() -> None:
    async def test(proxy: Proxy, broker: Broker) -> None:
        client = await connect(proxy)
        await says(client, b"before")
        proxy.set_mode("blackhole")
        client[1].write(b"request")
        broker.connections[0].write(b"response")
        assert await hears_nothing(client)
        assert bytes(broker.received) == b"before"
        proxy.set_mode("pass")
        both = await asyncio.wait_for(client[0].readexactly(len(b"responserequest")), SOON_S)
        assert both == b"responserequest"

    run(test)


def test_blackhole_hides_that_the_broker_closed() -> None:
    async def test(proxy: Proxy, broker: Broker) -> None:
        client = await connect(proxy)
        await says(client, b"before")
        proxy.set_mode("blackhole")
        broker.connections[0].close()
        assert await hears_nothing(client)
        proxy.set_mode("pass")
        assert await asyncio.wait_for(client[0].read(1), SOON_S) == b""

    run(test)


def test_blackhole_accepts_and_holds_a_new_connection() -> None:
    async def test(proxy: Proxy, broker: Broker) -> None:
        proxy.set_mode("blackhole")
        client = await connect(proxy)
        client[1].write(b"hello")
        assert await hears_nothing(client)
        assert not broker.connections
        proxy.set_mode("pass")
        assert await asyncio.wait_for(client[0].readexactly(5), SOON_S) == b"hello"

    run(test)


def test_blackhole_stops_even_bytes_that_were_read_and_not_yet_written() -> None:
    async def main() -> None:
        taken = bytearray()
        may_read = asyncio.Event()

        async def reads_later(reader: asyncio.StreamReader, _w: asyncio.StreamWriter) -> None:
            await may_read.wait()
            while data := await reader.read(65536):
                taken.extend(data)

        server = await asyncio.start_server(reads_later, "127.0.0.1", 0, limit=1024)
        proxy = Proxy(await free_port(), server.sockets[0].getsockname()[1])
        proxy.open()
        client = await connect(proxy)
        client[1].write(bytes(32 << 20))
        await asyncio.sleep(0.3)  # until every buffer on the way is full
        forwarded = proxy.forwarded_bytes
        proxy.set_mode("blackhole")
        may_read.set()
        await asyncio.sleep(0.3)
        assert proxy.forwarded_bytes == forwarded < 32 << 20
        assert len(taken) == forwarded
        proxy.set_mode("pass")
        await eventually(lambda: len(taken) == 32 << 20, "the rest arrives")
        client[1].transport.abort()
        proxy.close()
        server.close()

    asyncio.run(main())


def test_cut_responses_delivers_requests_and_drops_answers() -> None:
    async def test(proxy: Proxy, broker: Broker) -> None:
        client = await connect(proxy)
        await says(client, b"before")
        proxy.set_mode("cut_responses")
        client[1].write(b"request")
        await eventually(lambda: broker.received.endswith(b"request"), "the request arrives")
        assert await hears_nothing(client)

    run(test)


@pytest.mark.parametrize("through", [["pass"], ["blackhole", "pass"], ["cut_responses", "pass"]])
def test_a_connection_that_lost_bytes_is_reset_and_never_goes_on(through: list[str]) -> None:
    async def test(proxy: Proxy, broker: Broker) -> None:
        client = await connect(proxy)
        await says(client, b"before")
        proxy.set_mode("cut_responses")
        client[1].write(b"request")
        await eventually(lambda: broker.received.endswith(b"request"), "the request arrives")
        await asyncio.sleep(0.05)  # the echo passes the proxy
        for mode in through:
            proxy.set_mode(mode)  # type: ignore[arg-type]
        assert await is_reset(client)

    run(test)


def test_a_connection_whose_end_was_dropped_is_reset() -> None:
    async def test(proxy: Proxy, broker: Broker) -> None:
        client = await connect(proxy)
        await says(client, b"before")
        proxy.set_mode("cut_responses")
        broker.connections[0].close()
        assert await hears_nothing(client)
        proxy.set_mode("blackhole")
        proxy.set_mode("pass")
        assert await is_reset(client)

    run(test)


def test_a_connection_that_lost_nothing_survives_a_cut() -> None:
    async def test(proxy: Proxy, _broker: Broker) -> None:
        client = await connect(proxy)
        await says(client, b"before")
        proxy.set_mode("cut_responses")
        proxy.set_mode("pass")
        assert await says(client, b"after") == b"after"

    run(test)


def test_close_connections_resets_all_and_takes_new_ones() -> None:
    async def test(proxy: Proxy, _broker: Broker) -> None:
        clients = [await connect(proxy) for _ in range(3)]
        for client in clients:
            await says(client, b"x")
        assert proxy.close_connections() == 3
        assert [await is_reset(client) for client in clients] == [True] * 3
        assert await says(await connect(proxy), b"after") == b"after"

    run(test)


def test_a_connection_ends_at_once_when_no_broker_listens() -> None:
    async def test(proxy: Proxy, _broker: Broker) -> None:
        proxy.broker_port = await free_port()
        client = await connect(proxy)
        assert await is_reset(client)
        assert not proxy.connections

    run(test)


@pytest.mark.parametrize("mode", MODES)
def test_closing_gives_the_port_up_in_every_mode(mode: str) -> None:
    async def test(proxy: Proxy, broker: Broker) -> None:
        await says(await connect(proxy), b"x")
        proxy.set_mode(mode)  # type: ignore[arg-type]
        proxy.close()
        second = Proxy(proxy.port, broker.port)
        second.open()
        assert await says(await connect(second), b"y") == b"y"
        second.close()

    run(test)


def test_a_taken_port_is_named() -> None:
    async def test(proxy: Proxy, broker: Broker) -> None:
        with pytest.raises(ClusterError, match=f"port {proxy.port} .* is taken"):
            Proxy(proxy.port, broker.port).open()

    run(test)
