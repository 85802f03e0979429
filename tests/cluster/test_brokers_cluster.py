"""The local cluster, real: three broker processes, their supervisor, and how both end."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import javaproperties
import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from harness.brokers import KAFKA_VERSION, LocalCluster
from harness.brokers.local import config as config_module
from harness.brokers.local import launch as launch_module
from harness.brokers.local.jars import cached_jars
from harness.brokers.local.java import find_java
from harness.brokers.local.state import ProcessIdentity, read_state
from harness.errors import ClusterError, UsageError
from harness.kafka.topics import CREATE_TIMEOUT_S, await_created

pytestmark = pytest.mark.cluster
QUIET = {"log_level": "0"}


@pytest.fixture
def healed(cluster: LocalCluster) -> Iterator[LocalCluster]:
    yield cluster
    cluster.heal()


def eventually(condition: Callable[[], bool], what: str, timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s until {what}"
        time.sleep(0.02)


def identities(cluster: LocalCluster) -> list[ProcessIdentity]:
    """Every process of a cluster: the brokers and the supervisor."""
    state = read_state(cluster.directory)
    found = [node.process for node in state.nodes.values()] + [state.supervisor]
    assert all(found)
    return [identity for identity in found if identity is not None]


def make_topic(cluster: LocalCluster, name: str, leader: int) -> None:
    """One partition, replicas on all brokers, the first one as named."""
    others = [i for i in cluster.broker_ids if i != leader]
    admin = AdminClient({**cluster.client_config, **QUIET})
    topic = NewTopic(name, 1, replica_assignment=[[leader, *others]])
    await_created(admin.create_topics([topic], request_timeout=CREATE_TIMEOUT_S))
    eventually(lambda: leader_of(admin, name) == leader, f"broker {leader} leads {name}")


def leader_of(admin: AdminClient, topic: str) -> int:
    partition = admin.list_topics(topic, timeout=10).topics[topic].partitions.get(0)
    return -1 if partition is None else int(partition.leader)


def in_sync(cluster: LocalCluster, topic: str) -> list[int]:
    admin = AdminClient({**cluster.client_config, **QUIET})
    return sorted(admin.list_topics(topic, timeout=10).topics[topic].partitions[0].isrs)


def produce(
    cluster: LocalCluster, topic: str, value: bytes, *, acks: str = "all", timeout_s: float = 20
) -> KafkaError | None:
    """The error of one record's delivery, None when it was acknowledged."""
    outcome: list[KafkaError | None] = []
    producer = Producer(
        {
            **cluster.client_config,
            **QUIET,
            "acks": acks,
            "message.timeout.ms": int(timeout_s * 1000),
            "request.timeout.ms": int(timeout_s * 1000),
            "message.send.max.retries": 0,
        }
    )

    def report(error: KafkaError | None, _message: Message) -> None:
        outcome.append(error)

    producer.produce(topic, value, partition=0, on_delivery=report)
    assert producer.flush(timeout_s + 10) == 0
    return outcome[0]


def values(bootstrap: str, topic: str) -> list[bytes]:
    """Every value of partition 0 below its high watermark."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "unused",
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            **QUIET,
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[bytes] = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        message = consumer.poll(1.0)
        if message is None:
            continue
        error = message.error()
        if error is not None:
            assert error.code() == KafkaError._PARTITION_EOF, error
            consumer.close()
            return found
        found.append(message.value() or b"")
    raise AssertionError(f"{topic} was not read to its end within 20 s")


def await_values(bootstrap: str, topic: str, expected: list[bytes]) -> None:
    """A new leader's high watermark trails its log until its followers have fetched."""
    eventually(lambda: values(bootstrap, topic) == expected, f"{topic} holds {expected}")


# -- a running cluster -------------------------------------------------------------------------


def test_three_processes_answer_and_see_each_other(cluster: LocalCluster) -> None:
    eventually(lambda: all(broker.ready for broker in cluster.status()), "all are ready", 60)
    status = cluster.status()
    assert [broker.broker_id for broker in status] == [1, 2, 3] == cluster.broker_ids
    assert len({broker.pid for broker in status}) == 3
    for broker in status:
        assert psutil.Process(broker.pid).name() == "java"
    admin = AdminClient({**cluster.client_config, **QUIET})
    described = admin.describe_cluster().result(20)
    assert described.cluster_id == cluster.cluster_id
    seen = {f"{node.host}:{node.port}" for node in described.nodes}
    assert seen == set(cluster.bootstrap.split(","))


