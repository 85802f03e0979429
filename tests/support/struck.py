"""A run directory with one topic on a real cluster, as faults find it: what their tests strike."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import faults
from harness.brokers import LocalCluster
from harness.faults.backend import Target, attach
from harness.kafka.leaders import await_full_isr
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import new_run_id
from tests.support.runs import profile_run, run_info


@contextlib.contextmanager
def struck_run(
    cluster: LocalCluster,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    **producer: str,
) -> Iterator[Target]:
    """One profile and its topic of one partition, led by broker 2; healed and gone afterwards.

    `{topic}` in a producer setting is filled in.
    """
    run_id = new_run_id()
    topic = f"harness-{run_id}-{name}"
    run_dir = RunDir.create(path)
    settings = {key: value.replace("{topic}", topic) for key, value in producer.items()}
    profile = profile_run(name, topic, producer=settings)
    run_dir.write_info(run_info(profile, run_id=run_id, bootstrap=cluster.bootstrap))
    for key, value in environment(cluster, run_dir).items():
        monkeypatch.setenv(key, value)
    target = attach()
    target.view.create_topic(topic, [2, 3, 1])
    await_full_isr(target.view, lambda: [topic], 30)
    yield target
    faults.heal()
    target.view.delete_topic(topic)


def local_of(target: Target) -> LocalCluster:
    """The real cluster under a target, for what only its processes can show."""
    assert isinstance(target.brokers, LocalCluster)
    return target.brokers


def environment(cluster: LocalCluster, run_dir: RunDir) -> dict[str, str]:
    """What the processes of a run find it by."""
    return {
        "HARNESS_RUN_DIR": str(run_dir.path),
        "HARNESS_CLUSTER": str(cluster.directory),
        "HARNESS_CLIENT_CONFIG": json.dumps(cluster.client_config),
    }
