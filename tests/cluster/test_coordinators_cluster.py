"""Faults of the transaction coordinator, on the real cluster, in the middle of a transaction."""

from __future__ import annotations

import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from harness import faults
from harness.brokers import LocalCluster
from harness.errors import FaultError
from harness.faults.backend import Target, attach
from harness.faults.roles import TRANSACTION_STATE, coordinating_partition
from tests.support.readings import await_settled
from tests.support.struck import local_of, struck_run
from tests.support.timelines import lines_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


@pytest.fixture
def run(cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """A run directory with one transactional profile of one topic."""
    with struck_run(
        cluster,
        tmp_path / "run",
        monkeypatch,
        "coordinated",
        **{"transactional.id": "{topic}-{instance}"},
    ) as target:
        yield target


def identity(target: Target) -> str:
    return f"{target.run_topics()[0]}-0"


def transactional_producer(target: Target) -> Producer:
    producer = Producer(
        {
            **target.brokers.client_config,
            "transactional.id": identity(target),
            "transaction.timeout.ms": 30000,
            "log_level": 2,
        }
    )
    producer.init_transactions(60)
    return producer


def committed(target: Target) -> list[bytes]:
    """Every value of the run's topic at read_committed."""
    topic = target.run_topics()[0]
    await_settled(dict(target.brokers.client_config), [topic], 1)
    consumer = Consumer(
        {
            **target.brokers.client_config,
            "group.id": "unused",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    values: list[bytes] = []
    try:
        while True:
            message = consumer.poll(30)
            assert message is not None, "no end of the partition within 30 s"
            if message.error() is not None:
                return values
            value = message.value()
            assert isinstance(value, bytes)
            values.append(value)
    finally:
        consumer.close()


def partition_of_state(target: Target, name: str) -> int:
    """Where the brokers themselves keep the state of a transactional.id."""
    consumer = Consumer(
        {
            **target.brokers.client_config,
            "group.id": "unused",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    partitions = target.view.partitions([TRANSACTION_STATE])
    consumer.assign([TopicPartition(TRANSACTION_STATE, each.partition, 0) for each in partitions])
    ended = 0
    try:
        while ended < len(partitions):
            message = consumer.poll(30)
            assert message is not None, "no end of the partition within 30 s"
            if message.error() is not None:
                ended += 1
                continue
            key = message.key()
            assert isinstance(key, bytes)
            (length,) = struct.unpack_from(">h", key, 2)  # TransactionLogKey, version 0
            if key[4 : 4 + length].decode() == name:
                found = message.partition()
                assert found is not None
                return found
    finally:
        consumer.close()
    raise AssertionError(f"no state of {name}")


@pytest.mark.parametrize("name", ["kill_transaction_coordinator", "move_transaction_coordinator"])
def test_a_transaction_that_was_open_when_its_coordinator_was_struck_commits_whole(
    run: Target, name: str
) -> None:
    producer = transactional_producer(run)
    producer.begin_transaction()
    producer.produce(run.run_topics()[0], b"before")
    assert producer.flush(30) == 0
    where = partition_of_state(run, identity(run))
    states = run.view.partitions([TRANSACTION_STATE])
    assert where == coordinating_partition(identity(run), len(states))
    leader = next(state.leader for state in states if state.partition == where)
    pids = {broker: local_of(run).pid(broker) for broker in local_of(run).broker_ids}

    output = getattr(faults, name)()
    producer.produce(run.run_topics()[0], b"after")
    producer.commit_transaction(60)
    faults.heal()

    evidence = output["evidence"]
    assert (evidence["shortcomings"], output["took_effect"]) == ([], True)
    assert run.run_dir is not None
    assert evidence["coordinates"] == [
        {
            "client": identity(run),
            "profile": "coordinated",
            "topic": TRANSACTION_STATE,
            "partition": where,
            "run_id": run.run_dir.read_info().run_id,
        }
    ]
    move = next(each for each in evidence["partitions"] if each["partition"] == where)
    assert move["leader_before"] == leader != move["leader_after"]
    replaced = {broker for broker, pid in pids.items() if local_of(run).pid(broker) != pid}
    assert replaced == ({leader} if name.startswith("kill") else set())
    assert committed(run) == [b"before", b"after"]
    after = run.view.partitions([TRANSACTION_STATE])
    assert [state.replicas for state in after] == [state.replicas for state in states]
    assert all(state.preferred and state.in_full_isr for state in after)
    assert run.run_dir is not None
    phases = [event["phase"] for event in lines_of(run.run_dir, "fault")]
    assert phases == ["inject", "injected", "heal", "healed"]


def test_without_a_run_a_coordinator_is_moved_on_a_cluster_that_never_had_a_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with LocalCluster.start() as untouched:
        monkeypatch.setenv("HARNESS_CLUSTER", str(untouched.directory))
        monkeypatch.delenv("HARNESS_RUN_DIR", raising=False)
        monkeypatch.delenv("HARNESS_CLIENT_CONFIG", raising=False)
        assert TRANSACTION_STATE not in attach().view.topics()
        output = faults.move_transaction_coordinator()
        assert output["took_effect"], output["evidence"]["shortcomings"]
        assert output["evidence"]["coordinates"] == []
        assert {move["topic"] for move in output["evidence"]["partitions"]} == {TRANSACTION_STATE}


def test_no_coordinator_can_be_struck_by_election_when_nobody_else_is_in_sync(run: Target) -> None:
    transactional_producer(run)
    local_of(run).signal(1, signal.SIGKILL)
    local_of(run).wait_exited(1, 20)
    local_of(run).signal(3, signal.SIGKILL)
    local_of(run).wait_exited(3, 20)
    with pytest.raises(FaultError):
        faults.move_transaction_coordinator(evidence_timeout_s=3)
