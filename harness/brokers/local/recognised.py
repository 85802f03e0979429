"""Recognises a local cluster of ours by what a stranger would know of it: addresses, cluster id.

Whoever sets HARNESS_BROKERS to the addresses of the cluster that `harness cluster up` keeps means
that cluster, with all that faults can do to it. A cluster counts while its supervisor lives: the
ports of one that has ended may be somebody else's by now.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from harness.brokers.local.config import HOST
from harness.brokers.local.state import ClusterState, directories, has_supervisor, read_state
from harness.errors import ClusterError

_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


def cluster_at(addresses: Iterable[str]) -> Path | None:
    """The directory of the running local cluster that all of these HOST:PORT belong to."""
    wanted = {_normal(address) for address in addresses}
    for directory, state in _running():
        own = {f"{HOST}:{port}" for ports in state.ports.values()
               for port in (ports.client, ports.direct)}  # fmt: skip
        if wanted and wanted <= own:
            return directory
    return None


def cluster_with_id(cluster_id: str) -> Path | None:
    """The directory of the running local cluster with this Kafka cluster id."""
    for directory, state in _running():
        if cluster_id and state.cluster_id == cluster_id:
            return directory
    return None


def _running() -> Iterator[tuple[Path, ClusterState]]:
    for directory in directories():
        with contextlib.suppress(ClusterError):
            state = read_state(directory)
            if has_supervisor(directory):
                yield directory, state


def _normal(address: str) -> str:
    """An address with this machine's own names written in one way."""
    host, _, port = address.strip().rpartition(":")
    return f"{HOST}:{port}" if host.lower() in _THIS_MACHINE else f"{host}:{port}"
