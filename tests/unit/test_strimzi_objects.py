"""Which listener a client takes, how it logs in, and which nodes there are: from API objects."""

from __future__ import annotations

from typing import Any

import pytest

from harness.brokers.strimzi.cluster import refuse_missing
from harness.brokers.strimzi.identity import (
    authority,
    login_of,
    protocol,
    secret_of,
    user_settings,
)
from harness.brokers.strimzi.objects import KafkaNode, choose_listener, listeners, nodes, not_ready
from harness.brokers.strimzi.target import StrimziTarget
from harness.errors import ClusterError, UsageError, scrub
from tests.support import strimzi_objects as made


def chosen(*there: Any, named: str | None = None, login: str | None = None,
           inside: bool = False) -> str:  # fmt: skip
    known = listeners(made.kafka(*there))
    return choose_listener(known, "Kafka kafka/c", named=named, login=login, inside=inside).name


def test_the_listener_fits_the_login_and_where_the_client_runs() -> None:
    everything = (made.PLAIN, made.SCRAM, made.MUTUAL, made.OUTSIDE)
    assert chosen(*everything) == "plain"
    assert chosen(*everything, login="tls") == "mutual"
    assert chosen(*everything, login="scram-sha-512") == "external"
    assert chosen(*everything, login="scram-sha-512", inside=True) == "tls"
    assert chosen(*everything, login="scram-sha-512", named="tls") == "tls"
    without_tls = {**made.SCRAM, "name": "open", "tls": False}
    assert chosen(without_tls, made.SCRAM, login="scram-sha-512") == "tls"


@pytest.mark.parametrize(
    ("there", "more", "said"),
    [
        ([made.SCRAM], {}, "no user is named. There are: tls (internal, TLS on, login scram"),
        ([made.SCRAM], {"login": "tls"}, "no listener fits: the user logs in by tls"),
        ([made.PLAIN], {"named": "tls"}, "no listener 'tls'. There are: plain (internal, TLS off"),
        ([made.PLAIN, made.SCRAM], {"named": "tls"}, "listener tls (internal, TLS on, login "
         "scram-sha-512) does not fit: no user is named"),
        ([], {}, "There are: none"),
    ],
)  # fmt: skip
def test_no_listener_for_a_login_is_refused_with_those_there_are(
    there: list[Any], more: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        chosen(*there, **more)
    assert said in str(refused.value)


def test_a_resource_is_ready_when_its_conditions_say_so() -> None:
    assert not_ready(made.kafka(made.PLAIN)) is None
    warned = [{"type": "Warning", "status": "True", "message": "old"}, made.READY]
    assert not_ready(made.kafka(made.PLAIN, conditions=warned)) is None
    failed = [{"type": "NotReady", "status": "True", "reason": "Fatal", "message": "no pool"}]
    assert not_ready(made.kafka(made.PLAIN, conditions=failed)) == "Fatal: no pool"
    assert not_ready(made.kafka(conditions=[])) == "the operator has not said that it is ready"
    assert not_ready({}) == "the operator has not said that it is ready"


def test_node_ids_are_those_of_the_pools_and_no_ordinals() -> None:
    pools = [
        made.pool("brokers", ["broker"], [12, 3]),
        made.pool("votes", ["controller"], [0]),
        made.pool("both", ["controller", "broker"], [7]),
        made.pool("other", ["broker"], [99], cluster="another"),
    ]
    assert nodes(made.CLUSTER, pools) == [
        KafkaNode(0, "my-cluster-votes-0", "votes", False, True),
        KafkaNode(3, "my-cluster-brokers-3", "brokers", True, False),
        KafkaNode(7, "my-cluster-both-7", "both", True, True),
        KafkaNode(12, "my-cluster-brokers-12", "brokers", True, False),
    ]


def test_a_scram_user_logs_in_by_the_password_of_its_secret() -> None:
    user = made.user()
    assert login_of(user, "load", "Kafka kafka/my-cluster", made.CLUSTER) == "scram-sha-512"
    assert secret_of(user, "load") == "load-secret"
    settings = user_settings(user, "load", "scram-sha-512", made.secret(password="hush-hush"))
    assert settings == {
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "load",
        "sasl.password": "hush-hush",
    }
    assert scrub("it said hush-hush") == "it said [redacted]"


def test_a_tls_user_shows_its_certificate() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nabcdefgh\n"
    held = made.secret(user_crt=made.PEM, user_key=key)
    settings = user_settings(made.user(login="tls"), "load", "tls", held)
    assert settings == {"ssl.certificate.pem": made.PEM, "ssl.key.pem": key}
    assert "abcdefgh" not in scrub(key)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (None, "secret load-secret is not there"),
        (made.secret(), "has no password"),
        ({"data": {"password": "%%%"}}, "has no password"),
    ],
)
def test_a_secret_that_does_not_hold_the_login_is_named(held: Any, said: str) -> None:
    with pytest.raises(ClusterError) as failed:
        user_settings(made.user(), "load", "scram-sha-512", held)
    assert said in str(failed.value)


