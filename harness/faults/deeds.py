"""What is done to whoever has a role, with the evidence that it was.

Each deed finds out afterwards what became of the partitions aimed at. The repair of what stays
broken is left to `heal`. What a deed paused, cut or reordered itself it puts back, whatever ends
it.
"""

from __future__ import annotations

import time

from harness.brokers.kind import CutMode, Link
from harness.errors import FaultError, UsageError
from harness.faults.backend import Target
from harness.faults.injection import Injection
from harness.faults.interrupts import uninterrupted
from harness.faults.roles import HitBroker
from harness.kafka.leaders import PartitionState, answered
from harness.rundir.fault_evidence import Election


def kill(injection: Injection, hit: HitBroker, evidence_timeout_s: float) -> None:
    """End a broker without warning; await that others lead in its place."""
    injection.kill(hit.broker)
    injection.observe_move(evidence_timeout_s)


def pause(injection: Injection, hit: HitBroker, hold_s: float, evidence_timeout_s: float) -> None:
    """Let a broker stand still for `hold_s` at least, until others lead in its place."""
    deadline = time.monotonic() + hold_s
    with injection.paused([hit.broker]):
        injection.observe_move(max(hold_s, evidence_timeout_s))
        time.sleep(max(0.0, deadline - time.monotonic()))
    injection.observe_move(evidence_timeout_s)


def cut(
    injection: Injection,
    hit: HitBroker,
    link: Link,
    mode: CutMode,
    *,
    hold_s: float,
    patience_s: float,
) -> None:
    """Cut a broker's link for `hold_s`, then end its connections; no leader moves."""
    with injection.cut(hit.broker, link, mode, hold_s=hold_s, patience_s=patience_s, reset=True):
        pass
    injection.observe()


def move(injection: Injection, hit: HitBroker, evidence_timeout_s: float) -> None:
    """Let another replica lead in a broker's place, all brokers staying alive.

    The next in-sync replica is made the preferred one for as long as its election takes. The
    order of the replicas is then what it was, so that electing preferred leaders moves it back.
    """
    before = {state.key: state.replicas for state in hit.partitions}
    after = {state.key: next_first(state) for state in hit.partitions}
    target = injection.at
    try:
        target.reorder_replicas(hit.broker, after)
        at = injection.strike()
        injection.evidence.elections = [
            Election(topic, partition, order[0], at) for (topic, partition), order in after.items()
        ]
        target.view.elect_preferred(after)
        injection.observe_move(evidence_timeout_s)
    finally:
        with uninterrupted():
            target.reorder_replicas(hit.broker, before)


def next_first(state: PartitionState) -> list[int]:
    """Its replicas, with the next in-sync one after its leader first."""
    order = list(state.replicas)
    start = order.index(state.leader) if state.leader in order else 0
    turned = [*order[start + 1 :], *order[: start + 1]]
    other = next((each for each in turned if each in state.isr and each != state.leader), None)
    if other is None:
        raise FaultError(f"{state}: no other replica is in sync, so none can take over.")
    return [other, *(each for each in order if each != other)]


def require_longer(injection: Injection, setting: str, why: str) -> None:
    """Raises UsageError when the hold is not longer than a setting of the brokers, in ms."""
    hold_s, value_ms = injection.evidence.hold_s, broker_setting(injection.at, setting)
    if hold_s is not None and value_ms is not None and hold_s * 1000 <= float(value_ms):
        raise UsageError(
            f"{injection.fault.name}: hold_s is {hold_s:g}, but the brokers' {setting} is "
            f"{value_ms}: {why}. Hold longer than that."
        )


def require_shorter(injection: Injection, setting: str, why: str) -> float:
    """The seconds that a setting of the brokers says; 0 where they do not say.

    Raises UsageError when the hold is not shorter.
    """
    hold_s, value_ms = injection.evidence.hold_s, broker_setting(injection.at, setting)
    if hold_s is not None and value_ms is not None and hold_s * 1000 >= float(value_ms):
        raise UsageError(
            f"{injection.fault.name}: hold_s is {hold_s:g}, but the brokers' {setting} is "
            f"{value_ms}: {why}. Hold shorter than that."
        )
    return 0.0 if value_ms is None else float(value_ms) / 1000


def broker_setting(target: Target, name: str) -> str | None:
    """A setting that all brokers share, as the first one that is asked shows it."""

    def ask() -> str | None:
        return target.view.broker_setting(target.view.brokers()[0], name)

    return answered(ask, f"the brokers' {name}")
