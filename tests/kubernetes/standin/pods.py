"""The pods of a cluster's nodes, as a StrimziPodSet holds them. Pure.

Probes, grace period and mounts are Strimzi's. What differs: one init process (tini) runs Kafka as
its child, a file that Kafka's own log line makes says that a broker is ready, and the heap is
small.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from tests.kubernetes.standin.broker_config import CERTIFICATES, DATA, KafkaNode, digest
from tests.kubernetes.standin.custom_resources import Cluster
from tests.kubernetes.standin.names import (
    CLUSTER_CA_GENERATION,
    CONFIGURATION_HASH,
    CONTAINER,
    CONTROL_PLANE_PORT,
    POD_NAME_LABEL,
    REPLICATION_PORT,
    REVISION,
    SERVER_CERTIFICATE_HASH,
)

GRACE_PERIOD_S: Final = 30
PROBE_DELAY_S: Final = 15
PROBE_TIMEOUT_S: Final = 5
HEAP: Final = "256m"
JVM_FLAGS: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


@dataclass(frozen=True, slots=True)
class PodContents:
    """What a change of makes a pod be restarted."""

    configuration_hash: str
    certificate_hash: str
    ca_generation: int


def pod_document(cluster: Cluster, node: KafkaNode, contents: PodContents) -> dict[str, Any]:
    """The pod of one node, with its revision."""
    template = {**(cluster.template.get("pod") or {}), **(node.pool.template.get("pod") or {})}
    metadata = template.get("metadata") or {}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": node.pod,
            "namespace": cluster.names.namespace,
            "labels": {**(metadata.get("labels") or {}), **_labels(cluster, node)},
            "annotations": {
                **(metadata.get("annotations") or {}),
                CONFIGURATION_HASH: contents.configuration_hash,
                SERVER_CERTIFICATE_HASH: contents.certificate_hash,
                CLUSTER_CA_GENERATION: str(contents.ca_generation),
                "strimzi.io/kafka-version": cluster.version,
            },
        },
        "spec": _spec(cluster, node, template),
    }
    pod["metadata"]["annotations"][REVISION] = digest(json.dumps(pod, sort_keys=True))  # type: ignore[index]
    return pod


def _labels(cluster: Cluster, node: KafkaNode) -> dict[str, str]:
    pool = node.pool
    return {
        **cluster.names.pool_labels(pool.name),
        POD_NAME_LABEL: node.pod,
        "strimzi.io/broker-role": str(pool.is_broker).lower(),
        "strimzi.io/controller-role": str(pool.is_controller).lower(),
        "strimzi.io/controller": "strimzipodset",
        "strimzi.io/controller-name": cluster.names.pod_set(pool.name),
    }


def _spec(cluster: Cluster, node: KafkaNode, template: dict[str, Any]) -> dict[str, Any]:
    taken = ("tolerations", "topologySpreadConstraints", "priorityClassName", "imagePullSecrets")
    return {
        **{name: template[name] for name in taken if name in template},
        "restartPolicy": "Always",
        "hostname": node.pod,
        "subdomain": cluster.names.brokers_service,
        "serviceAccountName": cluster.names.component,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": template.get(
            "terminationGracePeriodSeconds", GRACE_PERIOD_S
        ),
        "securityContext": template.get("securityContext") or {"fsGroup": 0},
        "affinity": template.get("affinity") or _affinity(cluster, node),
        "containers": [_container(cluster, node)],
        "volumes": _volumes(node),
    }


def _affinity(cluster: Cluster, node: KafkaNode) -> dict[str, Any]:
    """With rack awareness: nodes that have the label, and brokers rather apart."""
    if not cluster.rack_label or not node.pool.is_broker:
        return {}
    required = [{"matchExpressions": [{"key": cluster.rack_label, "operator": "Exists"}]}]
    apart = {
        "labelSelector": {"matchLabels": cluster.names.selector()},
        "topologyKey": cluster.rack_label,
    }
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": required}
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 100, "podAffinityTerm": apart}
            ]
        },
    }


def _container(cluster: Cluster, node: KafkaNode) -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "image": f"localhost/delivery-kafka:{cluster.version}",
        "imagePullPolicy": "Never",
        "env": _environment(cluster, node),
        "ports": _ports(cluster, node),
        "resources": node.pool.resources or cluster.resources,
        "readinessProbe": _probe("kafka_readiness.sh", cluster.readiness),
        "livenessProbe": _probe("kafka_liveness.sh", cluster.liveness),
        "securityContext": {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": each.name, "mountPath": f"{DATA}/{each.name}"} for each in node.pool.storage
        ]
        + [
            {"name": "strimzi-tmp", "mountPath": "/tmp"},
            {"name": "ready-files", "mountPath": "/var/opt/kafka"},
            {"name": "kafka-metrics-and-logging", "mountPath": "/opt/kafka/custom-config"},
            {"name": "node-certs", "mountPath": CERTIFICATES},
        ],
    }


def _environment(cluster: Cluster, node: KafkaNode) -> list[dict[str, Any]]:
    options = {**cluster.jvm_options, **node.pool.jvm_options}
    heap = f"-Xms{options.get('-Xms', HEAP)} -Xmx{options.get('-Xmx', HEAP)}"
    flags = [*JVM_FLAGS, *(_flag(*item) for item in (options.get("-XX") or {}).items())]
    properties = [
        f"-D{each['name']}={each['value']}" for each in options.get("javaSystemProperties") or ()
    ]
    values = {
        "KAFKA_HEAP_OPTS": heap,
        "KAFKA_JVM_PERFORMANCE_OPTS": " ".join(flags),
        "STRIMZI_JAVA_SYSTEM_PROPERTIES": " ".join(properties),
    }
    environment: list[dict[str, Any]] = [
        {"name": name, "value": value} for name, value in values.items()
    ]
    if cluster.rack_label and node.pool.is_broker:
        source = {"fieldRef": {"fieldPath": f"metadata.labels['{cluster.rack_label}']"}}
        environment.append({"name": "STRIMZI_RACK_ID", "valueFrom": source})
    return environment


def _flag(name: str, value: object) -> str:
    """One of jvmOptions' -XX: `{"UseG1GC": "true"}` is -XX:+UseG1GC."""
    switches = {"true": "+", "false": "-"}
    switch = switches.get(str(value).lower())
    return f"-XX:{switch}{name}" if switch else f"-XX:{name}={value}"


