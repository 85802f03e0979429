"""Pods deleted and watched on a real API server, where they are objects without processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client

from harness.brokers.strimzi import cluster_operator, verbs
from harness.brokers.strimzi.access import Kubernetes
from harness.brokers.strimzi.cluster import StrimziBrokers
from harness.brokers.strimzi.operated import StrimziOperated
from harness.brokers.strimzi.target import StrimziTarget
from harness.errors import ClusterError
from harness.rundir.events import PodEvent
from tests.kubernetes.lab.control_plane import ControlPlane
from tests.support.pods_by_hand import CLUSTER, NODE, POOL, PodsByHand

pytestmark = pytest.mark.kubernetes


@pytest.fixture
def namespace(control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> str:
    """A namespace with a node pool of three brokers, and a Kubernetes node that is only a name."""
    admin = control_plane.admin
    name = control_plane.new_namespace("verbs")
    monkeypatch.setenv("KUBECONFIG", str(admin.kubeconfig))
    monkeypatch.setattr(verbs, "ANSWER_S", 0.1)
    admin.apply(
        {"apiVersion": "v1", "kind": "Node",
         "metadata": {"name": NODE, "labels": {"topology.kubernetes.io/zone": "west"}}},
        {"apiVersion": "kafka.strimzi.io/v1", "kind": "KafkaNodePool",
         "metadata": {"name": POOL, "namespace": name, "labels": {"strimzi.io/cluster": CLUSTER}},
         "spec": {"replicas": 3, "roles": ["broker"], "storage": {"type": "ephemeral"}}},
    )  # fmt: skip
    admin.kubectl(
        "-n", name, "patch", f"kafkanodepool.kafka.strimzi.io/{POOL}", "--subresource=status",
        "--type=merge", "-p", '{"status": {"nodeIds": [0, 1, 2], "roles": ["broker"]}}',
    )  # fmt: skip
    return name


@pytest.fixture
def pods(control_plane: ControlPlane, namespace: str) -> Iterator[PodsByHand]:
    made = PodsByHand(control_plane.admin.api(), namespace)
    yield made
    made.end()


def control(namespace: str) -> StrimziOperated:
    return StrimziOperated(
        StrimziTarget(namespace, CLUSTER), Kubernetes.connect(),
        {"bootstrap.servers": "127.0.0.1:1"}, StrimziBrokers.capabilities,
    )  # fmt: skip


def test_a_kill_shows_the_end_of_the_pod_and_the_next_one(namespace: str, pods: PodsByHand) -> None:
    brokers = control(namespace)
    assert brokers.broker_ids == [0, 1, 2]
    killed = brokers.kill(1)
    assert (killed.gone, killed.exit_code, killed.grace_s) == (True, 137, 1)
    brokers.follow_up(killed)
    assert killed.shortcomings() == []
    assert killed.uid_after not in (None, killed.uid)
    assert killed.ready_after_s is not None
    assert killed.pod == pods.name(1)


def test_a_kill_that_ends_in_order_is_no_crash(namespace: str, pods: PodsByHand) -> None:
    pods.exits[2] = 143
    (said,) = control(namespace).kill(2).shortcomings()
    assert "which is no crash" in said


def test_a_restart_waits_for_the_next_pod_to_be_ready(namespace: str, pods: PodsByHand) -> None:
    restarted = control(namespace).restart(0)
    assert restarted.shortcomings() == []
    assert (restarted.exit_code, restarted.grace_s) == (143, None)
    pods.exits[1] = 137
    assert "the grace period was over" in control(namespace).restart(1).shortcomings()[0]


def test_pods_of_a_zone_are_killed_together(namespace: str, pods: PodsByHand) -> None:
    brokers = control(namespace)
    assert brokers.zones() == {0: "west", 1: "west", 2: "west"}
    killed = brokers.kill_together([0, 2])
    assert [each.pod for each in killed] == [pods.name(0), pods.name(2)]
    for each in killed:
        brokers.follow_up(each)
        assert each.shortcomings() == []


def test_a_selector_that_matches_no_pod_is_a_failed_fault(namespace: str, pods: PodsByHand) -> None:
    pods.core.patch_namespaced_pod(
        pods.name(1), namespace, {"metadata": {"labels": {"strimzi.io/pod-name": None}}}
    )
    with pytest.raises(ClusterError, match="matched no pod"):
        control(namespace).kill(1)
    assert (
        pods.core.read_namespaced_pod(pods.name(1), namespace).metadata.deletion_timestamp is None
    )


def test_a_broker_without_a_pod_cannot_be_struck(namespace: str, pods: PodsByHand) -> None:
    pods.again = False
    brokers = control(namespace)
    brokers.kill(1)
    with pytest.raises(ClusterError, match=f"there is no pod {pods.name(1)}"):
        brokers.kill(1)
    with pytest.raises(ClusterError, match=f"{pods.name(1)} is not there"):
        brokers.heal(timeout_s=2)


def test_what_ends_without_us_is_recorded_by_its_uid(namespace: str, pods: PodsByHand) -> None:
    events: list[PodEvent] = []
    uid = pods.core.read_namespaced_pod(pods.name(0), namespace).metadata.uid
    end = control(namespace).watch_restarts(events.append)
    pods.core.delete_namespaced_pod(pods.name(0), namespace)
    pods.status(2, restarts=1, last_exit_code=1, reason="OOMKilled")
    deadline = time.monotonic() + 30
    while len(events) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    end()
    found = sorted((each.phase, each.pod, each.exit_code, each.reason) for each in events)
    assert found == [
        ("ended", pods.name(0), 143, "Error"),
        ("restarted", pods.name(2), 1, "OOMKilled"),
    ]
    assert uid in {each.uid for each in events}


def test_an_operator_elsewhere_is_left_alone_and_one_here_comes_back(
    namespace: str, pods: PodsByHand, control_plane: ControlPlane
) -> None:
    brokers = control(namespace)
    with pytest.raises(ClusterError, match="there is none in namespace"):
        brokers.stop_operator()
    labels = {"name": "strimzi-cluster-operator"}
    control_plane.admin.apply(
        {"apiVersion": "apps/v1", "kind": "Deployment",
         "metadata": {"name": "strimzi-cluster-operator", "namespace": namespace},
         "spec": {"replicas": 2, "selector": {"matchLabels": labels},
                  "template": {"metadata": {"labels": labels},
                               "spec": {"containers": [{"name": "o", "image": "none"}]}}}},
    )  # fmt: skip
    apps = client.AppsV1Api(control_plane.admin.api())

    def replicas() -> Any:
        deployment = apps.read_namespaced_deployment("strimzi-cluster-operator", namespace)
        return deployment.spec.replicas, deployment.metadata.annotations or {}

    brokers.stop_operator()
    assert replicas()[0] == 0
    assert replicas()[1]["delivery-harness/replicas"] == "2"
    control(namespace).heal(timeout_s=30)
    assert replicas()[0] == 2
    assert "delivery-harness/replicas" not in replicas()[1]
    assert pods.again


def rights_of_the_operator(plane: ControlPlane, namespace: str) -> None:
    """Its service account and role binding, as Strimzi's Helm chart makes them."""
    group, name = "rbac.authorization.k8s.io", "strimzi-cluster-operator"
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    other = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    plane.admin.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount",
         "metadata": {"name": name, "namespace": namespace}},
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole",
         "metadata": {"name": f"{name}-namespaced"},
         "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "delete"]}]},
        {"apiVersion": f"{group}/v1", "kind": "RoleBinding",
         "metadata": {"name": name, "namespace": namespace},
         "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": f"{name}-namespaced"},
         "subjects": [other, subject]},
    )  # fmt: skip


