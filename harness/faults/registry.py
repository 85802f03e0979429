"""The faults by name: what each does, what it needs of the brokers, and how it strikes.

The decorator of harness/faults/fault.py adds each fault; importing `harness.faults` imports them
all. `harness list faults`, validation and the tests of the documentation read this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness.brokers.kind import PAUSE, PROCESS, PROXY, REASSIGN
from harness.errors import UsageError
from harness.system.suggest import nearest

__all__ = [
    "FAULTS",
    "MEMBERS",
    "PAUSE",
    "PROCESS",
    "PROXY",
    "REASSIGN",
    "Fault",
    "coordinates_transactions",
    "fault_named",
]

MEMBERS: Final = "members"
"""Capability: group members as processes of this machine; a run with consumers has them, whatever
its brokers are."""
TRANSACTION_COORDINATOR: Final = "transaction coordinator"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. Its function has the same name and is part of `harness.faults`."""

    name: str
    description: str
    needs: frozenset[str]
    """Capabilities that the broker kind, or for members the run, must offer."""
    role: str = ""
    """Whom it strikes."""
    moves_leader: bool = False
    """Does the leadership of the partitions that it hits go to another broker?"""
    graceful: bool = False
    """Is it a planned operation, which no control is expected to break under?"""
    nominal: bool = False
    """Does it strike nothing at all?"""


FAULTS: Final[dict[str, Fault]] = {}
"""In the order in which `harness.faults` imports them."""


def fault_named(name: str) -> Fault:
    """The fault of that name. Raises UsageError listing those there are."""
    try:
        return FAULTS[name]
    except KeyError:
        raise UsageError(
            f"fault {name!r}: unknown{nearest(name, FAULTS)}; there are {', '.join(FAULTS)}."
        ) from None


def coordinates_transactions(name: str) -> bool:
    """Whether a fault strikes the coordinator of a transactional.id, so that somebody must have
    one."""
    return FAULTS[name].role == TRANSACTION_COORDINATOR
