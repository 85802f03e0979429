"""`harness run --fault-command` on brokers that the harness takes for somebody else's.

The session's cluster is a stranger to the command that is tested: it looks for state elsewhere. The
user's scripts know the brokers' processes, as scripts of a real user know machines or pods.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.brokers import LocalCluster
from harness.kafka.leaders import ClusterView, await_full_isr
from harness.rundir.events import FaultEvent, RunEvent
from harness.rundir.experiment_journal import ExperimentJournal, read_journal_document
from harness.rundir.run_dir import RunDir

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("strangers"),
]

SCRIPT = """\
import os, pathlib, signal, sys, time
from harness.brokers import LocalCluster
cluster = LocalCluster.attach({directory!r})
leader = int(os.environ["HARNESS_LEADER"])
print("the leader is", leader, "at", os.environ["HARNESS_LEADER_ADDRESS"])
pathlib.Path({here!r}, sys.argv[1]).write_text(str(leader))
if sys.argv[1] in ("break", "haunt"):
    pids = {{each: cluster.pid(each) for each in cluster.broker_ids}}
    followers = [pid for each, pid in pids.items() if each != leader]
    for pid in followers:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(1.5)
        os.kill(pids[leader], signal.SIGKILL)
    finally:
        for pid in followers:
            os.kill(pid, signal.SIGCONT)
    while sys.argv[1] == "haunt":
        again = cluster.pid(leader)
        if again not in (None, pids[leader]):
            os.kill(again, signal.SIGKILL)
        pathlib.Path({here!r}, "haunting").write_text(str(os.getpid()))
        time.sleep(0.05)
else:
    cluster.heal()
