"""Whom a fault strikes: found at the moment of the fault, from what the cluster says then.

A client's coordinator is the leader of one partition of an internal topic: of
`__transaction_state` for a transactional.id, of `__consumer_offsets` for a group.id. Which
partition follows from the id alone: Java's hash of it, made positive, modulo the number of
partitions (Kafka's TransactionStateManager.partitionFor and GroupMetadataManager.partitionFor).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Producer

from harness.errors import FaultError, UsageError
from harness.faults.backend import WITH_PROBES, Target
from harness.faults.injection import Injection
from harness.kafka.leaders import PartitionState, answered, most_led
from harness.rundir.fault_evidence import ControllerMove, Coordination
from harness.rundir.member_names import transactional_id
from harness.rundir.run_info import RunInfo

TRANSACTION_STATE: Final = "__transaction_state"
CONSUMER_OFFSETS: Final = "__consumer_offsets"
PROBE_ID: Final = "harness-probe"
INIT_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class HitBroker:
    """A broker that has a role, and the partitions by which it has it."""

    broker: int
    partitions: list[PartitionState]


def leader(injection: Injection) -> HitBroker:
    """The broker that leads most of the run's partitions; aims at those it leads."""
    broker, led = most_led(injection.at.aimed_partitions())
    injection.aim(f"broker {broker}, leader of {len(led)} partitions", led)
    return HitBroker(broker, led)


def follower(injection: Injection) -> HitBroker:
    """The follower of most partitions that the busiest leader leads; aims at those it follows."""
    led = most_led(injection.at.aimed_partitions())[1]
    count = Counter(broker for each in led for broker in each.replicas if broker != each.leader)
    if not count:
        raise FaultError("no partition has a follower: the replication factor is 1.")
    broker = min(count, key=lambda each: (-count[each], each))
    followed = [each for each in led if broker in each.replicas]
    injection.aim(f"broker {broker}, follower of {len(followed)} partitions", followed)
    return HitBroker(broker, followed)


def controller(injection: Injection) -> HitBroker:
    """The node that is the active controller; aims at the partitions that it leads, if any."""
    quorum = injection.at.quorum()
    if quorum.leader < 0:
        raise FaultError("there is no active controller now. Heal the cluster first.")
    led = [each for each in injection.at.aimed_partitions() if each.leader == quorum.leader]
    injection.evidence.controllers = [ControllerMove(quorum.leader, quorum.epoch)]
    injection.aim(f"node {quorum.leader}, the active controller", led)
    return HitBroker(quorum.leader, led)


def zone_of_the_leader(injection: Injection) -> list[int]:
    """The brokers of the zone of the busiest leader; aims at every partition that they lead.

    Raises UsageError when there is no broker in another zone.
    """
    zones = injection.at.operated.zones()
    partitions = injection.at.aimed_partitions()
    zone = zones[most_led(partitions)[0]]
    hit = sorted(broker for broker, its_zone in zones.items() if its_zone == zone)
    if len(hit) == len(zones):
        raise UsageError(
            f"{injection.fault.name}: all brokers are in zone {zone}, so none would be left. "
            "Spread the brokers over zones (rack of the Kafka resource, labels of the nodes)."
        )
    led = [each for each in partitions if each.leader in hit]
    injection.aim(f"zone {zone}: brokers {', '.join(map(str, hit))}", led)
    return hit


def all_brokers(injection: Injection) -> list[int]:
    """Every broker, the leader of most of the run's partitions first; aims at all partitions."""
    partitions = injection.at.aimed_partitions()
    first, _ = most_led(partitions)
    order = sorted(injection.at.control.broker_ids, key=lambda each: (each != first, each))
    injection.aim(f"brokers {', '.join(map(str, order))} in turn", partitions)
    return order


@dataclass(frozen=True, slots=True)
class CoordinatedClient:
    """Who has a coordinator: a transactional.id or a group.id, and the profile that uses it."""

    name: str
    profile: str
    run_id: str


def java_hash(text: str) -> int:
    """`String.hashCode()`: 31-fold sums over UTF-16 code units, a signed number of 32 bits."""
    units = text.encode("utf-16-be")
    value = 0
    for index in range(0, len(units), 2):
        value = (31 * value + int.from_bytes(units[index : index + 2], "big")) & 0xFFFFFFFF
    return value - (1 << 32) if value >> 31 else value


