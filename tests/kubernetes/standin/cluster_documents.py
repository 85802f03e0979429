"""Services, claims, configuration and the disruption budget of a cluster. Pure."""

from __future__ import annotations

from typing import Any, Final

from tests.kubernetes.standin.authorities import metadata_of
from tests.kubernetes.standin.broker_config import KafkaNode
from tests.kubernetes.standin.custom_resources import Cluster, Listener
from tests.kubernetes.standin.names import CONTROL_PLANE_PORT, POD_NAME_LABEL, REPLICATION_PORT

Document = dict[str, Any]

LOGGING: Final = """\
rootLogger.level=WARN
rootLogger.appenderRefs=console,ready
rootLogger.appenderRef.console.ref=Console
rootLogger.appenderRef.ready.ref=Ready
logger.started.name=kafka.server.KafkaRaftServer
logger.started.level=INFO
appender.console.type=Console
appender.console.name=Console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{yyyy-MM-dd HH:mm:ss,SSS} %p %m (%c)%n
appender.ready.type=File
appender.ready.name=Ready
appender.ready.fileName=/var/opt/kafka/kafka-ready
appender.ready.createOnDemand=true
appender.ready.layout.type=PatternLayout
appender.ready.layout.pattern=%m%n
appender.ready.filter.started.type=RegexFilter
appender.ready.filter.started.regex=.*Kafka Server started.*
appender.ready.filter.started.onMatch=ACCEPT
appender.ready.filter.started.onMismatch=DENY
"""
"""Kafka says `Kafka Server started` once a broker is unfenced; the file then exists."""


def shared_documents(cluster: Cluster, nodes: list[KafkaNode]) -> list[Document]:
    """What the cluster has once."""
    names = cluster.names
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": metadata_of(cluster, names.component),
    }
    return [account, _bootstrap(cluster), _headless(cluster), _budget(cluster, nodes)] + [
        each for listener in _external(cluster) for each in _node_ports(cluster, listener, nodes)
    ]


def configuration(cluster: Cluster, node: KafkaNode, server_config: str) -> Document:
    """The ConfigMap `<pod>`."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            **metadata_of(cluster, node.pod),
            "labels": cluster.names.pool_labels(node.pool.name),
        },
        "data": {
            "server.config": server_config,
            "log4j2.properties": LOGGING,
            "cluster.id": cluster.cluster_id,
            "metadata.version": cluster.metadata_version,
        },
    }


def claims(cluster: Cluster, node: KafkaNode) -> list[Document]:
    """A claim for each persistent volume; it outlives the cluster unless deleteClaim is set."""
    found = []
    for each in node.pool.storage:
        if not each.persistent:
            continue
        metadata = metadata_of(cluster, f"{each.name}-{node.pod}")
        metadata["labels"] = cluster.names.pool_labels(node.pool.name)
        if not each.delete_claim:
            del metadata["ownerReferences"]
        spec: Document = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": each.size}},
        }
        if each.storage_class is not None:
            spec["storageClassName"] = each.storage_class
        found.append(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": metadata,
                "spec": spec,
            }
        )
    return found


def pod_set(cluster: Cluster, pool: str, pods: list[Document]) -> Document:
    """The StrimziPodSet `<cluster>-<pool>`."""
    return {
        "apiVersion": "core.strimzi.io/v1",
        "kind": "StrimziPodSet",
        "metadata": {
            **metadata_of(cluster, cluster.names.pod_set(pool)),
            "labels": cluster.names.pool_labels(pool),
        },
        "spec": {
            "selector": {"matchLabels": {**cluster.names.selector(), "strimzi.io/pool-name": pool}},
            "pods": pods,
        },
    }


def node_port_service(cluster: Cluster, listener: Listener, node: KafkaNode) -> str:
    """The name of the service through which one broker is reached from outside."""
    return f"{cluster.names.pod_set(node.pool.name)}-{listener.name}-{node.node_id}"


def bootstrap_node_port(cluster: Cluster, listener: Listener) -> str:
    return f"{cluster.names.component}-{listener.name}-bootstrap"


def _external(cluster: Cluster) -> list[Listener]:
    return [each for each in cluster.listeners if each.type == "nodeport"]


def _ports(cluster: Cluster) -> list[Document]:
    return [_port("tcp-replication", REPLICATION_PORT)] + [
        _port(each.port_name, each.port) for each in cluster.listeners if each.type == "internal"
    ]


def _port(name: str, port: int) -> Document:
    return {"name": name, "port": port, "targetPort": port, "protocol": "TCP"}


def _service(cluster: Cluster, name: str, spec: Document) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata_of(cluster, name),
        "spec": spec,
    }


def _bootstrap(cluster: Cluster) -> Document:
    names = cluster.names
    selector = {**names.selector(), "strimzi.io/broker-role": "true"}
    spec = {"type": "ClusterIP", "selector": selector, "ports": _ports(cluster)}
    service = _service(cluster, names.bootstrap_service, spec)
    service["metadata"]["labels"] = {**names.labels(), "strimzi.io/discovery": "true"}
    return service


def _headless(cluster: Cluster) -> Document:
    spec = {
        "type": "ClusterIP",
        "clusterIP": "None",
        # Nodes look each other up before any of them is ready.
        "publishNotReadyAddresses": True,
        "selector": cluster.names.selector(),
        "ports": [_port("tcp-ctrlplane", CONTROL_PLANE_PORT), *_ports(cluster)],
    }
    return _service(cluster, cluster.names.brokers_service, spec)


def _node_ports(cluster: Cluster, listener: Listener, nodes: list[KafkaNode]) -> list[Document]:
    names = cluster.names
    ports = [_port(listener.port_name, listener.port)]
    selector = {**names.selector(), "strimzi.io/broker-role": "true"}
    bootstrap = {"type": "NodePort", "selector": selector, "ports": ports}
    found = [_service(cluster, bootstrap_node_port(cluster, listener), bootstrap)]
    for node in nodes:
        if node.pool.is_broker:
            chosen = {**names.selector(), POD_NAME_LABEL: node.pod}
            spec = {
                "type": "NodePort",
                "publishNotReadyAddresses": True,
                "selector": chosen,
                "ports": ports,
            }
            found.append(_service(cluster, node_port_service(cluster, listener, node), spec))
    return found


def _budget(cluster: Cluster, nodes: list[KafkaNode]) -> Document:
    """One pod at a time; a number of pods, since a custom controller's pods allow no other."""
    template = cluster.template.get("podDisruptionBudget") or {}
    down = int(template.get("maxUnavailable", 1))
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata_of(cluster, cluster.names.component),
        "spec": {
            "minAvailable": max(0, len(nodes) - down),
            "selector": {"matchLabels": cluster.names.selector()},
        },
    }
