"""Guardrails: each rule fires on what it is for, and on nothing beside it."""

from __future__ import annotations

import pytest

from harness.profiles import lint, load_builtin
from harness.profiles.lint import RULES, Subject, lint_subject
from harness.profiles.model import DeliveryProfile, Settings

REMOTE = {"bootstrap.servers": "kafka.example.com:9092"}
SAFE_TOPIC = {
    "replication.factor": 3,
    "min.insync.replicas": 2,
    "retention.ms": 1000,
    "unclean.leader.election.enable": False,
}


def found(subject: Subject) -> set[tuple[str, str]]:
    return {(finding.rule, finding.severity) for finding in lint_subject(subject)}


def producer(dialect: str = "librdkafka", **settings: str | int | bool) -> Subject:
    stated = {key.replace("_", "."): value for key, value in settings.items()}
    return Subject("p", producer=stated, dialect="java" if dialect == "java" else "librdkafka")


def consumer(dialect: str = "librdkafka", **settings: str | int | bool) -> Subject:
    stated = {key.replace("_", "."): value for key, value in settings.items()}
    return Subject("c", consumer=stated, dialect="java" if dialect == "java" else "librdkafka")


def topic(**settings: str | int | bool) -> Subject:
    stated = {key.replace("_", "."): value for key, value in settings.items()}
    return Subject("t", topic={**SAFE_TOPIC, **stated})


