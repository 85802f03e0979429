"""Where a run takes place: what it leaves on brokers, and what can be said once they are gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.brokers import LocalCluster
from harness.brokers.local.state import directories
from harness.kafka.admin import admin_client
from harness.kafka.topics import cluster_facts, create_topics, delete_topics, finite
from harness.profiles import load_builtin
from harness.rundir.run_dir import RunDir
from tests.support.shortened import shortened

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


def harness(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def topics_at(bootstrap: str) -> set[str]:
    """The names of a cluster's topics that are of a run."""
    listed = admin_client({"bootstrap.servers": bootstrap}).list_topics(timeout=20).topics
    return {name for name in listed if name.startswith("harness-")}


def test_a_run_takes_its_topics_along_and_is_judged_again_without_its_brokers(
    tmp_path: Path,
) -> None:
    out = tmp_path / "run"
    experiment = shortened("no_fault", tmp_path / "no_fault.yaml", pause_s=1, hold_s=2.0)
    with LocalCluster.start() as own:
        done = harness(
            *("run", "--brokers", own.bootstrap, "--experiment", str(experiment), "--no-control"),
            *("--profile", "idempotent", "--rate", "200", "--out", str(out), "--json"),
        )
        assert done.returncode == 0, done.stderr
        assert topics_at(own.bootstrap) == set()
        assert "still there" not in done.stderr
        without_topics = harness("verify", str(out), "--json")
        assert without_topics.returncode == 0, without_topics.stderr
        assert "none of the run's topics any more" in without_topics.stderr
    without_brokers = harness("verify", str(out), "--json")
    assert without_brokers.returncode == 0, without_brokers.stderr
    said = [line for line in without_brokers.stderr.splitlines() if "no fresh drain" in line]
    assert len(said) == 1
    assert "Connection refused" in said[0]
    first, again = (json.loads(each.stdout) for each in (done, without_brokers))
    for verdict in (first, again):
        verdict["reasons"] = None
    assert again["profiles"] == first["profiles"]
    before = (out / "report.html").read_bytes()
    demanded = harness("verify", str(out), "--drain", "--json")
    assert demanded.returncode == 3, demanded.stderr
    assert json.loads(demanded.stdout)["verdict"] == "inconclusive"
    assert (out / "report.html").read_bytes() == before
    assert RunDir(out).next_verification() == 5
    assert (out / "report-4.html").exists()


def test_topics_are_gone_when_deleting_them_returns(cluster: LocalCluster) -> None:
    names = [f"harness-gone-{i}" for i in range(4)]
    topic = load_builtin()["idempotent"].topic
    facts = cluster_facts(cluster.client_config)
    create_topics(
        cluster.client_config,
        dict.fromkeys(names, finite(topic, 60)),
        partitions=3,
        leader=1,
        facts=facts,
    )
    said: list[str] = []
    assert delete_topics(cluster.client_config, [*names, "harness-never-there"], said.append) == {}
    assert said == []
    assert not topics_at(cluster.bootstrap) & set(names)


def test_topics_that_cannot_be_deleted_are_named() -> None:
    said: list[str] = []
    names = ["harness-left-a", "harness-left-b"]
    left = delete_topics({"bootstrap.servers": "127.0.0.1:1"}, names, said.append, timeout_s=1)
    assert list(left) == names
    for name, line in zip(names, said, strict=True):
        assert f"topic {name} is still there" in line


def test_topics_on_brokers_of_somebody_else_expire() -> None:
    for profile in load_builtin().values():
        kept_ms = int(str(finite(profile.topic, 3600)["retention.ms"]))
        assert 7 * 86_400_000 <= kept_ms < 30 * 86_400_000
    assert finite({"retention.ms": 1000}, None) == {"retention.ms": 1000}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_brokers_start_ends_the_run_at_once(
    number: signal.Signals, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "run", "--profile", "idempotent", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    said = ""
    while "starting three brokers" not in said:
        said = process.stderr.readline()
        assert said, "the run ended before it started brokers"
    deadline = time.monotonic() + 60
    own = f"run-{process.pid}-"
    while not any(each.name.startswith(own) for each in directories()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    asked = time.monotonic()
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    assert time.monotonic() - asked < 10
    assert process.returncode == 3, errors
    assert "before there was any load" in errors
    assert "Traceback" not in errors
    assert output == ""
    assert not out.exists()
    assert not any(each.name.startswith(own) for each in directories())
