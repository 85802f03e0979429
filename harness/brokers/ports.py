"""Ports of a cluster that stay its own.

Numbers are taken below the range from which the system gives ports to outgoing connections, so a
broker that is down does not lose its port to a client that happens to connect somewhere. Between
clusters of one user the choice is made under a lock, and numbers that another cluster's state
names are left alone even while its brokers are down.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from harness.brokers.config import BROKER_IDS, HOST, PORTS_PER_NODE, NodePorts
from harness.errors import EnvironmentFailure

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


def is_free(port: int) -> bool:
    """Whether the port can be bound on 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers bind: the remains of closed connections do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose_ports(taken: Iterable[int]) -> dict[int, NodePorts]:
    """Free ports for all nodes. Raises EnvironmentFailure when there are too few."""
    avoid = set(taken)
    need = len(BROKER_IDS) * PORTS_PER_NODE
    found: list[int] = []
    for port in port_range():
        if port not in avoid and is_free(port):
            found.append(port)
            if len(found) == need:
                break
    else:
        span = port_range()
        raise EnvironmentFailure(
            f"Only {len(found)} of {need} needed ports are free on {HOST} between {span.start} and "
            f"{span.stop - 1}. End other programs that listen there; `harness cluster status` "
            "lists this harness's clusters."
        )
    chunks = [found[i : i + PORTS_PER_NODE] for i in range(0, need, PORTS_PER_NODE)]
    return {node: NodePorts(*chunk) for node, chunk in zip(BROKER_IDS, chunks, strict=True)}


class Hold:
    """Keeps a port bound, without listening, while its broker is down.

    On Linux the hold can stay while the broker binds the same port (both set SO_REUSEADDR and the
    hold does not listen); elsewhere it is let go just before the broker starts.
    """

    stays: Final = sys.platform == "linux"

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket: socket.socket | None = None

    def take(self) -> bool:
        """Bind the port; whether that worked. True when it is held already."""
        if self._socket is not None:
            return True
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind((HOST, self.port))
        except OSError:
            held.close()
            return False
        self._socket = held
        return True

    def make_way(self) -> None:
        """Let the broker bind the port."""
        if not self.stays:
            self.release()

    def release(self) -> None:
        """Give the port up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
