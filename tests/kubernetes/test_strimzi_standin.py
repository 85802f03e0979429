"""The Kafka cluster of k8s/overlays/ci as the stand-in for Strimzi runs it: real pods that die."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.kubernetes.strimzi.clients import count_of, settings_of, traffic
from tests.kubernetes.strimzi.cluster import StrimziCluster, is_ready

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]

EXIT_CODE: Final = ".status.containerStatuses[0].state.terminated.exitCode"
KILLED: Final = 137
AGAIN_TIMEOUT_S: Final = 180.0


class Ends:
    """How the containers of one pod ended, seen by a watch while the pod goes."""

    def __init__(self, cluster: StrimziCluster, pod: str) -> None:
        self._process = subprocess.Popen(
            [
                str(cluster.node.control.binaries / "kubectl"),
                f"--kubeconfig={cluster.access.kubeconfig}",
                *("get", "pod", pod, "-n", cluster.namespace, "--watch"),
                f'-o=jsonpath={{.metadata.uid}} {{{EXIT_CODE}}}{{"\\n"}}',
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.exit_codes: dict[str, int] = {}
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            uid, _, code = line.strip().partition(" ")
            if code:
                self.exit_codes[uid] = int(code)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._reader.join(10)


def to_java(signal: str) -> tuple[str, ...]:
    """The command that sends a signal to the JVM of a pod; its image has no pgrep."""
    found = '[ "$(cat $p/comm)" = java ]'
    script = f"for p in /proc/[0-9]*; do {found} && kill -{signal} ${{p#/proc/}}; done"
    return ("bash", "-c", f"{script}; true")


def leader_of(process: subprocess.Popen[str]) -> str:
    """What the traffic says; among it are librdkafka's own lines."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        if line.startswith("leader "):
            return line.split()[1]
        said.append(line)
    raise AssertionError("".join(said))


def uid(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["uid"])


@pytest.fixture
def healthy(strimzi_cluster: StrimziCluster) -> Iterator[StrimziCluster]:
    """The session's cluster, ready before the test and after it."""
    strimzi_cluster.wait_ready()
    yield strimzi_cluster
    strimzi_cluster.wait_ready()


def test_the_cluster_has_strimzis_names_labels_and_secrets(healthy: StrimziCluster) -> None:
    brokers = healthy.pods(broker_role="true")
    assert [each["metadata"]["name"] for each in brokers] == [
        f"delivery-brokers-{node_id}" for node_id in (0, 1, 2)
    ]
    assert len(healthy.pods(controller_role="true")) == 3
    status = healthy.get("kafka", "delivery")["status"]
    assert status["kafkaNodePools"] == [{"name": "brokers"}, {"name": "controllers"}]
    assert [each["name"] for each in status["listeners"]] == ["plain", "tls", "mtls"]
    assert healthy.get("kafkanodepool", "controllers")["status"]["nodeIds"] == [3, 4, 5]
    assert "ca.crt" in healthy.get("secret", "delivery-cluster-ca-cert")["data"]
    assert set(healthy.get("secret", "harness-mtls")["data"]) == {"ca.crt", "user.crt", "user.key"}
    racks = healthy.exec("delivery-brokers-0", "grep", "^broker.rack", "/tmp/server.properties")
    assert racks.strip() == "broker.rack=zone-a"


def test_a_leader_killed_under_load_loses_nothing_that_all_replicas_acknowledged(
    healthy: StrimziCluster,
) -> None:
    load = traffic(healthy, "harness-standin-kill", 40, settings_of(healthy, "harness"))
    leader = leader_of(load)
    name = f"delivery-brokers-{leader}"
    before = healthy.get("pod", name)
    marks = healthy.exec(name, "cat", f"/var/lib/kafka/data-0/kafka-log{leader}/meta.properties")
    ends = Ends(healthy, name)
    try:
        # One second is enough for a broker to end in an orderly way: stopped, it cannot.
        healthy.exec(name, *to_java("STOP"))
        healthy.access.kubectl("delete", "pod", name, "-n", "kafka", "--grace-period=1")
        healthy.wait_ready(AGAIN_TIMEOUT_S)
    finally:
        ends.close()
    counted = count_of(load)
    after = healthy.get("pod", name)
    assert ends.exit_codes[uid(before)] == KILLED
    assert uid(after) != uid(before)
    kept = healthy.exec(name, "cat", f"/var/lib/kafka/data-0/kafka-log{leader}/meta.properties")
    assert kept == marks
    assert counted["acked"] > 5_000
    assert (counted["lost"], counted["failed"], counted["duplicates"]) == (0, 0, 0), counted


def test_a_user_may_do_what_its_acls_say_and_no_more(healthy: StrimziCluster) -> None:
    refused = traffic(healthy, "not-the-harness", 1, settings_of(healthy, "harness"))
    printed, _ = refused.communicate(timeout=120)
    assert refused.returncode != 0
    assert "TOPIC_AUTHORIZATION_FAILED" in printed


def test_a_manual_rolling_update_restarts_each_pod_of_the_set_once(
    healthy: StrimziCluster,
) -> None:
    before = {each["metadata"]["name"]: uid(each) for each in healthy.pods()}
    healthy.access.kubectl(
        *("annotate", "-n", "kafka", "strimzipodset/delivery-brokers"),
        "strimzi.io/manual-rolling-update=true",
    )

    def restarted() -> set[str]:
        return {
            each["metadata"]["name"]
            for each in healthy.pods()
            if uid(each) != before[each["metadata"]["name"]]
        }

    brokers = {name for name in before if "-brokers-" in name}
    healthy.wait("every broker is a new pod", lambda: restarted() == brokers, 300)
    healthy.wait_ready(AGAIN_TIMEOUT_S)
    assert restarted() == brokers
    annotations = healthy.get("strimzipodset", "delivery-brokers")["metadata"].get("annotations")
    assert "strimzi.io/manual-rolling-update" not in (annotations or {})


