"""server.config of each node, from a Kafka resource and its pools.

Listener names, ports and transport security are Strimzi's (its class
`KafkaBrokerConfigurationBuilder`): nodes speak mutual TLS among each other on 9090 (control plane)
and 9091 (replication). Keys and certificates are PEM files of the node's secret. Pure.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from tests.kubernetes.standin.custom_resources import Cluster, Listener, NodePool
from tests.kubernetes.standin.names import CONTROL_PLANE_PORT, REPLICATION_PORT

CONTROL_PLANE: Final = f"CONTROLPLANE-{CONTROL_PLANE_PORT}"
REPLICATION: Final = f"REPLICATION-{REPLICATION_PORT}"
CERTIFICATES: Final = "/opt/kafka/node-certs"
KEY_STORE: Final = f"{CERTIFICATES}/node.pem"
CLUSTER_CA: Final = f"{CERTIFICATES}/cluster-ca.crt"
CLIENTS_CA: Final = f"{CERTIFICATES}/clients-ca.crt"
DATA: Final = "/var/lib/kafka"

FORBIDDEN: Final = (
    "listeners",
    "advertised.",
    "broker.",
    "listener.",
    "host.name",
    "port",
    "inter.broker.listener.name",
    "sasl.",
    "ssl.",
    "security.",
    "password.",
    "log.dir",
    "authorizer.",
    "super.user",
    "node.id",
    "process.roles",
    "controller.",
    "metadata.log.dir",
    "prometheus.metrics.reporter.",
    "cordoned.log.dirs",
)
"""Prefixes that Strimzi takes out of spec.kafka.config (`KafkaClusterSpec.FORBIDDEN_PREFIXES` of
io.strimzi:api 1.2.0, without those of ZooKeeper, Cruise Control and static quotas)."""
ALLOWED: Final = (
    "sasl.server.max.receive.size",
    "ssl.cipher.suites",
    "ssl.protocol",
    "ssl.enabled.protocols",
    "ssl.secure.random.implementation",
    "broker.session.timeout.ms",
    "broker.heartbeat.interval.ms",
    "controller.socket.timeout.ms",
    "controller.quorum.election.backoff.max.ms",
    "controller.quorum.election.timeout.ms",
    "controller.quorum.fetch.timeout.ms",
)
"""Exceptions from them (`FORBIDDEN_PREFIX_EXCEPTIONS` of the same)."""


@dataclass(frozen=True, slots=True)
class KafkaNode:
    """One node of the cluster: a pod."""

    node_id: int
    pod: str
    host: str
    pool: NodePool


def nodes_of(cluster: Cluster, ids: dict[str, tuple[int, ...]]) -> list[KafkaNode]:
    """Every node, by id."""
    names = cluster.names
    found = [
        KafkaNode(each, pod, names.pod_host(pod), pool)
        for pool in cluster.pools
        for each in ids[pool.name]
        for pod in (names.pod(pool.name, each),)
    ]
    return sorted(found, key=lambda node: node.node_id)


def refused_settings(config: dict[str, str]) -> list[str]:
    """Names in spec.kafka.config that Strimzi leaves out of the brokers' configuration."""
    return [name for name in config if name not in ALLOWED and name.lower().startswith(FORBIDDEN)]


