"""The pure parts of the stand-in for the Strimzi operators (tests/kubernetes/standin)."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from tests.kubernetes.standin.broker_config import nodes_of, refused_settings, server_config
from tests.kubernetes.standin.custom_resources import (
    Cluster,
    InvalidResource,
    read_cluster,
)
from tests.kubernetes.standin.names import MANUAL_ROLLING_UPDATE, REVISION
from tests.kubernetes.standin.node_ids import assign, parse_ranges
from tests.kubernetes.standin.pods import PodContents, pod_document
from tests.kubernetes.standin.quotas import decode, encode
from tests.kubernetes.standin.roller import reasons

TLS = {
    "name": "tls",
    "port": 9093,
    "type": "internal",
    "tls": True,
    "authentication": {"type": "scram-sha-512"},
}


def pool(name: str, roles: list[str], **metadata: Any) -> dict[str, Any]:
    volumes = [{"id": 0, "type": "persistent-claim", "size": "1Gi"}]
    return {
        "metadata": {"name": name, "uid": name, "generation": 1, **metadata},
        "spec": {"replicas": 3, "roles": roles, "storage": {"type": "jbod", "volumes": volumes}},
    }


def cluster(kafka: dict[str, Any] | None = None, *pools: dict[str, Any]) -> Cluster:
    document = {
        "metadata": {"name": "delivery", "namespace": "kafka", "uid": "u", "generation": 1},
        "spec": {"kafka": {"listeners": [TLS], **(kafka or {})}},
    }
    return read_cluster(
        document, list(pools) or [pool("broker", ["broker"]), pool("controller", ["controller"])]
    )


def config_of(of: Cluster, pod: str) -> dict[str, str]:
    nodes = nodes_of(of, assign(of.pools))
    node = next(each for each in nodes if each.pod == pod)
    lines = server_config(of, node, nodes, {}).splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_node_ids_count_over_all_pools() -> None:
    assert assign(cluster().pools) == {"broker": (0, 1, 2), "controller": (3, 4, 5)}


def test_a_pool_takes_its_new_ids_from_its_annotation_while_they_last() -> None:
    wanted = pool("broker", ["broker"], annotations={"strimzi.io/next-node-ids": "[10-11]"})
    ids = assign(cluster(None, wanted, pool("controller", ["controller"])).pools)
    assert ids == {"broker": (0, 10, 11), "controller": (1, 2, 3)}


def test_ids_stay_with_their_nodes_and_the_highest_goes_first() -> None:
    kept = pool("broker", ["broker", "controller"])
    kept["status"] = {"nodeIds": [4, 7, 9, 12]}
    assert assign(cluster(None, kept).pools) == {"broker": (4, 7, 9)}


def test_what_is_no_list_of_ids_is_refused() -> None:
    assert parse_ranges("[3, 7-5]") == [3, 7, 6, 5]
    with pytest.raises(InvalidResource, match=r"\[0, 1, 10-19\]"):
        parse_ranges("[one]")


def test_a_broker_knows_the_controllers_and_has_no_control_plane_listener() -> None:
    config = config_of(cluster(), "delivery-broker-0")
    host = "delivery-kafka-brokers.kafka.svc"
    voters = [f"{each}@delivery-controller-{each}.{host}:9090" for each in (3, 4, 5)]
    assert config["controller.quorum.voters"] == ",".join(voters)
    assert config["listeners"] == "REPLICATION-9091://0.0.0.0:9091,TLS-9093://0.0.0.0:9093"
    assert config["advertised.listeners"].endswith(f"TLS-9093://delivery-broker-0.{host}:9093")
    assert config["log.dirs"] == "/var/lib/kafka/data-0/kafka-log0"


def test_a_controller_listens_on_the_control_plane_alone() -> None:
    config = config_of(cluster(), "delivery-controller-3")
    assert config["process.roles"] == "controller"
    assert config["listeners"] == "CONTROLPLANE-9090://0.0.0.0:9090"


def test_settings_that_strimzi_forbids_do_not_reach_the_broker() -> None:
    given = {"broker.rack": "mine", "broker.session.timeout.ms": 3000}
    of = cluster({"config": {**given, "auto.create.topics.enable": False}})
    assert refused_settings(of.config) == ["broker.rack"]
    config = config_of(of, "delivery-broker-0")
    assert "broker.rack" not in config
    assert config["broker.session.timeout.ms"] == "3000"
    assert config["auto.create.topics.enable"] == "false"


def test_a_resource_that_cannot_be_carried_out_says_why() -> None:
    with pytest.raises(InvalidResource, match="nodeport"):
        cluster({"listeners": [{**TLS, "type": "loadbalancer"}]})
    with pytest.raises(InvalidResource, match="controller role"):
        cluster(None, pool("broker", ["broker"]))


def test_a_pods_revision_changes_with_its_contents_and_its_template() -> None:
    def revision(of: Cluster, contents: PodContents) -> str:
        node = nodes_of(of, assign(of.pools))[0]
        return str(pod_document(of, node, contents)["metadata"]["annotations"][REVISION])

    first = revision(cluster(), PodContents("a", "b", 0))
    template = {"template": {"pod": {"metadata": {"annotations": {"changed": "yes"}}}}}
    assert first == revision(cluster(), PodContents("a", "b", 0))
    assert first != revision(cluster(), PodContents("other", "b", 0))
    assert first != revision(cluster(template), PodContents("a", "b", 0))


def running(name: str, revision: str, **annotations: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "labels": {"strimzi.io/broker-role": str("broker" in name).lower()},
            "annotations": {REVISION: revision, **annotations},
        },
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def test_pods_are_restarted_controllers_first_and_only_where_there_is_a_reason() -> None:
    names = ["c-broker-0", "c-broker-1", "c-controller-2"]
    pods = [running(names[0], "old"), running(names[1], "new"), running(names[2], "old")]
    pod_set = {"spec": {"pods": [running(name, "new") for name in names]}}
    assert list(reasons(pods, [pod_set])) == ["c-controller-2", "c-broker-0"]
    asked = running(names[1], "new", **{MANUAL_ROLLING_UPDATE: "true"})
    assert reasons([asked], [pod_set]) == {"c-broker-1": "manual rolling update was requested"}


def test_a_pod_that_is_not_ready_is_restarted_before_the_others() -> None:
    pods = [running("c-controller-0", "old"), running("c-broker-1", "old")]
    pods[1]["status"]["conditions"] = []
    pod_set = {"spec": {"pods": [running(each["metadata"]["name"], "new") for each in pods]}}
    assert next(iter(reasons(pods, [pod_set]))) == "c-broker-1"


def test_a_quota_that_is_not_given_is_taken_away() -> None:
    request = encode("me", {"producer_byte_rate": 1024.0})
    assert struct.pack(">d?", 1024.0, False) in request
    assert request.count(struct.pack(">d?", 0.0, True)) == 3
    refusal = struct.pack(">iiihh", 1, 0, 1, 42, 3) + b"why"
    assert decode(refusal) == (42, "why")