def coordinating_partition(name: str, partitions: int) -> int:
    """The partition whose leader coordinates `name`, among `partitions` of the internal topic.

    As org.apache.kafka.common.utils.Utils.abs: the smallest number of all counts as zero.
    """
    value = java_hash(name)
    return 0 if value == -(1 << 31) else abs(value) % partitions


def transactional_ids(info: RunInfo) -> list[CoordinatedClient]:
    """The transactional.id of each client instance of each transactional profile of a run, and of
    each place in the groups of its pipelines."""
    members = [
        CoordinatedClient(
            transactional_id(info.run_id, profile.profile, slot), profile.profile, info.run_id
        )
        for profile in info.profiles
        if profile.consume is not None and profile.consume.mode == "transactional"
        for slot in range(profile.consume.members)
    ]
    return members + [
        CoordinatedClient(
            str(profile.producer["transactional.id"]).replace("{instance}", str(instance)),
            profile.profile, info.run_id)
        for profile in info.profiles
        if profile.transactional
        for instance in range(info.load.producers)
    ]  # fmt: skip


def consumer_groups(info: RunInfo, profile: str | None = None) -> list[CoordinatedClient]:
    """The group.id of each profile of a run that has consumers, or of that one alone."""
    return [
        CoordinatedClient(each.consume.group, each.profile, info.run_id)
        for each in info.profiles
        if each.consume is not None and profile in (None, each.profile)
    ]


def transaction_coordinator(injection: Injection) -> HitBroker:
    """The broker that coordinates most of the run's transactional.ids."""
    return coordinator(injection, TRANSACTION_STATE, run_transactional_ids(injection.at))


def group_coordinator(injection: Injection, profile: str | None) -> HitBroker:
    """The broker that coordinates most of the run's groups, or that of a profile's."""
    return coordinator(injection, CONSUMER_OFFSETS, run_groups(injection.at, profile))


def coordinator(
    injection: Injection, topic: str, clients: Sequence[CoordinatedClient]
) -> HitBroker:
    """The broker that coordinates most of `clients`; aims at the partitions by which it does.

    Without clients (no load is running) it is the broker that leads most of `topic`. Raises
    FaultError when no client has needed a coordinator of that kind yet.
    """
    view = injection.at.view
    states = answered(lambda: _led(view.partitions([topic])), f"the leaders of {topic}")
    where = {client: states[coordinating_partition(client.name, len(states))] for client in clients}
    aimed = list(dict.fromkeys(where.values())) if where else states
    votes = Counter(state.leader for state in (where.values() if where else states))
    broker = min(votes, key=lambda each: (-votes[each], each))
    hit = [state for state in aimed if state.leader == broker]
    injection.evidence.coordinates = [
        Coordination(client.name, client.profile, topic, state.partition, client.run_id)
        for client, state in where.items()
        if state.leader == broker
    ]
    whom = f"coordinator of {votes[broker]} clients" if where else f"leader of {len(hit)}"
    injection.aim(f"broker {broker}, {whom} ({topic})", hit)
    return HitBroker(broker, hit)


def _led(states: list[PartitionState]) -> list[PartitionState]:
    """The partitions by number, each with a leader. Raises FaultError while one has none."""
    without = [str(state) for state in states if state.leader < 0]
    if without:
        raise FaultError(f"no leader: {'; '.join(without)}")
    return sorted(states, key=lambda state: state.partition)


def run_transactional_ids(target: Target) -> list[CoordinatedClient]:
    """The transactional.ids of the runs that are hit; none without a run.

    Without a run on a cluster without any transaction so far, the internal topic is
    made by asking for a coordinator once, so that there is one to strike.
    """
    runs = target.runs()
    if runs:
        return [client for each in runs for client in transactional_ids(each.read_info())]
    if target.brokers.kind in WITH_PROBES and TRANSACTION_STATE not in target.view.topics():
        settings = {**target.brokers.client_config, "transactional.id": PROBE_ID, "log_level": 2}
        Producer(settings).init_transactions(INIT_TIMEOUT_S)
    return []


def run_groups(target: Target, profile: str | None) -> list[CoordinatedClient]:
    """The groups of the runs that are hit. Raises FaultError when none has such a profile."""
    groups = [
        group for each in target.runs() for group in consumer_groups(each.read_info(), profile)
    ]
    if not groups:
        raise FaultError(f"profile {profile}: the run has no such profile with consumers.")
    return groups