def server_config(
    cluster: Cluster, node: KafkaNode, nodes: list[KafkaNode], advertised: dict[str, str]
) -> str:
    """The text of one node's server.config.

    `advertised` has an address for each listener that is not reached by the pod's own name.
    """
    settings = {
        "node.id": str(node.node_id),
        "process.roles": ",".join(sorted(node.pool.roles)),
        **_quorum(nodes),
        **_storage(node),
        **_listeners(cluster, node, advertised),
        **_authorization(cluster),
    }
    if cluster.rack_label and node.pool.is_broker:
        settings["broker.rack"] = "${STRIMZI_RACK_ID}"  # put in by the container's start script
    refused = set(refused_settings(cluster.config))
    settings |= {key: value for key, value in cluster.config.items() if key not in refused}
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def digest(text: str) -> str:
    """A short name of a content, as Strimzi's annotations hold."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def log_folder(node: KafkaNode, volume: str) -> str:
    return f"{DATA}/{volume}/kafka-log{node.node_id}"


def _quorum(nodes: list[KafkaNode]) -> dict[str, str]:
    voters = ",".join(
        f"{node.node_id}@{node.host}:{CONTROL_PLANE_PORT}"
        for node in nodes
        if node.pool.is_controller
    )
    return {"controller.quorum.voters": voters, "controller.listener.names": CONTROL_PLANE}


def _storage(node: KafkaNode) -> dict[str, str]:
    volumes = node.pool.storage
    metadata = next(each for each in volumes if each.holds_metadata)
    return {
        "log.dirs": ",".join(log_folder(node, each.name) for each in volumes),
        "metadata.log.dir": log_folder(node, metadata.name),
    }


def _listeners(cluster: Cluster, node: KafkaNode, advertised: dict[str, str]) -> dict[str, str]:
    bound = {}
    announced = {}
    protocols = {CONTROL_PLANE: "SSL"}
    settings = _mutual_tls(CONTROL_PLANE)
    if node.pool.is_controller:
        bound[CONTROL_PLANE] = f"0.0.0.0:{CONTROL_PLANE_PORT}"
        announced[CONTROL_PLANE] = f"{node.host}:{CONTROL_PLANE_PORT}"
    if node.pool.is_broker:
        protocols[REPLICATION] = "SSL"
        settings |= _mutual_tls(REPLICATION)
        bound[REPLICATION] = f"0.0.0.0:{REPLICATION_PORT}"
        announced[REPLICATION] = f"{node.host}:{REPLICATION_PORT}"
        settings["inter.broker.listener.name"] = REPLICATION
        for listener in cluster.listeners:
            name = listener.kafka_name
            bound[name] = f"0.0.0.0:{listener.port}"
            announced[name] = advertised.get(listener.name, f"{node.host}:{listener.port}")
            protocols[name] = listener.security_protocol
            settings |= _client_listener(listener)
    return {
        "listeners": _joined(bound, "://"),
        "advertised.listeners": _joined(announced, "://"),
        "listener.security.protocol.map": _joined(protocols, ":"),
        "sasl.enabled.mechanisms": "",
        "ssl.endpoint.identification.algorithm": "HTTPS",
        **settings,
    }


def _joined(pairs: dict[str, str], between: str) -> str:
    return ",".join(f"{name}{between}{value}" for name, value in pairs.items())


def _mutual_tls(name: str) -> dict[str, str]:
    return {**_key_store(name), **_trust_store(name, CLUSTER_CA)}


def _key_store(name: str) -> dict[str, str]:
    prefix = f"listener.name.{name.lower()}"
    return {f"{prefix}.ssl.keystore.type": "PEM", f"{prefix}.ssl.keystore.location": KEY_STORE}


def _trust_store(name: str, location: str) -> dict[str, str]:
    prefix = f"listener.name.{name.lower()}"
    return {
        f"{prefix}.ssl.truststore.type": "PEM",
        f"{prefix}.ssl.truststore.location": location,
        f"{prefix}.ssl.client.auth": "required",
    }


def _client_listener(listener: Listener) -> dict[str, str]:
    prefix = f"listener.name.{listener.kafka_name.lower()}"
    settings: dict[str, str] = {}
    if listener.tls:
        settings |= _key_store(listener.kafka_name)
    if listener.authentication == "tls":
        settings |= _trust_store(listener.kafka_name, CLIENTS_CA)
    if listener.authentication == "scram-sha-512":
        login = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        settings[f"{prefix}.sasl.enabled.mechanisms"] = "SCRAM-SHA-512"
        settings[f"{prefix}.scram-sha-512.sasl.jaas.config"] = login
    return settings


def _authorization(cluster: Cluster) -> dict[str, str]:
    if not cluster.simple_authorization:
        return {}
    name = cluster.names.cluster
    components = ["kafka", "entity-topic-operator", "entity-user-operator", "kafka-exporter"]
    users = [f"User:CN={name}-{each},O=io.strimzi" for each in [*components, "cruise-control"]]
    users.append("User:CN=cluster-operator,O=io.strimzi")
    users += [f"User:{each}" for each in cluster.super_users]
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": ";".join(users),
    }
