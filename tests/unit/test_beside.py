"""An experiment beside runs that it did not start: found while they live, written into each."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.brokers.local.cluster import LocalCluster
from harness.brokers.local.config import NodePorts
from harness.brokers.local.state import ClusterState, NodeState
from harness.brokers.presence import EXPERIMENTS, RUNS, Presence, Turn, present
from harness.errors import UsageError
from harness.faults.backend import Target
from harness.faults.beside import BESIDE, Beside
from harness.faults.healing import _open_faults
from harness.faults.injection import Injection
from harness.faults.registry import FAULTS
from harness.judge.obstacles import run_obstacles
from harness.rundir.fault_evidence import Coordination, FaultEvidence
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ConsumeRun
from harness.rundir.run_record import load_run
from harness.runs.announced import Announced
from tests.support.runs import profile_run, run_info
from tests.support.timelines import add_line, lines_of

EXPERIMENT: dict[str, Any] = {
    "title": "Two kills",
    "method": [
        {
            "type": "action",
            "name": f"kill-{number}",
            "provider": {"type": "python", "module": "harness.faults", "func": fault},
        }
        for number, fault in enumerate(["kill_leader", "no_fault", "kill_member", "kill_leader"])
    ],
    "extensions": [{"name": "harness", "aims": {"lost": "leader-ack"}}],
}


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    folder = tmp_path / "cluster"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def _nothing_joined(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("HARNESS_RUN_DIR", raising=False)
    yield
    BESIDE.end({})
    BESIDE.begin({}, None)


def run_of(path: Path, run_id: str, *, members: bool = False, **more: Any) -> RunDir:
    """A run directory with one topic."""
    run_dir = RunDir.create(path)
    consume = ConsumeRun("auto", "classic", 2, 0.0, "g") if members else None
    topic = f"harness-{run_id}-x"
    profile = profile_run("x", topic, consume=consume)
    info = run_info(profile, run_id=run_id)
    for name, value in more.items():
        setattr(info, name, value)
    run_dir.write_info(info)
    return run_dir


def live(cluster: Path, run_dir: RunDir) -> Announced:
    return Announced(cluster, run_dir, run_dir.read_info())


def experiments(run_dir: RunDir) -> list[dict[str, Any]]:
    return list(lines_of(run_dir, "experiment"))


def target_of(cluster: Path, run_dir: RunDir | None = None) -> Target:
    ports = {i: NodePorts(*range(10 * i, 10 * i + 6)) for i in (1, 2, 3)}
    nodes = {i: NodeState(i, ports[i]) for i in ports}
    state = ClusterState("one", True, "4.3.1", "c", "/java", "a.jar", [], nodes)
    return Target(LocalCluster(cluster, state), None, run_dir)  # type: ignore[arg-type]


# -- presence ------------------------------------------------------------------------------------


def test_a_process_is_present_from_its_entry_to_its_end(cluster: Path) -> None:
    assert present(cluster, RUNS) == {}
    with Presence(cluster, RUNS, "one", {"run_dir": "/x"}):
        assert present(cluster, RUNS) == {"one": {"run_dir": "/x"}}
        assert present(cluster, RUNS) == {"one": {"run_dir": "/x"}}
        assert present(cluster, EXPERIMENTS) == {}
    assert present(cluster, RUNS) == {}


def test_a_process_that_was_killed_is_present_no_more(cluster: Path) -> None:
    code = (
        "import sys, pathlib, time; from harness.brokers.presence import Presence;"
        "p = Presence(pathlib.Path(sys.argv[1]), 'runs', 'one', {}); print('there', flush=True);"
        "time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(cluster)], stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == b"there\n"
        assert list(present(cluster, RUNS)) == ["one"]
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert present(cluster, RUNS) == {}
    assert list((cluster / RUNS).iterdir()) == []


def test_whoever_ends_last_takes_the_empty_folders_away(tmp_path: Path) -> None:
    place = tmp_path / "place"
    run = Presence(place, RUNS, "one", {})
    turn = Turn.take(place, "first")
    assert isinstance(turn, Turn)
    run.end()
    assert (place / EXPERIMENTS / "turn").exists()
    turn.end()
    assert list(tmp_path.iterdir()) == []
    again = Turn.take(place, "second")
    assert isinstance(again, Turn)
    again.end()


def test_processes_that_come_and_go_at_once_never_share_a_turn(tmp_path: Path) -> None:
    """Folders and the file of the turn go and come back under each other's hands."""
    code = (
        "import sys, pathlib, time; from harness.brokers.presence import Presence, Turn;"
        "place, marks = map(pathlib.Path, sys.argv[1:3]); taken = 0; until = time.monotonic() + 1.5"
        "\nwhile time.monotonic() < until:"
        "\n    with Presence(place, 'runs', sys.argv[3], {}):"
        "\n        turn = Turn.take(place, sys.argv[3])"
        "\n        if isinstance(turn, Turn):"
        "\n            (marks / 'turn').touch(exist_ok=False); (marks / 'turn').unlink()"
        "\n            taken += 1; turn.end()"
        "\nprint(taken)"
    )
    marks = tmp_path / "marks"
    marks.mkdir()
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "place"), str(marks), name],
            stdout=subprocess.PIPE,
        )
        for name in ("a", "b", "c")
    ]
    taken = [int(each.communicate(timeout=60)[0]) for each in children]
    assert [each.returncode for each in children] == [0, 0, 0]
    assert sum(taken) > 10
    assert list(tmp_path.iterdir()) == [marks]


