"""The cluster `delivery` of k8s/overlays/ci on a node, run by the stand-in for Strimzi."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.errors import ClusterError
from tests.kubernetes.images.harness_image import NAME as HARNESS_IMAGE
from tests.kubernetes.images.harness_image import harness_image
from tests.kubernetes.images.kafka_image import NAME as KAFKA_IMAGE
from tests.kubernetes.images.kafka_image import kafka_image
from tests.kubernetes.images.standin_image import NAME as STANDIN_IMAGE
from tests.kubernetes.images.standin_image import standin_image
from tests.kubernetes.lab.access import Access
from tests.kubernetes.lab.inside import RunningNode
from tests.kubernetes.lab.node import Node
from tests.kubernetes.strimzi.deployment import operator_documents, storage_documents

OVERLAY: Final = Path(__file__).resolve().parents[3] / "k8s" / "overlays" / "ci"
ZONE: Final = "topology.kubernetes.io/zone"
READY_TIMEOUT_S: Final = 300.0
_POLL_S: Final = 0.5

IMAGES: Final = (
    (STANDIN_IMAGE, standin_image),
    (KAFKA_IMAGE, kafka_image),
    (HARNESS_IMAGE, harness_image),
)
"""What pods of the tests run from; each is made once and kept in the cache."""


@dataclass(frozen=True, slots=True)
class StrimziCluster:
    """A Kafka cluster as Strimzi would run it, and what tests do with it from outside."""

    node: RunningNode
    namespace: str = "kafka"
    cluster: str = "delivery"
    ready_in_s: float = 0.0

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, valid in the node's network."""
        return self.node.inside

    @property
    def access(self) -> Access:
        """The administrator, from the host."""
        return self.node.control.admin

    def get(self, *what: str) -> dict[str, Any]:
        """`kubectl get … -o json` in the namespace."""
        printed = self.access.kubectl("get", "-n", self.namespace, *what, "-o", "json").stdout
        found: dict[str, Any] = json.loads(printed)
        return found

    def pods(self, **labels: str) -> list[dict[str, Any]]:
        """Pods of the Kafka cluster; `broker_role="true"` are those with strimzi.io/broker-role."""
        wanted = {"cluster": self.cluster, "name": f"{self.cluster}-kafka", **labels}
        selector = ",".join(f"strimzi.io/{k.replace('_', '-')}={v}" for k, v in wanted.items())
        items: list[dict[str, Any]] = self.get("pods", "-l", selector)["items"]
        return items

    def exec(self, pod: str, *argv: str) -> str:
        """A command in the pod's Kafka container."""
        command = ("exec", "-n", self.namespace, pod, "-c", "kafka", "--", *argv)
        return self.access.kubectl(*command).stdout

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Until Kafka, its users and topics are Ready at their generation, and so is each pod."""
        self.wait("every resource and pod is ready", lambda: not self.not_ready(), timeout_s)

    def not_ready(self) -> list[str]:
        """What is missing or not Ready, as kind/name."""
        found = [
            f"{item['kind']}/{item['metadata']['name']}"
            for item in self.get("kafkas,kafkatopics,kafkausers")["items"]
            if not is_ready(item)
        ]
        pods = self.pods()
        count = sum(each["spec"]["replicas"] for each in self.get("kafkanodepools")["items"])
        if len(pods) < count:
            found.append(f"{count - len(pods)} of {count} pods")
        return found + [f"Pod/{each['metadata']['name']}" for each in pods if not is_ready(each)]

    def wait(self, what: str, condition: Callable[[], bool], timeout_s: float) -> None:
        """Raises ClusterError, with what is not ready and the operator's log, when it lasts."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise ClusterError(f"waited {timeout_s:.0f} s until {what}; {self.explain()}")
            time.sleep(_POLL_S)

    def explain(self) -> str:
        """What is not ready, and the last words of the operator."""
        log = self.access.kubectl(
            *("logs", "-n", self.namespace, "deployment/strimzi-cluster-operator", "--tail=15"),
            check=False,
        )
        return f"not ready: {', '.join(self.not_ready())}\n{log.stdout}{log.stderr}"


@contextmanager
def strimzi_cluster_on(node: RunningNode) -> Iterator[StrimziCluster]:
    """Bring `k8s/overlays/ci` up on the node; it is taken away with the node.

    Raises ClusterError when it does not become ready, EnvironmentFailure when an image cannot be
    made.
    """
    began = time.monotonic()
    admin = node.control.admin
    cluster = StrimziCluster(node)
    admin.kubectl("label", "node", node.name, f"{ZONE}=zone-a", "--overwrite")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace}}
    admin.apply(namespace)
    if isinstance(node, Node):
        _start_standin(node, cluster.namespace)
    admin.kubectl("apply", "--server-side", "-k", str(OVERLAY))
    # Tests that want load from workers scale them up.
    admin.kubectl("scale", "-n", cluster.namespace, "deployment/locust-worker", "--replicas=0")
    # The harness's image comes in while brokers start.
    _import_image(node, HARNESS_IMAGE)
    cluster.wait_ready()
    yield StrimziCluster(node, ready_in_s=time.monotonic() - began)


def _start_standin(node: Node, namespace: str) -> None:
    """The stand-in for Strimzi's operators, its volumes, and the image of its brokers."""
    admin = node.control.admin
    _import_image(node, STANDIN_IMAGE)
    admin.apply(*storage_documents(node.volumes, node.name))
    _import_image(node, KAFKA_IMAGE)
    admin.apply(*operator_documents(namespace))


def _import_image(node: RunningNode, name: str) -> None:
    if name not in node.images():
        node.import_image(dict(IMAGES)[name](), name)


def is_ready(item: dict[str, Any]) -> bool:
    """Ready at its generation, and not on its way out."""
    status = item.get("status") or {}
    generation = item["metadata"].get("generation", 1)
    if item["kind"] != "Pod" and status.get("observedGeneration") != generation:
        return False
    conditions = status.get("conditions") or ()
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and not item["metadata"].get("deletionTimestamp")
