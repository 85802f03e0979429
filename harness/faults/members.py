"""Faults of consumer groups: members that die, stand still, join and leave.

They strike one member of every group of the run, or of one profile alone, and need nothing of the
brokers. The run's pool starts a new member in the place of one that died; `heal` lets those go on
that stand still, and brings each group back to the number of members that it had.
"""

import contextlib
import random
import signal
import time
from typing import Final

from harness.errors import FaultError, UsageError
from harness.faults.backend import Target
from harness.faults.deeds import broker_setting
from harness.faults.fault import fault
from harness.faults.injection import Injection
from harness.faults.interrupts import uninterrupted
from harness.faults.registry import MEMBERS
from harness.kafka.leaders import POLL_S, await_that
from harness.members.roster import (
    Living,
    assigned_since,
    busiest,
    entries_since,
    group_events,
    held_partitions,
    last_step,
    living_members,
    signal_member,
    state_when_stopped,
)
from harness.rundir.clock import now
from harness.rundir.events import MemberEvent
from harness.rundir.fault_evidence import MemberEvidence
from harness.rundir.member_journal import Step
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ProfileRun
from harness.rundir.wanted_members import want, want_as_planned, wanted_members

# Annotations are evaluated here (no `from __future__`): `chaos discover` reads them as types.

__all__ = ["kill_member", "pause_member", "rebalance_storm", "scale_members"]

MOMENTS: Final[dict[str, frozenset[Step]]] = {
    "any": frozenset(),
    "work": frozenset({Step.BEGIN}),
    "commit": frozenset({Step.COMMIT_CALLED, Step.TXN_COMMIT_CALLED}),
    "committed": frozenset({Step.COMMITTED, Step.TXN_COMMITTED}),
}
"""When a member is hit: once the last step of its journal is one of these."""
_COMMITS_UNSEEN: Final = frozenset({"auto", "stored", "share"})
"""Modes whose members do not see their commits when they happen: they are hit at work."""
_MOMENT_S: Final = 10.0
_LOOK_S: Final = 0.0005
_TRIES: Final = 50
_TELLING: Final = (Step.REVOKED, Step.LOST, Step.FENCED, Step.COMMIT_FAILED)


@fault(MEMBERS, role="member")
def kill_member(
    injection: Injection,
    profile: str | None = None,
    moment: str = "work",
    spread_ms: float = 0.0,
    evidence_timeout_s: float = 60.0,
) -> None:
    """SIGKILL a member of each consumer group in the middle of its work.

    It is the member with the most partitions, of each group of the run or of a profile's. moment:
    any, work (it processes records), commit (a commit was just called) or committed (one just
    returned); after ten seconds any moment is taken. spread_ms: strike so much later at most, at
    random. Waits until the pool saw it end and other members have its partitions, at most
    `evidence_timeout_s`.
    """
    steps = _steps(moment)
    run_dir, profiles = _hit_member(injection, profile)
    injection.aim(f"a member of {_names(profiles)}", [])
    for each in profiles:
        _strike(injection, run_dir, each, steps, signal.SIGKILL, spread_ms)
    _await_evidence(injection, run_dir, evidence_timeout_s)


@fault(MEMBERS, role="member")
def pause_member(
    injection: Injection,
    hold_s: float = 9.0,
    profile: str | None = None,
    moment: str = "work",
    evidence_timeout_s: float = 60.0,
) -> None:
    """SIGSTOP a member of each consumer group until others have its partitions, SIGCONT it.

    It is the member with the most partitions, of each group or of a profile's. It stays stopped for
    `hold_s`, and for longer, `evidence_timeout_s` at most, while no member has taken over. It wakes
    up believing that it still has its partitions, as after a long garbage collection or a pause of
    a virtual machine. `hold_s` must exceed the session timeout; where it exceeds the transaction
    timeout as well, a pipeline's member finds itself fenced.
    """
    steps = _steps(moment)
    run_dir, profiles = _hit_member(injection, profile)
    _check_hold(injection.at, profiles, hold_s)
    injection.aim(f"a member of {_names(profiles)}", [])
    paused: list[tuple[Living, MemberEvidence, int]] = []
    try:
        for each in profiles:
            member, hit = _strike(injection, run_dir, each, steps, signal.SIGSTOP)
            paused.append((member, hit, 0))
            written = len(entries_since(run_dir, member, 0))
            paused[-1] = (member, hit, written)
            hit.state = state_when_stopped(member)
        deadline = time.monotonic() + hold_s
        _await_evidence(injection, run_dir, max(hold_s, evidence_timeout_s))
        time.sleep(max(0.0, deadline - time.monotonic()))
    finally:
        with uninterrupted():
            for member, hit, _ in paused:
                with contextlib.suppress(FaultError):
                    signal_member(run_dir, member, signal.SIGCONT)
                    hit.resumed_at = now()
    _await_resumed(run_dir, paused, evidence_timeout_s)
    _look(injection, run_dir)


