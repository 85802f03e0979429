"""What users write: Kafka and KafkaNodePool resources, read into typed objects.

Fields that the stand-in does not know are left aside; values that it cannot carry out are refused
with the reason that Strimzi gives in a status, `InvalidResourceException`. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from tests.kubernetes.standin.names import ClusterNames

DEFAULT_KAFKA_VERSION: Final = "4.3.1"
AUTHENTICATIONS: Final = ("", "scram-sha-512", "tls")
LISTENER_TYPES: Final = ("internal", "nodeport")
RACK_LABELS: Final = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
"""Labels of a node that Kubernetes copies to the pods bound to it (1.35, PodTopologyLabels)."""


class InvalidResource(Exception):
    """A custom resource that cannot be carried out; the text goes into its status."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One of spec.kafka.listeners."""

    name: str
    port: int
    type: str
    tls: bool
    authentication: str
    """Empty, `scram-sha-512` or `tls`."""

    @property
    def kafka_name(self) -> str:
        """What brokers call it: `TLS-9093`."""
        return f"{self.name}-{self.port}".upper()

    @property
    def port_name(self) -> str:
        """What the services' port is called."""
        return {"plain": "tcp-clients", "tls": "tcp-clientstls"}.get(self.name, f"tcp-{self.name}")

    @property
    def security_protocol(self) -> str:
        sasl = self.authentication == "scram-sha-512"
        return ("SASL_" if sasl else "") + ("SSL" if self.tls else "PLAINTEXT")


@dataclass(frozen=True, slots=True)
class Storage:
    """One volume of a pool's nodes."""

    name: str
    """The claim's prefix and the folder's: `data-0` in a jbod, `data` otherwise."""
    persistent: bool
    size: str
    storage_class: str | None
    delete_claim: bool
    holds_metadata: bool


