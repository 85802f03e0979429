"""Following what a finding advises never leads to the next error, and ends with no finding."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.anomalies import PROMISES
from harness.members.member import RECORDS_MAX
from harness.profiles import load_builtin
from harness.profiles.consume import HANDED_AT_ONCE
from harness.profiles.lint import RULES, lint_subject
from harness.profiles.model import CONSUME_MODES, ConsumeMode, ConsumePlan, DeliveryProfile, text
from harness.profiles.rule import Change, Finding, Subject
from harness.profiles.settings import client_settings, topic_settings

STEPS_MAX = 40

PRODUCER: dict[str, list[Any]] = {
    "acks": [0, "1", "all", -1],
    "retries": [0, 3, 2_147_483_647],
    "retry.backoff.ms": [1, 100],
    "retry.backoff.max.ms": [100, 1000],
    "enable.idempotence": [True, False, "true"],
    "max.in.flight.requests.per.connection": [1, 5, 6, 1000],
    "transactional.id": ["ingest"],
    "transaction.timeout.ms": [1000, 15_000, 60_000, 900_000, 900_001],
    "delivery.timeout.ms": [0, 1, 1000, 14_999, 30_005, 120_000, 1_000_000],
    "request.timeout.ms": [1000, 10_000, 30_000, 900_000],
    "socket.timeout.ms": [10_000, 30_000, 300_000],
    "linger.ms": [0, 5, 1000, 900_000],
    "batch.size": [100, 32_768, 1_000_000],
    "message.max.bytes": [1000, 1_000_000, 2_000_000],
    "compression.type": ["none", "lz4"],
    "partitioner": ["consistent_random", "murmur2_random"],
    "partitioner.class": ["org.example.RoundRobin"],
    "queue.buffering.max.messages": [0, 1000],
}
CONSUMER: dict[str, list[Any]] = {
    "group.id": ["g"],
    "group.instance.id": ["worker-1"],
    "group.protocol": ["classic", "consumer"],
    "enable.auto.commit": [True, False],
    "enable.auto.offset.store": [True, False],
    "isolation.level": ["read_uncommitted", "read_committed"],
    "auto.offset.reset": ["latest", "earliest"],
    "heartbeat.interval.ms": [1, 3000, 3_600_000],
    "session.timeout.ms": [1, 2, 6000, 3_600_000],
    "max.poll.interval.ms": [1, 6000, 300_000],
}
TOPIC: dict[str, list[Any]] = {
    "replication.factor": [1, 2, 3, 4, 5],
    "min.insync.replicas": [1, 2, 3, 4, 5],
    "unclean.leader.election.enable": [True, False],
    "retention.ms": [1000],
    "cleanup.policy": ["delete", "compact", "compact,delete"],
    "max.message.bytes": [500, 32_768, 1_048_588],
}
CONNECTION: dict[str, list[Any]] = {
    "bootstrap.servers": [
        "kafka:9092", "https://kafka.example:443/x", "SSL://kafka:1", "kafka", "a:1, b/", "a:70000",
        "https://user:secret@kafka", "localhost:9092",
    ],
    "security.protocol": ["ssl", "SASL_PLAINTEXT", "plaintext", "sasl_ssl"],
    "enable.ssl.certificate.verification": ["true", "false"],
    "ssl.endpoint.identification.algorithm": ["none", "https"],
}  # fmt: skip


def some(choices: dict[str, list[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional={n: st.sampled_from(v) for n, v in choices.items()})


def plans() -> st.SearchStrategy[ConsumePlan | None]:
    plan = st.builds(
        ConsumePlan,
        mode=st.sampled_from([cast(ConsumeMode, mode) for mode in CONSUME_MODES]),
        members=st.sampled_from([1, 2]),
        processing_ms=st.sampled_from([0, 1.0, 7000.0, 60_000.0]),
        send_offsets=st.booleans(),
    )
    return st.none() | plan


def subject_of(profile: DeliveryProfile, brokers: int | None) -> Subject:
    return Subject(
        name=profile.name,
        producer=profile.producer,
        consumer=profile.consumer,
        topic=profile.topic,
        promises=frozenset(profile.promises),
        critical=profile.critical,
        brokers=brokers,
        profile=profile,
    )


@st.composite
def subjects(draw: st.DrawFn) -> Subject:
    """A profile, a client's file, or a topic, with any of the settings that rules read."""
    kind = draw(st.sampled_from(["profile", "java", "librdkafka", "topic"]))
    critical, brokers = draw(st.booleans()), draw(st.sampled_from([None, 1, 2, 3, 5]))
    if kind == "topic":
        return Subject("t", topic=draw(some(TOPIC)), critical=critical, brokers=brokers)
    producer, consumer = draw(some(PRODUCER)), draw(some(CONSUMER))
    if kind != "profile":
        return Subject(
            "f",
            producer=producer or None,
            consumer=consumer or None,
            connection=draw(some(CONNECTION)),
            dialect="java" if kind == "java" else "librdkafka",
        )
    producer.pop("partitioner.class", None)
    base = load_builtin()[draw(st.sampled_from(sorted(load_builtin())))]
    chosen = st.lists(st.sampled_from(PROMISES), unique=True, max_size=4)
    promises = draw(st.just(base.promises) | chosen)
    profile = DeliveryProfile(
        "p", "",
        {**(base.producer if draw(st.booleans()) else {}), **producer},
        {**(base.consumer if draw(st.booleans()) else {}), **consumer},
        {**(base.topic if draw(st.booleans()) else {}), **draw(some(TOPIC))},
        tuple(promises), critical=critical, consume=draw(plans()),
    )  # fmt: skip
    return subject_of(profile, brokers)