def operator_may(plane: ControlPlane, namespace: str) -> bool:
    who = f"--as=system:serviceaccount:{namespace}:strimzi-cluster-operator"
    asked = plane.admin.kubectl("auth", "can-i", "create", "pods", "-n", namespace, who,
                                check=False)  # fmt: skip
    return bool(asked.stdout.strip() == "yes")


def await_right(plane: ControlPlane, namespace: str) -> None:
    deadline = time.monotonic() + 20
    while not operator_may(plane, namespace):
        assert time.monotonic() < deadline


def test_an_operators_rights_are_taken_away_and_given_back_by_whoever_heals(
    namespace: str, pods: PodsByHand, control_plane: ControlPlane
) -> None:
    with pytest.raises(ClusterError, match="no RoleBinding in namespace"):
        control(namespace).revoke_operator()
    rights_of_the_operator(control_plane, namespace)
    await_right(control_plane, namespace)
    revoked = control(namespace).revoke_operator()
    assert revoked.shortcomings() == []
    assert (revoked.allowed_before, revoked.allowed_after) == (True, False)
    assert revoked.bindings == ["strimzi-cluster-operator"]
    assert not operator_may(control_plane, namespace)
    binding = ("-n", namespace, "rolebinding", "strimzi-cluster-operator")
    left = control_plane.admin.get(*binding)
    assert [each["name"] for each in left["subjects"]] == ["default"]
    control(namespace).heal(timeout_s=30)
    await_right(control_plane, namespace)
    back = control_plane.admin.get(*binding)
    assert [each["name"] for each in back["subjects"]] == ["default", "strimzi-cluster-operator"]
    assert "delivery-harness/subjects" not in back["metadata"].get("annotations", {})
    assert pods.again


def test_an_operator_that_another_binding_lets_go_on_is_no_effect(
    namespace: str, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    rights_of_the_operator(control_plane, namespace)
    await_right(control_plane, namespace)
    monkeypatch.setattr(cluster_operator, "REVOKED_S", 0.5)
    control_plane.admin.kubectl(
        "create", "clusterrolebinding", f"everywhere-{namespace}",
        "--clusterrole=strimzi-cluster-operator-namespaced",
        f"--serviceaccount={namespace}:strimzi-cluster-operator",
    )  # fmt: skip
    (said,) = control(namespace).revoke_operator().shortcomings()
    assert "it still may create pods" in said
    control_plane.admin.kubectl("delete", "clusterrolebinding", f"everywhere-{namespace}")


def test_missing_rights_are_all_named_before_anything_is_touched(
    namespace: str, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = control_plane.as_account(namespace, "default")
    monkeypatch.setenv("KUBECONFIG", str(account.kubeconfig))
    with pytest.raises(ClusterError) as failed:
        control(namespace).require_rights(frozenset({"process", "pause", "operator"}))
    for right in ("list pods", "watch pods", "delete pods", "get pods/exec", "create pods/exec",
                  "patch deployments.apps"):  # fmt: skip
        assert right in str(failed.value)
