"""The foreign broker kind: brokers that somebody else runs, reached by bootstrap servers.

No fault can signal their processes or cut their links. Nothing is connected to here; the session
checks what it needs of them before it makes a topic. Addresses of a local cluster of ours are not
foreign: they name that cluster (harness/brokers/kinds.py).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.brokers.kind import BrokerControl
from harness.brokers.strimzi.target import ACCEPTED as STRIMZI_ADDRESS
from harness.errors import UsageError

_ADDRESS: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+):(?P<port>[0-9]{1,5})")
_PORT_MAX: Final = 65_535
_ACCEPTED: Final = f"accepted are local, local:NAME, HOST:PORT[,HOST:PORT…] and {STRIMZI_ADDRESS}"


class ForeignBrokers:
    """Brokers at `bootstrap`, with the librdkafka settings that reach them."""

    kind = "foreign"
    capabilities: frozenset[str] = frozenset()
    cluster_id: str | None = None
    kafka_version = "unknown (brokers not started by the harness)"
    meeting_place: Path | None = None
    if_unreached = ""
    control: BrokerControl | None = None

    def __init__(self, bootstrap: str, client_config: Mapping[str, str] | None = None) -> None:
        """Raises UsageError when `bootstrap` is no list of HOST:PORT."""
        self.bootstrap = ",".join(parse_bootstrap(bootstrap))
        self._client_config = {**(client_config or {}), "bootstrap.servers": self.bootstrap}

    @property
    def client_config(self) -> dict[str, str]:
        """librdkafka settings for every client; may hold secrets."""
        return dict(self._client_config)

    @property
    def environment(self) -> dict[str, str]:
        """Nothing: the client settings say where they are."""
        return {}

    def __repr__(self) -> str:
        return f"ForeignBrokers({self.bootstrap!r})"


def parse_bootstrap(text: str, origin: str = "--brokers") -> list[str]:
    """`a:9092, b:9092` → ["a:9092", "b:9092"]. Raises UsageError naming the part that is wrong.

    origin: where the text was given.
    """
    found = []
    for part in text.split(","):
        address = part.strip()
        match = _ADDRESS.fullmatch(address)
        if match is None or not 0 < int(match["port"]) <= _PORT_MAX:
            accepted = _ACCEPTED if origin == "--brokers" else "accepted is HOST:PORT[,HOST:PORT…]"
            raise UsageError(f"{origin} {text}: {address!r} is no HOST:PORT; {accepted}.")
        found.append(address)
    return found