IN_FLIGHT = "max_in_flight_requests_per_connection"
SAFE: dict[str, str | int | bool] = {"acks": "all", "enable_idempotence": True}
CASES: list[tuple[Subject, set[tuple[str, str]]]] = [
    # ------------------------------------------------------------------------ producers
    (producer(**SAFE), set()),
    (producer(acks=-1, enable_idempotence="TRUE"), set()),
    (
        producer(acks=0, enable_idempotence=False),
        {("acks-not-all", "error")},
    ),
    (
        producer(acks="1", enable_idempotence=False),
        {("acks-not-all", "error"), ("idempotence-off", "warning")},
    ),
    (
        producer(acks="all", retries=0, enable_idempotence=False),
        {("no-retries", "error")},
    ),
    (producer(acks="all"), {("idempotence-off", "warning")}),
    (producer("java", acks="all"), set()),
    (producer("java"), set()),
    (
        producer("java", acks="1"),
        {("acks-not-all", "error"), ("idempotence-silently-off", "warning")},
    ),
    (producer("java", **{IN_FLIGHT: 6}), {("idempotence-silently-off", "warning")}),
    (producer("java", **{IN_FLIGHT: 5}), set()),
    (producer(**SAFE, **{IN_FLIGHT: 5}), set()),
    (producer(**SAFE, **{IN_FLIGHT: 6}), {("in-flight-with-idempotence", "error")}),
    (
        producer(acks="all", enable_idempotence=False, **{IN_FLIGHT: 1000}),
        {("idempotence-off", "warning")},
    ),
    (
        producer(acks=1, enable_idempotence=True),
        {("acks-not-all", "error"), ("idempotence-without-acks-all", "error")},
    ),
    (
        producer(acks="all", transactional_id="x", enable_idempotence=False),
        {("transactional-without-idempotence", "error"), ("idempotence-off", "warning")},
    ),
    (producer(acks="all", transactional_id="x"), set()),
    (producer(**SAFE, transactional_id="x", transaction_timeout_ms=900_000), set()),
    (
        producer(**SAFE, transactional_id="x", transaction_timeout_ms=900_001),
        {("transaction-timeout-above-broker", "error")},
    ),
    (
        producer(
            **SAFE,
            transactional_id="x",
            transaction_timeout_ms=60_000,
            delivery_timeout_ms=60_001,
        ),
        {("delivery-outlasts-transaction", "error")},
    ),
    (
        producer(**SAFE, delivery_timeout_ms=30_004, linger_ms=5, request_timeout_ms=30_000),
        {("delivery-timeout-too-short", "warning")},
    ),
    (
        producer("java", delivery_timeout_ms=30_004, linger_ms=5),
        {("delivery-timeout-too-short", "error")},
    ),
    (producer(**SAFE, delivery_timeout_ms=30_005, linger_ms=5), set()),
    (producer(**SAFE, delivery_timeout_ms=0), set()),
    (
        producer(**SAFE, delivery_timeout_ms=14_999, request_timeout_ms=1000),
        {("delivery-timeout-too-short", "warning")},
    ),
    (
        producer(**SAFE, socket_timeout_ms=10_000, request_timeout_ms=10_000),
        {("request-outlasts-socket", "warning")},
    ),
    (producer(**SAFE, queue_buffering_max_messages=0), {("unbounded-queue", "warning")}),
    # ------------------------------------------------------------------------ consumers
    (consumer(enable_auto_commit=False), set()),
    (consumer("java", enable_auto_commit="true"), {("auto-commit", "error")}),
    (consumer("java", group_id="g"), {("auto-commit", "error")}),
    (consumer("java", group_id="g", enable_auto_commit="false"), set()),
    (
        consumer(group_id="g", enable_auto_commit=False),
        {("offset-stored-before-processing", "warning")},
    ),
    (
        consumer(enable_auto_commit=True, enable_auto_offset_store=True),
        {("auto-commit", "error"), ("offset-stored-before-processing", "error")},
    ),
    (
        consumer(enable_auto_commit=True, enable_auto_offset_store=False),
        {("auto-commit", "error")},
    ),
    (consumer(isolation_level="read_uncommitted"), set()),
    (consumer("java", isolation_level="read_uncommitted"), {("read-uncommitted", "warning")}),
    (consumer(auto_offset_reset="latest"), {("offset-reset-skips", "warning")}),
    (consumer(auto_offset_reset="earliest"), set()),
    (
        consumer(heartbeat_interval_ms=3001, session_timeout_ms=9000),
        {("heartbeat-interval", "warning")},
    ),
    (consumer(heartbeat_interval_ms=3000, session_timeout_ms=9000), set()),
    # --------------------------------------------------------------------------- topics
    (topic(), set()),
    (topic(replication_factor=1), {("replication-factor", "error"),
                                   ("min-isr-against-replication", "error")}),
    (topic(replication_factor=1, min_insync_replicas=1), {("replication-factor", "error")}),
    (
        topic(replication_factor=2),
        {("replication-factor", "warning"), ("min-isr-against-replication", "error")},
    ),
    (topic(min_insync_replicas=3), {("min-isr-against-replication", "error")}),
    (topic(min_insync_replicas=4), {("min-isr-against-replication", "error")}),
    (topic(min_insync_replicas=1), {("min-isr-1", "error")}),
    (topic(unclean_leader_election_enable="True"), {("unclean-election", "error")}),
    (Subject("t", topic={k: v for k, v in SAFE_TOPIC.items() if k != "retention.ms"}),
     {("no-retention", "warning")}),
    (
        Subject(
            "t",
            topic={
                "replication.factor": 3, "min.insync.replicas": 2, "cleanup.policy": "compact"
            },
        ),
        set(),
    ),
    (Subject("t", topic={"retention.ms": -1}), {("min-isr-1", "warning")}),
    (Subject("t", topic={**SAFE_TOPIC, "replication.factor": 5}, brokers=3),
     {("replication-factor", "error")}),
    (
        Subject("t", topic={**SAFE_TOPIC, "cleanup.policy": "compact,delete"},
                promises=frozenset({"no_lost"})),
        {("compacted", "warning")},
    ),
    # ---------------------------------------------------------------------- connections
    (Subject("x", connection=REMOTE), {("plaintext-listener", "error")}),
    (
        Subject("x", connection={**REMOTE, "security.protocol": "SASL_PLAINTEXT"}),
        {("plaintext-listener", "error")},
    ),
    (Subject("x", connection={**REMOTE, "security.protocol": "SSL"}), set()),
    (
        Subject(
            "x",
            connection={
                **REMOTE,
                "security.protocol": "ssl",
                "enable.ssl.certificate.verification": "false",
            },
        ),
        {("tls-unverified", "error")},
    ),
    (
        Subject(
            "x",
            connection={
                **REMOTE,
                "security.protocol": "sasl_ssl",
                "ssl.endpoint.identification.algorithm": "none",
            },
        ),
        {("tls-unverified", "warning")},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("subject", "expected"), CASES)
def test_a_subject_yields_exactly_these_findings(
    subject: Subject, expected: set[tuple[str, str]]
) -> None:
    assert found(subject) == expected


@pytest.mark.parametrize(
    ("servers", "local"),
    [
        ("127.0.0.1:9092", True),
        ("127.3.2.1:9092,localhost:1", True),
        ("[::1]:9092", True),
        ("PLAINTEXT://127.0.0.1:9092", True),
        ("", True),
        ("127.0.0.1:9092,10.0.0.1:9092", False),
        ("localhost.example.com:9092", False),
        ("PLAINTEXT://kafka:9092", False),
        ("[fe80::1]:9092", False),
        ("0.0.0.0:9092", False),
    ],
)
def test_only_a_listener_on_this_machine_may_go_without_tls(servers: str, local: bool) -> None:
    findings = lint(load_builtin()["idempotent"], bootstrap=servers)
    assert [finding.rule for finding in findings] == ([] if local else ["plaintext-listener"])


def changed(name: str, part: str, **settings: str | int | bool) -> DeliveryProfile:
    stated: Settings = {key.replace("_", "."): value for key, value in settings.items()}
    return load_builtin()[name].override(**{part: stated})


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("fire-and-forget", {("acks-not-all", "warning"), ("no-retries", "warning")}),
        ("leader-ack", {("acks-not-all", "warning"), ("idempotence-off", "warning")}),
        ("at-least-once", {("idempotence-off", "warning")}),
        ("idempotent", set()),
        ("transactional", set()),
        ("unsafe-topic", {("min-isr-1", "warning"), ("unclean-election", "warning")}),
        ("consume-at-most-once", set()),
        ("consume-at-least-once", set()),
        (
            "consume-auto-commit",
            {("auto-commit", "warning"), ("offset-stored-before-processing", "warning")},
        ),
        ("consume-stored-offsets", set()),
        ("exactly-once-pipeline", set()),
        ("pipeline-without-offsets", set()),
        ("share-group", set()),
    ],
)
def test_the_findings_of_the_builtin_profiles(profile: str, expected: set[str]) -> None:
    findings = lint(load_builtin()[profile], brokers=3, bootstrap="127.0.0.1:9092")
    assert {(finding.rule, finding.severity) for finding in findings} == expected