"""
LIGHT = ("--profile", "idempotent", "--no-control", "--rate", "200", "--json")


@pytest.fixture
def script(cluster: LocalCluster, tmp_path: Path) -> Iterator[str]:
    """The command line of the user's script, less its last word: `break`, `repair`, or `haunt`,
    which breaks again what was repaired and never ends."""
    path = tmp_path / "operate.py"
    path.write_text(SCRIPT.format(directory=str(cluster.directory), here=str(tmp_path)))
    yield f"{sys.executable} {shlex.quote(str(path))}"
    cluster.heal()


def harness(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def verdict_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.stdout.strip(), done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_run_on_foreign_brokers_is_judged_under_a_users_own_fault(
    cluster: LocalCluster, script: str, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    done = harness(
        *("run", "--brokers", cluster.bootstrap, "--out", str(out), "--json", "--seed", "7"),
        *("--profile", "idempotent", "--profile", "leader-ack", "--rate", "300"),
        *("--fault-command", f"inject={script} break", f"heal={script} repair", "hold_s=5"),
        *("expect=leader_change", "aims=lost:leader-ack"),
    )
    verdict = verdict_of(done)
    (fault,) = verdict["faults"]
    assert fault["took_effect"] is True, verdict["reasons"]
    assert verdict["verdict"] == "kept", verdict["reasons"]
    assert done.returncode == 0
    by_name = {each["profile"]: each for each in verdict["profiles"]}
    assert by_name["leader-ack"]["counts"]["lost"] > 100
    assert by_name["idempotent"]["counts"]["lost"] == 0
    promise = next(
        each for each in by_name["idempotent"]["promises"] if each["promise"] == "no_lost"
    )
    assert (promise["challenged"], promise["faults_exposed"]) == (True, 1)

    (command,) = fault["evidence"]["commands"]
    leader = int((tmp_path / "break").read_text())
    assert (tmp_path / "repair").read_text() == str(leader)
    assert command["inject"]["output"][0].startswith(f"the leader is {leader} at 127.0.0.1:")
    assert command["heal"]["exit_status"] == 0
    for each in fault["evidence"]["partitions"]:
        assert each["leader_before"] == leader
    for each in command["watched"]:
        assert set(each["isr_before"]) == set(each["isr_after"]) == set(cluster.broker_ids)
        if each["leader_before"] == leader:
            # A leader that was elected just now may not answer yet: its epoch is then not known.
            assert each["epoch_during"] is None or each["epoch_during"] > each["epoch_before"]
            assert each["epoch_after"] > each["epoch_before"]
            assert leader not in each["isr_during"]
    assert fault["injected_at"] < fault["healed_at"]

    run_dir = RunDir(out)
    assert run_dir.read_info().experiments == ["fault-command-1"]
    journal = ExperimentJournal(1, "x", read_journal_document(run_dir.journal(1)))
    assert journal.troubles() == []
    assert journal.outputs[0]["evidence"] == fault["evidence"]
    assert "inject command" in run_dir.report_html.read_text()


def test_a_command_that_does_nothing_makes_the_run_inconclusive(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    done = harness(
        *("run", "--brokers", cluster.bootstrap, "--out", str(tmp_path / "run"), *LIGHT),
        *("--fault-command", "inject=true", "heal=true", "hold_s=1"),
    )
    verdict = verdict_of(done)
    assert (verdict["verdict"], done.returncode) == ("inconclusive", 3)
    assert any("the command had no effect that can be seen" in each for each in verdict["reasons"])


def test_a_command_that_fails_makes_the_run_inconclusive_and_the_next_one_is_run(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    healed = tmp_path / "healed"
    done = harness(
        *("run", "--brokers", cluster.bootstrap, "--out", str(out), *LIGHT),
        *("--fault-command", "inject=sh -c 'echo no such broker; exit 4'", f"heal=touch {healed}"),
        *("--fault-command", "inject=true", "heal=true", "hold_s=1", "expect=none"),
    )
    verdict = verdict_of(done)
    assert (verdict["verdict"], done.returncode) == ("inconclusive", 3)
    said = "ended with status 4; it printed last: no such broker"
    assert any(said in each for each in verdict["reasons"]), verdict["reasons"]
    assert healed.exists()
    assert [each["took_effect"] for each in verdict["faults"]] == [False, True]
    assert [path.name for path in RunDir(out).journals] == ["journal.json", "journal-2.json"]


def broken_run(
    cluster: LocalCluster, script: str, tmp_path: Path, word: str = "break"
) -> tuple[subprocess.Popen[str], RunDir]:
    """A run in the middle of a fault that would last for minutes."""
    out = tmp_path / "run"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "harness", "run", "--brokers", cluster.bootstrap),
            *("--out", str(out), *LIGHT),
            *("--fault-command", f"inject={script} {word}", f"heal={script} repair", "hold_s=200"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    broken = tmp_path / word
    while not broken.exists() or not broken.read_text():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return process, RunDir(out)


def test_ctrl_c_in_the_middle_of_the_fault_runs_the_heal_command(
    cluster: LocalCluster, script: str, tmp_path: Path
) -> None:
    process, run_dir = broken_run(cluster, script, tmp_path)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=150)
    assert process.returncode == 3, errors
    assert json.loads(output)["verdict"] == "inconclusive"
    assert (tmp_path / "repair").exists()
    assert any(event.phase == "interrupted" for event in run_dir.events(RunEvent))
    phases = [event.phase for event in run_dir.events(FaultEvent)]
    assert phases == ["inject", "failed", "heal", "healed"]
    assert all(cluster.pid(each) for each in cluster.broker_ids)


def test_a_fault_whose_process_is_killed_is_healed_and_the_run_inconclusive(
    cluster: LocalCluster, script: str, tmp_path: Path
) -> None:
    """Its inject command still runs, and would break again what the heal command repairs."""
    process, run_dir = broken_run(cluster, script, tmp_path, "haunt")
    haunting = tmp_path / "haunting"
    deadline = time.monotonic() + 60
    while not haunting.exists() or not haunting.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (chaos,) = (
        each for each in psutil.Process(process.pid).children() if "chaostoolkit" in each.cmdline()
    )
    chaos.kill()
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 3, errors
    assert (tmp_path / "repair").read_text() == (tmp_path / "haunt").read_text()
    reasons = json.loads(output)["reasons"]
    assert any("left no journal" in each for each in reasons), reasons
    assert [event.phase for event in run_dir.events(FaultEvent)] == ["inject"]
    said = (run_dir.logs / "chaos-1.log").read_text()
    ended, healed = "ending the command that still runs", "it ended with status 0"
    assert "its process is gone; running the heal command" in said
    assert 0 <= said.index(ended) < said.index(healed)
    assert not runs(int(haunting.read_text()))
    assert all(cluster.pid(each) for each in cluster.broker_ids)


def test_an_experiment_file_with_this_action_is_carried_out_by_chaos_run(
    cluster: LocalCluster, script: str, tmp_path: Path
) -> None:
    experiment = Path(__file__).parents[2] / "experiments" / "run_command.yaml"
    journal = tmp_path / "journal.json"
    variables = {
        "HARNESS_BROKERS": cluster.bootstrap,
        "HARNESS_FAULT_INJECT": f"{script} break",
        "HARNESS_FAULT_HEAL": f"{script} repair",
    }
    # A topic that faults can aim at, as a load of anybody's would have.
    view = ClusterView(cluster.client_config)
    view.create_topic("harness-of-nobody", cluster.broker_ids)
    try:
        await_full_isr(view, lambda: ["harness-of-nobody"], 30)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "chaostoolkit", "--no-version-check", "--no-log-file"),
                *("run", "--journal-path", str(journal), str(experiment)),
            ],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    finally:
        view.delete_topic("harness-of-nobody")
    assert done.returncode == 0, done.stderr
    found = ExperimentJournal(1, "x", read_journal_document(journal))
    assert found.troubles() == []
    (output,) = found.outputs
    assert output["took_effect"] is True
    assert (output["fault"], output["evidence"]["commands"][0]["expect"]) == ("run_command", "any")
