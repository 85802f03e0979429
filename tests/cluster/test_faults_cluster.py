"""Every fault on the real cluster: it takes effect, shows it, and is healed to full ISR."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import Producer

from harness import faults
from harness.brokers import LocalCluster
from harness.errors import ClusterError, FaultError, UsageError
from harness.faults.backend import Target, attach
from harness.faults.experiments import load_experiment
from harness.faults.healing import living
from harness.faults.registry import FAULTS
from harness.faults.run import start_experiment
from harness.kafka.leaders import await_full_isr, await_that
from harness.rundir.clock import to_us
from harness.rundir.experiment_journal import ExperimentJournal, read_journal_document
from tests.support.shortened import shortened
from tests.support.struck import environment, local_of, struck_run
from tests.support.timelines import lines_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


@pytest.fixture
def run(cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """A run directory with one topic, all its leaders on broker 2."""
    with struck_run(cluster, tmp_path / "run", monkeypatch, "faults") as target:
        yield target


def produce_until_killed(target: Target) -> subprocess.Popen[bytes]:
    """A process with an acks=all load, so that listeners carry bytes that can be cut."""
    script = (
        "import sys, time\n"
        "from confluent_kafka import Producer\n"
        "p = Producer({'bootstrap.servers': sys.argv[1], 'log_level': 2})\n"
        "while True:\n"
        "    p.produce(sys.argv[2], b'x' * 100)\n"
        "    p.poll(0.005)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, target.brokers.bootstrap, target.run_topics()[0]]
    )


def events(target: Target) -> list[dict[str, Any]]:
    assert target.run_dir is not None
    return list(lines_of(target.run_dir, "fault"))


def journal_at(path: Path) -> ExperimentJournal:
    """As the judge reads it."""
    return ExperimentJournal(1, "x", read_journal_document(path))


def assert_whole(target: Target) -> None:
    """Every broker runs, every partition is in full ISR, the preferred broker leads."""
    assert all(local_of(target).pid(broker) for broker in local_of(target).broker_ids)

    def pending() -> str | None:
        # Another client than the one that healed asks another broker, which may hear of it later.
        states = target.view.partitions(target.watched_topics())
        behind = [state for state in states if not state.in_full_isr]
        leaders = [state.leader for state in target.aimed_partitions()]
        return f"{behind}, led by {leaders}" if behind or leaders != [2] else None

    await_that(pending, "a whole cluster", timeout_s=30)


# Faults of a coordinator strike internal topics: tests/cluster/test_coordinators_cluster.py.
BROKER_FAULTS = sorted(
    name
    for name, fault in FAULTS.items()
    if "coordinator" not in name
    and fault.needs <= LocalCluster.capabilities
    and name not in ("run_command", "kill_controller")
)
"""Coordinators and consumer groups have tests of their own, with transactions and members; so have
commands of the user's."""


@pytest.mark.parametrize("name", BROKER_FAULTS)
def test_a_fault_takes_effect_with_evidence_and_is_healed(run: Target, name: str) -> None:
    pids = {broker: local_of(run).pid(broker) for broker in local_of(run).broker_ids}
    load = produce_until_killed(run)
    try:
        before = time.time()
        output = getattr(faults, name)()
        after = time.time()
        healed = faults.heal()
    finally:
        load.kill()
        load.wait()

    evidence = output["evidence"]
    assert evidence["shortcomings"] == []
    assert output["took_effect"] is True
    assert before <= to_us(output["injected_at"]) / 1e6 <= after
    json.dumps(output)
    assert_whole(run)
    moves = evidence["partitions"]
    assert [(move["leader_before"], move["partition"]) for move in moves] == [(2, 0)]
    moved = moves[0]["epoch_after"] > moves[0]["epoch_before"]
    assert moved == FAULTS[name].moves_leader
    replaced = {broker for broker, pid in pids.items() if local_of(run).pid(broker) != pid}
    ended = ("kill", "restart")
    killed = {each["broker"] for each in evidence["brokers"] if each["deed"] in ended}
    assert replaced == killed

    if name == "no_fault":
        assert events(run) == []
        return
    phases = [event["phase"] for event in events(run)]
    assert phases == ["inject", "injected", "heal", "healed"]
    injected = events(run)[1]
    assert injected["at"] == output["injected_at"]
    assert injected["evidence"] == evidence
    assert injected["took_effect"] is True
    assert {event["fault_id"] for event in events(run)} == {output["fault_id"]}
    assert healed["healed"] == [output["fault_id"]]


