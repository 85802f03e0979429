"""Load in one terminal, faults in another: the run knows what struck it, and what it does not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.brokers import LocalCluster
from harness.brokers.local.cache import cache_folder
from harness.brokers.presence import RUNS, Turn, present
from harness.report.wording import headline
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict import Verdict
from harness.rundir.verdict_file import read_verdict
from harness.system.assets import folder
from tests.support.shortened import shortened
from tests.support.timelines import lines_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(280)]
ROOT = Path(harness.__file__).parent.parent
EXPERIMENT = folder("experiments") / "stop_followers_then_kill_leader.yaml"
PROFILES = ("idempotent", "leader-ack")
FALSE_WORDS = ("no fault", "lost on the way", "nothing struck")


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of a person who has typed `harness cluster up`."""
    cache = tmp_path_factory.mktemp("cache")
    (cache / "delivery-harness").mkdir()
    (cache / "delivery-harness" / "kafka").symlink_to(cache_folder() / "kafka")
    named = ("HARNESS_RUN_DIR", "HARNESS_CLUSTER", "HARNESS_BROKERS", "HARNESS_CLIENT_CONFIG")
    environment = {name: value for name, value in os.environ.items() if name not in named}
    environment |= {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(ROOT)}
    command(environment, "harness", "cluster", "up")
    try:
        yield environment
    finally:
        command(environment, "harness", "cluster", "down")


def command(environment: dict[str, str], *words: str | Path, **more: Any) -> str:
    """Run a command of this project to its end; what it printed on stderr."""
    ended = subprocess.run(
        [sys.executable, "-m", *words], env=environment, capture_output=True, text=True,
        timeout=200, check=False, **more,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    return str(ended.stderr)


def cluster_of(environment: dict[str, str]) -> LocalCluster:
    name = Path(environment["XDG_CACHE_HOME"]) / "delivery-harness" / "clusters" / "local"
    return LocalCluster.attach(str(name))


def started(environment: dict[str, str], log: Path, *words: str | Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *words], env=environment, cwd=log.parent, stdout=output,
            stderr=output, start_new_session=True,
        )  # fmt: skip


def locust(environment: dict[str, str], tmp_path: Path) -> subprocess.Popen[bytes]:
    """The load that a person starts first."""
    return started(
        environment, tmp_path / "locust.log", "locust", "-f", ROOT / "scenarios" / "steady.py",
        "--headless", "--only-summary", "--rate", "500", "--delivery-profile", ",".join(PROFILES),
        "--out", tmp_path / "run",
    )  # fmt: skip


def await_load(process: subprocess.Popen[bytes], run_dir: RunDir, log: Path) -> None:
    deadline = time.monotonic() + 90
    while not any(event["phase"] == "warmed_up" for event in lines_of(run_dir, "run")):
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.1)


def await_turn(process: subprocess.Popen[bytes], run_dir: RunDir, cluster: Path, log: Path) -> None:
    """Wait until the run's own experiment is over: a cluster takes one at a time."""
    deadline = time.monotonic() + 90
    while True:
        if any(event["phase"] == "ended" for event in lines_of(run_dir, "experiment")):
            turn = Turn.take(cluster, "a test")
            if isinstance(turn, Turn):
                turn.end()
                return
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.05)


def ended(process: subprocess.Popen[bytes], number: signal.Signals | None, log: Path) -> int:
    """End a load as Ctrl-C does, or await its own end; its exit status."""
    try:
        if number is not None:
            process.send_signal(number)
        return process.wait(200)
    finally:
        if process.poll() is None:
            process.kill()
            print(log.read_text()[-3000:])


def judged(run_dir: RunDir, status: int, log: Path) -> Verdict:
    """The verdict; a machine on which the load itself lagged makes no statement, and says so."""
    assert run_dir.verdict(1).exists(), log.read_text()[-3000:]
    verdict = read_verdict(run_dir.verdict(1))
    late = any("generator" in reason or "never sent" in reason for reason in verdict.reasons)
    assert verdict.verdict == "kept" or late, verdict.reasons
    assert status == {"kept": 0, "inconclusive": 3}[verdict.verdict]
    return verdict


def lost_stories(verdict: Verdict) -> list[str]:
    return [
        "\n".join(witness.text)
        for profile in verdict.profiles
        for witness in profile.witnesses
        if witness.anomaly == "lost"
    ]


def faults_of(run_dir: RunDir) -> list[tuple[str, str]]:
    return [(event["fault_id"], event["phase"]) for event in lines_of(run_dir, "fault")]


