"""A command of the user's as a fault: what it is told, how it ends, and what shows its effect.

The commands are real processes. The brokers are a script, and the command breaks them by a file:
while `broken` is there, broker 2 is dead. tests/cluster has the same with real brokers.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness import faults
from harness.errors import FaultError
from harness.faults import fault as decorator
from harness.faults import healing
from harness.judge.exposure import hit_partitions
from harness.kafka.environment import CLIENT_CONFIG
from harness.kafka.leaders import PartitionState
from harness.rundir.recorded_evidence import RecordedEvidence
from harness.rundir.run_dir import RunDir
from harness.rundir.timeline import read_timeline
from harness.system.commands import LINES_MAX, carry_out
from tests.support.runs import load_plan, profile_run, run_info
from tests.support.scripted_control import Script, ScriptedTarget, ScriptedView
from tests.support.timelines import lines_of

LED, OTHER = "harness-r-led", "harness-r-other"
LEADER = 2
Inject = Callable[..., dict[str, Any]]


class BreakableView(ScriptedView):
    """Brokers that a file breaks: `broken` kills broker 2, `slow` takes broker 3 out of the ISR."""

    def partitions(self, topics: Sequence[str]) -> list[PartitionState]:
        script = self._script
        if (script.folder / "broken").exists():
            script.dead.add(LEADER)
            script.replace_leader(LEADER)
        else:
            script.dead.discard(LEADER)
        slow = (script.folder / "slow").exists()
        return [
            PartitionState(
                each.topic, each.partition, each.leader, each.replicas,
                tuple(isr for isr in each.isr if not (slow and isr == 3 and each.topic == LED)),
            )
            for each in super().partitions(topics)
        ]  # fmt: skip


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    """Two profiles: broker 2 leads the topic of one, broker 1 that of the other."""
    profiles = [profile_run(name, topic) for name, topic in (("led", LED), ("other", OTHER))]
    made = RunDir.create(tmp_path / "run")
    made.write_info(run_info(*profiles, load=load_plan(partitions=2)))
    return made


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which commands are run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def inject(here: Path, run_dir: RunDir, monkeypatch: pytest.MonkeyPatch) -> Inject:
    """The fault, with arguments that let it be over at once."""
    script = Script(here)
    script.add_topic(LED, LEADER, LEADER)
    script.add_topic(OTHER, 1)
    target = ScriptedTarget(script, run_dir)
    target.view = BreakableView(script)
    target.brokers.client_config["sasl.password"] = "hunter22"
    monkeypatch.setattr(decorator, "attach", lambda: target)
    monkeypatch.setattr(healing, "attach", lambda: target)

    def run(inject: str = "touch broken", heal: str = "rm -f broken slow", **more: Any) -> Any:
        output = faults.run_command(
            inject, heal, **{"hold_s": 0.6, "timeout_s": 30.0, "isr_timeout_s": 10.0, **more}
        )
        json.dumps(output)
        return output

    return run


def shell(text: str) -> str:
    return f"sh -c {shlex.quote(text)}"


# -- what shows its effect -----------------------------------------------------------------------


def test_a_command_that_moves_leaders_takes_effect_and_shows_where(
    inject: Inject, run_dir: RunDir
) -> None:
    output = inject(shell("touch broken; echo breaking"), shell("rm broken; echo repaired"))
    assert output["evidence"]["shortcomings"] == []
    assert output["took_effect"] is True
    (command,) = output["evidence"]["commands"]
    assert (command["inject"]["exit_status"], command["inject"]["output"]) == (0, ["breaking"])
    assert (command["heal"]["exit_status"], command["heal"]["output"]) == (0, ["repaired"])
    assert command["inject"]["began_at"] == output["injected_at"]
    assert command["inject"]["ended_at"] < command["heal"]["began_at"]
    watched = {(each["topic"], each["partition"]): each for each in command["watched"]}
    assert set(watched) == {(LED, 0), (LED, 1), (OTHER, 0)}
    for each in (watched[LED, 0], watched[LED, 1]):
        assert (each["leader_before"], each["epoch_before"], each["epoch_during"]) == (2, 4, 5)
        assert (each["isr_before"], each["isr_during"]) == ([1, 2, 3], [1, 3])
        assert each["isr_after"] == [1, 2, 3]
    assert (watched[OTHER, 0]["epoch_before"], watched[OTHER, 0]["epoch_after"]) == (4, 4)
    faults.heal()
    assert [event["phase"] for event in lines_of(run_dir, "fault")] == [
        "inject", "injected", "heal", "healed"]  # fmt: skip


def test_only_profiles_whose_partitions_were_disturbed_are_exposed(
    inject: Inject, run_dir: RunDir
) -> None:
    output = inject()
    timeline = read_timeline(lines_of(run_dir))
    (fault,) = timeline.faults
    assert fault.moves_leader
    assert {(each["topic"], each["partition"]) for each in fault.partitions} == {(LED, 0), (LED, 1)}
    assert hit_partitions([LED], timeline, fault) == [(LED, 0), (LED, 1)]
    assert hit_partitions([OTHER], timeline, fault) == []
    (line,) = RecordedEvidence("run_command", output["evidence"]).lines()
    assert line == (
        "inject command (touch broken) ended with status 0; heal command (rm -f broken slow) ended "
        "with status 0; of 3 partitions 2 got a new leader epoch and 3 lost an in-sync replica"
    )


def test_a_replica_that_leaves_an_isr_is_an_effect_too(inject: Inject) -> None:
    output = inject("touch slow")
    assert output["took_effect"] is True
    assert output["evidence"]["moves_leader"] is False
    assert {each["topic"] for each in output["evidence"]["partitions"]} == {LED}
    assert inject("touch slow", expect="isr_shrink")["took_effect"] is True


@pytest.mark.parametrize(
    ("command", "expect", "said"),
    [
        ("true", "any", "no effect that can be seen: no leader epoch grew and no replica left"),
        ("true", "leader_change", "no leader epoch grew of the run's 3 partitions"),
        ("true", "isr_shrink", "no replica left an ISR of the run's 3 partitions"),
        ("touch slow", "leader_change", "no leader epoch grew"),
    ],
)
def test_a_command_without_the_expected_effect_says_what_was_not_seen(
    command: str, expect: str, said: str, inject: Inject, run_dir: RunDir
) -> None:
    output = inject(command, expect=expect)
    assert output["took_effect"] is False
    (missing,) = output["evidence"]["shortcomings"]
    assert said in missing
    (recorded,) = read_timeline(lines_of(run_dir)).faults
    assert (recorded.injected, recorded.took_effect) == (True, False)


def test_where_no_effect_is_expected_the_commands_alone_decide(inject: Inject) -> None:
    output = inject("true", expect="none")
    assert output["took_effect"] is True
    assert len(output["evidence"]["partitions"]) == 3


# -- how it fails --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (shell("echo first; echo no such pod >&2; exit 3"), "ended with status 3; it printed last: "
         "no such pod"),
        (shell("kill -9 $$"), "was ended by SIGKILL"),
        ("./not-there", "cannot be run: No such file or directory"),
        ("./text.txt", "cannot be run: Permission denied"),
    ],
)  # fmt: skip
def test_a_command_that_fails_is_a_failed_fault_and_is_healed(
    command: str, said: str, inject: Inject, run_dir: RunDir, here: Path
) -> None:
    (here / "text.txt").write_text("no program")
    with pytest.raises(FaultError) as failed:
        inject(command, "touch healed")
    assert said in str(failed.value)
    assert (here / "healed").exists()
    (recorded,) = read_timeline(lines_of(run_dir)).faults
    assert said in recorded.failure


def test_a_heal_command_that_fails_is_a_failed_fault_too(inject: Inject) -> None:
    with pytest.raises(FaultError, match=r"the heal command .* ended with status 1"):
        inject(heal=shell("rm broken; false"))


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(
    inject: Inject, here: Path
) -> None:
    started = "sleep 300 & echo $! > child; trap '' TERM; echo waiting; wait; sleep 300"
    with pytest.raises(FaultError, match=r"did not end within 1 s, .*it printed last: waiting"):
        inject(shell(started), "touch healed", timeout_s=1.0)
    assert (here / "healed").exists()
    child = int((here / "child").read_text())
    assert gone(child)


def gone(pid: int) -> bool:
    """Has a process ended? A zombie has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_command_that_prints_without_end_is_ended() -> None:
    end = carry_out(["yes"], os.environ, timeout_s=60)
    assert end.end == "output"
    assert len(end.output) == LINES_MAX