def _ports(cluster: Cluster, node: KafkaNode) -> list[dict[str, Any]]:
    ports = []
    if node.pool.is_controller:
        ports.append({"name": "tcp-ctrlplane", "containerPort": CONTROL_PLANE_PORT})
    if node.pool.is_broker:
        ports.append({"name": "tcp-replication", "containerPort": REPLICATION_PORT})
        ports += [
            {"name": each.port_name[:15], "containerPort": each.port} for each in cluster.listeners
        ]
    return [{**each, "protocol": "TCP"} for each in ports]


def _probe(script: str, given: dict[str, Any]) -> dict[str, Any]:
    return {
        "exec": {"command": [f"/opt/kafka/{script}"]},
        "initialDelaySeconds": PROBE_DELAY_S,
        "timeoutSeconds": PROBE_TIMEOUT_S,
        **given,
    }


def _volumes(node: KafkaNode) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = []
    for each in node.pool.storage:
        if each.persistent:
            source = {"persistentVolumeClaim": {"claimName": f"{each.name}-{node.pod}"}}
            volumes.append({"name": each.name, **source})
        else:
            volumes.append({"name": each.name, "emptyDir": {}})
    return [
        *volumes,
        {"name": "strimzi-tmp", "emptyDir": {}},
        {"name": "ready-files", "emptyDir": {}},
        {"name": "kafka-metrics-and-logging", "configMap": {"name": node.pod}},
        {"name": "node-certs", "secret": {"secretName": node.pod}},
    ]
