"""Profiles, settings and properties that users write: what is accepted, and how it is refused."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.profiles import (
    Overrides,
    choose,
    load_builtin,
    load_profiles,
    read_properties,
    split_settings,
)
from harness.profiles.model import DeliveryProfile


def load(tmp_path: Path, text: str) -> dict[str, DeliveryProfile]:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_profiles([path])


def properties(tmp_path: Path, text: str) -> Overrides:
    path = tmp_path / "client.properties"
    path.write_text(text, encoding="utf-8")
    return read_properties(path)


def test_a_profile_takes_everything_from_the_one_it_extends(tmp_path: Path) -> None:
    text = """
profiles:
  audit:
    extends: at-least-once
    summary: Audit events.
    producer: {linger.ms: 50}
    topic: {retention.ms: 1000}
"""
    audit, base = load(tmp_path, text)["audit"], load_builtin()["at-least-once"]
    assert audit.producer == {**base.producer, "linger.ms": 50}
    assert audit.topic == {**base.topic, "retention.ms": 1000}
    assert (audit.consumer, audit.promises) == (base.consumer, base.promises)
    assert audit.summary == "Audit events."
    assert audit.source == f"{tmp_path / 'mine.yaml'}:3"


def test_a_profile_may_extend_one_further_down(tmp_path: Path) -> None:
    text = """
profiles:
  second: {extends: first, producer: {linger.ms: 7}}
  first: {extends: idempotent, producer: {batch.size: 1000}}
