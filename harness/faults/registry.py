"""The faults by name: what each does, what it needs of the brokers, and how it strikes.

Pure data, so that `harness list faults`, validation and the tests of the documentation read the
same table as the faults themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness.errors import UsageError
from harness.system.suggest import nearest

PROCESS: Final = "process"
"""Capability: signals to broker processes, their exit, their restart."""
PROXY: Final = "proxy"
"""Capability: a proxy in front of the brokers' listeners that can hold back bytes."""
MEMBERS: Final = "members"
"""Capability: group members as processes of this machine; a run with consumers has them, whatever
its brokers are."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. Its function has the same name and stands in `harness.faults`."""

    name: str
    description: str
    needs: frozenset[str]
    """Capabilities that the broker kind, or for members the run, must offer."""
    moves_leader: bool
    """Does the leadership of the struck partitions go to another broker?"""
    graceful: bool = False
    """Is it a planned operation, which no control is expected to break under?"""


def _fault(name: str, description: str, *needs: str, moves: bool, graceful: bool = False) -> Fault:
    return Fault(name, description, frozenset(needs), moves, graceful)


FAULTS: Final = {
    fault.name: fault
    for fault in (
        _fault(
            "kill_leader",
            "SIGKILL the broker that leads most partitions",
            PROCESS,
            moves=True,
        ),
        _fault(
            "stop_followers_then_kill_leader",
            "SIGSTOP the followers, SIGKILL the leader before they read on, SIGCONT them",
            PROCESS,
            moves=True,
        ),
        _fault(
            "cut_replication_then_kill_leader",
            "hold back the leader's replication traffic, then SIGKILL it",
            PROCESS,
            PROXY,
            moves=True,
        ),
        _fault(
            "cut_responses",
            "let requests reach the leader and drop its responses, then reset the connections",
            PROXY,
            moves=False,
        ),
        _fault(
            "pause_leader",
            "SIGSTOP the leader until another one is elected, then SIGCONT it",
            PROCESS,
            moves=True,
        ),
        _fault(
            "rolling_restart",
            "SIGTERM and restart one broker after the other, full ISR in between",
            PROCESS,
            moves=True,
            graceful=True,
        ),
        _fault(
            "kill_transaction_coordinator",
            "SIGKILL the broker that coordinates most transactional.ids",
            PROCESS,
            moves=True,
        ),
        _fault(
            "move_transaction_coordinator",
            "elect another broker as coordinator of most transactional.ids, nobody dies",
            PROCESS,
            moves=True,
        ),
        _fault(
            "kill_group_coordinator",
            "SIGKILL the broker that coordinates most consumer groups",
            PROCESS,
            MEMBERS,
            moves=True,
        ),
        _fault(
            "move_group_coordinator",
            "elect another broker as coordinator of most consumer groups, nobody dies",
            PROCESS,
            MEMBERS,
            moves=True,
        ),
        _fault(
            "kill_member",
            "SIGKILL a member of each consumer group in the middle of its work",
            MEMBERS,
            moves=False,
        ),
        _fault(
            "pause_member",
            "SIGSTOP a member of each consumer group until others have its partitions, SIGCONT it",
            MEMBERS,
            moves=False,
        ),
        _fault(
            "scale_members",
            "give each consumer group another number of members, in order",
            MEMBERS,
            moves=False,
            graceful=True,
        ),
        _fault(
            "rebalance_storm",
            "let members join and leave each consumer group, again and again",
            MEMBERS,
            moves=False,
            graceful=True,
        ),
        _fault(
            "no_fault",
            "change nothing, and show that no leader moved",
            moves=False,
            graceful=True,
        ),
    )
}


COORDINATES_TRANSACTIONS: Final = frozenset(
    ("kill_transaction_coordinator", "move_transaction_coordinator")
)
"""Faults that strike the coordinator of a transactional.id, so that somebody must have one."""


def fault_named(name: str) -> Fault:
    """The fault of that name. Raises UsageError listing those there are."""
    try:
        return FAULTS[name]
    except KeyError:
        raise UsageError(
            f"fault {name!r}: unknown{nearest(name, FAULTS)}; there are {', '.join(FAULTS)}."
        ) from None
