"""What a local node is started with: ports, server.properties, logging, JVM options.

Three combined nodes (broker and controller) stand on 127.0.0.1, each with four listeners:

    CLIENT        advertised as a proxy's port: every client of a run comes through it
    REPLICATION   advertised as a proxy's port: followers fetch through it
    DIRECT        no proxy: benchmarks and readiness checks
    CONTROLLER    the quorum's own traffic, no proxy

Pure: settings in, text out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import javaproperties

HOST: Final = "127.0.0.1"
BROKER_IDS: Final = (1, 2, 3)
START_TIMEOUT_S: Final = 180.0
"""A machine busy with other things needs longer than the usual four to eight seconds."""
LINKS: Final = ("client", "replication")
"""The listeners that have a proxy in front."""

FAILOVER: Final = {
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1500",
    "replica.lag.time.max.ms": "5000",
    "group.initial.rebalance.delay.ms": "0",
}
"""Leaders move 3–6 s after their broker dies; a cut shorter than the lag limit keeps the ISR."""

GROUPS: Final = {
    # A member that fell silent is put out after this; classic members choose theirs themselves.
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.heartbeat.interval.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "1000",
    "group.share.session.timeout.ms": "6000",
    "group.share.min.session.timeout.ms": "6000",
    "group.share.heartbeat.interval.ms": "1000",
    "group.share.min.heartbeat.interval.ms": "1000",
    # How long a record stays with the share member that took it and never said what became of it.
    "group.share.record.lock.duration.ms": "5000",
    "group.share.min.record.lock.duration.ms": "1000",
    # How soon after its timeout the transaction of a dead or paused producer is aborted.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}
"""Groups recover from a dead member in seconds; brokers' defaults take most of a minute."""

DURABILITY: Final = {
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
    "offsets.topic.replication.factor": "3",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "transaction.state.log.num.partitions": "3",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    "share.coordinator.state.topic.num.partitions": "3",
}

PREDICTABILITY: Final = {
    # Topics are a run's own; a misspelt one must not come into being.
    "auto.create.topics.enable": "false",
    # Leaders move when a fault or an election that was asked for moves them, at no other time.
    "auto.leader.rebalance.enable": "false",
}

SHORT_LIVES: Final = {
    # A topic with a short retention, or a compacted one, is cleaned while a run lasts.
    "log.initial.task.delay.ms": "1000",
    "log.retention.check.interval.ms": "2000",
    "log.cleaner.backoff.ms": "1000",
}

SMALL_MACHINE: Final = {
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.recovery.threads.per.data.dir": "1",
    "background.threads": "2",
    # Defaults of the cleaner take half of a small heap before anything is to be cleaned.
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.cleaner.io.buffer.size": "131072",
}

HEAP_MAX_MB: Final = 384

JVM_OPTIONS: Final = (
    "-Xms96m",
    f"-Xmx{HEAP_MAX_MB}m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
    "-Dlog4j2.disableJmx=true",
)
"""The serial collector and the first compiler keep three brokers light beside the load."""


@dataclass(frozen=True, slots=True)
class NodePorts:
    """The ports of one node on 127.0.0.1."""

    client: int
    """Advertised; the proxy listens here."""
    client_broker: int
    """The broker's own, behind the proxy."""
    replication: int
    replication_broker: int
    direct: int
    controller: int

    def advertised(self, link: str) -> int:
        """The proxy's port of `client` or `replication`."""
        return self.client if link == "client" else self.replication

    def behind(self, link: str) -> int:
        """The broker's port behind the proxy of `client` or `replication`."""
        return self.client_broker if link == "client" else self.replication_broker


PORTS_PER_NODE: Final = 6


def bootstrap(ports: dict[int, NodePorts], *, direct: bool = False) -> str:
    """bootstrap.servers: through the proxies, or around them."""
    return ",".join(f"{HOST}:{p.direct if direct else p.client}" for p in ports.values())


def server_settings(
    node_id: int, ports: dict[int, NodePorts], data_directory: Path
) -> dict[str, str]:
    """All of server.properties of one node."""
    own = ports[node_id]
    voters = ",".join(f"{i}@{HOST}:{p.controller}" for i, p in ports.items())
    return {
        "process.roles": "broker,controller",
        "node.id": str(node_id),
        "controller.quorum.voters": voters,
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "REPLICATION",
        "listeners": ",".join(
            f"{name}://{HOST}:{port}"
            for name, port in (
                ("CLIENT", own.client_broker),
                ("REPLICATION", own.replication_broker),
                ("DIRECT", own.direct),
                ("CONTROLLER", own.controller),
            )
        ),
        "advertised.listeners": ",".join(
            f"{name}://{HOST}:{port}"
            for name, port in (
                ("CLIENT", own.client),
                ("REPLICATION", own.replication),
                ("DIRECT", own.direct),
            )
        ),
        "listener.security.protocol.map": ",".join(
            f"{name}:PLAINTEXT" for name in ("CLIENT", "REPLICATION", "DIRECT", "CONTROLLER")
        ),
        "log.dirs": str(data_directory),
        **FAILOVER,
        **GROUPS,
        **DURABILITY,
        **PREDICTABILITY,
        **SHORT_LIVES,
        **SMALL_MACHINE,
    }


def properties_text(settings: dict[str, str]) -> str:
    """Settings as Java reads them: ASCII, everything else escaped, as a path may need it."""
    return str(javaproperties.dumps(settings, timestamp=False))


LOGGING: Final = """\
appenders=console
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=[%d{yyyy-MM-dd'T'HH:mm:ss.SSSXX}] %p %m (%c{1})%n%throwable
rootLogger.level=INFO
rootLogger.appenderRefs=console
rootLogger.appenderRef.console.ref=console
loggers=appinfo,config
logger.appinfo.name=org.apache.kafka.common.utils.AppInfoParser
logger.appinfo.level=WARN
logger.config.name=org.apache.kafka.common.config
logger.config.level=WARN
"""
"""Log4j 2 settings: INFO to standard output, which the supervisor appends to server.log. The two
loggers left out print every default of every client, some hundred lines a start."""


def broker_command(
    java: Path, class_path: str, properties: Path, logging: Path, options: tuple[str, ...] = ()
) -> list[str]:
    """The argument vector of one broker process.

    Its temporary files (native libraries of codecs) lie beside its properties: a broker that is
    killed does not remove them, its cluster does.
    """
    return [
        str(java),
        *JVM_OPTIONS,
        *options,
        f"-Djava.io.tmpdir={properties.parent}",
        f"-Dlog4j2.configurationFile={logging}",
        "-cp",
        class_path,
        "kafka.Kafka",
        str(properties),
    ]
