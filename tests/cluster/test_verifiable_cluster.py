"""Kafka's own verifiable tools under a leader kill: `verify --history` agrees with plain sets."""

from __future__ import annotations

import json
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from harness.bench.measured import Process
from harness.brokers import LocalCluster
from harness.brokers.local.jars import fetch_jars
from harness.brokers.local.java import find_java
from harness.cli.main import main
from harness.kafka.topics import cluster_facts, create_topics, delete_topics
from harness.rundir.run_info import new_run_id
from tests.support.readings import await_settled
from tests.support.verifiable_count import count

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

LEADER = 2
PARTITIONS = 2
JVM = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=OFF")
WITHOUT_IDEMPOTENCE = "enable.idempotence=false\n"


class Tool:
    """One of the tools, its output in a file."""

    def __init__(self, cluster: LocalCluster, folder: Path, name: str, *argv: str) -> None:
        self.output = folder / f"{name}.log"
        jars = fetch_jars(cluster.kafka_version)
        tool = "VerifiableProducer" if "--value-prefix" in argv else "VerifiableConsumer"
        java = [str(find_java().executable), *JVM, "-cp", jars.tools_class_path,
                f"org.apache.kafka.tools.{tool}",
                "--bootstrap-server", cluster.bootstrap, *argv]  # fmt: skip
        # What the JVM says on stderr is no line of the tool.
        shell = ["sh", "-c", 'exec "$@" 2>"$0"', str(folder / f"{name}.stderr")]
        self._process = Process([*shell, *java], what=name, folder=folder)
        self._events: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._read_bytes = 0

    def events(self, name: str) -> list[dict[str, Any]]:
        """The whole lines of a name that it has printed so far."""
        if self.output.exists():
            with self.output.open("rb") as output:
                output.seek(self._read_bytes)
                data = output.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._read_bytes += len(whole)
            for line in whole.splitlines():
                event = json.loads(line)
                self._events[event["name"]].append(event)
        return self._events[name]

    def end(self) -> None:
        """Ask it to end, and await that it has said so."""
        self._process.terminate()
        await_that(lambda: bool(self.events("shutdown_complete")), f"{self.output.stem} to end", 30)

    def stop(self) -> None:
        """End it in any case."""
        self._process.stop()


def await_that(condition: Callable[[], bool], what: str, timeout_s: float) -> None:
    """Wait for a condition. Fails saying what was awaited."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.05)


@contextmanager
def topic_on(cluster: LocalCluster) -> Iterator[str]:
    """A topic of which one broker leads every partition."""
    name = f"harness-{new_run_id()}-verifiable"
    facts = cluster_facts(cluster.client_config)
    settings = {"replication.factor": 3, "min.insync.replicas": 2}
    create_topics(
        cluster.client_config, {name: settings}, partitions=PARTITIONS, leader=LEADER, facts=facts
    )
    try:
        yield name
    finally:
        assert delete_topics(cluster.client_config, [name], print) == {}


def end_offsets(cluster: LocalCluster, topic: str) -> dict[int, int]:
    """Where each partition ends."""
    consumer = Consumer({**cluster.client_config, "group.id": "unused"})
    try:
        return {
            partition: consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=20, cached=False
            )[1]
            for partition in range(PARTITIONS)
        }
    finally:
        consumer.close()


def delivered_upto(consumers: list[Tool]) -> dict[int, int]:
    """One past the highest offset that was delivered of each partition."""
    found: dict[int, int] = {}
    for consumer in consumers:
        for event in consumer.events("record_data"):
            partition, offset = event["partition"], event["offset"]
            found[partition] = max(found.get(partition, 0), offset + 1)
    return found


def kill_the_leader(cluster: LocalCluster, weak: Tool, safe: Tool) -> None:
    """Stop both followers, let the leader acknowledge alone, kill it, let the followers go on."""
    followers = [broker for broker in (1, 2, 3) if broker != LEADER]
    try:
        for broker in followers:
            cluster.signal(broker, signal.SIGSTOP)
        before = len(weak.events("producer_send_success"))
        # Within replica.lag.time.max.ms, or the stopped ones would leave the in-sync replicas.
        await_that(
            lambda: len(weak.events("producer_send_success")) > before + 100,
            "records that the leader alone acknowledges",
            4,
        )
        cluster.signal(LEADER, signal.SIGKILL)
        cluster.wait_exited(LEADER, 10)
    finally:
        for broker in followers:
            cluster.signal(broker, signal.SIGCONT)
    for producer in (weak, safe):
        reached = len(producer.events("producer_send_success"))
        await_that(
            partial(sent_more_than, producer, reached + 100),
            "records after the new leader's election",
            60,
        )  # fmt: skip


def sent_more_than(producer: Any, count: int) -> bool:
    return len(producer.events("producer_send_success")) > count


def judged(files: list[Path], profile: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """(exit code, the profile's part of the verdict)"""
    named = [word for path in files for word in ("--history", str(path))]
    status = main(["verify", *named, "--profile", profile, "--json"])
    shown = capsys.readouterr()
    assert shown.out, shown.err
    return status, json.loads(shown.out)["profiles"][0]


def test_verifiable_tools_under_a_leader_kill_are_judged_as_plain_sets_count_them(
    cluster: LocalCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weak_settings = tmp_path / "weak.properties"
    weak_settings.write_text(WITHOUT_IDEMPOTENCE)
    with ExitStack() as started:
        topic = started.enter_context(topic_on(cluster))

        def start(name: str, *argv: str) -> Tool:
            tool = Tool(cluster, tmp_path, name, "--topic", topic, *argv)
            started.callback(tool.stop)
            return tool

        weak = start("weak", "--acks", "1", "--throughput", "300", "--value-prefix", "1",
                     "--command-config", str(weak_settings))  # fmt: skip
        safe = start("safe", "--acks", "-1", "--throughput", "300", "--value-prefix", "2")
        readers = [start("reader", "--group-id", f"{topic}-group", "--verbose")]
        for producer in (weak, safe):
            await_that(
                partial(sent_more_than, producer, 200),
                "the producers",
                60,
            )
        await_that(lambda: len(delivered_upto(readers)) == PARTITIONS, "the consumer", 60)
        try:
            kill_the_leader(cluster, weak, safe)
        finally:
            cluster.heal()
        for producer in (weak, safe):
            producer.end()
        await_settled(dict(cluster.client_config), [topic], PARTITIONS)
        ends = end_offsets(cluster, topic)
        await_that(lambda: delivered_upto(readers) == ends, f"the consumer to reach {ends}", 60)
        for reader in readers:
            reader.end()

    produced, read = [weak.output, safe.output], [reader.output for reader in readers]
    expected = count([*produced, *read])
    status, profile = judged([*produced, *read], "at-least-once", capsys)
    assert {name: profile["counts"][name] for name in expected} == expected
    assert expected["lost"] > 50, "what the leader alone had acknowledged"
    assert status == 1

    # The producer that waits for all in-sync replicas, by itself; the other's values are foreign.
    expected = count([safe.output, *read])
    status, profile = judged([safe.output, *read], "idempotent", capsys)
    assert {name: profile["counts"][name] for name in expected} == expected
    assert expected["foreign"] > 400
    assert (status, expected["lost"], expected["duplicate"]) == (0, 0, 0)
