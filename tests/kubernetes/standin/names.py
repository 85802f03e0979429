"""Names, labels and annotations that Strimzi gives to what it makes.

Source: Strimzi 1.2, `KafkaResources`, `Labels`, `Annotations` and the documentation's list of
cluster resources. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OPERATOR: Final = "strimzi-cluster-operator"
"""The name of the operator's Deployment, service account and field manager."""
DOMAIN: Final = "strimzi.io"
CLUSTER_LABEL: Final = "strimzi.io/cluster"
POD_NAME_LABEL: Final = "strimzi.io/pod-name"
REVISION: Final = "strimzi.io/revision"
CONFIGURATION_HASH: Final = "strimzi.io/broker-configuration-hash"
SERVER_CERTIFICATE_HASH: Final = "strimzi.io/server-cert-hash"
MANUAL_ROLLING_UPDATE: Final = "strimzi.io/manual-rolling-update"
NEXT_NODE_IDS: Final = "strimzi.io/next-node-ids"
REMOVE_NODE_IDS: Final = "strimzi.io/remove-node-ids"
CA_GENERATION: Final = "strimzi.io/ca-cert-generation"
CLUSTER_CA_GENERATION: Final = "strimzi.io/cluster-ca-cert-generation"
FORCE_RENEW: Final = "strimzi.io/force-renew"
TOPIC_FINALIZER: Final = "strimzi.io/topic-operator"

CONTROL_PLANE_PORT: Final = 9090
REPLICATION_PORT: Final = 9091
CONTAINER: Final = "kafka"


@dataclass(frozen=True, slots=True)
class ClusterNames:
    """What the resources of one Kafka cluster are called."""

    namespace: str
    cluster: str

    @property
    def component(self) -> str:
        """The value of `strimzi.io/name`, and the name of the service account and the budget."""
        return f"{self.cluster}-kafka"

    @property
    def bootstrap_service(self) -> str:
        return f"{self.cluster}-kafka-bootstrap"

    @property
    def brokers_service(self) -> str:
        """The headless service, under which each pod has a DNS name."""
        return f"{self.cluster}-kafka-brokers"

    @property
    def cluster_ca(self) -> str:
        return f"{self.cluster}-cluster-ca"

    @property
    def clients_ca(self) -> str:
        return f"{self.cluster}-clients-ca"

    @property
    def operator_certificate(self) -> str:
        return f"{self.cluster}-cluster-operator-certs"

    def pod_set(self, pool: str) -> str:
        return f"{self.cluster}-{pool}"

    def pod(self, pool: str, node_id: int) -> str:
        return f"{self.cluster}-{pool}-{node_id}"

    def pod_host(self, pod: str) -> str:
        """The pod's DNS name without the cluster's domain."""
        return f"{pod}.{self.brokers_service}.{self.namespace}.svc"

    def bootstrap_host(self) -> str:
        return f"{self.bootstrap_service}.{self.namespace}.svc"

    def selector(self) -> dict[str, str]:
        """Labels that select every node of the cluster."""
        return {
            CLUSTER_LABEL: self.cluster,
            "strimzi.io/kind": "Kafka",
            "strimzi.io/name": self.component,
        }

    def labels(self) -> dict[str, str]:
        """Labels of what belongs to the cluster as a whole."""
        return {
            **self.selector(),
            "strimzi.io/component-type": "kafka",
            "app.kubernetes.io/name": "kafka",
            "app.kubernetes.io/instance": self.cluster,
            "app.kubernetes.io/part-of": f"strimzi-{self.cluster}",
            "app.kubernetes.io/managed-by": OPERATOR,
        }

    def pool_labels(self, pool: str) -> dict[str, str]:
        return {**self.labels(), "strimzi.io/pool-name": pool}


def service_sans(namespace: str, name: str) -> list[str]:
    """The DNS names under which a service, or a pod of a headless one, is reached."""
    return [name, f"{name}.{namespace}", f"{name}.{namespace}.svc"] + [
        f"{name}.{namespace}.svc.cluster.local"
    ]
