"""What the tests of manifests and rights rest on: a real API server that refuses."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

import pytest

from harness.errors import ClusterError
from tests.kubernetes.lab.control_plane import ControlPlane
from tests.kubernetes.lab.programs import KUBERNETES_VERSION

pytestmark = pytest.mark.kubernetes


def topic(*, api_version: str = "kafka.strimzi.io/v1", **spec: Any) -> dict[str, Any]:
    """A KafkaTopic with six partitions, but for what `spec` says."""
    return {
        "apiVersion": api_version,
        "kind": "KafkaTopic",
        "metadata": {"name": "orders", "labels": {"strimzi.io/cluster": "my-cluster"}},
        "spec": {"partitions": 6, "replicas": 3, "config": {"min.insync.replicas": 2}, **spec},
    }


def test_the_api_server_is_the_pinned_version(control_plane: ControlPlane) -> None:
    version = json.loads(control_plane.admin.kubectl("version", "-o", "json").stdout)
    assert version["serverVersion"]["gitVersion"] == f"v{KUBERNETES_VERSION}"
    assert version["clientVersion"]["gitVersion"] == f"v{KUBERNETES_VERSION}"


@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        ("kafkas.kafka.strimzi.io", "Kafka"),
        ("kafkanodepools.kafka.strimzi.io", "KafkaNodePool"),
        ("kafkatopics.kafka.strimzi.io", "KafkaTopic"),
        ("kafkausers.kafka.strimzi.io", "KafkaUser"),
        ("strimzipodsets.core.strimzi.io", "StrimziPodSet"),
        ("podmonitors.monitoring.coreos.com", "PodMonitor"),
        ("podchaos.chaos-mesh.org", "PodChaos"),
        ("networkchaos.chaos-mesh.org", "NetworkChaos"),
    ],
)
def test_the_real_definition_is_served(
    control_plane: ControlPlane, resource: str, kind: str
) -> None:
    definition = control_plane.admin.get("crd", resource)
    assert definition["spec"]["names"]["kind"] == kind


def test_strimzi_serves_one_api_version(control_plane: ControlPlane) -> None:
    definition = control_plane.admin.get("crd", "kafkas.kafka.strimzi.io")
    served = [each["name"] for each in definition["spec"]["versions"] if each["served"]]
    assert served == ["v1"]


def test_a_topic_is_accepted(control_plane: ControlPlane) -> None:
    namespace = control_plane.new_namespace()
    document = topic()
    document["metadata"]["namespace"] = namespace
    control_plane.admin.apply(document)
    found = control_plane.admin.get("kafkatopic", "orders", "-n", namespace)
    assert found["spec"]["partitions"] == 6


def test_an_unknown_field_is_refused_by_its_path(control_plane: ControlPlane) -> None:
    with pytest.raises(ClusterError, match=r"\.spec\.partitons"):
        control_plane.admin.apply(topic(partitons=6))


def test_a_value_of_the_wrong_type_is_refused(control_plane: ControlPlane) -> None:
    with pytest.raises(ClusterError, match=r"spec\.partitions"):
        control_plane.admin.apply(topic(partitions="six"))


def test_the_older_api_version_is_not_served(control_plane: ControlPlane) -> None:
    with pytest.raises(ClusterError, match="v1beta2"):
        control_plane.admin.apply(topic(api_version="kafka.strimzi.io/v1beta2"))


ACCOUNT = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: chaos}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: chaos}
rules:
- {apiGroups: [""], resources: [configmaps], verbs: [list, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: chaos}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: chaos}
subjects: [{kind: ServiceAccount, name: chaos}]
"""


def test_an_account_may_do_what_its_role_says_and_nothing_else(
    control_plane: ControlPlane,
) -> None:
    namespace, other = control_plane.new_namespace(), control_plane.new_namespace()
    admin = control_plane.admin
    subject = "subjects: [{kind: ServiceAccount, name: chaos"
    text = ACCOUNT.replace(subject, f"{subject}, namespace: {namespace}")
    admin.kubectl("apply", "-n", namespace, "-f", "-", stdin=text)
    admin.kubectl("create", "configmap", "one", "-n", namespace)
    account = control_plane.as_account(namespace, "chaos")

    listed = account.kubectl("get", "configmaps", "-o", "name").stdout.split()
    assert "configmap/one" in listed
    account.kubectl("delete", "configmap", "one")
    assert "configmap/one" not in account.kubectl("get", "configmaps", "-o", "name").stdout

    for refused in (
        ("create", "configmap", "two"),
        ("get", "configmap", "kube-root-ca.crt"),
        ("get", "secrets"),
        ("get", "configmaps", "-n", other),
        ("get", "nodes"),
    ):
        done = account.kubectl(*refused, check=False)
        assert done.returncode != 0, refused
        assert "is forbidden: User" in done.stderr, done.stderr


def test_a_token_of_no_account_cannot_be_had(control_plane: ControlPlane) -> None:
    with pytest.raises(ClusterError, match="not found"):
        control_plane.as_account("default", "nobody")


def test_nobody_gets_in_without_credentials(control_plane: ControlPlane) -> None:
    context = ssl.create_default_context(cafile=str(control_plane.ca_file))
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{control_plane.url}/api/v1/secrets", context=context)
    assert refused.value.code in (401, 403)


def test_the_python_client_works_with_an_access(control_plane: ControlPlane) -> None:
    from kubernetes import client

    namespaces = client.CoreV1Api(control_plane.admin.api()).list_namespace().items
    assert "kube-system" in {each.metadata.name for each in namespaces}


def test_two_control_planes_run_side_by_side(control_plane: ControlPlane) -> None:
    with ControlPlane.start() as other:
        assert other.url != control_plane.url
        name = other.new_namespace("only-here")
        assert name not in control_plane.admin.kubectl("get", "namespaces").stdout
        folder = other.folder
    assert not folder.exists()
