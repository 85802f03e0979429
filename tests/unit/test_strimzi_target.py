"""What a strimzi:// address says, and what is refused about it before anything is asked."""

from __future__ import annotations

import pytest

from harness.brokers.kinds import capabilities_of, kind_of
from harness.brokers.strimzi.target import StrimziTarget, parse_target
from harness.errors import UsageError


@pytest.mark.parametrize(
    ("spec", "target"),
    [
        ("strimzi://kafka/my-cluster", StrimziTarget("kafka", "my-cluster")),
        ("strimzi://kafka/my-cluster/", StrimziTarget("kafka", "my-cluster")),
        (
            "strimzi://kafka/c?user=load&listener=tls&context=arn%3Aaws%2Fx",
            StrimziTarget("kafka", "c", "load", "tls", "arn:aws/x"),
        ),
    ],
)
def test_an_address_names_namespace_cluster_user_listener_and_context(
    spec: str, target: StrimziTarget
) -> None:
    assert parse_target(spec) == target
    assert parse_target(target.spec) == target


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("strimzi://", "the namespace is missing"),
        ("strimzi:///my-cluster", "the namespace is missing"),
        ("strimzi://kafka", "the name of the Kafka resource is missing"),
        ("strimzi://kafka/", "the name of the Kafka resource is missing"),
        ("strimzi://kafka/a/b", "'a/b' is no name of a Kafka resource"),
        ("strimzi://Kafka_1/a", "'Kafka_1' is no name of a namespace"),
        ("strimzi://kafka:9092/a", "'kafka:9092' is no name of a namespace"),
        ("strimzi://kafka/My", "'My' is no name of a Kafka resource"),
        ("strimzi://kafka/a?usr=x", "option 'usr' is unknown, did you mean user"),
        ("strimzi://kafka/a?user=x&user=y", "option user is given twice"),
        ("strimzi://kafka/a?user=", "option user has no value"),
        ("strimzi://kafka/a?user=X_1", "'X_1' is no name of a KafkaUser"),
        ("strimzi://kafka/a#b", "'#b' means nothing here"),
        ("strimzi://[kafka/a", "Invalid IPv6 URL"),
    ],
)
def test_what_is_no_address_is_refused_by_the_part_that_is_wrong(spec: str, named: str) -> None:
    for look in (parse_target, kind_of, capabilities_of):
        with pytest.raises(UsageError) as refused:
            look(spec)
        assert named.rstrip("?") in str(refused.value).replace(" (did you mean ", ", did you mean ")
        assert "strimzi://NAMESPACE/CLUSTER" in str(refused.value)


def test_the_kind_follows_from_the_address_alone() -> None:
    assert kind_of("strimzi://kafka/my-cluster?user=load") == "strimzi"
    assert kind_of("local") == kind_of("local:mine") == "local"
    assert kind_of("kafka.example.com:9092") == "foreign"
