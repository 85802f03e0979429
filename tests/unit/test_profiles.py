"""The built-in profiles: what they promise, and that the installed client takes their settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer

from harness.anomalies import CONSUMER_ANOMALIES, PROMISES, anomaly_of
from harness.profiles import envelope_breaches, load_builtin
from harness.profiles.lint import RULES
from harness.profiles.model import DeliveryProfile
from harness.profiles.refusal import KINDS
from harness.profiles.settings import client_settings, topic_settings
from harness.profiles.strimzi import STRIMZI_RULES

NOWHERE = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}
DOCS = Path(__file__).resolve().parents[2] / "docs" / "profiles.md"

ACKS_0, ACKS_1, ALL, IDEMPOTENT, TRANSACTIONAL = (
    "fire-and-forget",
    "leader-ack",
    "at-least-once",
    "idempotent",
    "transactional",
)
# docs/verification.md's table: X = promised absent, P = permitted, – = not judged.
TRUTH = {
    "lost": "PPXXX",
    "duplicate": "PPPXX",
    "inversion": "PPPXX",
    "gap": "PPPPX",
    "phantom": "XXXXX",
    "corrupt": "XXXXX",
    "misrouted": "XXXXX",
    "failed_visible": "XXXXX",
    "inconsistent_offset": "PPXXX",
    "vanished": "XXXXX",
    "torn_txn": "––––X",
    "lost_txn": "––––X",
    "precommitted_read": "––––X",
    "hung_txn": "––––X",
    **dict.fromkeys(CONSUMER_ANOMALIES, "–––––"),
}
CONSUME = {
    "consume-at-most-once": "commit-before",
    "consume-at-least-once": "commit-after",
    "consume-auto-commit": "auto",
    "consume-stored-offsets": "stored",
    "exactly-once-pipeline": "transactional",
    "pipeline-without-offsets": "transactional",
    "share-group": "share",
}
# In the order of CONSUME: X = promised absent, P = permitted.
CONSUMER_TRUTH = {
    "unprocessed": "PXPXXPX",
    "reprocessed": "XPPPXPP",
    "repeated": "XPPPXPP",
    "poll_skip": "XXXXXPP",
    "backward_poll": "XXXXXPP",
    "unassigned_read": "XXXXXPP",
    "commit_beyond_position": "XXXXXPP",
    "start_beyond_committed": "XXPXXPP",
    "commit_lost": "XXPXXPP",
    "double_owner": "XXPPXPP",
}
CELLS = [
    (profile, anomaly, cell == "X")
    for anomaly, row in TRUTH.items()
    for profile, cell in zip((ACKS_0, ACKS_1, ALL, IDEMPOTENT, TRANSACTIONAL), row, strict=True)
]


def test_the_truth_table_covers_every_promise() -> None:
    assert {anomaly_of(promise) for promise in PROMISES} == set(TRUTH)


@pytest.mark.parametrize(("profile", "anomaly", "promised"), CELLS)
def test_a_profile_promises_exactly_what_the_anomaly_table_says(
    profile: str, anomaly: str, promised: bool
) -> None:
    assert (f"no_{anomaly}" in load_builtin()[profile].promises) is promised


@pytest.mark.parametrize("name", CONSUME)
def test_a_consuming_profile_promises_exactly_what_its_table_says(name: str) -> None:
    profile = load_builtin()[name]
    column = list(CONSUME).index(name)
    assert profile.consume is not None
    assert profile.consume.mode == CONSUME[name]
    promised = {anomaly_of(each) for each in profile.promises}
    written = IDEMPOTENT if profile.topics == 1 else TRANSACTIONAL
    produced = {anomaly_of(each) for each in load_builtin()[written].promises}
    assert promised & set(CONSUMER_TRUTH) == {
        anomaly for anomaly, row in CONSUMER_TRUTH.items() if row[column] == "X"
    }
    assert promised - set(CONSUMER_TRUTH) == produced


def test_the_pipeline_and_its_control_differ_in_send_offsets_alone() -> None:
    pipeline, control = (
        load_builtin()[name] for name in ("exactly-once-pipeline", "pipeline-without-offsets")
    )
    assert pipeline.consume is not None
    assert control.consume == replace(pipeline.consume, send_offsets=False)
    assert (pipeline.producer, pipeline.consumer, pipeline.topic) == (
        control.producer,
        control.consumer,
        control.topic,
    )


def test_unsafe_topic_promises_nothing_and_never_counts() -> None:
    unsafe = load_builtin()["unsafe-topic"]
    assert (unsafe.promises, unsafe.bare, unsafe.counted) == ((), False, False)


def test_a_bare_run_takes_the_five_producer_profiles_in_order() -> None:
    bare = [profile.name for profile in load_builtin().values() if profile.bare]
    assert bare == [ACKS_0, ACKS_1, ALL, IDEMPOTENT, TRANSACTIONAL]


@pytest.mark.parametrize(
    ("name", "acks", "idempotence", "in_flight"),
    [
        (ACKS_0, "0", False, 5),
        (ACKS_1, "1", False, 5),
        (ALL, "all", False, 5),
        (IDEMPOTENT, "all", True, 5),
        (TRANSACTIONAL, "all", True, 5),
        ("unsafe-topic", "all", True, 5),
    ],
)
def test_the_deciding_producer_settings(
    name: str, acks: str, idempotence: bool, in_flight: int
) -> None:
    profile = load_builtin()[name]
    assert profile.acks == acks
    assert profile.producer["enable.idempotence"] is idempotence
    assert profile.producer["max.in.flight.requests.per.connection"] == in_flight


def test_at_least_once_and_idempotent_differ_in_idempotence_alone() -> None:
    profiles = load_builtin()
    weak, strong = profiles[ALL], profiles[IDEMPOTENT]
    assert dict(weak.producer) == {**strong.producer, "enable.idempotence": False}
    assert (weak.consumer, weak.topic) == (strong.consumer, strong.topic)


def test_every_profile_states_the_same_settings() -> None:
    transactions = {"transactional.id", "transaction.timeout.ms"}
    members = {
        "max.poll.interval.ms",
        "session.timeout.ms",
        "heartbeat.interval.ms",
        "partition.assignment.strategy",
        "auto.commit.interval.ms",
    }
    stated = {
        (
            frozenset(set(profile.producer) - transactions),
            frozenset(set(profile.consumer) - members),
            frozenset(profile.topic),
        )
        for profile in load_builtin().values()
    }
    assert len(stated) == 1


def test_the_transactional_profile_writes_to_several_topics_and_aborts_some() -> None:
    profile = load_builtin()[TRANSACTIONAL]
    assert profile.topics == 2
    assert 0 < profile.abort_ratio < 0.5
    assert profile.transaction_interval_ms
    assert profile.consumer["isolation.level"] == "read_committed"


@pytest.mark.parametrize("name", load_builtin())
def test_the_installed_client_accepts_every_producer_and_consumer(name: str) -> None:
    profile = load_builtin()[name]
    Producer({**NOWHERE, **profile.producer})
    protocol = profile.consume.protocol if profile.consume else "classic"
    Consumer(
        {**NOWHERE, "group.id": "unused", "group.protocol": protocol, **profile.consumer}
    ).close()


def test_the_installed_client_refuses_a_setting_that_it_does_not_know() -> None:
    with pytest.raises(KafkaException, match="No such configuration property"):
        Producer({**NOWHERE, "lingr.ms": 5})


@pytest.mark.parametrize("name", client_settings())
def test_every_known_setting_is_known_to_the_installed_client(name: str) -> None:
    """A value that cannot be right is refused as a value, not as an unknown name."""
    client = Consumer if client_settings()[name].used_by == "consumer" else Producer
    refusal = ""
    try:
        client({**NOWHERE, "group.id": "unused", name: "\x01"})
    except (KafkaException, TypeError) as error:
        refusal = str(error)
    assert "No such configuration property" not in refusal


def test_every_topic_setting_of_a_profile_is_known() -> None:
    for profile in load_builtin().values():
        assert set(profile.topic) <= set(topic_settings())


@pytest.mark.parametrize("name", [n for n, p in load_builtin().items() if p.promises])
def test_a_profile_that_promises_something_stands_inside_its_envelope(name: str) -> None:
    assert envelope_breaches(load_builtin()[name]) == []


@pytest.mark.parametrize(
    ("setting", "value", "breach"),
    [
        ("replication.factor", 2, "replication.factor is 2; at least 3 are needed"),
        ("min.insync.replicas", 1, "min.insync.replicas is 1; at least 2 are needed"),
        (
            "unclean.leader.election.enable",
            True,
            "unclean.leader.election.enable is true; it must be false",
        ),
    ],
)
def test_each_topic_setting_can_take_a_profile_out_of_its_envelope(
    setting: str, value: int | bool, breach: str
) -> None:
    profile = load_builtin()[IDEMPOTENT].override(topic={setting: value})
    assert envelope_breaches(profile) == [breach]


def test_the_cluster_decides_what_the_topic_does_not_state() -> None:
    profile = load_builtin()[IDEMPOTENT]
    bare = DeliveryProfile(
        "bare", "", profile.producer, profile.consumer, {"replication.factor": 3}, ("no_lost",)
    )
    assert envelope_breaches(bare, {"min.insync.replicas": "1"}) != []
    assert envelope_breaches(profile, {"min.insync.replicas": "1"}) == []


def test_the_transaction_log_belongs_to_the_envelope_of_transactions_alone() -> None:
    cluster = {"transaction.state.log.replication.factor": "1"}
    profiles = load_builtin()
    assert len(envelope_breaches(profiles[TRANSACTIONAL], cluster)) == 1
    assert envelope_breaches(profiles[IDEMPOTENT], cluster) == []


@pytest.mark.parametrize("name", [*load_builtin(), *RULES, *STRIMZI_RULES, *KINDS])
def test_every_profile_and_every_rule_is_documented(name: str) -> None:
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert any(line.startswith(f"| `{name}` |") for line in rows), f"{name} has no row in {DOCS}"


def test_no_rule_is_documented_that_does_not_exist() -> None:
    guardrails = DOCS.read_text(encoding="utf-8").partition("## Guardrails")[2]
    named = {line.split("`")[1] for line in guardrails.splitlines() if line.startswith("| `")}
    assert named == {*RULES, *STRIMZI_RULES, *KINDS}


def test_topic_settings_are_handed_over_as_text() -> None:
    config = load_builtin()[IDEMPOTENT].topic_config()
    assert config["unclean.leader.election.enable"] == "false"
    assert config["retention.ms"] == "-1"
    assert "replication.factor" not in config