def test_a_process_that_a_command_leaves_behind_does_not_hold_it_up(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    began = time.monotonic()
    end = carry_out(
        ["sh", "-c", f"sleep 300 & echo $! > {pid}; echo done"], os.environ, timeout_s=60
    )
    assert (end.end, end.status, end.output) == ("exited", 0, ["done"])
    assert time.monotonic() - began < 30
    left = int(pid.read_text())
    assert not gone(left)
    os.kill(left, signal.SIGKILL)


def test_a_cluster_that_does_not_become_whole_is_a_failed_fault(inject: Inject) -> None:
    with pytest.raises(FaultError, match=r"not within 0\.5 s"):
        inject(heal="true", isr_timeout_s=0.5)


# -- what it is told -----------------------------------------------------------------------------


def test_a_command_is_told_whom_to_strike_and_no_secret(
    inject: Inject, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CLIENT_CONFIG, '{"sasl.password": "hunter22"}')
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter22")
    monkeypatch.setenv("MY_CLOUD", "mine")
    output = inject(
        shell("env > told; touch broken; echo the password is hunter22"),
        shell("env > told-again; rm broken"),
    )
    told = dict(line.partition("=")[::2] for line in (here / "told").read_text().splitlines())
    assert {name: told[name] for name in told if name.startswith("HARNESS_")} == {
        "HARNESS_TOPIC": LED,
        "HARNESS_PARTITION": "0",
        "HARNESS_LEADER": "2",
        "HARNESS_LEADER_ADDRESS": "scripted:2",
        "HARNESS_BOOTSTRAP": "scripted:1",
        "HARNESS_RUN_ID": "r",
    }
    assert told["MY_CLOUD"] == "mine"
    for each in ("told", "told-again"):
        assert "hunter22" not in (here / each).read_text()
    assert "HARNESS_LEADER=2" in (here / "told-again").read_text()
    assert "hunter22" not in json.dumps(output)
    assert output["evidence"]["commands"][0]["inject"]["output"] == ["the password is [redacted]"]


def test_words_are_split_as_a_shell_splits_them_and_no_shell_runs_them(
    inject: Inject, here: Path
) -> None:
    program = here / "program"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nopen('words', 'w').write(repr(sys.argv))\n"
    )
    program.chmod(0o755)
    inject("./program 'a b' $HOME * \"c\" ; x", expect="none")
    assert (here / "words").read_text() == repr(["./program", "a b", "$HOME", "*", "c", ";", "x"])


