"""The reconciliation of Kafka resources: from what a user wrote to what the cluster holds."""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

from tests.kubernetes.standin import cluster_documents as documents
from tests.kubernetes.standin.api_server import (
    KAFKA,
    NODE,
    NODE_POOL,
    POD,
    SERVICE,
    ApiServer,
    kind_of,
)
from tests.kubernetes.standin.authorities import (
    Authorities,
    ensure_authorities,
    ensure_node_certificate,
    ensure_operator_certificate,
)
from tests.kubernetes.standin.broker_config import (
    KafkaNode,
    digest,
    nodes_of,
    refused_settings,
    server_config,
)
from tests.kubernetes.standin.conditions import (
    creating,
    is_ready_now,
    not_ready,
    ready,
    warning,
    write_status,
)
from tests.kubernetes.standin.custom_resources import (
    Cluster,
    InvalidResource,
    Listener,
    read_cluster,
)
from tests.kubernetes.standin.kafka_admin import KafkaAdmin
from tests.kubernetes.standin.log import say
from tests.kubernetes.standin.names import CLUSTER_LABEL
from tests.kubernetes.standin.node_ids import assign
from tests.kubernetes.standin.pod_sets import is_ready
from tests.kubernetes.standin.pods import PodContents, pod_document
from tests.kubernetes.standin.roller import Roller, RollingTimeout

Document = dict[str, Any]


