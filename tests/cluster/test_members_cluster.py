"""Group members on real brokers: what they record, who replaces whom, and that everything ends."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest

from harness import faults
from harness.brokers import LocalCluster
from harness.profiles import load_builtin
from harness.record.codec import run_hash
from harness.rundir.member_journal import Journal, Step, read_journals
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import new_run_id
from harness.runs.session import RunRequest, Session
from harness.system.lifeline import Child
from tests.support.runs import load_plan
from tests.support.scenarios import STEADY
from tests.support.timelines import lines_of

pytestmark = pytest.mark.cluster
PARTITIONS = 3


def await_that(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.1)


class Run:
    """A session with consumers and a load, and what they have written so far."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.run_dir = session.run_dir

    def journals(self, profile: str) -> list[Journal]:
        run = run_hash(self.session.info.run_id)
        return list(read_journals(self.run_dir.members, profile, run=run))

    def steps(self, profile: str, member: int) -> list[int]:
        for journal in self.journals(profile):
            if journal.member == member:
                return [int(step) for step in journal.entries["step"]]
        return []

    def pids(self) -> dict[tuple[str, int], int]:
        return {(e["profile"], e["member"]): e["pid"] for e in lines_of(self.run_dir, "member")}

    def working(self, profile: str, member: int) -> bool:
        return Step.EFFECT in self.steps(profile, member)


@contextmanager
def running(cluster: LocalCluster, out: Path, *profiles: str, rate_per_s: float) -> Iterator[Run]:
    known = load_builtin()
    run_id = new_run_id()
    request = RunRequest(
        subjects=[known[name] for name in profiles],
        controls=[],
        load=load_plan(
            rate_per_s=rate_per_s, partitions=PARTITIONS, warm_up_s=1.0, lag_limit_ms=5_000.0
        ),
        experiments=[],
        seed=1,
        run_id=run_id,
        out=out,
        command=["test"],
        control=False,
    )
    session = Session.prepare(request, RunDir.create(out), cluster)
    try:
        session.start_recording()
        load = Child(
            [sys.executable, "-m", "harness.load.process", str(out), STEADY],
            log=out / "logs" / "load.log",
            environment=session.environment(),
        )
        try:
            yield Run(session)
        finally:
            load.stop(grace_s=30)
            session.stop_recording()
    finally:
        assert session.delete_topics(print) == {}


def alive(pids: list[int]) -> list[int]:
    return [
        pid
        for pid in pids
        if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]


def test_a_killed_member_is_replaced_and_what_it_left_is_judged(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    names = (
        "consume-at-least-once",
        "consume-at-most-once",
        "exactly-once-pipeline",
        "share-group",
    )
    planned = {name: load_builtin()[name].consume.members for name in names}  # type: ignore[union-attr]
    with running(cluster, tmp_path / "run", *names, rate_per_s=200) as run:
        for name in names:
            await_that(partial(run.working, name, 1), f"member 1 of {name} to work")
        for name in names:
            os.kill(run.pids()[name, 1], signal.SIGKILL)
        for name in names:
            new = planned[name] + 1
            await_that(partial(run.working, name, new), f"{name} {new} to work")
    for name in names:
        ends = {journal.member: int(journal.entries["step"][-1]) for journal in run.journals(name)}
        assert ends.pop(1) != Step.CLOSED
        assert set(ends) == set(range(2, planned[name] + 2))
        assert set(ends.values()) == {Step.CLOSED}
    assert alive(list(run.pids().values())) == []
    verdict = run.session.judge(drain_timeout_s=60, say=lambda _: None)
    for profile in verdict.profiles:
        broken = [each.promise for each in profile.promises if each.verdict == "broken"]
        assert broken == []
        assert profile.consume is not None
        assert profile.consume.members == planned[profile.profile] + 1
        assert profile.consume.died == 1
        # All that was written was worked off, but what at-most-once may skip.
        assert profile.consume.pending == 0
        assert profile.counts["unprocessed"] == 0 or profile.profile == "consume-at-most-once"


def test_each_fault_of_groups_leaves_evidence_and_a_group_that_works_on(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "consume-at-least-once"
    with running(cluster, tmp_path / "run", name, rate_per_s=200) as run:
        for key, value in run.session.environment().items():
            monkeypatch.setenv(key, value)
        await_that(lambda: run.working(name, 1) and run.working(name, 2), "both members to work")
        outputs = [
            faults.kill_member(),
            faults.scale_members(to=3),
            faults.scale_members(to=2),
            faults.rebalance_storm(rounds=1, every_s=0.0),
            faults.pause_member(hold_s=8.0),
            faults.move_group_coordinator(),
        ]
        faults.heal()
        newest = max(journal.member for journal in run.journals(name))
        effects = sum(step == Step.EFFECT for step in run.steps(name, newest))
        await_that(
            lambda: (
                sum(step == Step.EFFECT for step in run.steps(name, newest)) > effects
                or not run.steps(name, newest)
                or run.steps(name, newest)[-1] == Step.CLOSED
            ),
            "the group to work on",
        )
    missing = {each["fault"]: each["evidence"]["shortcomings"] for each in outputs}
    assert {fault: short for fault, short in missing.items() if short} == {}
    assert all(each["took_effect"] for each in outputs)
    killed, paused = outputs[0]["evidence"]["members"], outputs[4]["evidence"]["members"]
    assert [each["last_step"] in ("BEGIN", "EFFECT") for each in (*killed, *paused)] == [True] * 2
    assert paused[0]["steps_after"]
    recovered = {event["fault"]: event["after_ms"] for event in lines_of(run.run_dir, "recovered")}
    assert recovered["kill_member"] > 0
    assert recovered["pause_member"] > 0
    lags = list(lines_of(run.run_dir, "lag"))
    assert {event["partition"] for event in lags} == set(range(PARTITIONS))
    assert max(event["end"] - max(event["committed"], 0) for event in lags) > 0
    verdict = run.session.judge(drain_timeout_s=60, say=lambda _: None)
    found = verdict.profiles[0]
    assert [each.promise for each in found.promises if each.verdict == "broken"] == []
    assert found.counts["repeated"] > 0
    assert [each.fault for each in verdict.faults] == [each["fault"] for each in outputs]


def test_everybody_ends_when_the_pool_is_killed_even_a_member_that_is_stopped(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    with running(cluster, tmp_path / "run", "consume-stored-offsets", rate_per_s=50) as run:
        await_that(lambda: run.working("consume-stored-offsets", 1), "member 1 to work")
        pids = list(run.pids().values())
        os.kill(pids[0], signal.SIGSTOP)
        pool = psutil.Process(pids[0]).parent()
        assert pool is not None
        assert "harness.members.pool" in pool.cmdline()
        pool.kill()
        await_that(lambda: alive(pids) == [], "the members to end", timeout_s=30)
        run.session.check_recording()
    phases = [event["phase"] for event in lines_of(run.run_dir, "run")]
    assert "members_died" in phases
