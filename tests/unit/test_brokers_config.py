"""What nodes are told, what versions are accepted, which --brokers values name what."""

from __future__ import annotations

import re
from pathlib import Path

import javaproperties
import pytest

from harness.brokers import ForeignBrokers, capabilities_of, connect, started, starts
from harness.brokers.foreign import parse_bootstrap
from harness.brokers.local.config import (
    BROKER_IDS,
    PORTS_PER_NODE,
    NodePorts,
    bootstrap,
    broker_command,
    properties_text,
    server_settings,
)
from harness.brokers.local.jars import check_version
from harness.brokers.local.storage import format_node, new_kafka_uuid
from harness.errors import UsageError

PORTS = {i: NodePorts(*range(100 * i, 100 * i + PORTS_PER_NODE)) for i in BROKER_IDS}


def test_a_node_advertises_its_proxies_and_listens_behind_them() -> None:
    settings = server_settings(2, PORTS, Path("/d"))
    own = PORTS[2]
    assert settings["listeners"] == (
        f"CLIENT://127.0.0.1:{own.client_broker},REPLICATION://127.0.0.1:{own.replication_broker},"
        f"DIRECT://127.0.0.1:{own.direct},CONTROLLER://127.0.0.1:{own.controller}"
    )
    assert settings["advertised.listeners"] == (
        f"CLIENT://127.0.0.1:{own.client},REPLICATION://127.0.0.1:{own.replication},"
        f"DIRECT://127.0.0.1:{own.direct}"
    )
    assert settings["inter.broker.listener.name"] == "REPLICATION"


def test_all_nodes_name_the_same_voters() -> None:
    voters = {server_settings(i, PORTS, Path("/d"))["controller.quorum.voters"] for i in BROKER_IDS}
    assert voters == {"1@127.0.0.1:105,2@127.0.0.1:205,3@127.0.0.1:305"}


def test_no_address_but_loopback_stands_in_a_nodes_settings() -> None:
    text = properties_text(server_settings(1, PORTS, Path("/d")))
    assert set(re.findall(r"\d+\.\d+\.\d+\.\d+", text)) == {"127.0.0.1"}
    assert "0.0.0.0" not in text


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("default.replication.factor", "3"),
        ("min.insync.replicas", "2"),
        ("unclean.leader.election.enable", "false"),
        ("offsets.topic.replication.factor", "3"),
        ("transaction.state.log.replication.factor", "3"),
        ("transaction.state.log.min.isr", "2"),
        ("auto.create.topics.enable", "false"),
    ],
)
def test_a_node_stands_inside_the_envelope_of_the_promises(setting: str, value: str) -> None:
    assert server_settings(1, PORTS, Path("/d"))[setting] == value


def test_bootstrap_goes_through_proxies_unless_asked_otherwise() -> None:
    assert bootstrap(PORTS) == "127.0.0.1:100,127.0.0.1:200,127.0.0.1:300"
    assert bootstrap(PORTS, direct=True) == "127.0.0.1:104,127.0.0.1:204,127.0.0.1:304"


def test_a_backslash_in_a_path_survives_javas_properties_format() -> None:
    assert properties_text({"log.dirs": "/a\\b"}) == "log.dirs=/a\\\\b\n"


@pytest.mark.parametrize("path", ["/a\nacks=0", "/cäche", " /a", "/a=b:c#d", "/日本"])
def test_a_path_is_the_same_after_javas_properties_format(path: str) -> None:
    text = properties_text({"log.dirs": path, "broker.id": "1"})
    assert text.isascii()
    assert javaproperties.loads(text) == {"log.dirs": path, "broker.id": "1"}


def test_a_broker_runs_kafka_with_its_own_properties_last() -> None:
    command = broker_command(
        Path("/j/java"), "a.jar:b.jar", Path("/n/server.properties"), Path("/l"), ("-XX:Extra",)
    )
    assert command[0] == "/j/java"
    assert command[-4:] == ["-cp", "a.jar:b.jar", "kafka.Kafka", "/n/server.properties"]
    assert "-XX:Extra" in command
    assert "-Djava.io.tmpdir=/n" in command