# -- whatever ends it ----------------------------------------------------------------------------


@pytest.mark.parametrize("moment", ["inject", "hold"])
def test_a_signal_ends_the_command_and_heals(
    moment: str, inject: Inject, here: Path, run_dir: RunDir
) -> None:
    """Chaos Toolkit's SIGTERM becomes SystemExit; the heal command is run all the same."""
    long = "sleep 300" if moment == "inject" else "true"

    def strike() -> None:
        deadline = time.monotonic() + 30
        while not (here / "pid").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGTERM)

    timer = threading.Timer(0.0, strike)
    timer.start()
    with pytest.raises(SystemExit):
        inject(shell(f"echo $$ > pid; touch broken; {long}"), "touch healed", hold_s=300.0)
    timer.join()
    assert (here / "healed").exists()
    assert gone(int((here / "pid").read_text()))
    (recorded,) = read_timeline(lines_of(run_dir)).faults
    assert recorded.failure == "interrupted"


DOOMED = """
import os, signal, sys
from harness.system.deferred import Deferred
deferred = Deferred(["touch", "healed"], dict(os.environ), why="gone")
if sys.argv[1] == "cancel":
    deferred.cancel()
    deferred.cancel()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("word", "run"), [("die", True), ("cancel", False)])
def test_the_heal_command_is_run_when_the_process_of_the_fault_is_killed(
    word: str, run: bool, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", DOOMED, word],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(faults.__file__).parents[2])},
        stderr=subprocess.PIPE,  # the waiting process holds it open until it has ended
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "healed").exists() is run
    assert ("ended with status 0" in ended.stderr) is run


STILL_INJECTING = """
import os, signal, subprocess, sys, time
from harness.system.deferred import Deferred
heal = '''
import pathlib, psutil, sys
def alive(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
pids = map(int, pathlib.Path("pids").read_text().split())
pathlib.Path("healed").write_text(str([alive(pid) for pid in pids]))
'''
inject = "(trap '' TERM; exec sleep 120 2>/dev/null) & echo $$ $! > new; mv new pids; wait"
deferred = Deferred([sys.executable, "-c", heal], dict(os.environ), why="gone")
process = subprocess.Popen(["sh", "-c", inject], start_new_session=True)
deferred.end_first(process.pid)
while not os.path.exists("pids"):
    time.sleep(0.01)
if sys.argv[1] == "ended":
    process.kill()
    process.wait()
    deferred.end_first(None)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("inject", "alive"), [("runs", [False, False]), ("ended", [False, True])])
def test_an_inject_command_that_still_runs_is_ended_before_the_heal_command_is_run(
    inject: str, alive: list[bool], tmp_path: Path
) -> None:
    """One that has ended is not: what it left in the background is for the heal command."""
    try:
        ended = subprocess.run(
            [sys.executable, "-c", STILL_INJECTING, inject],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(faults.__file__).parents[2])},
            stderr=subprocess.PIPE,  # the waiting process holds it open until it has ended
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        for pid in map(int, (tmp_path / "pids").read_text().split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "healed").read_text() == str(alive), ended.stderr
    assert ("ending the command that still runs" in ended.stderr) is (inject == "runs")
