"""The end of a run on real brokers: open faults are closed, and what brokers printed is kept."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from harness.brokers import LocalCluster
from harness.rundir.run_dir import RunDir
from harness.rundir.timeline import read_timeline
from harness.runs import aftermath
from tests.support.timelines import add_line, lines_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


def struck(path: Path) -> RunDir:
    """A run directory with a fault that nobody has healed."""
    run_dir = RunDir.create(path)
    fault = {"fault_id": "kill_leader-1", "fault": "kill_leader", "target": "broker 1"}
    for phase in ("inject", "injected"):
        add_line(run_dir, "fault", "faults", phase=phase, took_effect=True, **fault)
    return run_dir


def test_a_fault_that_its_experiment_did_not_heal_is_healed_with_the_run(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    run_dir = struck(tmp_path / "run")
    cluster.signal(1, signal.SIGKILL)
    cluster.wait_exited(1, 20)
    aftermath.heal(cluster.control, run_dir)
    assert cluster.pid(1) is not None
    timeline = read_timeline(lines_of(run_dir))
    assert timeline.faults[0].healed_us is not None
    assert timeline.phase("healed") is not None
    aftermath.heal(cluster.control, run_dir)
    phases = [event["phase"] for event in lines_of(run_dir, "fault")]
    assert phases == ["inject", "injected", "healed"]


def test_what_each_broker_printed_is_kept(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = RunDir.create(tmp_path / "run")
    aftermath.keep_broker_logs(cluster.control, run_dir)
    for broker in cluster.broker_ids:
        assert b"KafkaRaftServer" in (run_dir.logs / f"broker-{broker}.log").read_bytes()
    monkeypatch.setattr(aftermath, "BROKER_LOG_BYTES_MAX", 100)
    aftermath.keep_broker_logs(cluster.control, run_dir)
    assert (run_dir.logs / "broker-1.log").stat().st_size == 100


def test_a_cluster_that_is_gone_leaves_its_faults_open_and_no_log(tmp_path: Path) -> None:
    run_dir = struck(tmp_path / "run")
    with LocalCluster.start() as gone:
        gone.down()
        aftermath.heal(gone.control, run_dir)
        aftermath.keep_broker_logs(gone.control, run_dir)
    timeline = read_timeline(lines_of(run_dir))
    assert timeline.faults[0].healed_us is None
    assert timeline.phase("not_healed") is not None
    assert list(run_dir.logs.glob("broker-*")) == []