def test_a_formatted_node_has_its_names_and_the_feature_levels(tmp_path: Path) -> None:
    (tmp_path / "format" / "__cluster_metadata-0").mkdir(parents=True)
    (tmp_path / "format" / "__cluster_metadata-0" / "0.checkpoint").write_bytes(b"levels")
    format_node(tmp_path / "data", 3, "cluster-id-of-22-chars", tmp_path / "format")
    meta = dict(
        line.split("=", 1)
        for line in (tmp_path / "data" / "meta.properties").read_text().splitlines()
    )
    assert meta["node.id"] == "3"
    assert meta["cluster.id"] == "cluster-id-of-22-chars"
    assert len(meta["directory.id"]) == 22
    copied = tmp_path / "data" / "__cluster_metadata-0" / "0.checkpoint"
    assert copied.read_bytes() == b"levels"


def test_kafka_ids_are_22_characters_and_never_start_with_a_dash() -> None:
    ids = {new_kafka_uuid() for _ in range(2000)}
    assert len(ids) == 2000
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", i) for i in ids)


@pytest.mark.parametrize(
    ("text", "version"), [("4.3.1", (4, 3, 1)), ("4.0.0", (4, 0, 0)), ("10.12.3", (10, 12, 3))]
)
def test_a_kafka_version_is_three_numbers(text: str, version: tuple[int, int, int]) -> None:
    assert check_version(text) == version


@pytest.mark.parametrize(
    "text", ["", "4.3", "4.3.1-rc0", "v4.3.1", "4.3.1.0", "../4.3.1", "latest"]
)
def test_what_is_no_kafka_version_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"MAJOR\.MINOR\.PATCH"):
        check_version(text)


def test_a_kafka_too_old_for_the_guarantees_is_refused() -> None:
    with pytest.raises(UsageError, match=r"4\.0\.0 or newer"):
        check_version("3.9.1")


# -- --brokers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("kafka:9092", ["kafka:9092"]),
        ("a.example:1, b-2:65535", ["a.example:1", "b-2:65535"]),
        ("[::1]:9092", ["[::1]:9092"]),
    ],
)
def test_bootstrap_servers_are_read(text: str, addresses: list[str]) -> None:
    assert parse_bootstrap(text) == addresses


@pytest.mark.parametrize(
    "text", ["", "kafka", "kafka:", ":9092", "kafka:0", "kafka:65536", "a:1,", "a:1,b", "a b:1"]
)
def test_what_is_no_bootstrap_server_is_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match="HOST:PORT"):
        parse_bootstrap(text)


@pytest.mark.parametrize(
    ("spec", "capabilities"),
    [
        ("local", {"process", "pause", "reassign", "proxy", "files"}),
        ("local:mine", {"process", "pause", "reassign", "proxy", "files"}),
        (
            "strimzi://kafka/my-cluster",
            {"process", "pause", "reassign", "zones", "container", "roll", "operator", "revoke"},
        ),
        ("kafka:9092", set()),
    ],
)
def test_only_local_brokers_can_be_killed_or_cut_off(spec: str, capabilities: set[str]) -> None:
    assert capabilities_of(spec) == capabilities


def test_foreign_brokers_carry_the_settings_and_never_print_them() -> None:
    brokers = connect("kafka:9092", {"sasl.password": "hush", "bootstrap.servers": "other:1"})
    assert isinstance(brokers, ForeignBrokers)
    assert brokers.client_config == {"sasl.password": "hush", "bootstrap.servers": "kafka:9092"}
    assert brokers.capabilities == frozenset()
    assert "hush" not in repr(brokers)


def test_only_local_brokers_without_a_name_are_started_for_a_run() -> None:
    assert starts("local")
    for spec in ("local:kept", "kafka-1:9092,kafka-2:9092", "strimzi://kafka/chaos"):
        assert not starts(spec)
        with pytest.raises(UsageError, match="not started by the harness"):
            started(spec)


def test_a_kind_that_starts_brokers_says_so_before_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at a version that cannot be: nothing was started, and nothing has to be ended."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told: list[tuple[str, str]] = []
    with (
        pytest.raises(UsageError, match=r"3\.9\.0"),
        started(
            "local",
            kafka_version="3.9.0",
            on_progress=lambda event: told.append((event.kind, event.text)),
        ),
    ):
        raise AssertionError("brokers of a version without them")
    assert told[0] == ("stage", "starting three brokers")
    assert ("stage", "stopping the brokers") not in told