"""
    second = load(tmp_path, text)["second"]
    assert (second.producer["linger.ms"], second.producer["batch.size"]) == (7, 1000)


def test_what_extends_unsafe_topic_does_not_count_either(tmp_path: Path) -> None:
    mine = load(tmp_path, "profiles: {mine: {extends: unsafe-topic}}")["mine"]
    assert (mine.counted, mine.critical) == (False, False)


def test_an_alias_replaces_the_setting_that_it_is_another_name_of(tmp_path: Path) -> None:
    text = "profiles: {mine: {extends: idempotent, producer: {queue.buffering.max.ms: 9}}}"
    producer = load(tmp_path, text)["mine"].producer
    assert producer["linger.ms"] == 9
    assert "queue.buffering.max.ms" not in producer


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("profiles:\n  a: {extends: idempotnt}", 2, "did you mean idempotent?"),
        ("profiles:\n  a:\n    producer:\n      lingr.ms: 5", 4, "did you mean linger.ms?"),
        ("profiles:\n  a:\n    producer:\n      linger.ms: fast", 4, "Accepted: 0 .. 900000"),
        ("profiles:\n  a:\n    producer:\n      acks: 2", 4, "Accepted: 0, 1, -1, all"),
        ("profiles:\n  a:\n    consumer:\n      linger.ms: 5", 4, "is a producer setting"),
        ("profiles:\n  a:\n    topic:\n      retention: 5", 4, "did you mean retention.ms?"),
        ("profiles:\n  a:\n    topic:\n      min.insync.replicas: 0", 4, "Accepted: 1 .. "),
        ("profiles:\n  a:\n    topics: two", 3, "a whole number is expected"),
        ("profiles:\n  a:\n    topics: 0", 3, "1 to 26"),
        ("profiles:\n  a:\n    critical: 1", 3, "true or false"),
        ("profiles:\n  a:\n    promise: [no_lost]", 3, "did you mean promises?"),
        ("profiles:\n  a:\n    promises: [no_loss]", 3, "did you mean no_lost?"),
        ("profiles:\n  a:\n    counted: false", 3, "unknown field"),
        ("profiles:\n  a:\n    abort_ratio: 1.5", 3, "a share from 0"),
        ("profiles:\n  Über: {}", 2, "lower-case letters"),
        ("profiles:\n  idempotent: {}", 2, "a profile of this name already (built in)"),
        ("profiles:\n  a: {extends: b}\n  b: {extends: a}", 2, "extends itself: a → b → a"),
        ("profiles:\n  a:\n    topics: 1\n    topics: 2", 4, "second time, first in line 3"),
        ("profiles:\n  a: {}\nprofile: {}", 3, "did you mean profiles?"),
        ("profiles:\n  a: [", 2, "cannot be read as YAML"),
        (
            "profiles:\n  a:\n    producer:\n      security.protocol: ssl",
            4,
            "no part of a profile",
        ),
        (
            "profiles:\n  a:\n    producer:\n      delivery.report.only.error: true",
            4,
            "every record needs its delivery report",
        ),
        (
            "profiles:\n  a:\n    extends: transactional\n    producer:\n      transactional.id: x",
            5,
            "lacks {run_id}",
        ),
        (
            "profiles:\n  a:\n    extends: idempotent\n    producer:\n"
            "      transactional.id: 'x-{run_id}-{instance}'",
            2,
            "transaction_interval_ms",
        ),
    ],
)
def test_a_refusal_names_the_file_the_line_and_what_is_accepted(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    with pytest.raises(UsageError) as refused:
        load(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'mine.yaml'}:{line}: ")
    assert says in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "profiles: {}", "profiles: [a]", "topics: []"])
def test_a_file_without_profiles_is_told_what_is_expected(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"mine\.yaml"):
        load(tmp_path, text)


def test_a_file_that_is_not_there_is_a_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_profiles([tmp_path / "none.yaml"])


def test_an_unknown_profile_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match=r"did you mean at-least-once\?"):
        choose(["atleast-once"], load_builtin())


# -------------------------------------------------------------------------------------- --config


def test_settings_go_to_what_uses_them() -> None:
    overrides = split_settings(
        [
            "linger.ms=7",
            "fetch.wait.max.ms=9",
            "retry.backoff.ms=11",
            "consumer.retry.backoff.max.ms=13",
            "topic.retention.ms=15",
            "security.protocol=sasl_ssl",
            "sasl.mechanisms=PLAIN",
        ]
    )
    assert overrides.producer == {"linger.ms": "7", "retry.backoff.ms": "11"}
    assert overrides.consumer == {
        "fetch.wait.max.ms": "9",
        "retry.backoff.ms": "11",
        "retry.backoff.max.ms": "13",
    }
    assert overrides.topic == {"retention.ms": "15"}
    assert overrides.connection == {"security.protocol": "sasl_ssl", "sasl.mechanism": "PLAIN"}


def test_a_client_setting_that_begins_with_topic_is_no_topic_setting() -> None:
    overrides = split_settings(["topic.metadata.refresh.interval.ms=500"])
    assert overrides.topic == {}
    assert overrides.producer == {"topic.metadata.refresh.interval.ms": "500"}


def test_a_value_may_hold_an_equals_sign() -> None:
    assert split_settings(["sasl.password=a=b="]).connection == {"sasl.password": "a=b="}


def test_overrides_replace_settings_of_a_profile_by_either_name() -> None:
    overrides = split_settings(["request.required.acks=1", "topic.min.insync.replicas=1"])
    profile = overrides.apply(load_builtin()["idempotent"])
    assert (profile.acks, profile.topic["min.insync.replicas"]) == ("1", "1")


@pytest.mark.parametrize(
    ("pair", "says"),
    [
        ("lingr.ms=5", "did you mean linger.ms?"),
        ("topic.retention=5", "did you mean retention.ms?"),
        ("linger.ms", "key=value is expected"),
        ("=5", "key=value is expected"),
        ("linger.ms=-1", "Accepted: 0 .. 900000"),
        ("security.protocol=tls", "Accepted: plaintext, ssl, sasl_plaintext, sasl_ssl"),
        ("consumer.linger.ms=5", "is a producer setting"),
        ("auto.offset.reset=latest", "reads everything, from the start"),
        ("group.id=x", "reads by assignment"),
        ("transactional.id=x", "belongs into a profile"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(pair: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        split_settings([pair])
    assert str(refused.value).startswith("--config")
    assert says in str(refused.value)


@given(st.text(min_size=1, max_size=40))
def test_no_text_makes_config_fail_otherwise_than_by_a_wrong_usage(text: str) -> None:
    with contextlib.suppress(UsageError):
        split_settings([text])


# ---------------------------------------------------------------------------------- --properties


def test_java_names_become_librdkafka_names(tmp_path: Path) -> None:
    overrides = properties(
        tmp_path,
        """
