"""Probes: what the steady state is made of. They change nothing."""

import logging

from harness.errors import FaultError
from harness.faults.activity import activity
from harness.faults.backend import attach
from harness.kafka.leaders import answered, await_full_isr, await_that

# Annotations are evaluated here (no `from __future__`): `chaos discover` reads them as types.

__all__ = ["brokers_ready", "full_isr", "leader_of", "leaders"]

logger = logging.getLogger("chaostoolkit")


@activity
def full_isr(timeout_s: float = 30.0) -> bool:
    """Does every partition of the run's and the internal topics reach its full ISR in time?

    Without a run, every topic of the cluster counts. What is missing goes into the log.
    """
    target = attach()
    try:
        await_full_isr(target.view, target.watched_topics, timeout_s)
    except FaultError as error:
        logger.warning("%s", error)
        return False
    return True


@activity
def brokers_ready(count: int = 3, timeout_s: float = 30.0) -> bool:
    """Are `count` brokers registered and not fenced, in time?"""
    target = attach()

    def pending() -> str | None:
        brokers = target.view.brokers()
        return None if len(brokers) == count else f"brokers {brokers}"

    try:
        await_that(pending, f"{count} registered brokers", timeout_s=timeout_s)
    except FaultError as error:
        logger.warning("%s", error)
        return False
    return True


@activity
def leader_of(topic: str, partition: int = 0) -> int:
    """The id of the broker that leads a partition, or -1 while there is none."""
    view = attach().view
    for state in answered(lambda: view.partitions([topic]), f"the leader of {topic}"):
        if state.partition == partition:
            return state.leader
    raise FaultError(f"{topic} has no partition {partition}.")


@activity
def leaders() -> dict[str, int]:
    """The leader of each partition that faults aim at, by `topic-partition`."""
    target = attach()
    states = answered(lambda: target.view.partitions(target.run_topics()), "the leaders")
    return {f"{state.topic}-{state.partition}": state.leader for state in states}
