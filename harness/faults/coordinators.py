"""Faults of the brokers that coordinate transactions and consumer groups."""

from harness.brokers.kind import PROCESS, REASSIGN
from harness.faults.deeds import kill, move
from harness.faults.fault import fault
from harness.faults.injection import Injection
from harness.faults.registry import MEMBERS, TRANSACTION_COORDINATOR
from harness.faults.roles import group_coordinator, transaction_coordinator

# Annotations are evaluated here (no `from __future__`): `chaos discover` reads them as types.

__all__ = [
    "kill_group_coordinator",
    "kill_transaction_coordinator",
    "move_group_coordinator",
    "move_transaction_coordinator",
]


@fault(PROCESS, role=TRANSACTION_COORDINATOR, moves_leader=True)
def kill_transaction_coordinator(injection: Injection, evidence_timeout_s: float = 20.0) -> None:
    """SIGKILL the broker that coordinates most transactional.ids.

    Waits until other brokers lead those partitions of __transaction_state in a newer leader
    epoch, at most `evidence_timeout_s`. The broker stays dead until `heal`.
    """
    kill(injection, transaction_coordinator(injection), evidence_timeout_s)


@fault(REASSIGN, role=TRANSACTION_COORDINATOR, moves_leader=True)
def move_transaction_coordinator(injection: Injection, evidence_timeout_s: float = 20.0) -> None:
    """Elect another broker as coordinator of most transactional.ids; no broker dies.

    No process is touched: the partitions of __transaction_state get another leader by election,
    as in a planned move. `heal` moves them back.
    """
    move(injection, transaction_coordinator(injection), evidence_timeout_s)


@fault(PROCESS, MEMBERS, role="group coordinator", moves_leader=True)
def kill_group_coordinator(
    injection: Injection, profile: str | None = None, evidence_timeout_s: float = 20.0
) -> None:
    """SIGKILL the broker that coordinates most consumer groups.

    Or the one that coordinates the group of `profile`. Waits until other brokers lead those
    partitions of __consumer_offsets in a newer leader epoch, at most `evidence_timeout_s`. The
    broker stays dead until `heal`.
    """
    kill(injection, group_coordinator(injection, profile), evidence_timeout_s)


@fault(REASSIGN, MEMBERS, role="group coordinator", moves_leader=True)
def move_group_coordinator(
    injection: Injection, profile: str | None = None, evidence_timeout_s: float = 20.0
) -> None:
    """Elect another broker as coordinator of most consumer groups; no broker dies.

    Or of the group of `profile`. No process is touched: the partitions of __consumer_offsets get
    another leader by election, as in a planned move. `heal` moves them back.
    """
    move(injection, group_coordinator(injection, profile), evidence_timeout_s)
