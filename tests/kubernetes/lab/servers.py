"""The long-running programs of one cluster: started together, watched, and ended together."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from harness.brokers.local.config import HOST
from harness.brokers.local.ports import bind, port_range
from harness.errors import ClusterError, EnvironmentFailure
from harness.system.lifeline import Child

_GRACE_S: Final = 10.0


class Servers:
    """Programs that end with the process that started them; each writes `<name>.log`."""

    def __init__(
        self,
        logs: Path,
        *,
        enter: Sequence[str] = (),
        started: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`enter` comes before each command line; `started` gets the process id of each program."""
        self.logs = logs
        self._enter = enter
        self._started = started
        self._children: dict[str, Child] = {}

    def start(
        self,
        name: str,
        *argv: str | Path,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> Child:
        """Start a program under a name that no other has."""
        assert name not in self._children, f"{name} was started before"
        child = Child(
            [*self._enter, *map(str, argv)],
            log=self.logs / f"{name}.log",
            environment=environment,
            pass_fds=pass_fds,
        )
        self._children[name] = child
        self._started(child.process.pid)
        return child

    def check(self) -> None:
        """Raises ClusterError with the log's end when a program has ended by itself."""
        for name, child in self._children.items():
            status = child.process.poll()
            if status is not None:
                raise ClusterError(f"{name} ended with {status}:\n{child.tail()}")

    def tail(self, name: str) -> str:
        """The end of a program's log."""
        return self._children[name].tail()

    def stop(self, *names: str) -> None:
        """End these programs, or all of them, the last started first; each is awaited."""
        for name in [n for n in reversed(self._children) if not names or n in names]:
            self._children.pop(name).stop(grace_s=_GRACE_S)


class HeldPorts:
    """Free ports of 127.0.0.1 that stay ours.

    Each is bound here for as long as this object is open, without listening: a server may bind it
    as well (both set SO_REUSEADDR), and nobody else who looks for a free port takes it.
    """

    def __init__(self, count: int) -> None:
        self._sockets: list[socket.socket] = []
        for port in port_range():
            held = bind(port)
            if held is not None:
                self._sockets.append(held)
            if len(self._sockets) == count:
                return
        self.close()
        raise EnvironmentFailure(f"{HOST} has no {count} free ports left in {port_range()}.")

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(held.getsockname()[1] for held in self._sockets)

    def close(self) -> None:
        for held in self._sockets:
            held.close()
        self._sockets.clear()

    def __enter__(self) -> HeldPorts:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
