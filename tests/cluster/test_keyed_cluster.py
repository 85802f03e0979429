"""Compacted topics and short retention on real brokers: nothing that they delete is called lost."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from harness.brokers import LocalCluster
from harness.judge.judge import judge
from harness.kafka.topics import cluster_facts, create_topics
from harness.profiles import load_builtin
from harness.read.drain import drain
from harness.reconcile.reconcile import reconcile
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ProfileRun, RunInfo, new_run_id
from harness.rundir.run_record import RecordedObservations, load_run
from harness.rundir.verdict import INCONCLUSIVE
from harness.system.lifeline import Child
from tests.support.runs import load_plan
from tests.support.scenarios import STEADY
from tests.support.timelines import lines_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

PARTITIONS = 2
KEYS = 7
CLEANED = {
    "compacted": {
        "cleanup.policy": "compact",
        "segment.ms": "500",
        "min.cleanable.dirty.ratio": "0.01",
        "max.compaction.lag.ms": "500",
    },
    "short": {"cleanup.policy": "delete", "segment.ms": "500", "retention.ms": "1000"},
}


def prepare(cluster: LocalCluster, path: Path) -> RunDir:
    """A run of the idempotent producer with a topic of each kind, all records with keys."""
    run_id, idempotent = new_run_id(), load_builtin()["idempotent"]
    config = dict(cluster.client_config)
    facts = cluster_facts(config)
    names = {kind: f"harness-{run_id}-{kind}" for kind in CLEANED}
    settings = {name: {**idempotent.topic, **CLEANED[kind]} for kind, name in names.items()}
    leader = facts.broker_ids[0]
    ids = create_topics(config, settings, partitions=PARTITIONS, leader=leader, facts=facts)
    info = RunInfo(
        run_id=run_id,
        seed=3,
        command=[],
        bootstrap=cluster.bootstrap,
        cluster_id=facts.cluster_id,
        versions={},
        profiles=[
            ProfileRun(
                kind,
                "subject",
                [name],
                [ids[name]],
                dict(idempotent.producer),
                dict(idempotent.consumer),
                settings[name],
                list(idempotent.promises),
            )
            for kind, name in names.items()
        ],
        load=load_plan(
            rate_per_s=300,
            message_bytes=120,
            keys=KEYS,
            partitions=PARTITIONS,
            lag_limit_ms=5000.0,
        ),
        experiments=[],
        aims={},
    )
    run_dir = RunDir.create(path)
    run_dir.write_info(info)
    return run_dir


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.1)


def first_offsets(cluster: LocalCluster, topic: str) -> list[int]:
    """The offset of the first record that each partition still holds."""
    consumer = Consumer(
        {
            **cluster.client_config,
            "group.id": "unused",
            "auto.offset.reset": "earliest",
            "log_level": 2,
        }
    )
    try:
        firsts = []
        for partition in range(PARTITIONS):
            consumer.assign([TopicPartition(topic, partition, 0)])
            message = consumer.poll(20)
            assert message is not None
            assert message.error() is None, message.error()
            firsts.append(int(message.offset() or 0))
        return firsts
    finally:
        consumer.close()


def keep_what_is_left(cluster: LocalCluster, topic: str) -> None:
    """End a short retention, so that the drain finds something."""
    entry = ConfigEntry("retention.ms", "-1", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient(dict(cluster.client_config))
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


def test_what_brokers_clean_away_is_superseded_or_unseen_and_never_lost(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    run_dir = prepare(cluster, tmp_path / "run")
    info = run_dir.read_info()
    load = Child(
        [sys.executable, "-m", "harness.load.process", str(run_dir.path), STEADY],
        log=run_dir.logs / "load.log",
        environment={"HARNESS_CLIENT_CONFIG": json.dumps(cluster.client_config)},
    )
    try:
        for topic in info.topics:

            def cleaned(topic: str = topic) -> bool:
                return (
                    bool(list(lines_of(run_dir, "load"))) and min(first_offsets(cluster, topic)) > 0
                )

            # While the load goes on, so that each log has closed segments to clean.
            wait_until(
                cleaned,
                f"the brokers to clean {topic}: {load.tail()}",
            )
        keep_what_is_left(cluster, info.topics[1])
    finally:
        load.stop(grace_s=20)
    proof = drain(run_dir, info, dict(cluster.client_config), 1, timeout_s=20)
    compacted, short = (
        [entry for entry in proof.partitions if entry.topic == topic] for topic in info.topics
    )
    assert all(entry.complete for entry in compacted), proof.reasons
    assert all(entry.start == 0 and entry.holes for entry in compacted)
    assert all(entry.proven_from and "the log starts at" in entry.reason for entry in short)

    run = load_run(run_dir, 1)
    by_key, by_age = reconcile(run)
    assert min(by_key.counts["acked"], by_age.counts["acked"]) > 300
    assert by_key.counts["lost"] == by_key.counts["unseen"] == 0
    assert by_key.keyed.superseded == by_key.counts["acked"] - by_key.counts["seen"] > 0
    assert by_key.keyed.keys == KEYS
    assert by_age.counts["lost"] == 0
    assert by_age.counts["unseen"] == by_age.counts["acked"] - by_age.counts["seen"] > 0
    for found in (by_key, by_age):
        assert found.counts["inconsistent_offset"] == found.counts["inversion"] == 0
        assert found.keyed.inversions == found.keyed.keys_duplicated == 0

    promises = {each.promise: each for each in judge(run).profiles[1].promises}
    assert promises["no_lost"].verdict == INCONCLUSIVE
    assert "log's start had moved" in promises["no_lost"].reason

    # The weight on the scale: without its last records a key, or a young record, is lost.
    assert run.drain is not None
    run.drained = RecordedObservations(there=True)
    for key, partition in run.drain.partitions.items():
        run.drain.partitions[key] = replace(partition, read=0)
    emptied = reconcile(run)
    assert emptied[0].counts["lost"] == KEYS
    assert emptied[1].counts["lost"] == by_age.counts["seen"] > 0
