"""Faults of clusters that an operator runs in Kubernetes: zones, containers, rolls, operator."""

import time
from collections.abc import Callable

from harness.brokers.kind import CONTAINER, OPERATOR, PROCESS, REVOKE, ROLL, ZONES, RollBy
from harness.errors import UsageError
from harness.faults.fault import fault
from harness.faults.injection import Injection
from harness.faults.roles import leader, zone_of_the_leader
from harness.kafka.leaders import await_full_isr
from harness.rundir.operator_evidence import OperatorEvidence

# Annotations are evaluated here (no `from __future__`): `chaos discover` reads them as types.

__all__ = [
    "kill_leader_in_container",
    "kill_leader_then_operator",
    "kill_leader_without_operator",
    "kill_zone",
    "revoke_operator_then_kill_leader",
    "roll_by_annotation",
    "roll_by_change",
]


@fault(PROCESS, ZONES, role="every broker of the leader's zone", moves_leader=True)
def kill_zone(injection: Injection, evidence_timeout_s: float = 30.0) -> None:
    """Kill all brokers of the zone in which the broker is that leads most partitions, at once.

    Waits until brokers of other zones lead their partitions in a newer leader epoch, at most
    `evidence_timeout_s`. Refused where all brokers are in one zone.
    """
    brokers = zone_of_the_leader(injection)
    injection.strike()
    injection.evidence.brokers += injection.at.operated.kill_together(brokers)
    injection.observe_move(evidence_timeout_s)


@fault(CONTAINER, role="leader", moves_leader=True)
def kill_leader_in_container(injection: Injection, evidence_timeout_s: float = 30.0) -> None:
    """SIGKILL the leader's process inside its container, which starts again in the same pod.

    No grace period lets the broker hand over first. Waits until other brokers lead its partitions
    in a newer leader epoch, at most `evidence_timeout_s`.
    """
    hit = leader(injection)
    injection.strike()
    injection.evidence.brokers.append(injection.at.operated.kill_process(hit.broker))
    injection.observe_move(evidence_timeout_s)


@fault(ROLL, role="every broker", moves_leader=True, graceful=True)
def roll_by_annotation(
    injection: Injection, timeout_s: float = 900.0, isr_timeout_s: float = 120.0
) -> None:
    """Let the operator restart every broker in turn, asked for by Strimzi's annotation.

    The operator looks every two minutes, so a roll may begin late; `timeout_s` is for all of it.
    """
    _roll(injection, "annotation", timeout_s, isr_timeout_s)


@fault(ROLL, role="every broker", moves_leader=True, graceful=True)
def roll_by_change(
    injection: Injection, timeout_s: float = 900.0, isr_timeout_s: float = 120.0
) -> None:
    """Let the operator roll the cluster after a harmless change of the Kafka resource.

    An annotation of the pods' template gets a new value, which stays there. `timeout_s` is for all
    of the roll.
    """
    _roll(injection, "change", timeout_s, isr_timeout_s)


@fault(PROCESS, OPERATOR, role="operator and leader", moves_leader=True)
def kill_leader_without_operator(
    injection: Injection, hold_s: float = 20.0, evidence_timeout_s: float = 30.0
) -> None:
    """Scale the operator to zero, then kill the leader: nothing makes its pod again.

    The broker stays away for `hold_s`, and until `heal` brings the operator back.
    """
    _kill_without(
        lambda: injection.at.operated.stop_operator(), injection, hold_s, evidence_timeout_s
    )


@fault(PROCESS, REVOKE, role="operator and leader", moves_leader=True)
def revoke_operator_then_kill_leader(
    injection: Injection, hold_s: float = 20.0, evidence_timeout_s: float = 30.0
) -> None:
    """Take the operator's rights in the namespace away, then kill the leader.

    The operator runs and may do nothing, so nothing makes the pod again for `hold_s`, and until
    `heal` gives the rights back.
    """
    _kill_without(
        lambda: injection.at.operated.revoke_operator(), injection, hold_s, evidence_timeout_s
    )


@fault(PROCESS, OPERATOR, role="leader and operator", moves_leader=True)
def kill_leader_then_operator(injection: Injection, evidence_timeout_s: float = 30.0) -> None:
    """Kill the leader, then the operator's pod before it can have brought the leader back.

    The operator's Deployment makes another pod, which finds a broker missing. Waits until other
    brokers lead the partitions in a newer leader epoch, at most `evidence_timeout_s`.
    """
    hit = leader(injection)
    injection.kill(hit.broker)
    injection.evidence.operators.append(injection.at.operated.kill_operator())
    injection.observe_move(evidence_timeout_s)


def _kill_without(
    take_operator_out: Callable[[], OperatorEvidence],
    injection: Injection,
    hold_s: float,
    evidence_timeout_s: float,
) -> None:
    """Kill the leader while no operator makes its pod again, and wait for `hold_s`."""
    if hold_s < 0:
        raise UsageError(f"hold_s {hold_s:g}: 0 or more is expected.")
    hit = leader(injection)
    injection.strike()
    injection.evidence.operators.append(take_operator_out())
    injection.kill(hit.broker)
    injection.observe_move(evidence_timeout_s)
    time.sleep(hold_s)


def _roll(injection: Injection, by: RollBy, timeout_s: float, isr_timeout_s: float) -> None:
    partitions = injection.at.aimed_partitions()
    brokers = ", ".join(map(str, injection.at.control.broker_ids))
    injection.aim(f"brokers {brokers}, rolled by the operator ({by})", partitions)
    injection.strike()
    injection.evidence.brokers += injection.at.operated.roll(by, timeout_s)
    await_full_isr(injection.at.view, injection.at.watched_topics, isr_timeout_s)
    injection.observe()
