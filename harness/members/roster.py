"""Who the members of a run's consumer groups are at this moment, from the run's own files.

Members are found in the timeline: who was started and has not ended, and what each was assigned.
What a member is doing shows in the end of its journal.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import psutil

from harness.errors import FaultError
from harness.rundir.clock import to_us
from harness.rundir.events import MemberEvent, RebalanceEvent, TimelineEvent
from harness.rundir.member_journal import (
    ENTRY,
    HEADER_BYTES,
    Entries,
    Step,
    journal_path,
    read_journal,
)
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ProfileRun
from harness.system.stopped import state_after_stop

MODULE: Final = "harness.members.process"
GroupEvent: TypeAlias = MemberEvent | RebalanceEvent


@dataclass(slots=True)
class Living:
    """A member that has been started and has not ended."""

    profile: str
    member: int
    pid: int
    partitions: set[str] = field(default_factory=set)
    """`topic/partition` of what it was assigned and not relieved of"""


def living(events: Iterable[GroupEvent], profile: str) -> list[Living]:
    """The members of a profile that live by the events of a timeline, by number."""
    members: dict[int, Living] = {}
    for event in events:
        number = event.member
        if event.profile != profile:
            continue
        if isinstance(event, MemberEvent):
            if event.phase == "started" and event.pid is not None:
                members[number] = Living(profile, number, event.pid)
            else:
                members.pop(number, None)
        elif number in members:
            if event.phase == "assigned":
                members[number].partitions |= set(event.partitions)
            else:
                members[number].partitions -= set(event.partitions)
    return [members[number] for number in sorted(members)]


def held_partitions(
    events: Iterable[GroupEvent], profile: str, *, other_than: int | None = None
) -> set[str]:
    """`topic/partition` of what the living members of a profile have together."""
    members = living(events, profile)
    return set().union(*(each.partitions for each in members if each.member != other_than))


def living_members(run_dir: RunDir, profile: str) -> list[Living]:
    """The members of a profile that live now."""
    return living(group_events(run_dir), profile)


def group_events(run_dir: RunDir) -> list[GroupEvent]:
    """The `member` and `rebalance` events of the timeline so far."""
    found = run_dir.follow().events(TimelineEvent, containing=b'"member"')
    return [event for event in found if isinstance(event, (MemberEvent, RebalanceEvent))]


def busiest(members: Iterable[Living]) -> list[Living]:
    """Those with the most partitions first; on a tie the oldest."""
    return sorted(members, key=lambda each: (-len(each.partitions), each.member))


def signal_member(run_dir: RunDir, member: Living, number: signal.Signals) -> None:
    """Send a signal to a member's process, and to none that has its process id by now.

    Raises FaultError when it does not run any more.
    """
    try:
        command = psutil.Process(member.pid).cmdline()
    except psutil.NoSuchProcess:
        command = []
    if MODULE not in command or str(run_dir.path) not in command:
        raise FaultError(f"{member.profile} member {member.member}: its process has ended already.")
    os.kill(member.pid, number)


def state_when_stopped(member: Living) -> str:
    """The state of a member's process after SIGSTOP; `stopped` once it is paused."""
    return state_after_stop(member.pid)


def continue_members(run_dir: RunDir, profiles: Iterable[ProfileRun]) -> None:
    """Let every paused member go on."""
    for profile in profiles:
        for member in living_members(run_dir, profile.profile):
            with contextlib.suppress(FaultError, ProcessLookupError):
                signal_member(run_dir, member, signal.SIGCONT)


def last_step(run_dir: RunDir, member: Living) -> Step | None:
    """The last step in a member's journal; None when there is none yet."""
    path = journal_path(run_dir.members, member.profile, member.member)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            count = (size - HEADER_BYTES) // ENTRY.itemsize
            if count < 1:
                return None
            file.seek(HEADER_BYTES + (count - 1) * ENTRY.itemsize)
            entry = file.read(ENTRY.itemsize)
    except FileNotFoundError:
        return None
    return Step(entry[ENTRY.fields["step"][1]])  # type: ignore[index]


def entries_since(run_dir: RunDir, member: Living, count: int) -> Entries:
    """The entries of a member's journal after the first `count`."""
    path = journal_path(run_dir.members, member.profile, member.member)
    return read_journal(path).entries[count:]


def assigned_since(
    events: Iterable[GroupEvent],
    profile: str,
    at: str,
    *,
    to: int | None = None,
    other_than: int | None = None,
) -> list[str]:
    """Which partitions were assigned to a member of a profile after an instant.

    to: to that one alone. other_than: to any but that one.
    """
    found: dict[str, None] = {}
    for event in events:
        if (
            isinstance(event, RebalanceEvent)
            and event.profile == profile
            and event.phase == "assigned"
            and event.member != other_than
            and to in (None, event.member)
            and event.at_us > to_us(at)
        ):
            found.update(dict.fromkeys(event.partitions))
    return list(found)
