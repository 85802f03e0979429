"""Several load processes on real brokers: judged as one, and no false word when one is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import harness
from harness.brokers import LocalCluster
from harness.rundir.run_dir import RunDir
from tests.series.workers import FALSE, judged, kill_once
from tests.support.mocked_load import STEADY, attempts, workers
from tests.support.shortened import shortened

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]
ROOT = Path(harness.__file__).parent.parent


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    """An experiment in which nothing happens, for a few seconds."""
    return shortened("no_fault", tmp_path / "nothing.yaml", pause_s=1, hold_s=3.0)


def test_a_run_over_two_workers_is_judged_as_one(
    cluster: LocalCluster, nothing: Path, tmp_path: Path
) -> None:
    options = harness.RunOptions(
        profiles=("idempotent", "transactional"),
        brokers=cluster.bootstrap,
        experiments=(str(nothing),),
        control=False,
        workers=2,
        rate_per_s=300,
        out=tmp_path / "run",
    )
    verdict = harness.run(options)
    run_dir = RunDir(tmp_path / "run")
    assert [(each.profile, each.verdict) for each in verdict.profiles] == [
        ("idempotent", "kept"),
        ("transactional", "kept"),
    ], verdict.reasons
    joined = workers(run_dir, "joined")
    assert [event.clients for event in joined] == [["idempotent/0"], ["transactional/0"]]
    recorded = [attempts(run_dir, event.first or 0, event.last or 0) for event in joined]
    assert recorded == [each.counts["attempted"] for each in verdict.profiles]
    assert len(workers(run_dir, "arrived")) == 2
    for profile in verdict.profiles:
        ack, end = profile.latency_ms["ack"].all, profile.latency_ms["end_to_end"].all
        assert ack.count > 300
        assert end.count > 300


@pytest.mark.parametrize("kind", ["here", "elsewhere", "process"])
def test_a_worker_that_is_killed_makes_no_false_word(
    cluster: LocalCluster, nothing: Path, tmp_path: Path, kind: str
) -> None:
    told, wrong = kill_once(kind, 2.0, tmp_path, nothing, cluster.bootstrap)
    assert wrong == []
    assert told.startswith("inconclusive")
    run_dir = RunDir(tmp_path / "run")
    arrived = {"here": 1, "elsewhere": 1, "process": 2}[kind]
    assert len(workers(run_dir, "arrived")) == arrived
    unaccounted = sum(
        profile["counts"]["unaccounted"]
        for profile in json.loads(run_dir.verdict(1).read_text())["profiles"]
    )
    assert bool(unaccounted) == (kind == "elsewhere")


def test_locust_of_several_processes_is_judged_by_its_master(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [*(sys.executable, "-m", "locust", "-f", str(STEADY), "--headless", "--only-summary")]
        + ["--processes", "2", "--duration", "4", "--rate", "200", "--out", str(tmp_path / "run")]
        + ["--delivery-profile", "idempotent,leader-ack", "--brokers", cluster.bootstrap],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    told, wrong = judged(RunDir(tmp_path / "run"), ended.returncode, "nobody")
    assert (told.partition(",")[0], wrong) == ("kept", [])
    assert len(workers(RunDir(tmp_path / "run"), "arrived")) == 2


def test_ctrl_c_in_the_middle_of_a_run_over_workers_judges_what_there_is(
    cluster: LocalCluster, nothing: Path, tmp_path: Path
) -> None:
    run_dir = RunDir(tmp_path / "run")
    with (tmp_path / "log").open("wb") as log:
        run = subprocess.Popen(
            [sys.executable, "-m", "harness", "run", "--brokers", cluster.bootstrap, "--no-control"]
            + ["--workers", "2", "--profile", "idempotent", "--profile", "leader-ack"]
            + ["--experiment", str(nothing), "--duration", "60", "--out", str(run_dir.path)],
            stdout=log,
            stderr=log,
        )
    deadline = time.monotonic() + 120
    while not (run_dir.timeline.exists() and b"warmed_up" in run_dir.timeline.read_bytes()):
        assert time.monotonic() < deadline, (tmp_path / "log").read_text()
        time.sleep(0.1)
    with contextlib.suppress(ProcessLookupError):
        run.send_signal(signal.SIGINT)
    assert run.wait(200) == 3, (tmp_path / "log").read_text()
    verdict = json.loads(run_dir.verdict(1).read_text())
    assert len(workers(run_dir, "arrived")) == 2
    assert not any(each["counts"][name] for each in verdict["profiles"] for name in FALSE)