def followed(subject: Subject, finding: Finding) -> Subject:
    """The subject with the settings that an advice names."""
    profile = subject.profile
    parts = {
        "producer": subject.producer,
        "consumer": subject.consumer,
        "topic": subject.topic,
        "connection": subject.connection,
    }
    promises, brokers = set(subject.promises), subject.brokers
    plan = profile.consume if profile is not None else None
    for part, name, value in finding.change:
        if part == "promises":
            promises.discard(name)
        elif name == "brokers":
            assert isinstance(value, int)
            brokers = value
        elif part == "consume":
            assert plan is not None
            assert name == "mode"
            plan = replace(plan, mode=cast(ConsumeMode, value))
        else:
            stated = dict(parts[part] or {})
            stated.pop(name, None)
            parts[part] = stated if value is None else {**stated, name: value}
    if profile is not None:
        changed = replace(
            profile,
            producer=parts["producer"] or {},
            consumer=parts["consumer"] or {},
            topic=parts["topic"] or {},
            promises=tuple(each for each in PROMISES if each in promises),
            consume=plan,
        )
        return replace(subject_of(changed, brokers), connection=parts["connection"] or {})
    return replace(
        subject,
        producer=parts["producer"],
        consumer=parts["consumer"],
        topic=parts["topic"],
        connection=parts["connection"] or {},
        brokers=brokers,
    )


def errors(subject: Subject) -> set[str]:
    return {each.rule for each in lint_subject(subject) if each.severity == "error"}


@settings(max_examples=300, deadline=None)
@given(subjects())
def test_following_one_advice_brings_no_error_that_was_not_there(subject: Subject) -> None:
    before = errors(subject)
    for finding in lint_subject(subject):
        new = errors(followed(subject, finding)) - before
        assert not new, f"{finding.fix} → {new}"


@settings(max_examples=300, deadline=None)
@given(subjects())
def test_following_the_advice_of_each_finding_in_turn_ends_without_any(subject: Subject) -> None:
    told: list[str] = []
    while findings := lint_subject(subject):
        told.append(f"{findings[0].rule}: {findings[0].fix}")
        assert len(told) <= STEPS_MAX, told
        subject = followed(subject, findings[0])


@settings(max_examples=100, deadline=None)
@given(subjects())
def test_an_advice_names_each_setting_that_it_sets_and_only_accepted_values(
    subject: Subject,
) -> None:
    known = {**client_settings(), **topic_settings()}
    for finding in lint_subject(subject):
        assert finding.change, finding.rule
        for part, name, value in finding.change:
            if part in ("promises", "consume", ""):
                continue
            assert name in finding.fix
            if value is not None:
                assert f"{name}={text(value)}" in finding.fix, finding.rule
                setting = topic_settings()[name] if part == "topic" else known[name]
                assert setting.refusal(value) is None


def test_the_advices_of_every_rule_are_followed_by_these_tests() -> None:
    """What the generator above can never make a rule say is not tested by it."""
    fired: set[str] = set()

    @settings(max_examples=400, deadline=None, database=None, derandomize=True)
    @given(subjects())
    def look(subject: Subject) -> None:
        fired.update(finding.rule for finding in lint_subject(subject))

    look()
    assert fired == set(RULES)


@pytest.mark.parametrize("mode", CONSUME_MODES)
def test_no_advice_on_the_commit_settings_of_a_mode_brings_a_new_error(mode: ConsumeMode) -> None:
    stated = [{}, *({"enable.auto.commit": each} for each in (True, False))]
    stored = [{}, *({"enable.auto.offset.store": each} for each in (True, False))]
    base = load_builtin()["idempotent"]
    group, judged = [{}, {"group.id": "g"}], [(), ("no_lost",), ("no_unprocessed",)]
    for commit, store, named, promises, critical in product(
        stated, stored, group, judged, (True, False)
    ):
        consumer: dict[str, Any] = {**commit, **store, **named}
        plan = ConsumePlan(mode=mode)
        profile = replace(
            base, consumer=consumer, promises=promises, critical=critical, consume=plan
        )
        subject = subject_of(profile, 3)
        before = errors(subject)
        for finding in lint_subject(subject):
            new = errors(followed(subject, finding)) - before
            assert not new, f"{mode}, {consumer}: {finding.fix} → {new}"


def test_a_topic_with_min_isr_1_is_advised_into_a_topic_without_findings() -> None:
    for factor in (None, 1, 2, 3, 4):
        stated = {} if factor is None else {"replication.factor": factor}
        topic = {**stated, "min.insync.replicas": 1, "retention.ms": 1000}
        subject = Subject("t", topic=topic)
        finding = lint_subject(subject)[0]
        assert lint_subject(followed(subject, finding)) == [], finding.fix


def test_a_url_with_a_password_is_not_repeated() -> None:
    subject = Subject("f", connection={"bootstrap.servers": "https://user:secret@kafka:1"})
    assert "secret" not in str(lint_subject(subject))


def test_a_member_asks_for_as_many_records_as_the_rule_about_its_work_says() -> None:
    assert RECORDS_MAX == HANDED_AT_ONCE


@pytest.mark.parametrize("change", [("topic", "retention.ms", 1), ("promises", "no_lost", None)])
def test_a_change_is_followed_in_a_profile(change: Change) -> None:
    subject = subject_of(load_builtin()["idempotent"], 3)
    after = followed(subject, Finding("r", "error", "w", "m", "f", (change,)))
    assert after.profile is not None
    if change[0] == "topic":
        assert (after.topic or {})["retention.ms"] == 1
    else:
        assert "no_lost" not in after.promises