class ClusterOperator:
    """Carries out the Kafka and KafkaNodePool resources of one namespace."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._applied: dict[str, str] = {}
        """What was applied last, so that an unchanged document costs no request."""
        self.clusters: dict[str, tuple[Cluster, KafkaAdmin]] = {}
        """Clusters that are up, for the topic and the user operator."""

    def reconcile(self) -> None:
        pools, clusters = self._api.list(NODE_POOL), self._api.list(KAFKA)
        for gone in self.clusters.keys() - {each["metadata"]["name"] for each in clusters}:
            del self.clusters[gone]
        for document in clusters:
            name = document["metadata"]["name"]
            mine = [each for each in pools if each["metadata"]["labels"].get(CLUSTER_LABEL) == name]
            try:
                self._carry_out(document, mine)
            except InvalidResource as error:
                reason = "InvalidResourceException"
                write_status(self._api, document, not_ready(document, reason, str(error)))
            except RollingTimeout as error:
                write_status(self._api, document, not_ready(document, "Timeout", str(error)))

    def _carry_out(self, document: Document, pools: list[Document]) -> None:
        cluster = read_cluster(document, pools)
        if not cluster.cluster_id:
            status = {**creating(document), "clusterId": new_cluster_id()}
            write_status(self._api, document, status)
            return  # its own change of the status brings the next reconciliation
        ids = assign(cluster.pools)
        self._write_pool_statuses(cluster, pools, ids)
        nodes = nodes_of(cluster, ids)
        authorities = ensure_authorities(self._api, cluster)
        for each in documents.shared_documents(cluster, nodes):
            self._apply(each)
        self._apply_nodes(cluster, nodes, authorities)
        if self._is_up(document, cluster, nodes):
            admin = self._admin(cluster, authorities)
            Roller(self._api, cluster.names, admin).roll()
            # Before its status, whose change wakes the topic and the user operator.
            self.clusters[cluster.names.cluster] = (cluster, admin)
            self._write_cluster_status(document, cluster, authorities)

    def _apply_nodes(
        self, cluster: Cluster, nodes: list[KafkaNode], authorities: Authorities
    ) -> None:
        pods: dict[str, list[Document]] = {pool.name: [] for pool in cluster.pools}
        for node in nodes:
            advertised, extra = self._advertised(cluster, node)
            certificate = ensure_node_certificate(self._api, cluster, authorities, node, extra)
            text = server_config(cluster, node, nodes, advertised)
            self._apply(documents.configuration(cluster, node, text))
            for claim in documents.claims(cluster, node):
                self._apply(claim)
            contents = PodContents(digest(text), certificate, authorities.cluster.generation)
            pods[node.pool.name].append(pod_document(cluster, node, contents))
        for pool, members in pods.items():
            self._apply(documents.pod_set(cluster, pool, members))

    def _advertised(self, cluster: Cluster, node: KafkaNode) -> tuple[dict[str, str], list[str]]:
        """Listener → address for clients outside the cluster; names for the node's certificate."""
        if not node.pool.is_broker:
            return {}, []
        found = {}
        for listener in cluster.listeners:
            if listener.type == "nodeport":
                port = self._node_port(documents.node_port_service(cluster, listener, node))
                found[listener.name] = f"{self._node_address()}:{port}"
        return found, sorted({address.rsplit(":", 1)[0] for address in found.values()})

    def _node_port(self, service: str) -> int:
        found = self._api.get(SERVICE, service)
        if found is None:
            raise InvalidResource(f"service {service} is not there yet")
        return int(found["spec"]["ports"][0]["nodePort"])

    def _node_address(self) -> str:
        addresses = self._api.list(NODE)[0]["status"]["addresses"]
        return str(next(each["address"] for each in addresses if each["type"] == "InternalIP"))

    def _apply(self, document: Document) -> None:
        kind, name = kind_of(document), document["metadata"]["name"]
        text = json.dumps(document, sort_keys=True)
        key = f"{kind.kind}/{name}"
        # A resource that somebody deleted is made again even where the document is the same.
        if self._applied.get(key) == text and self._api.get(kind, name) is not None:
            return
        self._api.apply(document)
        self._applied[key] = text

    def _is_up(self, document: Document, cluster: Cluster, nodes: list[KafkaNode]) -> bool:
        """Once it was ready, a cluster counts as up: the roller waits for what is down."""
        pods = {each["metadata"]["name"]: each for each in self._pods(cluster)}
        if all(node.pod in pods and is_ready(pods[node.pod]) for node in nodes):
            return True
        return is_ready_now(document)

    def _pods(self, cluster: Cluster) -> list[Document]:
        return self._api.list(POD, cluster.names.selector())

    def _admin(self, cluster: Cluster, authorities: Authorities) -> KafkaAdmin:
        found = self.clusters.get(cluster.names.cluster)
        certificate = authorities.cluster.pair.certificate
        if found is not None and found[1].cluster_ca == certificate:
            return found[1]
        identity = ensure_operator_certificate(self._api, cluster, authorities)
        return KafkaAdmin(cluster.names, identity, certificate)

    def _write_pool_statuses(
        self, cluster: Cluster, pools: list[Document], ids: dict[str, tuple[int, ...]]
    ) -> None:
        for document in pools:
            name = document["metadata"]["name"]
            status = {
                "observedGeneration": document["metadata"]["generation"],
                "nodeIds": list(ids[name]),
                "clusterId": cluster.cluster_id,
                "roles": sorted(document["spec"]["roles"]),
                "replicas": len(ids[name]),
                "labelSelector": ",".join(
                    f"{key}={value}"
                    for key, value in {
                        **cluster.names.selector(),
                        "strimzi.io/pool-name": name,
                    }.items()
                ),
            }
            write_status(self._api, document, status)

    def _write_cluster_status(
        self, document: Document, cluster: Cluster, authorities: Authorities
    ) -> None:
        status = {
            **ready(document),
            "clusterId": cluster.cluster_id,
            "kafkaVersion": cluster.version,
            "kafkaMetadataVersion": cluster.metadata_version,
            "operatorLastSuccessfulVersion": "1.2.0",
            "kafkaNodePools": [{"name": pool.name} for pool in cluster.pools],
            "listeners": [
                self._listener_status(cluster, each, authorities) for each in cluster.listeners
            ],
        }
        for name in refused_settings(cluster.config):
            message = f"spec.kafka.config.{name} cannot be set and was left out"
            status["conditions"].append(warning("ForbiddenConfiguration", message))
        was_ready = is_ready_now(document)
        write_status(self._api, document, status)
        if not was_ready:
            say(f"Kafka {cluster.names.cluster}: Ready")

    def _listener_status(
        self, cluster: Cluster, listener: Listener, authorities: Authorities
    ) -> Document:
        host, port = cluster.names.bootstrap_host(), listener.port
        if listener.type == "nodeport":
            host = self._node_address()
            port = self._node_port(documents.bootstrap_node_port(cluster, listener))
        found: Document = {
            "name": listener.name,
            "bootstrapServers": f"{host}:{port}",
            "addresses": [{"host": host, "port": port}],
        }
        if listener.tls:
            found["certificates"] = [authorities.cluster.pair.certificate]
        return found


def new_cluster_id() -> str:
    """A random id in Kafka's form; one that starts with a dash would read as an option."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22]
        if not text.startswith("-"):
            return text
