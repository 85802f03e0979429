"""Who the members of a group are, from the events of a timeline and the end of a journal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import FaultError
from harness.members.roster import (
    Living,
    assigned_since,
    busiest,
    held_partitions,
    last_step,
    living,
    signal_member,
)
from harness.rundir.events import MemberEvent, RebalanceEvent
from harness.rundir.member_journal import JournalWriter, Step, journal_path
from harness.rundir.run_dir import RunDir
from harness.rundir.wanted_members import want, want_as_planned, wanted_members

PROFILE = "p"


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02d}.000000Z"


def member(second: int, number: int, phase: Any, profile: str = PROFILE) -> MemberEvent:
    return MemberEvent(at=at(second), profile=profile, member=number, pid=100 + number, phase=phase)


def rebalance(second: int, number: int, phase: Any, *partitions: int) -> RebalanceEvent:
    return RebalanceEvent(
        at=at(second),
        profile=PROFILE,
        member=number,
        phase=phase,
        partitions=[f"t/{partition}" for partition in partitions],
    )


EVENTS: list[MemberEvent | RebalanceEvent] = [
    member(1, 1, "started"),
    member(1, 2, "started"),
    member(1, 7, "started", profile="another"),
    rebalance(2, 1, "assigned", 0, 1, 2),
    rebalance(3, 1, "revoked", 2),
    rebalance(4, 2, "assigned", 2),
    member(5, 1, "replaced"),
    member(5, 3, "started"),
    rebalance(6, 3, "assigned", 0),
    rebalance(6, 2, "assigned", 1),
    rebalance(7, 2, "lost", 2),
]


def test_who_was_started_and_has_not_ended_lives_with_what_it_holds() -> None:
    assert living(EVENTS, PROFILE) == [
        Living(PROFILE, 2, 102, {"t/1"}),
        Living(PROFILE, 3, 103, {"t/0"}),
    ]
    assert living(EVENTS[:5], PROFILE)[0].partitions == {"t/0", "t/1"}


def test_what_a_dead_member_held_is_held_by_nobody_until_another_one_takes_it() -> None:
    assert held_partitions(EVENTS[:6], PROFILE) == {"t/0", "t/1", "t/2"}
    assert held_partitions(EVENTS[:8], PROFILE) == {"t/2"}
    assert held_partitions(EVENTS, PROFILE) == {"t/0", "t/1"}
    assert held_partitions(EVENTS, "nobody") == set()
    assert held_partitions(EVENTS, PROFILE, other_than=3) == {"t/1"}


def test_the_busiest_comes_first_and_on_a_tie_the_oldest() -> None:
    few, many = Living(PROFILE, 1, 1, {"t/0"}), Living(PROFILE, 2, 2, {"t/1", "t/2"})
    assert busiest([few, many])[0] is many
    many.partitions.pop()
    assert busiest([many, few])[0] is few


def test_what_others_were_assigned_since_an_instant() -> None:
    assert assigned_since(EVENTS, PROFILE, at(4), other_than=1) == ["t/0", "t/1"]
    assert assigned_since(EVENTS, PROFILE, at(4), other_than=2) == ["t/0"]
    assert assigned_since(EVENTS, PROFILE, at(6)) == []
    assert assigned_since(EVENTS, PROFILE, at(1), to=2) == ["t/2", "t/1"]
    assert assigned_since(EVENTS, PROFILE, at(4), to=1) == []


def test_the_last_step_is_that_of_the_last_whole_entry(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    someone = Living(PROFILE, 1, 1)
    assert last_step(run_dir, someone) is None
    path = journal_path(run_dir.members, PROFILE, 1)
    writer = JournalWriter(path, run=1, member=1)
    assert last_step(run_dir, someone) is None
    writer.write(Step.BEGIN, 1)
    writer.write(Step.EFFECT, 2)
    assert last_step(run_dir, someone) is Step.EFFECT
    with path.open("ab") as file:
        file.write(b"torn")
    assert last_step(run_dir, someone) is Step.EFFECT


def test_nobody_is_signalled_who_has_only_the_process_id_of_a_member(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with pytest.raises(FaultError, match="has ended already"):
            signal_member(RunDir(tmp_path), Living(PROFILE, 1, stranger.pid), signal.SIGKILL)
        assert stranger.poll() is None
        assert os.getpid() != stranger.pid
    finally:
        stranger.kill()
        stranger.wait()


def test_the_number_of_members_can_be_asked_for_and_given_back(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    run_dir.members.mkdir()
    assert wanted_members(run_dir) == {}
    want(run_dir, {"a": 4})
    want(run_dir, {"b": 1})
    assert wanted_members(run_dir) == {"a": 4, "b": 1}
    want_as_planned(run_dir)
    want_as_planned(run_dir)
    assert wanted_members(run_dir) == {}
