"""What shows that a fault took effect, and the rule that decides whether it did. Pure.

FaultEvidence is what was observed, never what was asked for: what a broker kind saw of the brokers
that it hit, the leader and leader epoch of the partitions aimed at before and after, whether
anything came through a link that was cut. Each piece says itself what it lacks, and `shortcomings`
adds it up; a fault without shortcomings took effect. Read it back with
harness/rundir/recorded_evidence.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final, Protocol

from harness.rundir.command_evidence import CommandEvidence
from harness.rundir.operator_evidence import OperatorEvidence
from harness.system.stopped import STOPPED

KILL: Final = "kill"
STOP: Final = "stop"
PAUSE: Final = "pause"
RESUME: Final = "resume"
RESTART: Final = "restart"


class BrokerEvidence(Protocol):
    """What was done to one broker, and what was seen of it.

    Each broker kind has its own: it alone knows what shows that a broker of that kind has ended.
    """

    @property
    def broker(self) -> int:
        """The broker's id."""

    @property
    def deed(self) -> str:
        """kill, stop, pause, resume or restart."""

    @property
    def at(self) -> str:
        """When it was done."""

    def shortcomings(self) -> list[str]:
        """What is missing for the conclusion that it had its effect; empty when nothing is."""

    def sentence(self) -> str:
        """What was done and seen, in one sentence for people."""

    def to_json(self) -> dict[str, Any]:
        """As a timeline holds it: broker, deed, at, told, and what this kind adds."""


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
    """How many connections were on the link when it was restored, where they were reset."""

    def shortcomings(self) -> list[str]:
        """What is missing for the conclusion that the link was cut and the broker alive."""
        where = f"broker {self.broker}, {self.listener} listener, {self.mode}"
        if self.answered_through_link is not False:
            return [f"{where}: it was not seen that requests stay without an answer"]
        if self.answered_past_link is not True:
            # Then the silence proves nothing: the broker may have been silent to everybody.
            return [f"{where}: the broker did not answer past the link either"]
        return []

    def sentence(self) -> str:
        """What was cut and seen, in one sentence for people."""
        text = f"{self.mode} on the {self.listener} link of broker {self.broker}"
        if self.answered_through_link is False:
            text += ", no answer came through it"
            if self.answered_past_link:
                text += " while the broker did answer beside it"
        if self.connections_reset:
            text += f", {self.connections_reset} connections reset"
        return text

    def to_json(self) -> dict[str, Any]:
        """As a timeline holds it."""
        return {**asdict(self), "told": self.sentence()}


@dataclass(slots=True)
class Election:
    """An election that was asked for: `leader` is the broker that was to win it."""

    topic: str
    partition: int
    leader: int
    at: str


@dataclass(slots=True)
class Coordination:
    """A client whose coordinator was hit: the leader of that partition of an internal topic."""

    client: str
    """Its transactional.id or group.id."""
    profile: str
    topic: str
    partition: int
    run_id: str = ""
    """The run whose client it is."""


@dataclass(slots=True)
class MemberEvidence:
    """A group member that was hit, or that was let join or leave, and what was seen of it."""

    profile: str
    member: int
    pid: int
    action: str
    """SIGKILL, SIGSTOP, join or leave"""
    at: str
    partitions: list[str] = field(default_factory=list)
    """What it held then, as `topic/partition`."""
    last_step: str | None = None
    """The last step in its journal before it was hit."""
    state: str | None = None
    """The process state seen afterwards, as psutil names it; only asked for SIGSTOP."""
    ended: str | None = None
    """How its process ended, in the pool's words."""
    taken_over: list[str] = field(default_factory=list)
    """Which of `partitions` another member was assigned since then."""
    shared: bool = False
    """Of a share group, where no member is assigned partitions?"""
    assigned: list[str] = field(default_factory=list)
    """What it was itself assigned since then."""
    spare: bool = False
    """Are there as many other members as partitions, so that none may be left for it?"""
    resumed_at: str | None = None
    steps_after: list[str] = field(default_factory=list)
    """Which of LOST, REVOKED, FENCED, COMMIT_FAILED stand in its journal after it was resumed."""

    def shortcomings(self) -> Iterator[str]:
        """What is missing for the conclusion that the member felt it and the others took over."""
        what = f"{self.profile} member {self.member} (process {self.pid}) after {self.action}"
        if self.action == "SIGKILL" and self.ended != "killed by SIGKILL":
            yield f"{what}: it {self.ended or 'was not seen to end'}"
        elif self.action == "SIGSTOP" and self.state != STOPPED:
            yield f"{what}: state {self.state!r}, expected {STOPPED!r}"
        elif self.action == "leave" and not str(self.ended).startswith("left "):
            yield f"{what}: it {self.ended or 'was not seen to leave'}"
        left = sorted(set(self.partitions) - set(self.taken_over))
        if self.action != "join" and left and not self.shared:
            yield f"{what}: no other member was assigned {', '.join(left)}"
        if self.action == "join" and not (self.assigned or self.spare or self.shared):
            yield f"{what}: it was assigned no partition"