@pytest.mark.parametrize(
    ("profile", "rule"),
    [
        (changed("transactional", "consumer", isolation_level="read_uncommitted"),
         "read-uncommitted"),
        (changed("at-least-once", "consumer", enable_auto_commit=True), "auto-commit"),
        (changed("at-least-once", "producer", acks=1), "promise-beyond-settings"),
        (changed("idempotent", "producer", enable_idempotence=False), "promise-beyond-settings"),
        (changed("transactional", "producer", transactional_id=""), "promise-beyond-settings"),
        (changed("at-least-once", "topic", replication_factor=4), "replication-factor"),
    ],
)  # fmt: skip
def test_a_promise_that_the_settings_forbid_is_an_error(
    profile: DeliveryProfile, rule: str
) -> None:
    errors = {f.rule for f in lint(profile, brokers=3) if f.severity == "error"}
    assert rule in errors


def test_a_promise_outside_the_envelope_is_pointed_out() -> None:
    rules = {f.rule for f in lint(changed("idempotent", "topic", min_insync_replicas=1))}
    assert {"outside-envelope", "min-isr-1"} <= rules


def test_a_profile_that_leaves_things_to_defaults_is_told_which() -> None:
    bare = DeliveryProfile("bare", "", {"acks": "all"}, {}, dict(SAFE_TOPIC), ())
    messages = [f.message for f in lint(bare) if f.rule == "unstated-setting"]
    assert len(messages) == 2
    assert "enable.idempotence" in messages[0]
    assert "acks" not in messages[0]


def test_data_that_is_not_critical_makes_warnings_of_weak_settings() -> None:
    strict = Subject("p", producer={"acks": 0}, topic={**SAFE_TOPIC, "replication.factor": 1,
                                                       "min.insync.replicas": 1})  # fmt: skip
    loose = Subject("p", producer=strict.producer, topic=strict.topic, critical=False)
    assert {severity for _, severity in found(loose)} == {"warning"}
    assert {rule for rule, _ in found(strict)} == {rule for rule, _ in found(loose)}


def test_errors_stand_before_warnings() -> None:
    severities = [finding.severity for finding in lint_subject(topic(replication_factor=2))]
    assert severities == sorted(severities)


def test_every_rule_fires_in_some_case_of_this_file() -> None:
    fired = {rule for _, expected in CASES for rule, _ in expected}
    elsewhere = {"promise-beyond-settings", "outside-envelope", "unstated-setting"}
    # tests/test_profiles_consume.py
    elsewhere |= {"mode-contradicts-settings", "consume-promise-beyond-mode"}
    assert fired | elsewhere == set(RULES)


def test_a_finding_says_where_what_and_what_to_do() -> None:
    finding = lint(load_builtin()["leader-ack"])[0]
    assert finding.where == "leader-ack.producer.acks"
    assert set(finding.to_json()) == {"rule", "severity", "where", "message", "fix"}
    assert finding.message.endswith(".")
    assert finding.fix.endswith(".")