# a comment
bootstrap.servers=a:9093,\\
    b:9093
security.protocol=SASL_SSL
sasl.mechanism : SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required \\
    username="al\\\\"ice" password='p=w;d';
ssl.truststore.type=PEM
ssl.truststore.location=/etc/ca.pem
ssl.truststore.password=unused
ssl.keystore.type=PKCS12
ssl.keystore.location=/etc/client.p12
ssl.keystore.password=changeit
ssl.endpoint.identification.algorithm=
linger.ms 20
buffer.memory=33554432
max.request.size=2000000
fetch.max.wait.ms=100
key.serializer=org.apache.kafka.common.serialization.StringSerializer
group.id=mine
auto.offset.reset=none
enable.auto.commit=true
""",
    )
    assert overrides.connection == {
        "bootstrap.servers": "a:9093,b:9093",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": 'al"ice',
        "sasl.password": "p=w;d",
        "ssl.endpoint.identification.algorithm": "none",
        "ssl.ca.location": "/etc/ca.pem",
        "ssl.keystore.location": "/etc/client.p12",
        "ssl.keystore.password": "changeit",
    }
    assert overrides.producer == {
        "linger.ms": "20",
        "queue.buffering.max.kbytes": "32768",
        "message.max.bytes": "2000000",
    }
    # The reader decides itself about group.id, auto.offset.reset and enable.auto.commit.
    assert overrides.consumer == {"fetch.wait.max.ms": "100", "message.max.bytes": "2000000"}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("acks=all\nlingr.ms=5\n", 2, "did you mean linger.ms?"),
        ("\n\n# x\nretries=many", 4, "Accepted: 0 .. 2147483647"),
        ("acks=1\nacks=all", 2, "second time"),
        ("ssl.truststore.location=/etc/t.jks", 1, "keytool -list -rfc"),
        ("ssl.keystore.location=/etc/k.jks", 1, "-deststoretype PKCS12"),
        ("sasl.jaas.config=a.b.OAuthBearerLoginModule required;", 1, "ScramLoginModule"),
        ('sasl.jaas.config=a.PlainLoginModule required username="u";', 1, "has no password"),
        ("auto.offset.reset=by_duration:P1D", 1, "earliest, latest, none"),
        ("buffer.memory=lots", 1, "a number of bytes"),
    ],
)
def test_a_property_that_cannot_be_is_refused_by_file_line_and_key(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    with pytest.raises(UsageError) as refused:
        properties(tmp_path, text)
    assert str(refused.value).startswith(f"{tmp_path / 'client.properties'}:{line}: ")
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        'sasl.jaas.config=x.KerberosModule required username="u" password="hunter2";',
        'sasl.jaas.config=x.PlainLoginModule required password="hunter2";',
        "ssl.keystore.password=hunter2\nssl.keystore.password=hunter2",
        "sasl.pasword=hunter2",
    ],
)
def test_no_message_repeats_a_secret(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as refused:
        properties(tmp_path, text)
    assert "hunter2" not in str(refused.value)


def test_config_wins_over_properties(tmp_path: Path) -> None:
    overrides = properties(tmp_path, "linger.ms=1\nacks=1\n")
    split_settings(["linger.ms=2"], into=overrides)
    assert overrides.producer == {"linger.ms": "2", "acks": "1"}