@fault(MEMBERS, role="members", graceful=True)
def scale_members(
    injection: Injection, to: int, profile: str | None = None, evidence_timeout_s: float = 60.0
) -> None:
    """Give each consumer group another number of members, in order.

    Each group of the run, or a profile's, gets `to` members; who joins or leaves does it in order.
    Waits until who joined was assigned a partition and others have those of who left, at most
    `evidence_timeout_s`. `heal` brings the number back.
    """
    if to < 1:
        raise UsageError(f"scale_members: to is {to}; at least 1 member is expected.")
    run_dir, profiles = _hit_member(injection, profile)
    wanted = wanted_members(run_dir)
    if all(wanted.get(each.profile, _planned(each)) == to for each in profiles):
        raise FaultError(
            f"{_names(profiles)}: has {to} members already, and nothing would change. Ask for "
            "another number."
        )
    injection.aim(f"{_names(profiles)}: {to} members each", [])
    _scale(injection, run_dir, {each.profile: to for each in profiles}, evidence_timeout_s)


@fault(MEMBERS, role="members", graceful=True)
def rebalance_storm(
    injection: Injection,
    rounds: int = 5,
    every_s: float = 1.0,
    profile: str | None = None,
    evidence_timeout_s: float = 60.0,
) -> None:
    """Let members join and leave each consumer group, again and again.

    One more member joins each group and leaves it again, `rounds` times, `every_s` apart.
    """
    if rounds < 1:
        raise UsageError(f"rebalance_storm: rounds is {rounds}; at least 1 is expected.")
    run_dir, profiles = _hit_member(injection, profile)
    injection.aim(f"{_names(profiles)}: {rounds} times one more member and one less", [])
    before = {each.profile: _planned(each) for each in profiles}
    more = {name: number + 1 for name, number in before.items()}
    try:
        for _ in range(rounds):
            for numbers in (more, before):
                _scale(injection, run_dir, numbers, evidence_timeout_s)
                time.sleep(every_s)
    finally:
        want_as_planned(run_dir)


# -- whom to strike, and when ------------------------------------------------------------------


def _hit_member(injection: Injection, profile: str | None) -> tuple[RunDir, list[ProfileRun]]:
    """The run and its profiles with members, or the one that is named."""
    target = injection.at
    run_dir = target.member_run()
    profiles = [each for each in target.consuming() if profile in (None, each.profile)]
    if run_dir is None or not profiles:
        raise FaultError(f"profile {profile}: the run has no such profile with consumers.")
    return run_dir, profiles


def _names(profiles: list[ProfileRun]) -> str:
    return ", ".join(each.profile for each in profiles)


def _planned(profile: ProfileRun) -> int:
    assert profile.consume is not None
    return profile.consume.members


def _is_shared(profile: ProfileRun) -> bool:
    return profile.consume is not None and profile.consume.mode == "share"


def _steps(moment: str) -> frozenset[Step]:
    if moment not in MOMENTS:
        raise UsageError(f"moment {moment!r}: accepted are {', '.join(MOMENTS)}.")
    return MOMENTS[moment]


def _busiest(run_dir: RunDir, profile: ProfileRun) -> Living:
    """The member to strike, waited for while none has any partition. Raises FaultError."""
    found: list[Living] = []

    def pending() -> str | None:
        found[:] = busiest(living_members(run_dir, profile.profile))
        if not found:
            return "no member lives"
        if found[0].partitions or _is_shared(profile):
            return None
        return "no member has any partition"

    await_that(pending, f"a member of {profile.profile} to strike", timeout_s=30.0)
    return found[0]


def _strike(
    injection: Injection,
    run_dir: RunDir,
    profile: ProfileRun,
    steps: frozenset[Step],
    number: signal.Signals,
    spread_ms: float = 0.0,
) -> tuple[Living, MemberEvidence]:
    """Signal the busiest member at its moment; another one when it ended meanwhile by itself."""
    if profile.consume is not None and profile.consume.mode in _COMMITS_UNSEEN and steps:
        steps = MOMENTS["work"]
    for _ in range(_TRIES):
        member = _busiest(run_dir, profile)
        _await_moment(run_dir, member, steps)
        if spread_ms > 0:
            time.sleep(random.uniform(0.0, spread_ms) / 1000)
        at = injection.strike()
        try:
            signal_member(run_dir, member, number)
        except FaultError:
            time.sleep(POLL_S)  # until the pool has noticed it too
            continue
        hit = _note(injection, profile, member, number.name, at)
        step = last_step(run_dir, member)
        hit.last_step = None if step is None else step.name
        return member, hit
    raise FaultError(f"{profile.profile}: its members end by themselves; see logs/members.")


