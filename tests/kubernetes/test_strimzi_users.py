"""The KafkaUsers of k8s/base/users on brokers that know their ACLs, quotas and certificates."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.kubernetes.strimzi.clients import (
    count_of,
    program,
    settings_by_certificate,
    settings_of,
    traffic,
)
from tests.kubernetes.strimzi.cluster import StrimziCluster
from tests.kubernetes.strimzi.identities import DONE

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(300)]

USERS: Final = ("harness", "harness-producer", "harness-consumer", "harness-verifier")
SLOW: Final = "harness-slow"
QUOTA_BYTES_PER_S: Final = 20_000
NO_TOPIC: Final = "TOPIC_AUTHORIZATION_FAILED"
NO_GROUP: Final = "GROUP_AUTHORIZATION_FAILED"
NO_ID: Final = "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"


def test_producer_consumer_and_verifier_may_do_their_part_and_no_more(
    strimzi_cluster: StrimziCluster,
) -> None:
    users = {name: settings_of(strimzi_cluster, name) for name in USERS}
    tried = program(strimzi_cluster, "identities", "parts", "harness-parts", settings=users)
    answers = count_of(tried)
    # A reader asks for its group's coordinator and for records at once, and may have neither.
    assert answers.pop("producer reads") in (NO_TOPIC, NO_GROUP)
    assert answers == {
        "harness creates": DONE,
        "producer creates": NO_TOPIC,
        "producer writes": DONE,
        "producer commits": DONE,
        "producer uses another's id": NO_ID,
        "consumer reads": DONE,
        "consumer writes": NO_TOPIC,
        "consumer joins another's group": NO_GROUP,
        "verifier reads": DONE,
        "verifier writes": NO_TOPIC,
        "verifier deletes": NO_TOPIC,
        "harness deletes": DONE,
    }


def test_a_users_quota_is_kept_by_the_brokers(strimzi_cluster: StrimziCluster) -> None:
    acl = {"resource": {"type": "topic", "name": "harness-", "patternType": "prefix"},
           "operations": ["Write"]}  # fmt: skip
    slow: dict[str, Any] = {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaUser",
        "metadata": {
            "name": SLOW,
            "namespace": strimzi_cluster.namespace,
            "labels": {"strimzi.io/cluster": strimzi_cluster.cluster},
        },
        "spec": {
            "authentication": {"type": "scram-sha-512"},
            "authorization": {"type": "simple", "acls": [acl]},
            "quotas": {"producerByteRate": QUOTA_BYTES_PER_S},
        },
    }
    strimzi_cluster.access.apply(slow)
    try:
        strimzi_cluster.wait_ready(60)
        names = ("harness", SLOW)
        users = {name: settings_of(strimzi_cluster, name) for name in names}
        arguments = ("throttled", "harness-quotas", *names)
        found = count_of(program(strimzi_cluster, "identities", *arguments, settings=users))
    finally:
        where = ("-n", strimzi_cluster.namespace)
        strimzi_cluster.access.kubectl(*where, "delete", f"kafkauser/{SLOW}", timeout_s=60)
    assert found["harness"] == 0
    assert found[SLOW] > 1_000


def test_a_user_with_a_certificate_writes_and_reads_and_one_without_is_refused(
    strimzi_cluster: StrimziCluster,
) -> None:
    settings = settings_by_certificate(strimzi_cluster, "harness-mtls")
    counted = count_of(traffic(strimzi_cluster, "harness-certificate", 2, settings))
    assert counted["acked"] > 300
    assert (counted["lost"], counted["failed"], counted["duplicates"]) == (0, 0, 0)
    del settings["ssl.certificate.pem"], settings["ssl.key.pem"]
    refused = traffic(strimzi_cluster, "harness-no-certificate", 1, settings)
    printed, _ = refused.communicate(timeout=120)
    assert refused.returncode != 0
    assert "certificate required" in printed
