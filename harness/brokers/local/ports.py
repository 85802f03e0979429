"""Ports of a cluster that stay its own.

Numbers are taken below the range from which the system gives ports to outgoing connections, so a
broker that is down does not lose its port to a client that happens to connect somewhere. Between
clusters of one user the choice is made under a lock, and numbers that another cluster's state
names are left alone even while its brokers are down. A chosen port is bound at once and stays
bound: the sockets are handed to the supervisor, so no process can take a port in between.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from harness.brokers.local.config import BROKER_IDS, HOST, PORTS_PER_NODE, NodePorts
from harness.errors import ClusterError, EnvironmentFailure

_FIRST: Final = 17_000
_PAST_LAST: Final = 32_000


def port_range() -> range:
    """The numbers that clusters take theirs from."""
    past_last = _PAST_LAST
    try:
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        past_last = min(past_last, lowest)
    except (OSError, ValueError, IndexError):
        pass  # macOS gives outgoing connections 49152 and up
    return range(_FIRST, past_last) if past_last > _FIRST + 1000 else range(_FIRST, _PAST_LAST)


def bind(port: int) -> socket.socket | None:
    """A socket bound to the port alone, not listening; None when anything else has it.

    SO_REUSEADDR is set after the bind: set before, it would let two programs bind one port as long
    as none listens. Set now, it lets the broker bind the port that is held for it.
    """
    held = socket.socket()
    try:
        held.bind((HOST, port))
    except OSError:
        held.close()
        return None
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return held


def rebind(port: int) -> socket.socket:
    """A socket bound to a port of our own, which closed connections may linger on.

    Raises ClusterError when another program has it.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((HOST, port))
    except OSError as error:
        held.close()
        raise ClusterError(
            f"port {port} on {HOST} is taken by another program ({error.strerror}). End it, or "
            "take the cluster down and make a new one, which chooses free ports."
        ) from error
    return held


def is_free(port: int) -> bool:
    """Whether the port could be bound on 127.0.0.1 just now."""
    held = bind(port)
    if held is not None:
        held.close()
    return held is not None


def choose_ports(taken: Iterable[int]) -> tuple[dict[int, NodePorts], dict[int, socket.socket]]:
    """Ports for all nodes, and for each port the socket that holds it from now on.

    Raises EnvironmentFailure when there are too few.
    """
    avoid = set(taken)
    need = len(BROKER_IDS) * PORTS_PER_NODE
    held: dict[int, socket.socket] = {}
    for port in port_range():
        if port in avoid:
            continue
        bound = bind(port)
        if bound is not None:
            held[port] = bound
        if len(held) == need:
            break
    else:
        for bound in held.values():
            bound.close()
        span = port_range()
        raise EnvironmentFailure(
            f"Only {len(held)} of {need} needed ports are free on {HOST} between {span.start} and "
            f"{span.stop - 1}. End other programs that listen there; `harness cluster status` "
            "lists this harness's clusters."
        )
    found = list(held)
    chunks = [found[i : i + PORTS_PER_NODE] for i in range(0, need, PORTS_PER_NODE)]
    nodes = {node: NodePorts(*chunk) for node, chunk in zip(BROKER_IDS, chunks, strict=True)}
    return nodes, held


class Hold:
    """Keeps a port bound, without listening, while its broker is down.

    On Linux the hold stays while the broker listens on the same port; elsewhere it is let go just
    before the broker starts.
    """

    stays: Final = sys.platform == "linux"

    def __init__(self, port: int, bound: socket.socket | None = None) -> None:
        self.port = port
        self._socket = bound

    def take(self) -> None:
        """Bind the port, unless it is held already. Raises ClusterError when it is taken."""
        if self._socket is None:
            self._socket = rebind(self.port)

    def make_way(self) -> None:
        """Let the broker bind the port."""
        if not self.stays:
            self.release()

    def give(self) -> socket.socket:
        """The bound socket itself, to listen with. Raises ClusterError when the port is taken."""
        self.take()
        held, self._socket = self._socket, None
        assert held is not None
        return held

    def release(self) -> None:
        """Give the port up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def passed_sockets(text: str) -> dict[int, socket.socket]:
    """`17000:5,17001:6`, a port and an inherited descriptor each, as sockets by port."""
    pairs = [part.split(":") for part in text.split(",") if part]
    return {int(port): socket.socket(fileno=int(descriptor)) for port, descriptor in pairs}
