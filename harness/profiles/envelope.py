"""When a profile promises anything: enough copies, two that confirm, no unclean election.

Outside its envelope a profile's counts are given and its promises are `not_applicable`: a topic
with one copy loses records for reasons that say nothing about acks=all. The other half of the
envelope, what the faults did to the cluster, is judged from the timeline.

Pure: settings in, sentences out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.profiles.model import DeliveryProfile, Setting, as_int, is_true

REPLICATION_FACTOR_MIN: Final = 3
MIN_ISR_MIN: Final = 2


def envelope_breaches(
    profile: DeliveryProfile, cluster: Mapping[str, Setting] | None = None
) -> list[str]:
    """Why the promises of `profile` do not apply, one sentence each; empty inside the envelope.

    profile: its topic settings win over the cluster's.
    cluster: broker settings by name (`min.insync.replicas`, `transaction.state.log.min.isr`, …);
        what is missing there is taken as good, since a principal may not be allowed to see it.
    """
    facts = cluster or {}
    breaches: list[str] = []

    factor = profile.replication_factor
    if factor is not None and factor < REPLICATION_FACTOR_MIN:
        breaches.append(_few("replication.factor", factor, REPLICATION_FACTOR_MIN))
    stated = profile.topic.get("min.insync.replicas", facts.get("min.insync.replicas"))
    min_isr = as_int(stated)
    if min_isr is not None and min_isr < MIN_ISR_MIN:
        breaches.append(_few("min.insync.replicas", min_isr, MIN_ISR_MIN))
    name = "unclean.leader.election.enable"
    if is_true(profile.topic.get(name, facts.get(name))):
        breaches.append(f"{name} is true; it must be false")

    internal: dict[str, int] = {}
    if profile.transactional:
        internal["transaction.state.log.replication.factor"] = REPLICATION_FACTOR_MIN
        internal["transaction.state.log.min.isr"] = MIN_ISR_MIN
    if profile.consume is not None or profile.consumer.get("group.id"):
        internal["offsets.topic.replication.factor"] = REPLICATION_FACTOR_MIN
    for name, least in internal.items():
        found = as_int(facts.get(name))
        if found is not None and found < least:
            breaches.append(_few(f"the brokers' {name}", found, least))
    return breaches


def _few(name: str, found: int, least: int) -> str:
    return f"{name} is {found}; at least {least} are needed"