def _await_moment(run_dir: RunDir, member: Living, steps: frozenset[Step]) -> None:
    """Wait until the member's last step is one of these; without load there is no such moment."""
    deadline = time.monotonic() + _MOMENT_S
    while steps and time.monotonic() < deadline and last_step(run_dir, member) not in steps:
        time.sleep(_LOOK_S)


def _check_hold(target: Target, profiles: list[ProfileRun], hold_s: float) -> None:
    """Raises UsageError when a pause would end before anybody notices it."""
    for each in profiles:
        assert each.consume is not None
        setting, value = "session.timeout.ms", each.consumer.get("session.timeout.ms")
        if each.consume.mode == "share":
            setting, value = _brokers(target, "group.share.session.timeout.ms")
        elif each.consume.protocol == "consumer":
            setting, value = _brokers(target, "group.consumer.session.timeout.ms")
        if value is not None and hold_s * 1000 <= float(value):
            raise UsageError(
                f"pause_member: hold_s is {hold_s:g}, but {setting} of {each.profile} is {value}: "
                "no other member would take over. Hold longer than that."
            )


def _brokers(target: Target, name: str) -> tuple[str, str | None]:
    return f"the brokers' {name}", broker_setting(target, name)


# -- evidence ----------------------------------------------------------------------------------


def _note(
    injection: Injection, profile: ProfileRun, member: Living, action: str, at: str
) -> MemberEvidence:
    hit = MemberEvidence(
        profile=member.profile,
        member=member.member,
        pid=member.pid,
        action=action,
        at=at,
        partitions=sorted(member.partitions),
        shared=_is_shared(profile),
    )
    injection.evidence.members.append(hit)
    return hit


def _look(injection: Injection, run_dir: RunDir) -> None:
    """Bring the evidence up to date with what the timeline says by now."""
    events = group_events(run_dir)
    for each in injection.evidence.members:
        each.assigned = assigned_since(events, each.profile, each.at, to=each.member)
        taken = set(assigned_since(events, each.profile, each.at, other_than=each.member))
        if each.action == "leave":
            # It may have lost them to a rebalance just before it was asked to leave.
            taken |= held_partitions(events, each.profile, other_than=each.member)
        each.taken_over = sorted(set(each.taken_over) | (taken & set(each.partitions)))
        for event in events:
            if (
                isinstance(event, MemberEvent)
                and (event.profile, event.member) == (each.profile, each.member)
                and event.phase != "started"
            ):
                each.ended = event.reason


def _await_evidence(injection: Injection, run_dir: RunDir, timeout_s: float) -> None:
    """Wait until what was done to members shows; what does not stays as a shortcoming."""

    def pending() -> str | None:
        _look(injection, run_dir)
        missing = injection.missing()
        return missing[0] if missing else None

    with contextlib.suppress(FaultError):
        await_that(pending, "members", timeout_s=timeout_s, poll_s=POLL_S)


def _await_resumed(
    run_dir: RunDir, paused: list[tuple[Living, MemberEvidence, int]], timeout_s: float
) -> None:
    """Wait until each paused member has found out, or has ended; note what it saw."""

    def pending() -> str | None:
        silent = []
        for member, hit, count in paused:
            entries = entries_since(run_dir, member, count)
            steps = {Step(int(step)) for step in entries["step"]}
            hit.steps_after = [step.name for step in _TELLING if step in steps]
            if not hit.steps_after and hit.ended is None and not hit.shared:
                silent.append(f"{member.profile} member {member.member}")
        return f"not a word of {', '.join(silent)}" if silent else None

    with contextlib.suppress(FaultError):
        await_that(pending, "members that were paused", timeout_s=timeout_s, poll_s=POLL_S)


def _scale(
    injection: Injection, run_dir: RunDir, numbers: dict[str, int], timeout_s: float
) -> None:
    """Ask for so many members, wait until they are there, and note who came and who went.

    Raises FaultError when they are not there in time.
    """
    before = {
        name: {each.member: each for each in living_members(run_dir, name)} for name in numbers
    }
    at = injection.strike()
    want(run_dir, numbers)
    profiles = {each.profile: each for each in injection.at.consuming()}
    partitions = run_dir.read_info().load.partitions

    def pending() -> str | None:
        for name, number in numbers.items():
            members = living_members(run_dir, name)
            begun = [each for each in members if last_step(run_dir, each) is not None]
            if len(members) != number or len(begun) != number:
                return f"{name} has {len(members)} members, {len(begun)} of them at work"
        return None

    await_that(pending, "the number of members", timeout_s=timeout_s, poll_s=POLL_S)
    for name in numbers:
        after = {each.member: each for each in living_members(run_dir, name)}
        for number in sorted(set(before[name]) ^ set(after)):
            member = after.get(number) or before[name][number]
            action = "join" if number in after else "leave"
            hit = _note(injection, profiles[name], member, action, at)
            hit.spare = action == "join" and numbers[name] > partitions
    _await_evidence(injection, run_dir, timeout_s)