@dataclass(slots=True)
class ControllerMove:
    """Who was the active controller before and after; -1: none, None: no broker said."""

    leader_before: int
    epoch_before: int
    leader_after: int | None = None
    epoch_after: int | None = None

    def shortcomings(self) -> list[str]:
        """What is missing for the conclusion that another node took over."""
        moved = (
            self.leader_after not in (None, -1, self.leader_before)
            and (self.epoch_after or 0) > self.epoch_before
        )
        if moved:
            return []
        return [
            f"controller {self.leader_before} in epoch {self.epoch_before} before, "
            f"{self.leader_after} in {self.epoch_after} after: no other controller was seen"
        ]


@dataclass(slots=True)
class PartitionMove:
    """A partition the fault was aimed at. -1: no leader, None: no leader reported its epoch."""

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
    nominal: bool = False
    """Was nothing to be hit at all? Said, and never concluded from what is not here."""
    brokers: list[BrokerEvidence] = field(default_factory=list)
    links: list[Cut] = field(default_factory=list)
    partitions: list[PartitionMove] = field(default_factory=list)
    follower_logs: list[FollowerLog] = field(default_factory=list)
    """Of the followers that were paused, where the fault pauses any."""
    elections: list[Election] = field(default_factory=list)
    coordinates: list[Coordination] = field(default_factory=list)
    """Whose coordinator was hit, where the fault aims at one."""
    members: list[MemberEvidence] = field(default_factory=list)
    controllers: list[ControllerMove] = field(default_factory=list)
    """Who was and became the active controller, where the fault aims at it."""
    operators: list[OperatorEvidence] = field(default_factory=list)
    commands: list[CommandEvidence] = field(default_factory=list)
    """Of a fault that is a command of the user's."""
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As the timeline, the journal and verdict.json hold it, shortcomings included."""
        document = {each.name: _plain(getattr(self, each.name)) for each in fields(self)}
        return {**document, "shortcomings": shortcomings(self)}

    def for_run(self, run_id: str) -> dict[str, Any]:
        """As the timeline of one run holds it: the clients of other runs are left out."""
        document = self.to_json()
        document["coordinates"] = [
            each for each in document["coordinates"] if each["run_id"] in ("", run_id)
        ]
        return document


def _plain(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [
        each if isinstance(each, str) else each.to_json() if hasattr(each, "to_json")
        else asdict(each)
        for each in value
    ]  # fmt: skip


def shortcomings(evidence: FaultEvidence) -> list[str]:
    """What is missing for the conclusion that the fault took effect; empty when nothing is."""
    hit: list[BrokerEvidence | Cut | CommandEvidence] = [
        *evidence.brokers,
        *evidence.links,
        *evidence.commands,
    ]
    if evidence.nominal:
        return [*_unmoved(evidence.partitions), *(f"was done: {each.sentence()}" for each in hit)]
    found = [missing for each in hit for missing in each.shortcomings()]
    found += [missing for each in evidence.members for missing in each.shortcomings()]
    found += [missing for each in evidence.controllers for missing in each.shortcomings()]
    found += [missing for each in evidence.operators for missing in each.shortcomings()]
    if not (hit or evidence.elections):
        return found if evidence.members else ["nothing shows that anything was done"]
    if not evidence.partitions and not evidence.controllers:
        found.append("no partition was aimed at")
    if evidence.moves_leader and not evidence.commands:
        for move in evidence.partitions:
            done = move.has_new_epoch() if evidence.graceful else move.has_moved()
            if not done:
                found.append(
                    f"{_name(move)}: led by broker {move.leader_before} in epoch "
                    f"{move.epoch_before} before, by {move.leader_after} in {move.epoch_after} "
                    "after: no other leader was seen"
                )
    return found


def _unmoved(moves: Iterable[PartitionMove]) -> Iterator[str]:
    for move in moves:
        if (move.leader_after, move.epoch_after) != (move.leader_before, move.epoch_before):
            yield (
                f"{_name(move)}: leader {move.leader_before} epoch {move.epoch_before} became "
                f"leader {move.leader_after} epoch {move.epoch_after} without a fault"
            )


def _name(move: PartitionMove) -> str:
    return f"{move.topic}-{move.partition}"
