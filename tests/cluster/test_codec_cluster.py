"""`harness run --codec json`: the values are events, and a run with them is judged as any other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from harness.brokers import LocalCluster
from harness.record.json_codec import MEMBERS
from harness.rundir.run_dir import RunDir
from tests.support.shortened import shortened

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


def values_of(cluster: LocalCluster, topic: str, number: int) -> list[bytes]:
    """The first values of a topic."""
    consumer = Consumer({**cluster.client_config, "group.id": "codec", "auto.offset.reset":
                         "earliest", "enable.auto.commit": False})  # fmt: skip
    try:
        consumer.subscribe([topic])
        messages = consumer.consume(number, timeout=60)
        assert len(messages) == number
        return [message.value() or b"" for message in messages]
    finally:
        consumer.close()


def test_losses_are_found_where_values_are_json_events(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    experiment = shortened(
        "stop_followers_then_kill_leader", tmp_path / "stop_followers_then_kill_leader.yaml",
        pause_s=3,
    )  # fmt: skip
    done = subprocess.run(
        [
            *(sys.executable, "-m", "harness", "run", "--brokers", f"local:{cluster.name}"),
            *("--profile", "idempotent", "--profile", "leader-ack", "--codec", "json"),
            *("--experiment", str(experiment), "--rate", "300", "--message-size", "250"),
            *("--keep-topics", "--seed", "3", "--out", str(out), "--json"),
        ],
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    counts = {each["profile"]: each["counts"] for each in verdict["profiles"]}
    assert counts["leader-ack"]["lost"] > 100
    assert counts["idempotent"]["lost"] == counts["idempotent"]["corrupt"] == 0
    assert counts["idempotent"]["read"] > 1000

    info = RunDir(out).read_info()
    assert info.load.codec == "json"
    assert info.command[info.command.index("--codec") + 1] == "json"
    topic = next(each.topics[0] for each in info.profiles if each.profile == "idempotent")
    values = values_of(cluster, topic, 200)
    assert all(set(json.loads(value)) == MEMBERS for value in values)
    assert len({len(value) for value in values}) > 20