def test_the_leader_is_found_at_the_moment_of_the_fault(run: Target) -> None:
    topic = run.run_topics()[0]
    assert faults.leader_of(topic) == 2
    first = faults.kill_leader()
    # Not healed to the preferred leader: the second fault must strike whoever leads now.
    local_of(run).heal()
    await_full_isr(run.view, run.watched_topics, 60)
    successor = faults.leader_of(topic)
    assert successor != 2
    second = faults.kill_leader()
    struck = [each["evidence"]["brokers"][0]["broker"] for each in (first, second)]
    assert struck == [2, successor]


def test_heal_repairs_what_a_fault_left_half_done(run: Target) -> None:
    local = local_of(run)
    local.signal(1, signal.SIGSTOP)
    local.set_link(3, "replication", "blackhole")
    local.set_link(3, "client", "cut_responses")
    local.signal(2, signal.SIGKILL)
    local.wait_exited(2, 20)
    faults.heal()
    assert_whole(run)
    producer = Producer({**run.brokers.client_config, "acks": "all"})
    producer.produce(run.run_topics()[0], b"after")
    assert producer.flush(20) == 0


def test_a_hold_as_long_as_the_lag_limit_is_refused_before_anything_is_struck(run: Target) -> None:
    pids = [local_of(run).pid(broker) for broker in local_of(run).broker_ids]
    with pytest.raises(UsageError, match=r"replica\.lag\.time\.max\.ms"):
        faults.stop_followers_then_kill_leader(hold_s=5.0)
    with pytest.raises(UsageError, match=r"broker\.session\.timeout\.ms"):
        faults.pause_leader(hold_s=2.0)
    assert [local_of(run).pid(broker) for broker in local_of(run).broker_ids] == pids
    assert [psutil.Process(pid).status() for pid in pids if pid] != ["stopped"] * 3


def test_a_failed_fault_is_written_down_and_healed(run: Target) -> None:
    with pytest.raises(UsageError):
        faults.stop_followers_then_kill_leader(hold_s=60.0)
    faults.heal()
    assert [event["phase"] for event in events(run)] == ["failed", "heal", "healed"]
    assert "replica.lag.time.max.ms" in events(run)[0]["reason"]


@pytest.mark.usefixtures("run")
def test_addresses_of_our_own_cluster_alone_give_control_over_it(
    cluster: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HARNESS_CLUSTER", "HARNESS_CLIENT_CONFIG"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HARNESS_BROKERS", cluster.bootstrap)
    target = attach()
    assert local_of(target).name == cluster.name
    target.require(FAULTS["cut_replication_then_kill_leader"])
    # At an address that its state does not name, such as a tunnel's, it is known by its id.
    monkeypatch.setattr("harness.brokers.kinds.cluster_at", lambda _: None)
    assert local_of(attach()).name == cluster.name


@pytest.mark.usefixtures("run", "strangers")
def test_without_process_control_a_fault_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HARNESS_CLUSTER")
    assert attach().brokers.kind == "foreign"
    with pytest.raises(UsageError, match="needs process control"):
        faults.kill_leader()
    assert faults.no_fault(hold_s=0.2)["took_effect"] is True
    assert faults.full_isr() is True
    assert faults.brokers_ready(count=3) is True
    assert faults.heal()["partitions_in_full_isr"] >= 1


def test_an_unknown_partition_is_refused(run: Target) -> None:
    with pytest.raises(FaultError, match="has no partition 7"):
        faults.leader_of(run.run_topics()[0], 7)


def stopped_brokers(target: Target) -> list[int]:
    pids = [local_of(target).pid(broker) for broker in local_of(target).broker_ids]
    return [pid for pid in pids if pid and psutil.Process(pid).status() == psutil.STATUS_STOPPED]


def experiment_with_a_long_hold(tmp_path: Path) -> str:
    provider = {"type": "python", "module": "harness.faults"}
    hold = {**provider, "func": "stop_followers_then_kill_leader", "arguments": {"hold_s": 4.5}}
    kill = {**provider, "func": "kill_leader"}
    path = tmp_path / "long.json"
    path.write_text(
        json.dumps(
            {
                "title": "A long hold",
                "description": "Long enough to be interrupted in the middle.",
                "method": [
                    {"type": "action", "name": "hold", "provider": hold},
                    {"type": "action", "name": "never-reached", "provider": kill},
                ],
                "rollbacks": [
                    {"type": "action", "name": "heal", "provider": {**provider, "func": "heal"}}
                ],
            }
        )
    )
    return str(path)


