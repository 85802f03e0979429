"""What the operator asks of Kafka and does to it, as the super user cluster-operator.

It goes over mutual TLS to the replication listener (9091), as Strimzi's operators do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.kubernetes.standin.certificates import KeyPair
from tests.kubernetes.standin.names import REPLICATION_PORT, ClusterNames

Result = TypeVar("Result")
_ANSWER_TIMEOUT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Replication:
    """One partition's replicas."""

    topic: str
    partition: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    leader: int


class KafkaAdmin:
    """One cluster's brokers, asked through one client that is kept."""

    def __init__(self, names: ClusterNames, identity: KeyPair, cluster_ca: str) -> None:
        self.host = names.bootstrap_host()
        self.identity = identity
        self.cluster_ca = cluster_ca
        self.client = AdminClient(
            {
                "bootstrap.servers": f"{self.host}:{REPLICATION_PORT}",
                "security.protocol": "SSL",
                "ssl.ca.pem": cluster_ca,
                "ssl.certificate.pem": identity.certificate,
                "ssl.key.pem": identity.key,
                "socket.timeout.ms": 10_000,
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 2,
            }
        )

    def partitions(self) -> list[Replication]:
        """Every partition of every topic. Raises KafkaException when no broker answers."""
        metadata = self.client.list_topics(timeout=_ANSWER_TIMEOUT_S)
        return [
            Replication(name, number, tuple(part.replicas), tuple(part.isrs), part.leader)
            for name, topic in metadata.topics.items()
            for number, part in topic.partitions.items()
        ]

    def not_in_sync(self) -> list[Replication]:
        """Partitions that lack a replica in their ISR, or a leader."""
        return [
            each
            for each in self.partitions()
            if len(each.in_sync) < len(each.replicas) or each.leader < 0
        ]


def finish(future: Future[Result]) -> Result:
    """What a request of the AdminClient came to. Raises KafkaException."""
    return future.result(_ANSWER_TIMEOUT_S + 10)


def finish_all(
    futures: Iterable[Future[Any]], *, accept: Callable[[KafkaException], bool] = lambda _: False
) -> None:
    """Wait for all of them; the first that failed with what `accept` does not accept is raised."""
    failed: KafkaException | None = None
    for future in futures:
        try:
            finish(future)
        except KafkaException as error:
            if not accept(error):
                failed = failed or error
    if failed is not None:
        raise failed