def test_a_user_of_another_cluster_or_without_a_secret_is_refused() -> None:
    with pytest.raises(UsageError, match="belongs to cluster 'other'"):
        login_of(made.user(cluster="other"), "load", "Kafka kafka/my-cluster", made.CLUSTER)
    for login in (None, "tls-external"):
        with pytest.raises(UsageError, match="accepted are scram-sha-512 and tls"):
            login_of(made.user(login=login), "load", "Kafka kafka/my-cluster", made.CLUSTER)


def test_the_authority_is_the_clusters_unless_the_listener_has_a_certificate_of_its_own() -> None:
    (plain,) = listeners(made.kafka(made.SCRAM))
    assert authority(plain, made.secret(ca_crt=made.PEM), "s") == made.PEM
    resource = made.kafka({**made.SCRAM, "configuration": {"brokerCertChainAndKey": {}}})
    resource["status"]["listeners"][0]["certificates"] = ["-----BEGIN CERTIFICATE-----\nown"]
    (own,) = listeners(resource)
    assert authority(own, made.secret(ca_crt=made.PEM), "s").endswith("own")
    for held in (None, made.secret(ca_crt="what is this")):
        with pytest.raises(ClusterError, match="secret s: it"):
            authority(plain, held, "s")


@pytest.mark.parametrize(
    ("listener", "expected"),
    [
        (made.PLAIN, "PLAINTEXT"),
        (made.SCRAM, "SASL_SSL"),
        (made.MUTUAL, "SSL"),
        ({**made.SCRAM, "tls": False}, "SASL_PLAINTEXT"),
    ],
)
def test_the_protocol_follows_from_the_listener(listener: Any, expected: str) -> None:
    assert protocol(listeners(made.kafka(listener))[0]) == expected


class Served:
    """What an API server says of its groups and of Kafka resources."""

    host = "https://127.0.0.1:1"

    def __init__(self, versions: list[str], *there: str, hidden: bool = False) -> None:
        self._versions, self._there, self._hidden = versions, there, hidden

    def versions(self, _: str) -> list[str]:
        return self._versions

    def customs(self, _: str, namespace: str | None) -> list[dict[str, Any]]:
        if namespace is None and self._hidden:
            raise ClusterError("forbidden")
        pairs = [each.split("/") for each in self._there]
        return [
            {"metadata": {"namespace": where, "name": name}}
            for where, name in pairs
            if namespace in (None, where)
        ]


@pytest.mark.parametrize(
    ("served", "error", "said"),
    [
        (Served([]), ClusterError, "has no API group kafka.strimzi.io"),
        (Served(["v1beta2"]), ClusterError, "as v1beta2 alone, .* Strimzi 0.49 is the first"),
        (Served(["v1beta2", "v1"], "kafka/other"), UsageError, "There are: other"),
        (Served(["v1"], "x/y"), UsageError, "no such namespace. There are: x/y"),
        (Served(["v1"]), UsageError, "There are: none in this Kubernetes"),
        (Served(["v1"], hidden=True), UsageError, "may not list other namespaces"),
    ],
)
def test_why_there_is_no_such_cluster_is_said_with_what_there_is(
    served: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        refuse_missing(served, StrimziTarget("kafka", "c"))