def test_clients_and_followers_come_through_proxies(cluster: LocalCluster) -> None:
    for node in read_state(cluster.directory).nodes.values():
        path = cluster.directory / str(node.node_id) / "server.properties"
        advertised = javaproperties.loads(path.read_text())["advertised.listeners"]
        assert f"CLIENT://127.0.0.1:{node.ports.client}" in advertised.split(",")
        assert f"REPLICATION://127.0.0.1:{node.ports.replication}" in advertised.split(",")
    supervisor = read_state(cluster.directory).supervisor
    assert supervisor is not None
    connections = psutil.Process(supervisor.pid).net_connections("tcp")
    listening = {c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN}
    for node in read_state(cluster.directory).nodes.values():
        assert {node.ports.client, node.ports.replication} <= listening


def test_everything_listens_on_loopback_only(cluster: LocalCluster) -> None:
    for identity in identities(cluster):
        for connection in psutil.Process(identity.pid).net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                address = connection.laddr.ip.removeprefix("::ffff:")
                assert address.startswith("127."), connection


def test_the_feature_levels_that_guarantees_rest_on_are_turned_on(cluster: LocalCluster) -> None:
    jars = cached_jars(KAFKA_VERSION)
    assert jars is not None
    described = subprocess.run(
        [
            str(find_java().executable),
            "-cp",
            jars.tools_class_path,
            "org.apache.kafka.tools.FeatureCommand",
            "--bootstrap-server",
            cluster.direct_bootstrap,
            "describe",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    levels = {
        line.split()[1]: line.split("FinalizedVersionLevel:")[1].split()[0]
        for line in described.splitlines()
        if line.startswith("Feature:")
    }
    assert levels["transaction.version"] == "2"
    assert levels["eligible.leader.replicas.version"] == "1"
    assert levels["group.version"] == "1"
    assert levels["metadata.version"].startswith("4.3")


def test_a_killed_broker_comes_back_on_its_data_and_ports(healed: LocalCluster) -> None:
    make_topic(healed, "killed-broker", leader=2)
    assert produce(healed, "killed-broker", b"before") is None
    before = healed.status()[1]
    pid = healed.signal(2, signal.SIGKILL)
    assert pid == before.pid
    assert healed.wait_exited(2, 10) == -9
    assert healed.pid(2) is None
    with pytest.raises(ClusterError, match="no process to signal"):
        healed.signal(2, signal.SIGTERM)
    again = healed.start_broker(2)
    assert healed.pid(2) == again != pid
    healed.wait_ready(30)
    after = healed.status()[1]
    assert (after.client, after.direct, after.starts) == (
        before.client,
        before.direct,
        before.starts + 1,
    )
    await_values(healed.bootstrap, "killed-broker", [b"before"])


def test_a_cluster_with_a_paused_broker_is_not_ready(healed: LocalCluster) -> None:
    healed.signal(3, signal.SIGSTOP)
    assert healed.status()[2].paused
    with pytest.raises(ClusterError, match="broker 3 is paused"):
        healed.wait_ready(1.5)
    healed.signal(3, signal.SIGCONT)
    healed.wait_ready(30)
    assert not healed.status()[2].paused


def test_waiting_for_the_end_of_a_living_broker_says_so_in_time(cluster: LocalCluster) -> None:
    started = time.monotonic()
    with pytest.raises(ClusterError, match=r"broker 1 \(pid \d+\) did not end within 0.3 s"):
        cluster.wait_exited(1, 0.3)
    assert time.monotonic() - started < 5


def test_a_running_broker_is_not_started_twice(cluster: LocalCluster) -> None:
    with pytest.raises(ClusterError, match="broker 1 runs already"):
        cluster.start_broker(1)


@pytest.mark.parametrize(
    ("call", "accepted"),
    [
        (lambda c: c.signal(9, signal.SIGCONT), "brokers 1, 2, 3"),
        (lambda c: c.set_link(1, "controller", "pass"), "client, replication"),
        (lambda c: c.set_link(1, "client", "torn"), "pass, blackhole, cut_responses"),
    ],
)
def test_a_wrong_argument_is_refused_with_what_is_accepted(
    cluster: LocalCluster, call: Callable[[LocalCluster], object], accepted: str
) -> None:
    with pytest.raises(UsageError, match=accepted):
        call(cluster)


def test_heal_mends_every_kind_of_harm_at_once(healed: LocalCluster) -> None:
    healed.signal(1, signal.SIGKILL)
    healed.wait_exited(1, 10)
    healed.signal(2, signal.SIGSTOP)
    healed.set_link(3, "replication", "blackhole")
    healed.set_link(3, "client", "cut_responses")
    healed.heal()
    healed.wait_ready(60)
    status = healed.status()
    assert not any(broker.paused for broker in status)
    assert {mode for broker in status for mode in broker.links.values()} == {"pass"}


# -- links, as Kafka's clients meet them -------------------------------------------------------


def test_replication_blackholed_stops_acks_all_and_not_acks_1(healed: LocalCluster) -> None:
    make_topic(healed, "replication-blackhole", leader=1)
    assert produce(healed, "replication-blackhole", b"before") is None
    healed.set_link(1, "replication", "blackhole")
    error = produce(healed, "replication-blackhole", b"all", timeout_s=1.5)
    assert error is not None
    assert produce(healed, "replication-blackhole", b"one", acks="1") is None
    healed.set_link(1, "replication", "pass")
    eventually(lambda: in_sync(healed, "replication-blackhole") == [1, 2, 3], "full ISR", 60)
    assert produce(healed, "replication-blackhole", b"after") is None


def test_cut_responses_appends_what_is_never_acknowledged(healed: LocalCluster) -> None:
    make_topic(healed, "cut-responses", leader=1)
    seen: list[KafkaError | None] = []
    producer = Producer(
        {
            **healed.client_config,
            **QUIET,
            "acks": "all",
            "message.send.max.retries": 0,
        }
    )

    def send(value: bytes) -> None:
        producer.produce(
            "cut-responses", value, partition=0, on_delivery=lambda error, _: seen.append(error)
        )

    send(b"before")
    assert producer.flush(60) == 0
    healed.set_link(1, "client", "cut_responses")
    send(b"cut")
    producer.poll(0)
    await_values(healed.direct_bootstrap, "cut-responses", [b"before", b"cut"])
    assert len(seen) == 1
    healed.close_connections(1, "client")
    assert producer.flush(60) == 0
    assert seen[0] is None
    assert seen[1] is not None
    assert values(healed.direct_bootstrap, "cut-responses") == [b"before", b"cut"]


def test_close_connections_counts_and_resets_those_of_one_listener(
    healed: LocalCluster,
) -> None:
    with connect(healed.status()[1].client) as connection:
        eventually(lambda: healed.close_connections(2, "client") >= 1, "the connection is known")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def connect(address: str) -> socket.socket:
    host, port = address.split(":")
    return socket.create_connection((host, int(port)), 5)


# -- life and death ----------------------------------------------------------------------------


def test_two_clusters_run_side_by_side_on_ports_and_data_of_their_own(
    cluster: LocalCluster,
) -> None:
    with LocalCluster.start() as other:
        assert not set(cluster.bootstrap.split(",")) & set(other.bootstrap.split(","))
        assert cluster.cluster_id != other.cluster_id
        make_topic(other, "of-the-other", leader=1)
        names = AdminClient({**cluster.client_config, **QUIET}).list_topics(timeout=10).topics
        assert "of-the-other" not in names
        processes = identities(other)
    assert not any(process.alive() for process in processes)
    assert not other.directory.exists()
    cluster.wait_ready(60)


@pytest.mark.long  # on a quiet machine: `make starts`
@pytest.mark.usefixtures("cluster")
def test_a_warm_start_takes_less_than_eight_seconds() -> None:
    started = time.monotonic()
    with LocalCluster.start():
        took_s = time.monotonic() - started
    assert took_s < 8


HARNESS = """
import signal, sys
from harness.brokers import LocalCluster
from harness.brokers.local.state import read_state
cluster = LocalCluster.start(sys.argv[1])
for broker in (1, 2):
    cluster.signal(broker, signal.SIGSTOP)
print(cluster.directory, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_nothing_outlives_the_harness_even_with_brokers_paused(how: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HARNESS, f"orphan-{os.getpid()}-{how.name.lower()}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    directory = Path(process.stdout.readline().strip())
    state = read_state(directory)
    left = [node.process for node in state.nodes.values()] + [state.supervisor]
    assert all(identity is not None and identity.alive() for identity in left)
    process.send_signal(how)
    process.wait(10)
    eventually(
        lambda: not any(identity.alive() for identity in left if identity), "all processes ended"
    )
    eventually(lambda: not directory.exists(), "the cluster's directory is gone")


@pytest.mark.usefixtures("own_cache")
def test_brokers_end_with_a_supervisor_that_was_killed() -> None:
    cluster = LocalCluster.start("victim")
    processes = identities(cluster)
    cluster.signal(1, signal.SIGSTOP)
    assert processes[-1].kill()
    eventually(lambda: not any(p.alive() for p in processes), "its brokers ended")
    with pytest.raises(ClusterError, match="supervisor is gone"):
        LocalCluster.attach("victim")
    with LocalCluster.start("next") as following:
        assert not cluster.directory.exists()
        assert following.directory.exists()
    cluster.down()


@pytest.mark.usefixtures("own_cache")
def test_a_kept_cluster_goes_on_with_its_data_and_ports_after_its_supervisor_was_killed() -> None:
    cluster = LocalCluster.start("kept", kept=True)
    try:
        make_topic(cluster, "survives", leader=1)
        assert produce(cluster, "survives", b"value") is None
        processes = identities(cluster)
        assert processes[-1].kill()
        eventually(lambda: not any(p.alive() for p in processes), "its brokers ended")
        again = LocalCluster.revive("kept")
        assert (again.bootstrap, again.cluster_id) == (cluster.bootstrap, cluster.cluster_id)
        await_values(again.bootstrap, "survives", [b"value"])
    finally:
        cluster.down()
    assert not cluster.directory.exists()


@pytest.mark.usefixtures("own_cache")
def test_stop_and_start_keep_data_and_ports() -> None:
    with LocalCluster.start("stopped") as cluster:
        make_topic(cluster, "stop-start", leader=3)
        assert produce(cluster, "stop-start", b"value") is None
        cluster.signal(2, signal.SIGSTOP)
        cluster.stop()
        assert cluster.phase() == "stopped"
        assert [broker.pid for broker in cluster.status()] == [None] * 3
        ports = read_state(cluster.directory).ports
        with LocalCluster.start("beside") as beside:
            taken = set(beside.bootstrap.split(",")) & set(cluster.bootstrap.split(","))
            assert not taken
        cluster.start_all()
        assert read_state(cluster.directory).ports == ports
        await_values(cluster.bootstrap, "stop-start", [b"value"])


def test_a_cluster_that_does_not_start_shows_the_brokers_log_and_leaves_nothing(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = config_module.server_settings

    def wrong(*args: Any) -> dict[str, str]:
        return {**right(*args), "num.io.threads": "none"}

    monkeypatch.setattr(launch_module, "server_settings", wrong)
    with pytest.raises(ClusterError) as failed:
        LocalCluster.start("broken")
    message = str(failed.value)
    assert re.search(r"broker \d ended with 1; its log ends:", message)
    assert "num.io.threads" in message
    assert not (own_cache / "clusters" / "broken").exists()


def test_an_interrupted_start_leaves_nothing(own_cache: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HARNESS, "interrupted"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    state_file = own_cache / "clusters" / "interrupted" / "state.json"
    eventually(
        lambda: state_file.is_file() and json.loads(state_file.read_text())["control_port"] > 0,
        "its brokers were started",
    )
    state = read_state(state_file.parent)
    left = [node.process for node in state.nodes.values()] + [state.supervisor]
    process.send_signal(signal.SIGINT)
    assert process.wait(30) != 0
    assert all(left)
    eventually(
        lambda: not any(identity.alive() for identity in left if identity), "all processes ended"
    )
    eventually(lambda: not state_file.parent.exists(), "the cluster's directory is gone")


def test_only_who_can_read_the_state_file_controls_the_cluster(cluster: LocalCluster) -> None:
    state = read_state(cluster.directory)
    assert (cluster.directory / "state.json").stat().st_mode & 0o077 == 0
    with connect(f"127.0.0.1:{state.control_port}") as stranger:
        stranger.sendall(b'{"op": "down", "token": "guessed"}\n')
        answer = json.loads(stranger.makefile().readline())
    assert answer["ok"] is False
    assert state.token not in json.dumps(answer)
    cluster.wait_ready(60)


def test_brokers_start_below_a_path_that_is_not_ascii_in_the_c_locale(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jars = cached_jars(KAFKA_VERSION)
    assert jars is not None, f"{cluster} runs from it"
    folder = tmp_path / "cäche 日本" / "delivery-harness"
    folder.mkdir(parents=True)
    (folder / "kafka").symlink_to(jars.folder.parent)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder.parent))
    monkeypatch.setenv("LC_ALL", "C")
    with LocalCluster.start() as started:
        assert started.directory.is_relative_to(folder)
        assert all(status.ready for status in started.status())
