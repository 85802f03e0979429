"""A worker that makes no load and keeps every byte that its master sends."""

from __future__ import annotations

import time
from typing import Any

import msgpack  # type: ignore[import-untyped]
import zmq

from harness.load import messages as m
from harness.version import __version__


class WireWorker:
    """Speaks Locust's protocol on its own socket, as far as a run takes it."""

    def __init__(self, port: str) -> None:
        self.received: list[bytes] = []
        self.kinds: list[str] = []
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.IDENTITY, b"wire_0")
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(f"tcp://127.0.0.1:{port}")
        self._say("client_ready", -1)

    def _say(self, kind: str, data: Any) -> None:
        self._socket.send(msgpack.dumps((kind, data, "wire_0")))

    def _tell(self, message: m.LoadMessage) -> None:
        self._say(message.NAME, m.pack(message))

    def serve(self, seconds: float, *, until: str) -> None:
        """Answer until a message of that kind has come, or the time is up."""
        deadline = time.monotonic() + seconds
        while until not in self.kinds and time.monotonic() < deadline:
            if self._socket.poll(500):
                data = self._socket.recv()
                self.received.append(data)
                kind, content, _ = msgpack.loads(data, raw=False, strict_map_key=False)
                self.kinds.append(kind)
                self._answer(kind, content)
            self._say(
                "heartbeat",
                {"state": "ready", "current_cpu_usage": 0, "current_memory_usage": 0},
            )

    def _answer(self, kind: str, content: Any) -> None:
        if kind == m.Who.NAME:
            self._tell(
                m.Identity(
                    host="wire", pid=1, machine="elsewhere", version=__version__,
                    protocol=m.PROTOCOL,
                )
            )  # fmt: skip
        elif kind == m.ClockAsked.NAME:
            asked = m.unpack(m.ClockAsked, content)
            self._tell(m.ClockAnswer(asked.sent_us, asked.sent_us))
        elif kind == m.Assignment.NAME:
            given = m.unpack(m.Assignment, content)
            self._tell(m.Assigned(given.run_id, given.worker))

    def close(self) -> None:
        """Leave without a word, as a machine that is gone."""
        self._socket.close()
        self._context.term()