@pytest.mark.parametrize("ending", ["SIGTERM", "SIGINT", "lifeline"])
def test_an_experiment_that_is_ended_in_the_middle_of_a_hold_heals(
    run: Target, cluster: LocalCluster, tmp_path: Path, ending: str
) -> None:
    assert run.run_dir is not None
    pids = {broker: local_of(run).pid(broker) for broker in local_of(run).broker_ids}
    experiment = load_experiment(experiment_with_a_long_hold(tmp_path))
    child = start_experiment(experiment, run.run_dir, 1, environment(cluster, run.run_dir))
    deadline = time.monotonic() + 60
    while len(stopped_brokers(run)) < 2:
        assert child.process.poll() is None, child.tail()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    if ending == "lifeline":
        child.release()
    else:
        child.process.send_signal(signal.Signals[ending])
    child.process.wait(60)
    child.release()
    assert stopped_brokers(run) == []
    assert_whole(run)
    # The hold was cut short: the leader was never killed, and no further fault was injected.
    assert {broker: local_of(run).pid(broker) for broker in local_of(run).broker_ids} == pids
    assert [event["phase"] for event in events(run)] == ["inject", "failed", "heal", "healed"]
    (trouble,) = journal_at(run.run_dir.journal(1)).troubles()
    assert "it ended as 'interrupted' and not as 'completed'" in trouble
    assert "activity 'hold' ended as" in trouble
    assert "never-reached" not in trouble


def test_the_active_controller_is_killed_and_another_one_takes_over(run: Target) -> None:
    pids = {broker: local_of(run).pid(broker) for broker in local_of(run).broker_ids}
    output = faults.kill_controller()
    faults.heal()
    evidence = output["evidence"]
    assert (evidence["shortcomings"], output["took_effect"]) == ([], True)
    (killed,) = (each["broker"] for each in evidence["brokers"] if each["deed"] == "kill")
    assert {each for each, pid in pids.items() if local_of(run).pid(each) != pid} == {killed}
    assert_whole(run)


def test_an_experiment_leaves_nothing_in_home_or_the_current_folder(
    run: Target, cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run.run_dir is not None
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir()
    home.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(Path(faults.__file__).parents[2]))
    monkeypatch.chdir(here)
    path = shortened("no_fault", tmp_path / "no_fault.yaml", pause_s=0, hold_s=0.5)
    experiment = load_experiment(str(path))
    child = start_experiment(
        experiment, run.run_dir, 2, {**environment(cluster, run.run_dir), "HOME": str(home)}
    )
    assert child.process.wait(60) == 0, child.tail()
    child.release()
    assert (list(here.iterdir()), list(home.iterdir())) == ([], [])
    found = journal_at(run.run_dir.journal(2))
    assert found.troubles() == []
    assert found.completed
    assert [fault["fault"] for fault in found.outputs] == ["no_fault"]
    phases = [event["phase"] for event in lines_of(run.run_dir, "experiment")]
    assert phases == ["started", "method", "rollback", "ended"]


def test_chaos_run_alone_strikes_and_heals_a_cluster_without_any_run(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    environment = {
        "PATH": "",
        "HARNESS_CLUSTER": str(cluster.directory),
        "PYTHONPATH": str(Path(faults.__file__).parents[2]),
    }
    experiment = load_experiment("cut_responses").path
    arguments = ["--no-version-check", "run", "--journal-path", "j.json", str(experiment)]
    ended = subprocess.run(
        [sys.executable, "-m", "chaostoolkit", *arguments],
        env=environment,
        cwd=tmp_path,
        timeout=120,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found = journal_at(tmp_path / "j.json")
    assert found.troubles() == []
    assert [fault["took_effect"] for fault in found.outputs] == [True, True]
    assert found.outputs[0]["evidence"]["partitions"]


def test_waiting_for_a_cluster_that_ends_fails_at_once() -> None:
    with LocalCluster.start() as doomed:
        target = attach({"HARNESS_CLUSTER": str(doomed.directory)})
        doomed.signal(1, signal.SIGKILL)
        doomed.wait_exited(1, 20)
        waiting = living(target, lambda: ["harness-nowhere"])
        ending = threading.Timer(1.0, doomed.down)
        ending.start()
        started = time.monotonic()
        with pytest.raises(ClusterError):
            await_full_isr(target.view, waiting, 120)
        assert time.monotonic() - started < 60
        ending.join()