@dataclass(frozen=True, slots=True)
class NodePool:
    """A KafkaNodePool."""

    name: str
    uid: str
    generation: int
    replicas: int
    roles: tuple[str, ...]
    storage: tuple[Storage, ...]
    resources: dict[str, Any]
    jvm_options: dict[str, Any]
    template: dict[str, Any]
    annotations: dict[str, str]
    node_ids: tuple[int, ...] = ()
    """Those of its status: which ids it has already."""

    @property
    def is_broker(self) -> bool:
        return "broker" in self.roles

    @property
    def is_controller(self) -> bool:
        return "controller" in self.roles


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Kafka resource with its pools."""

    names: ClusterNames
    uid: str
    generation: int
    version: str
    metadata_version: str
    listeners: tuple[Listener, ...]
    config: dict[str, str]
    simple_authorization: bool
    super_users: tuple[str, ...]
    rack_label: str
    readiness: dict[str, Any]
    liveness: dict[str, Any]
    jvm_options: dict[str, Any]
    resources: dict[str, Any]
    template: dict[str, Any]
    pools: tuple[NodePool, ...]
    topics_managed: bool
    users_managed: bool
    cluster_id: str = ""
    """That of its status."""
    status: dict[str, Any] = field(default_factory=dict)

    @property
    def reference(self) -> dict[str, Any]:
        """Who owns what the operator makes: gone with it."""
        return {
            "apiVersion": "kafka.strimzi.io/v1",
            "kind": "Kafka",
            "name": self.names.cluster,
            "uid": self.uid,
            "controller": False,
            "blockOwnerDeletion": False,
        }


def read_cluster(document: dict[str, Any], pools: list[dict[str, Any]]) -> Cluster:
    """Raises InvalidResource for what cannot be carried out."""
    metadata, spec = document["metadata"], document["spec"]
    kafka = spec["kafka"]
    authorization = kafka.get("authorization") or {}
    if authorization and authorization.get("type") != "simple":
        raise InvalidResource(
            f"authorization type {authorization.get('type')}: the stand-in knows simple only"
        )
    rack = str((kafka.get("rack") or {}).get("topologyKey", ""))
    if rack and rack not in RACK_LABELS:
        raise InvalidResource(f"rack.topologyKey {rack}: the stand-in knows {RACK_LABELS}")
    version = str(kafka.get("version", DEFAULT_KAFKA_VERSION))
    if not pools:
        raise InvalidResource("no KafkaNodePool resource has the label of this cluster")
    entity = spec.get("entityOperator") or {}
    status = document.get("status") or {}
    cluster = Cluster(
        names=ClusterNames(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        generation=metadata["generation"],
        version=version,
        metadata_version=str(kafka.get("metadataVersion", "")) or default_metadata(version),
        listeners=tuple(_listener(each) for each in kafka.get("listeners") or ()),
        config={key: _text(value) for key, value in (kafka.get("config") or {}).items()},
        simple_authorization=bool(authorization),
        super_users=tuple(authorization.get("superUsers") or ()),
        rack_label=rack,
        readiness=kafka.get("readinessProbe") or {},
        liveness=kafka.get("livenessProbe") or {},
        jvm_options=kafka.get("jvmOptions") or {},
        resources=kafka.get("resources") or {},
        template=kafka.get("template") or {},
        pools=tuple(sorted((_pool(each) for each in pools), key=lambda pool: pool.name)),
        topics_managed="topicOperator" in entity,
        users_managed="userOperator" in entity,
        cluster_id=str(status.get("clusterId", "")),
        status=status,
    )
    for role in ("broker", "controller"):
        if not any(role in pool.roles and pool.replicas for pool in cluster.pools):
            raise InvalidResource(f"no node pool with at least one node has the {role} role")
    return cluster


def default_metadata(version: str) -> str:
    """`4.3.1` → `4.3-IV0`."""
    return ".".join(version.split(".")[:2]) + "-IV0"


def _listener(item: dict[str, Any]) -> Listener:
    listener = Listener(
        name=item["name"],
        port=int(item["port"]),
        type=item["type"],
        tls=bool(item["tls"]),
        authentication=str((item.get("authentication") or {}).get("type", "")),
    )
    if listener.type not in LISTENER_TYPES or listener.authentication not in AUTHENTICATIONS:
        raise InvalidResource(
            f"listener {listener.name}: the stand-in knows the types {', '.join(LISTENER_TYPES)} "
            "and the authentications scram-sha-512 and tls"
        )
    if listener.authentication == "tls" and not listener.tls:
        raise InvalidResource(f"listener {listener.name}: tls authentication without tls")
    return listener


def _pool(document: dict[str, Any]) -> NodePool:
    metadata, spec = document["metadata"], document["spec"]
    status = document.get("status") or {}
    return NodePool(
        name=metadata["name"],
        uid=metadata["uid"],
        generation=metadata["generation"],
        replicas=int(spec["replicas"]),
        roles=tuple(spec["roles"]),
        storage=_storage(spec["storage"]),
        resources=spec.get("resources") or {},
        jvm_options=spec.get("jvmOptions") or {},
        template=spec.get("template") or {},
        annotations=metadata.get("annotations") or {},
        node_ids=tuple(status.get("nodeIds") or ()),
    )


def _storage(spec: dict[str, Any]) -> tuple[Storage, ...]:
    if spec["type"] != "jbod":
        return (_volume(spec, "data", True),)
    volumes = sorted(spec["volumes"], key=lambda each: int(each["id"]))
    named = next((v for v in volumes if v.get("kraftMetadata") == "shared"), volumes[0])
    return tuple(_volume(each, f"data-{each['id']}", each is named) for each in volumes)


def _volume(spec: dict[str, Any], name: str, holds_metadata: bool) -> Storage:
    return Storage(
        name=name,
        persistent=spec["type"] == "persistent-claim",
        size=str(spec.get("size", "")),
        storage_class=spec.get("class"),
        delete_claim=bool(spec.get("deleteClaim", False)),
        holds_metadata=holds_metadata,
    )


def _text(value: object) -> str:
    """A value of a properties file: YAML's true is `true` there."""
    return str(value).lower() if isinstance(value, bool) else str(value)