@pytest.mark.long
def test_a_change_of_the_kafka_resource_restarts_every_pod_one_at_a_time(
    healthy: StrimziCluster,
) -> None:
    before = {each["metadata"]["name"]: uid(each) for each in healthy.pods()}
    change = {"metadata": {"annotations": {"delivery-harness/rolled": "once"}}}
    patch = json.dumps({"spec": {"kafka": {"template": {"pod": change}}}})
    healthy.access.kubectl(
        "patch", "-n", "kafka", "kafka/delivery", "--type=merge", "--patch", patch
    )
    ready: list[int] = []

    def all_new() -> bool:
        pods = {each["metadata"]["name"]: each for each in healthy.pods()}
        ready.append(sum(map(is_ready, pods.values())))
        return all(name in pods and uid(pods[name]) != before[name] for name in before)

    healthy.wait("every pod is a new one", all_new, 400)
    healthy.wait_ready(AGAIN_TIMEOUT_S)
    assert min(ready) >= len(before) - 1


def test_a_broker_process_killed_in_its_container_is_started_again_in_the_same_pod(
    healthy: StrimziCluster,
) -> None:
    name = "delivery-brokers-2"
    before = healthy.get("pod", name)
    healthy.exec(name, *to_java("KILL"))

    def restarted() -> bool:
        status = healthy.get("pod", name)["status"]["containerStatuses"][0]
        return bool(status["restartCount"] == 1 and status["ready"])

    healthy.wait("the container runs again", restarted, AGAIN_TIMEOUT_S)
    after = healthy.get("pod", name)
    ended = after["status"]["containerStatuses"][0]["lastState"]["terminated"]
    assert uid(after) == uid(before)
    assert ended["exitCode"] == KILLED


def test_without_its_operator_a_deleted_pod_stays_away(healthy: StrimziCluster) -> None:
    def scale(replicas: int) -> None:
        operator = "deployment/strimzi-cluster-operator"
        healthy.access.kubectl("scale", "-n", "kafka", operator, f"--replicas={replicas}")
        wanted = ("rollout", "status", "-n", "kafka", operator, "--timeout=60s")
        healthy.access.kubectl(*wanted, timeout_s=70)

    def operators() -> list[Any]:
        found: list[Any] = healthy.get("pods", "-l", "name=strimzi-cluster-operator")["items"]
        return found

    before = uid(healthy.get("pod", "delivery-controllers-5"))
    scale(0)
    try:
        healthy.wait("the operator is gone", lambda: not operators(), 60)
        healthy.access.kubectl("delete", "-n", "kafka", "pod/delivery-controllers-5", timeout_s=90)
        assert healthy.not_ready() == ["1 of 6 pods"]
    finally:
        scale(1)
    healthy.wait_ready(AGAIN_TIMEOUT_S)
    assert uid(healthy.get("pod", "delivery-controllers-5")) != before


def test_a_topic_is_changed_and_deleted_with_its_resource(healthy: StrimziCluster) -> None:
    topic = {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaTopic",
        "metadata": {
            "name": "changing",
            "namespace": "kafka",
            "labels": {"strimzi.io/cluster": "delivery"},
        },
        "spec": {"partitions": 1, "replicas": 3, "config": {"retention.ms": 1000}},
    }
    healthy.access.apply(topic)
    healthy.wait_ready(60)
    first = healthy.get("kafkatopic", "changing")["status"]
    spec = {"partitions": 2, "replicas": 3, "config": {"retention.ms": 2000}}
    healthy.access.apply({**topic, "spec": spec})
    healthy.wait_ready(60)
    assert healthy.get("kafkatopic", "changing")["status"]["topicId"] == first["topicId"]
    healthy.access.apply({**topic, "spec": {**spec, "partitions": 1}})

    def refused() -> bool:
        conditions = healthy.get("kafkatopic", "changing")["status"]["conditions"]
        return "Decreasing partitions" in str(conditions[0].get("message"))

    healthy.wait("the smaller number is refused", refused, 60)
    healthy.access.kubectl("delete", "-n", "kafka", "kafkatopic/changing", timeout_s=60)


@pytest.mark.long
def test_a_renewed_cluster_ca_restarts_the_pods_and_old_clients_go_on(
    healthy: StrimziCluster,
) -> None:
    old = settings_of(healthy, "harness")
    before = {each["metadata"]["name"]: uid(each) for each in healthy.pods()}
    healthy.access.kubectl(
        *("annotate", "-n", "kafka", "secret/delivery-cluster-ca-cert"),
        "strimzi.io/force-renew=true",
    )

    def all_new() -> bool:
        pods = {each["metadata"]["name"]: each for each in healthy.pods()}
        return all(name in pods and uid(pods[name]) != before[name] for name in before)

    healthy.wait("every pod is a new one", all_new, 400)
    healthy.wait_ready(AGAIN_TIMEOUT_S)
    assert settings_of(healthy, "harness")["ssl.ca.pem"] != old["ssl.ca.pem"]
    load = traffic(healthy, "harness-standin-renewed", 3, old)
    assert count_of(load)["lost"] == 0
