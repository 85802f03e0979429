"""What a broker kind is: the small interface that load, faults and verification see.

A fault names the capabilities it needs; a kind that lacks one refuses it at validation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

PROCESS: Final = "process"
"""Broker processes can be signalled, watched and started again."""
PROXY: Final = "proxy"
"""Links can be cut between clients and a broker, and between brokers."""


class Brokers(Protocol):
    """Where Kafka is."""

    @property
    def kind(self) -> str:
        """`local` or `foreign`."""

    @property
    def bootstrap(self) -> str:
        """bootstrap.servers, as HOST:PORT separated by commas."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What faults can do here: `process`, `proxy`."""

    @property
    def client_config(self) -> dict[str, str]:
        """librdkafka settings that every client needs, bootstrap.servers included. May hold
        secrets: never print or store it."""


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """One local broker as its supervisor sees it."""

    broker_id: int
    pid: int | None
    """None when no process runs."""
    paused: bool
    """Stopped by SIGSTOP."""
    ready: bool
    """Answers, and sees all three brokers registered and unfenced."""
    exit_status: int | None
    """Of its last process that ended, as subprocess gives it: -9 after SIGKILL."""
    starts: int
    client: str
    """Where clients reach it, through its proxy."""
    direct: str
    """Where it is reached without a proxy."""
    links: dict[str, str]
    """Mode of the link in front of each proxied listener."""
