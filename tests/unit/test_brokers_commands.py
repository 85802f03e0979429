"""`harness cluster` and `harness doctor` as a person or a script meets them."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import pytest

from harness.brokers.local.jars import KAFKA_VERSION
from harness.cli.cluster import (
    add_cluster_arguments,
    add_doctor_arguments,
    run_cluster,
    run_doctor,
)
from harness.cli.doctor import Check, examine
from harness.errors import EXIT_HARNESS_FAILED, ClusterError, UsageError


def cluster(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    add_cluster_arguments(parser)
    return run_cluster(parser.parse_args(argv))


def doctor(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    add_doctor_arguments(parser)
    return run_doctor(parser.parse_args(argv))


def await_ready(capsys: pytest.CaptureFixture[str]) -> None:
    """`status` gives a broker a second to answer, which a busy machine may not keep."""
    deadline = time.monotonic() + 60
    while True:
        assert cluster("status", "--json") == 0
        (status,) = json.loads(capsys.readouterr().out)
        if [broker["ready"] for broker in status["brokers"]] == [True] * 3:
            return
        assert time.monotonic() < deadline, status
        time.sleep(0.1)


@pytest.mark.cluster
@pytest.mark.usefixtures("own_cache")
def test_a_kept_cluster_is_brought_up_stopped_started_and_taken_down_by_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cluster("up", "--json") == 0
    up = json.loads(capsys.readouterr().out)
    try:
        assert up["name"] == "local"
        assert up["phase"] == "running"
        await_ready(capsys)

        assert cluster("env") == 0
        assert capsys.readouterr().out.splitlines() == [
            f"export HARNESS_BROKERS={up['bootstrap']}",
            f"export HARNESS_CLUSTER={up['directory']}",
        ]

        assert cluster("stop") == 0
        assert cluster("status", "--json") == 0
        stopped = json.loads(capsys.readouterr().out)[0]
        assert stopped["phase"] == "stopped"
        assert [broker["pid"] for broker in stopped["brokers"]] == [None] * 3

        assert cluster("up", "--json") == 0
        again = json.loads(capsys.readouterr().out)
        assert again["phase"] == "running"
        assert (again["bootstrap"], again["cluster_id"]) == (up["bootstrap"], up["cluster_id"])

        with pytest.raises(UsageError, match=f"has data of Kafka {KAFKA_VERSION}"):
            cluster("up", "--kafka-version", "4.2.0")
    finally:
        assert cluster("down") == 0
    assert not Path(up["directory"]).exists()
    with pytest.raises(UsageError, match="No local cluster is kept"):
        cluster("down")


@pytest.mark.parametrize("action", ["down", "stop", "start", "env", "heal"])
@pytest.mark.usefixtures("own_cache")
def test_without_a_cluster_every_action_says_how_to_get_one(action: str) -> None:
    with pytest.raises(UsageError, match="harness cluster up"):
        cluster(action)


@pytest.mark.usefixtures("own_cache")
def test_status_without_a_cluster_is_empty_and_no_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cluster("status", "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("down", "--kafka-version", "4.3.1"), "goes with `up`"),
        (("heal", "--json"), "goes with `up` and `status`"),
        (("up", "../elsewhere"), "cluster name"),
        (("up", "--kafka-version", "latest"), r"MAJOR\.MINOR\.PATCH"),
        (("status", "nobody"), "no local cluster 'nobody'"),
    ],
)
@pytest.mark.usefixtures("own_cache")
def test_wrong_usage_is_refused_before_anything_is_started(
    argv: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        cluster(*argv)


def test_doctor_names_what_every_missing_thing_is_needed_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = doctor("--json")
    checks = [Check(**check) for check in json.loads(capsys.readouterr().out)]
    assert status == (EXIT_HARNESS_FAILED if any(c.status == "missing" for c in checks) else 0)
    names = {check.name for check in checks}
    assert {"java", f"kafka {KAFKA_VERSION}", "memory", "disk", "ports"} <= names
    assert all(check.found and check.needed_for for check in checks)
    assert all(check.advice for check in checks if check.status != "ok")


def test_doctor_fails_when_the_named_java_does_not_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_JAVA", str(tmp_path / "nowhere"))
    assert doctor() == EXIT_HARNESS_FAILED
    assert "HARNESS_JAVA" in capsys.readouterr().out


def test_doctor_sees_a_jar_that_was_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "delivery-harness" / "kafka" / "9.9.9"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "kafka.jar").write_bytes(b"changed")
    entry = {"name": "kafka.jar", "role": "broker", "size_bytes": 7, "sha256": "0" * 64}
    (folder / "jars.json").write_text(json.dumps({"version": "9.9.9", "jars": [entry]}))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (found,) = [check for check in examine("9.9.9") if check.name == "kafka 9.9.9"]
    assert found.status == "missing"
    assert "damaged: kafka.jar" in found.found


@pytest.mark.usefixtures("own_cache")
def test_env_of_a_cluster_whose_supervisor_is_gone_says_how_to_go_on() -> None:
    from harness.brokers.local.config import BROKER_IDS, PORTS_PER_NODE, NodePorts
    from harness.brokers.local.state import ClusterState, NodeState, clusters_folder

    directory = clusters_folder() / "gone"
    directory.mkdir()
    nodes = {i: NodeState(i, NodePorts(*range(PORTS_PER_NODE))) for i in BROKER_IDS}
    ClusterState("gone", True, KAFKA_VERSION, "c", "/java", "", [], nodes).write(directory)
    with pytest.raises(ClusterError, match="harness cluster start gone"):
        cluster("env")
    assert directory.is_dir()
    assert cluster("down") == 0
    assert not directory.exists()