# -- joining and leaving -------------------------------------------------------------------------


def test_an_experiment_writes_its_aims_and_its_journal_into_each_live_run(
    cluster: Path, tmp_path: Path
) -> None:
    runs = [run_of(tmp_path / name, name) for name in ("a", "b")]
    for each in runs:
        live(cluster, each)
    over = live(cluster, run_of(tmp_path / "over", "over"))
    over.end()
    beside = Beside()
    beside.begin(EXPERIMENT, cluster)
    beside.end({"status": "completed", "deviated": False, "experiment": EXPERIMENT})
    for each in runs:
        joined, left = experiments(each)
        assert (joined["phase"], joined["aims"]) == ("joined", {"lost": "leader-ack"})
        assert joined["faults"] == ["kill_leader", "kill_leader"]
        assert (left["phase"], left["status"]) == ("left", "completed")
        assert joined["experiment_id"] == left["experiment_id"]
        assert json.loads(each.journal(joined["journal"]).read_text())["status"] == "completed"
    assert experiments(RunDir(tmp_path / "over")) == []
    assert present(cluster, EXPERIMENTS) == {}


def test_the_run_of_the_experiment_itself_is_not_joined(
    cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = run_of(tmp_path / "own", "own")
    live(cluster, own)
    monkeypatch.setenv("HARNESS_RUN_DIR", str(own.path))
    beside = Beside()
    beside.begin(EXPERIMENT, cluster)
    assert beside.live_runs(cluster) == []
    assert experiments(own) == []


def test_a_run_that_comes_later_is_told_only_the_faults_to_come(
    cluster: Path, tmp_path: Path
) -> None:
    beside = Beside()
    beside.begin(EXPERIMENT, cluster)
    beside.begun("kill_leader")
    late = run_of(tmp_path / "late", "late", members=True)
    live(cluster, late)
    assert [each.path for each in beside.live_runs(cluster)] == [late.path.resolve()]
    assert [each["faults"] for each in experiments(late)] == [["kill_member", "kill_leader"]]
    assert len(beside.live_runs(cluster)) == len(experiments(late)) == 1


def test_a_journal_beside_a_run_has_a_number_that_none_of_its_own_has(
    cluster: Path, tmp_path: Path
) -> None:
    run_dir = run_of(tmp_path / "run", "run", experiments=["kill_leader", "cut_responses"])
    live(cluster, run_dir)
    for _ in range(2):
        beside = Beside()
        beside.begin(EXPERIMENT, cluster)
        beside.end({})
    joined = [each for each in experiments(run_dir) if each["phase"] == "joined"]
    assert [each["journal"] for each in joined] == [3, 4]


def test_a_run_waits_for_the_experiment_that_has_joined_it(cluster: Path, tmp_path: Path) -> None:
    run_dir = run_of(tmp_path / "run", "run")
    announced = live(cluster, run_dir)
    assert announced.under_way() == []
    beside = Beside()
    beside.begin(EXPERIMENT, cluster)
    said: list[str] = []
    announced.await_experiments(said.append, lambda: bool(said))
    assert said == ["waiting for the end of the experiment beside this run: Two kills"]
    assert present(cluster, RUNS) == {}
    beside.end({"status": "completed"})
    assert announced.under_way() == []


def test_an_experiment_that_died_is_waited_for_no_longer(cluster: Path, tmp_path: Path) -> None:
    run_dir = run_of(tmp_path / "run", "run")
    announced = live(cluster, run_dir)
    beside = Beside()
    beside.begin(EXPERIMENT, cluster)
    assert announced.under_way() == ["Two kills"]
    assert beside._presence is not None
    beside._presence.end()  # as the kernel does at its death
    assert announced.under_way() == []


# -- what is written where -----------------------------------------------------------------------


def test_a_fault_is_recorded_in_every_live_run_and_in_the_own_one(
    cluster: Path, tmp_path: Path
) -> None:
    own, other = run_of(tmp_path / "own", "own"), run_of(tmp_path / "other", "other")
    live(cluster, other)
    assert [each.path for each in target_of(cluster, own).recorded(FAULTS["kill_leader"])] == [
        own.path, other.path,
    ]  # fmt: skip
    alone = target_of(cluster)
    assert [each.path for each in alone.recorded(FAULTS["kill_leader"])] == [other.path]
    assert alone.run_topics() == ["harness-other-x"]


def test_a_run_that_begins_during_a_fault_gets_its_evidence(cluster: Path, tmp_path: Path) -> None:
    target = target_of(cluster)
    injection = Injection(FAULTS["kill_leader"], target)
    run_dir = run_of(tmp_path / "run", "run")
    live(cluster, run_dir)
    with injection:
        injection.strike()
    (event,) = lines_of(run_dir, "fault")
    assert (event["phase"], event["fault_id"]) == ("injected", injection.fault_id)
    assert event["at"] == injection.injected_at


def test_a_fault_of_members_concerns_their_run_alone(cluster: Path, tmp_path: Path) -> None:
    consuming = run_of(tmp_path / "consuming", "consuming", members=True)
    for each in (consuming, run_of(tmp_path / "other", "other")):
        live(cluster, each)
    target = target_of(cluster)
    assert [each.path for each in target.recorded(FAULTS["kill_member"])] == [consuming.path]
    live(cluster, run_of(tmp_path / "second", "second", members=True))
    with pytest.raises(UsageError, match="HARNESS_RUN_DIR"):
        target.consuming()


def test_what_is_healed_is_healed_in_every_record_but_members_of_other_runs(
    cluster: Path, tmp_path: Path
) -> None:
    own, other = run_of(tmp_path / "own", "own"), run_of(tmp_path / "other", "other")
    live(cluster, other)
    for run_dir in (own, other):
        for name in ("kill_leader", "kill_member"):
            add_line(
                run_dir,
                "fault", "t", fault_id=name, fault=name, phase="injected", target="",
            )  # fmt: skip
    found = [(run.path, each.fault) for run, each in _open_faults(target_of(cluster, own))]
    assert found == [
        (own.path, "kill_leader"), (own.path, "kill_member"), (other.path, "kill_leader"),
    ]  # fmt: skip
    alone = [(run.path, each.fault) for run, each in _open_faults(target_of(cluster))]
    assert alone == [(other.path, "kill_leader"), (other.path, "kill_member")]


def test_each_run_is_told_of_its_own_clients_whose_coordinator_was_struck() -> None:
    evidence = FaultEvidence(True, False)
    evidence.coordinates = [
        Coordination(f"id-{run}", "transactional", "__transaction_state", 0, run)
        for run in ("a", "b")
    ]
    assert [each["client"] for each in evidence.for_run("b")["coordinates"]] == ["id-b"]


def test_a_run_that_is_gone_hinders_no_fault(cluster: Path, tmp_path: Path) -> None:
    run_dir = run_of(tmp_path / "run", "run")
    live(cluster, run_dir)
    injection = Injection(FAULTS["kill_leader"], target_of(cluster))
    shutil.rmtree(run_dir.path)
    with injection:
        injection.strike()
    assert injection.output()["fault"] == "kill_leader"


# -- judged --------------------------------------------------------------------------------------


def test_what_an_experiment_beside_a_run_aims_at_counts_as_the_runs_own(
    cluster: Path, tmp_path: Path
) -> None:
    run_dir = run_of(tmp_path / "run", "run", aims={"duplicate": "at-least-once"}, faults_planned=1)
    live(cluster, run_dir)
    Beside().begin(EXPERIMENT, cluster)
    run = load_run(run_dir, 1)
    assert run.info.aims == {"duplicate": "at-least-once", "lost": "leader-ack"}
    assert run.info.fault_aims == {"kill_leader": ["lost"]}
    assert run.info.faults_planned == 3
    said = run_obstacles(run)
    assert any("of the 3 faults of the run's experiments 0 are on record" in each for each in said)
    assert any("Two kills left no journal" in each for each in said)


def test_an_experiment_that_ended_beside_a_run_is_judged_by_its_journal(
    cluster: Path, tmp_path: Path
) -> None:
    run_dir = run_of(tmp_path / "run", "run")
    live(cluster, run_dir)
    beside = Beside()
    beside.begin({**EXPERIMENT, "method": []}, cluster)
    failed = {"activity": {"name": "kill"}, "status": "failed", "exception": ["no leader"]}
    beside.end({"status": "completed", "run": [failed]})
    said = run_obstacles(load_run(run_dir, 1))
    assert any("activity 'kill' ended as 'failed': no leader" in each for each in said)


# -- one at a time ----------------------------------------------------------------------------


SECOND = (
    "import sys\n"
    "from pathlib import Path\n"
    "from harness.errors import UsageError\n"
    "from harness.faults.beside import BESIDE\n"
    "cluster = Path(sys.argv[1])\n"
    "def said(call):\n"
    "    try:\n"
    "        call()\n"
    "        return 'taken'\n"
    "    except UsageError as error:\n"
    "        return str(error)\n"
    "print(said(lambda: BESIDE.begin({'title': 'Second'}, cluster)), flush=True)\n"
    "sys.stdin.readline()\n"
    "print(said(lambda: BESIDE.take_turn(cluster)), flush=True)\n"
    "sys.stdin.readline()\n"
    "BESIDE.end({})\n"
    "BESIDE.begin({'title': 'Third'}, cluster)\n"
    "print(said(lambda: BESIDE.take_turn(cluster)), flush=True)\n"
)
"""Another `chaos run`: what it is told at its start, by a later activity, and in the next one."""


def test_a_second_experiment_on_a_cluster_is_refused_and_touches_nothing(
    cluster: Path, tmp_path: Path
) -> None:
    run_dir = run_of(tmp_path / "run", "r")
    announced = live(cluster, run_dir)
    BESIDE.begin(EXPERIMENT, cluster)
    with subprocess.Popen(
        [sys.executable, "-c", SECOND, str(cluster)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as second:
        assert second.stdin is not None
        assert second.stdout is not None
        said = second.stdout.readline()
        assert f"the cluster in {cluster} is in use by another experiment 'Two kills'" in said
        assert "one at a time" in said
        second.stdin.write("\n")
        assert "one at a time" in second.stdout.readline(), "each of its activities refuses"
        assert [each["title"] for each in experiments(run_dir)] == ["Two kills"]
        assert len(announced.under_way()) == 1
        BESIDE.end({})
        second.stdin.write("\n")
        assert second.stdout.readline() == "taken\n"
    assert experiments(run_dir)[-1]["title"] == "Third"


def test_heal_and_faults_ask_for_the_turn_and_keep_it_only_in_an_experiment(cluster: Path) -> None:
    other = Beside()
    other.begin(EXPERIMENT, cluster)
    BESIDE.begin({}, None)
    BESIDE._experiment = None
    with pytest.raises(UsageError, match="one at a time"):
        BESIDE.take_turn(cluster)
    other.end({})
    BESIDE.take_turn(cluster)
    other.begin(EXPERIMENT, cluster)
    other.end({})
