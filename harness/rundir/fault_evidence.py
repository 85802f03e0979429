"""What shows that a fault took effect, and the rule that decides whether it did. Pure.

FaultEvidence is what was observed, never what was asked for: the state and exit status of
processes, the leader and leader epoch of the partitions aimed at before and after, the bytes a
proxy held back. `shortcomings` lists what is missing; a fault without shortcomings took effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Final

STOPPED: Final = "stopped"
_KILLED: Final = -9
_TERMINATED: Final = frozenset({0, -15, 143})
"""Exit statuses after SIGTERM; a JVM ends with 128 + 15 once its shutdown hooks have run."""


@dataclass(slots=True)
class Signalled:
    """A signal sent to a broker process."""

    broker: int
    pid: int
    signal: str
    at: str
    state: str | None = None
    """The process state seen afterwards, as psutil names it, `stopped` once every thread is
    stopped; only asked for SIGSTOP."""
    exit_status: int | None = None
    """As subprocess has it: -9 after SIGKILL. None while it runs."""
    restarted_pid: int | None = None
    """Which process took its place, where the fault itself restarts it."""


@dataclass(slots=True)
class FollowerLog:
    """The log of a follower that was stopped.

    When it continues it takes in at most the reply to the one fetch that it had open.
    """

    broker: int
    topic: str
    partition: int
    end_when_stopped: int | None
    """Its log end offset then. None: it was not read."""


@dataclass(slots=True)
class Cut:
    """A link that a proxy cut, and what a witness saw of it meanwhile."""

    broker: int
    listener: str
    mode: str
    at: str
    restored_at: str | None = None
    answered_through_link: bool | None = None
    """Did a request through the link get an answer while it was cut?"""
    answered_past_link: bool | None = None
    """Did the same broker answer a request that did not go through the link?"""
    connections_reset: int | None = None
    """How many connections stood on the link when it was restored, where they were reset."""


@dataclass(slots=True)
class Election:
    """An election that was asked for: `leader` is the broker that was to win it."""

    topic: str
    partition: int
    leader: int
    at: str


@dataclass(slots=True)
class Coordination:
    """A client whose coordinator was struck: the leader of that partition of an internal topic."""

    client: str
    """Its transactional.id or group.id."""
    profile: str
    topic: str
    partition: int
    run_id: str = ""
    """The run whose client it is."""


@dataclass(slots=True)
class MemberStruck:
    """A group member that was struck, or that was let join or leave, and what was seen of it."""

    profile: str
    member: int
    pid: int
    action: str
    """SIGKILL, SIGSTOP, join or leave"""
    at: str
    partitions: list[str] = field(default_factory=list)
    """What it held then, as `topic/partition`."""
    last_step: str | None = None
    """The last step in its journal before it was struck."""
    state: str | None = None
    """The process state seen afterwards, as psutil names it; only asked for SIGSTOP."""
    ended: str | None = None
    """How its process ended, in the pool's words."""
    taken_over: list[str] = field(default_factory=list)
    """Which of `partitions` another member was assigned since then."""
    shared: bool = False
    """Of a share group, where nobody is assigned partitions?"""
    assigned: list[str] = field(default_factory=list)
    """What it was itself assigned since then."""
    spare: bool = False
    """Are there as many other members as partitions, so that none may be left for it?"""
    resumed_at: str | None = None
    steps_after: list[str] = field(default_factory=list)
    """Which of LOST, REVOKED, FENCED, COMMIT_FAILED stand in its journal after it was resumed."""


@dataclass(slots=True)
class PartitionMove:
    """A partition the fault was aimed at. -1: no leader, None: no leader told its epoch."""

    topic: str
    partition: int
    leader_before: int
    epoch_before: int | None
    leader_after: int | None = None
    epoch_after: int | None = None

    @property
    def key(self) -> tuple[str, int]:
        """(topic, partition)"""
        return self.topic, self.partition

    def has_new_epoch(self) -> bool:
        """Has a leader been elected since the fault?"""
        return (
            self.leader_after is not None
            and self.leader_after >= 0
            and self.epoch_before is not None
            and self.epoch_after is not None
            and self.epoch_after > self.epoch_before
        )

    def has_moved(self) -> bool:
        """Has another broker been elected since the fault?"""
        return self.has_new_epoch() and self.leader_after != self.leader_before