def test_a_load_and_an_experiment_started_side_by_side_are_one_run(
    terminal: dict[str, str], tmp_path: Path
) -> None:
    run_dir, log = RunDir(tmp_path / "run"), tmp_path / "locust.log"
    load = locust(terminal, tmp_path)
    await_load(load, run_dir, log)
    said = command(terminal, "chaostoolkit", "run", EXPERIMENT, cwd=tmp_path)
    assert "not carried out as written" not in said
    verdict = judged(run_dir, ended(load, signal.SIGINT, log), log)

    # The fault and its evidence are in the run
    names = list(dict.fromkeys(fault_id for fault_id, _ in faults_of(run_dir)))
    phases = ["inject", "injected", "heal", "healed"]
    assert faults_of(run_dir) == [(name, phase) for name in names for phase in phases]
    assert [fault.took_effect for fault in verdict.faults] == [True, True]
    assert {path.stem for path in run_dir.all_dead_logs} == set(names)
    journal = json.loads(run_dir.journal(1).read_text())
    own = json.loads((tmp_path / "journal.json").read_text())
    assert (journal["status"], journal["run"]) == ("completed", own["run"])

    # What the experiment aims at is challenged by the control that ran
    assert verdict.disturbances == []
    assert "under 2 faults." in headline(verdict) or "held under 2 faults" in headline(verdict)
    (no_lost,) = (each for each in verdict.profiles[0].promises if each.promise == "no_lost")
    assert no_lost.control is not None
    assert (no_lost.control.profile, no_lost.control.count > 0) == ("leader-ack", True)
    assert no_lost.faults_exposed >= 1

    # The story of a lost record is true
    stories = lost_stories(verdict)
    assert stories
    assert "SIGKILL" in stories[0]
    assert "it was cut off at the return" in stories[0]
    (control,) = (each for each in verdict.profiles if each.profile == "leader-ack")
    held = [each.replicas["held"] for each in control.witnesses if each.replicas is not None]
    assert held[0] == "truncated"
    assert "never" not in held
    printed = log.read_text()
    for words in FALSE_WORDS:
        assert words not in printed
        assert not any(words in reason for reason in verdict.reasons)
    assert "--no-control" not in printed


def test_a_broker_killed_by_somebody_else_is_a_disturbance_and_no_peace(
    terminal: dict[str, str], tmp_path: Path
) -> None:
    run_dir, log = RunDir(tmp_path / "run"), tmp_path / "locust.log"
    load = locust(terminal, tmp_path)
    await_load(load, run_dir, log)
    leader = next(event["leader"] for event in lines_of(run_dir, "leader"))
    cluster = cluster_of(terminal)
    pid = cluster.pid(leader)
    assert pid is not None
    time.sleep(2)  # load before it, as the exposure of a profile asks for
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while not any(event["leader"] not in (-1, leader) for event in lines_of(run_dir, "leader")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(3)  # load after it
    cluster.heal()
    verdict = judged(run_dir, ended(load, signal.SIGINT, log), log)

    assert verdict.faults == []
    assert leader in [broker for each in verdict.disturbances for broker in each.brokers_gone]
    assert sum(each.leaders_moved for each in verdict.disturbances) >= 6
    assert "that no fault on record explains" in headline(verdict)
    assert any(f"broker {leader} ended or fell silent" in reason for reason in verdict.reasons)
    for profile in verdict.profiles:
        assert profile.disturbances_exposed >= 1
        assert {promise.faults_exposed for promise in profile.promises} == {0}
        assert not any(promise.challenged for promise in profile.promises)
        for witness in profile.witnesses:
            assert witness.replicas is None or witness.replicas["held"] == "unknown"
    printed = log.read_text()
    for words in ("no fault is on record", "lost on the way", "no fault injected"):
        assert words not in printed


def test_an_experiment_beside_harness_run_is_recorded_in_it_and_awaited(
    terminal: dict[str, str], tmp_path: Path
) -> None:
    """The load ends while the experiment still goes on: the run waits for it."""
    run_dir, log = RunDir(tmp_path / "run"), tmp_path / "run.log"
    kill = shortened("kill_leader", tmp_path / "kill_leader.yaml", pause_s=1)
    quiet = shortened("no_fault", tmp_path / "no_fault.yaml", pause_s=0, hold_s=1.0)
    run = started(
        terminal, log, "harness", "run", "--brokers", "local:local", "--experiment", quiet,
        "--profile", "idempotent", "--profile", "leader-ack", "--rate", "300", "--duration", "15",
        "--out", run_dir.path,
    )  # fmt: skip
    await_load(run, run_dir, log)
    await_turn(run, run_dir, cluster_of(terminal).directory, log)
    assert len(present(cluster_of(terminal).directory, RUNS)) == 1
    command(terminal, "chaostoolkit", "run", kill, cwd=tmp_path)
    status = ended(run, None, log)
    verdict = read_verdict(run_dir.verdict(1))
    assert status in (0, 3), log.read_text()[-3000:]
    # Both injections of the experiment, since it has joined the run before the first of them.
    assert [fault.fault for fault in verdict.faults] == ["kill_leader", "kill_leader"]
    assert [fault.took_effect for fault in verdict.faults] == [True, True]
    joined, left = (event["phase"] for event in lines_of(run_dir, "experiment") if event["phase"] in
                    ("joined", "left"))  # fmt: skip
    assert (joined, left) == ("joined", "left")
    assert json.loads(run_dir.journal(2).read_text())["status"] == "completed"
    assert not any("left no journal" in reason for reason in verdict.reasons)
    assert present(cluster_of(terminal).directory, RUNS) == {}
