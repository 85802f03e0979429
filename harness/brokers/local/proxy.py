"""A TCP proxy in front of one listener of one broker, whose link can be cut in several ways.

    pass            bytes go both ways
    blackhole       nothing is forwarded either way, not even a close; connections stay open and
                    new ones are accepted and held. No byte is lost, so going back to `pass`
                    continues each connection, as TCP's retransmission would after an outage
    cut_responses   requests reach the broker, its responses are dropped

A connection that lost bytes never goes on: going back to `pass` resets it. A change of mode is
atomic: it is made between two events of the loop for all connections, no byte is kept in a
buffer that would still be written afterwards, and none is forwarded after `set_mode` returns.

Bytes are moved by the loop's readiness callbacks through one buffer that all connections share,
straight from one socket to the other. Only what the receiver does not take at once is copied, and
until that is written nothing more is read from the sender, so memory stays bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import struct
from typing import Final, Literal, get_args

from harness.brokers.local.config import HOST
from harness.brokers.local.ports import Hold
from harness.errors import ClusterError

Mode = Literal["pass", "blackhole", "cut_responses"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)

_BUFFER_BYTES: Final = 256 * 1024
_BACKLOG: Final = 512
_RESET: Final = struct.pack("ii", 1, 0)
_shared: Final = memoryview(bytearray(_BUFFER_BYTES))


class Direction:
    """One way of one connection: what `source` sends goes to `sink`."""

    def __init__(self, link: Connection, source: socket.socket, sink: socket.socket) -> None:
        self.link = link
        self.source = source
        self.sink = sink
        self.dropping = False
        self.lost = False
        """Whether bytes, or the end of the stream, were thrown away."""
        self.ended = False
        self._loop = link.proxy.loop
        self._pending: memoryview | None = None
        self._running = False
        self._reading = False
        self._writing = False

    def start(self) -> None:
        """Go on moving bytes."""
        self._running = True
        self._rearm()

    def stop(self) -> None:
        """Leave everything as it is, until `start`."""
        self._running = False
        self._rearm()

    def drop(self, dropping: bool) -> None:
        """Whether bytes are read and thrown away instead of forwarded."""
        self.dropping = dropping
        if dropping and self._pending is not None:
            self.lost = True
            self._pending = None
            self._rearm()

    def _rearm(self) -> None:
        reading = self._running and not self.ended and self._pending is None
        if reading != self._reading:
            self._reading = reading
            if reading:
                self._loop.add_reader(self.source, self._readable)
            else:
                self._loop.remove_reader(self.source)
        writing = self._running and self._pending is not None
        if writing != self._writing:
            self._writing = writing
            if writing:
                self._loop.add_writer(self.sink, self._writable)
            else:
                self._loop.remove_writer(self.sink)

    def _readable(self) -> None:
        try:
            size = self.source.recv_into(_shared)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.link.reset()
            return
        if size == 0:
            self.ended = True
            self.lost = self.lost or self.dropping
            self._rearm()
            self._finish()
        elif self.dropping:
            self.lost = True
        else:
            self._send(_shared[:size])

    def _send(self, data: memoryview) -> None:
        try:
            sent = self.sink.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.link.reset()
            return
        self.link.proxy.forwarded_bytes += sent
        if sent < len(data):
            # A copy: the shared buffer is written again by the next connection.
            self._pending = memoryview(bytes(data[sent:]))
            self._rearm()

    def _writable(self) -> None:
        pending, self._pending = self._pending, None
        assert pending is not None
        self._send(pending)
        if self._pending is None and not self.link.closed:
            self._rearm()
            self._finish()

    def _finish(self) -> None:
        if self.ended and self._pending is None and not self.dropping:
            with contextlib.suppress(OSError):
                self.sink.shutdown(socket.SHUT_WR)
            self.link.half_closed()


class Connection:
    """One client's connection and the proxy's own to the broker."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self.proxy = proxy
        self.client = client
        self.broker: socket.socket | None = None
        self.requests: Direction | None = None
        self.responses: Direction | None = None
        self.closed = False
        self._connecting: asyncio.Task[None] | None = None
        self._halves_closed = 0

    def open(self) -> None:
        """Connect to the broker; nothing is read from the client before."""
        if self._connecting is None and self.broker is None:
            self._connecting = self.proxy.loop.create_task(self._connect())

    async def _connect(self) -> None:
        broker = socket.socket()
        broker.setblocking(False)
        try:
            await self.proxy.loop.sock_connect(broker, (HOST, self.proxy.broker_port))
        except (OSError, asyncio.CancelledError):
            broker.close()
            self.reset()
            return
        self._connecting = None
        broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.broker = broker
        self.requests = Direction(self, self.client, broker)
        self.responses = Direction(self, broker, self.client)
        self.apply(self.proxy.mode)

    def apply(self, mode: Mode) -> None:
        """Behave as the mode says from now on."""
        if mode == "pass" and self.lost_bytes:
            self.reset()
        elif self.requests is None or self.responses is None:
            if mode != "blackhole":
                self.open()
        else:
            moving = mode != "blackhole"
            self.responses.drop(mode == "cut_responses")
            for direction in (self.requests, self.responses):
                if moving:
                    direction.start()
                else:
                    direction.stop()

    @property
    def lost_bytes(self) -> bool:
        """Whether bytes of its stream were dropped."""
        return self.responses is not None and self.responses.lost

    def half_closed(self) -> None:
        """One direction has delivered its end."""
        self._halves_closed += 1
        if self._halves_closed == 2:
            self._close()

    def reset(self) -> None:
        """End it so that both sides get a reset, not an orderly end."""
        if self.closed:
            return
        for side in (self.client, self.broker):
            if side is not None:
                with contextlib.suppress(OSError):
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._close()

    def _close(self) -> None:
        self.closed = True
        if self._connecting is not None:
            self._connecting.cancel()
        for direction in (self.requests, self.responses):
            if direction is not None:
                direction.stop()
        self.client.close()
        if self.broker is not None:
            self.broker.close()
        self.proxy.connections.discard(self)


