"""Guardrails: each rule fires on what it is for, and on nothing beside it."""

from __future__ import annotations

from dataclasses import replace

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


def producer(dialect: str = "librdkafka", /, **settings: str | int | bool) -> Subject:
    stated = {key.replace("_", "."): value for key, value in settings.items()}
    return Subject("p", producer=stated, dialect="java" if dialect == "java" else "librdkafka")


def consumer(dialect: str = "librdkafka", /, **settings: str | int | bool) -> Subject:
    stated = {key.replace("_", "."): value for key, value in settings.items()}
    return Subject("c", consumer=stated, dialect="java" if dialect == "java" else "librdkafka")


def topic(**settings: str | int | bool) -> Subject:
    stated = {key.replace("_", "."): value for key, value in settings.items()}
    return Subject("t", topic={**SAFE_TOPIC, **stated})


LITERAL = ("literal-transactional-id", "warning")
IN_FLIGHT = "max_in_flight_requests_per_connection"
SAFE: dict[str, str | int | bool] = {"acks": "all", "enable_idempotence": True}


def sized(limit: int, **settings: str | int | bool) -> Subject:
    stated = {key.replace("_", "."): value for key, value in {**SAFE, **settings}.items()}
    return Subject("p", producer=stated, topic={**SAFE_TOPIC, "max.message.bytes": limit})


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
        {
            ("transactional-without-idempotence", "error"),
            ("idempotence-off", "warning"),
            LITERAL,
        },
    ),
    (producer(acks="all", transactional_id="x"), {LITERAL}),
    (producer(**SAFE, transactional_id="x", transaction_timeout_ms=900_000), {LITERAL}),
    (
        producer(**SAFE, transactional_id="x", transaction_timeout_ms=900_001),
        {("transaction-timeout-above-broker", "error"), LITERAL},
    ),
    (
        producer(
            **SAFE,
            transactional_id="x",
            transaction_timeout_ms=60_000,
            delivery_timeout_ms=60_001,
        ),
        {("delivery-outlasts-transaction", "error"), LITERAL},
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
    (
        producer(**SAFE, delivery_timeout_ms=1000, linger_ms=1000, request_timeout_ms=1),
        {("delivery-timeout-too-short", "error")},
    ),
    # 100 + 200 + … + 1000 ms and so on: 17 retries last 14,500 ms, 18 of them 15,500 ms.
    (producer(**SAFE, retries=17), {("few-retries", "warning")}),
    (producer(**SAFE, retries=18), set()),
    (
        producer(**SAFE, retries=3, retry_backoff_ms=100, retry_backoff_max_ms=100),
        {("few-retries", "warning")},
    ),
    (producer(**SAFE, retries=150, retry_backoff_max_ms=100), set()),
    (producer(**SAFE, retries=149, retry_backoff_max_ms=100), {("few-retries", "warning")}),
    (producer(**SAFE, partitioner="consistent_random"), {("other-partitioner", "warning")}),
    (producer(**SAFE, partitioner="murmur2_random"), set()),
    (
        Subject("j", producer={"partitioner.class": "x.Own"}, dialect="java"),
        {("other-partitioner", "warning")},
    ),
    (sized(32_768), {("batch-above-topic-limit", "error")}),
    (sized(32_768, compression_type="lz4"), {("batch-above-topic-limit", "warning")}),
    (sized(32_768, batch_size=32_768), {("batch-above-topic-limit", "warning")}),
    (sized(32_768, batch_size=32_768, message_max_bytes=32_768), set()),
    (sized(32_768, message_max_bytes=32_768), set()),
    (sized(1_000_000), set()),
    (sized(999_999), {("batch-above-topic-limit", "error")}),
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
    (consumer(max_poll_interval_ms=44_999), {("poll-shorter-than-session", "error")}),
    (consumer(max_poll_interval_ms=45_000), set()),
    (consumer(max_poll_interval_ms=6000, session_timeout_ms=6000), set()),
    (consumer(max_poll_interval_ms=5999, group_protocol="consumer"), set()),
    (consumer("java", max_poll_interval_ms=5999), set()),
    (consumer(group_instance_id="worker-1"), {("literal-instance-id", "warning")}),
    (
        consumer("java", group_protocol="CONSUMER", session_timeout_ms=6000),
        {("classic-setting", "error")},
    ),
    (consumer("java", group_protocol="classic", session_timeout_ms=6000), set()),
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
    *[
        (
            Subject("x", connection={"bootstrap.servers": servers, "security.protocol": "ssl"}),
            {("no-address", "error")},
        )
        for servers in (
            "https://kafka.example:443", "kafka:9092/", "kafka:0", "kafka:65536", "ka fka:1",
            "good:1,user:secret@kafka:1", "PLAINTEXT://kafka:1", "::1:9092",
        )
    ],
    *[
        (Subject("x", connection={"bootstrap.servers": servers, "security.protocol": "ssl"}), set())
        for servers in ("SSL://kafka:9092", "kafka-0.k_x.svc:1,", "[fe80::1]:9092", "kafka", "")
    ],
    (
        Subject("x", connection={"bootstrap.servers": "localhost"}, dialect="java"),
        {("no-address", "error")},
    ),
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
def test_the_findings_of_the_builtin_profiles(profile: str, expected: set[tuple[str, str]]) -> None:
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
    # tests/unit/test_profiles_consume.py and test_work_that_outlasts_… below
    elsewhere |= {"work-longer-than-poll"}
    elsewhere |= {"mode-contradicts-settings", "consume-promise-beyond-mode"}
    assert fired | elsewhere == set(RULES)


def test_a_finding_says_where_what_and_what_to_do() -> None:
    finding = lint(load_builtin()["leader-ack"])[0]
    assert finding.where == "leader-ack.producer.acks"
    assert set(finding.to_json()) == {"rule", "severity", "where", "message", "fix"}
    assert finding.message.endswith(".")
    assert finding.fix.endswith(".")


@pytest.mark.parametrize(
    ("processing_ms", "poll_ms", "severity"),
    [
        (7000, 6000, "error"),
        (6000, 6000, "error"),
        (12, 6000, "warning"),
        (11.9, 6000, None),
        (600, 300_000, "warning"),
        (599, None, None),
    ],
)
def test_work_that_outlasts_the_poll_interval_puts_a_member_out_of_its_group(
    processing_ms: float, poll_ms: int | None, severity: str | None
) -> None:
    profile = load_builtin()["consume-at-least-once"]
    assert profile.consume is not None
    consumer = {k: v for k, v in profile.consumer.items() if k != "max.poll.interval.ms"}
    if poll_ms is not None:
        consumer["max.poll.interval.ms"] = poll_ms
    plan = replace(profile.consume, processing_ms=processing_ms)
    found = lint(replace(profile, consumer=consumer, consume=plan))
    told = {finding.rule: finding.severity for finding in found}
    assert told.get("work-longer-than-poll") == severity


def test_one_instance_id_for_several_members_is_an_error_and_for_one_member_none() -> None:
    profile = changed("consume-auto-commit", "consumer", group_instance_id="worker-1")
    assert "literal-instance-id" in {f.rule for f in lint(profile) if f.severity == "error"}
    assert profile.consume is not None
    alone = replace(profile, consume=replace(profile.consume, members=1))
    assert "literal-instance-id" not in {f.rule for f in lint(alone)}


def test_a_rule_says_nothing_about_a_value_that_is_not_known() -> None:
    """`acks` is stated, with a placeholder: it is neither weak nor left to a default."""
    profile = load_builtin()["leader-ack"]
    bare = replace(profile, producer={"linger.ms": 5}, critical=True)
    rules = {f.rule for f in lint(bare, unknown={"producer": {"acks"}})}
    assert "acks-not-all" not in rules
    told = [f.message for f in lint(bare, unknown={"producer": {"acks"}})]
    assert not any("acks" in message for message in told)
    assert any("acks" in f.message for f in lint(bare))