@dataclass(slots=True)
class FaultEvidence:
    """Everything observed about one injected fault."""

    moves_leader: bool
    graceful: bool
    hold_s: float | None = None
    brokers: list[Signalled] = field(default_factory=list)
    links: list[Cut] = field(default_factory=list)
    partitions: list[PartitionMove] = field(default_factory=list)
    follower_logs: list[FollowerLog] = field(default_factory=list)
    """Of the followers that were stopped, where the fault stops any."""
    elections: list[Election] = field(default_factory=list)
    coordinates: list[Coordination] = field(default_factory=list)
    """Whose coordinator was struck, where the fault aims at one."""
    members: list[MemberStruck] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As the timeline, the journal and verdict.json hold it, shortcomings included."""
        return {**asdict(self), "shortcomings": shortcomings(self)}

    def for_run(self, run_id: str) -> dict[str, Any]:
        """As the timeline of one run holds it: the clients of other runs are left out."""
        document = self.to_json()
        document["coordinates"] = [
            each for each in document["coordinates"] if each["run_id"] in ("", run_id)
        ]
        return document


def shortcomings(evidence: FaultEvidence) -> list[str]:
    """What is missing for the conclusion that the fault took effect; empty when nothing is."""
    if evidence.members:
        return list(_of_members(evidence.members))
    if not (evidence.brokers or evidence.links or evidence.elections):
        # Nothing was to be struck: then nothing may have moved.
        return [
            f"{_name(move)}: leader {move.leader_before} epoch {move.epoch_before} became "
            f"leader {move.leader_after} epoch {move.epoch_after} without a fault"
            for move in evidence.partitions
            if (move.leader_after, move.epoch_after) != (move.leader_before, move.epoch_before)
        ]
    found = [*_of_processes(evidence.brokers), *_of_links(evidence.links)]
    if not evidence.partitions:
        found.append("no partition was aimed at")
    if evidence.moves_leader:
        for move in evidence.partitions:
            done = move.has_new_epoch() if evidence.graceful else move.has_moved()
            if not done:
                found.append(
                    f"{_name(move)}: led by broker {move.leader_before} in epoch "
                    f"{move.epoch_before} before, by {move.leader_after} in {move.epoch_after} "
                    "after: no other leader was seen"
                )
    return found


def _of_processes(signals: Iterable[Signalled]) -> list[str]:
    found: list[str] = []
    for each in signals:
        what = f"broker {each.broker} (process {each.pid}) after {each.signal}"
        if each.signal == "SIGKILL" and each.exit_status != _KILLED:
            found.append(f"{what}: exit status {each.exit_status}, expected {_KILLED}")
        elif each.signal == "SIGSTOP" and each.state != STOPPED:
            found.append(f"{what}: state {each.state!r}, expected {STOPPED!r}")
        elif each.signal == "SIGTERM":
            if each.exit_status not in _TERMINATED:
                found.append(f"{what}: exit status {each.exit_status}, expected one of 0, -15, 143")
            if each.restarted_pid in (None, each.pid):
                found.append(f"{what}: no new process took its place")
    return found


def _of_members(members: Iterable[MemberStruck]) -> Iterator[str]:
    for each in members:
        what = f"{each.profile} member {each.member} (process {each.pid}) after {each.action}"
        if each.action == "SIGKILL" and each.ended != "killed by SIGKILL":
            yield f"{what}: it {each.ended or 'was not seen to end'}"
        elif each.action == "SIGSTOP" and each.state != STOPPED:
            yield f"{what}: state {each.state!r}, expected {STOPPED!r}"
        elif each.action == "leave" and not str(each.ended).startswith("left "):
            yield f"{what}: it {each.ended or 'was not seen to leave'}"
        left = sorted(set(each.partitions) - set(each.taken_over))
        if each.action != "join" and left and not each.shared:
            yield f"{what}: nobody else was assigned {', '.join(left)}"
        if each.action == "join" and not (each.assigned or each.spare or each.shared):
            yield f"{what}: it was assigned no partition"


def _of_links(cuts: Iterable[Cut]) -> list[str]:
    found: list[str] = []
    for cut in cuts:
        where = f"broker {cut.broker}, {cut.listener} listener, {cut.mode}"
        if cut.answered_through_link is not False:
            found.append(f"{where}: it was not seen that requests stay without an answer")
        elif cut.answered_past_link is not True:
            # Then the silence proves nothing: the broker may have been silent to everybody.
            found.append(f"{where}: the broker did not answer past the link either")
    return found


def _name(move: PartitionMove) -> str:
    return f"{move.topic}-{move.partition}"