class Proxy:
    """Listens on `port` for as long as it is open and forwards to `broker_port`."""

    def __init__(self, port: int, broker_port: int, bound: socket.socket | None = None) -> None:
        self.port = port
        self.broker_port = broker_port
        self.mode: Mode = "pass"
        self.connections: set[Connection] = set()
        self.accepted = 0
        self.forwarded_bytes = 0
        self.loop: asyncio.AbstractEventLoop
        self._listener: socket.socket | None = None
        self._hold = Hold(port, bound)

    def open(self) -> None:
        """Listen. Raises ClusterError when the port is taken. Call it inside the loop."""
        self.loop = asyncio.get_running_loop()
        self._listen()

    def set_mode(self, mode: Mode) -> None:
        """Change how the link behaves; in force for every connection when this returns."""
        self.mode = mode
        for connection in list(self.connections):
            connection.apply(mode)

    def close_connections(self) -> int:
        """Reset every connection; how many there were."""
        open_now = list(self.connections)
        for connection in open_now:
            connection.reset()
        return len(open_now)

    def close(self) -> None:
        """Reset every connection and give the port up."""
        if self._listener is not None:
            self.loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        self._hold.release()
        self.close_connections()

    def _listen(self) -> None:
        listener = self._hold.give()
        try:
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise ClusterError(
                f"port {self.port} on {HOST} is taken by another program ({error.strerror}). End "
                "it, or take the cluster down and make a new one, which chooses free ports."
            ) from error
        listener.setblocking(False)
        self._listener = listener
        self.loop.add_reader(listener, self._acceptable)

    def _acceptable(self) -> None:
        assert self._listener is not None
        for _ in range(_BACKLOG):
            try:
                client, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self._pause_accepting()
                    return
                raise
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            connection = Connection(self, client)
            self.connections.add(connection)
            connection.apply(self.mode)

    def _pause_accepting(self) -> None:
        # Out of descriptors: the callback would fire again at once, without end.
        listener = self._listener
        if listener is not None:
            self.loop.remove_reader(listener)
            self.loop.call_later(0.2, self._resume_accepting, listener)

    def _resume_accepting(self, listener: socket.socket) -> None:
        if listener is self._listener:
            self.loop.add_reader(listener, self._acceptable)
