"""Which broker coordinates whom, and what strikes it.

A client's coordinator is the leader of one partition of an internal topic: of
`__transaction_state` for a transactional.id, of `__consumer_offsets` for a group.id. Which
partition follows from the id alone: Java's hash of it, made positive, modulo the number of
partitions (Kafka's TransactionStateManager.partitionFor and GroupMetadataManager.partitionFor).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Producer

from harness.brokers.local.state import read_state
from harness.errors import FaultError
from harness.faults.activity import activity
from harness.faults.backend import Target, attach
from harness.faults.injection import Injection
from harness.faults.interrupts import uninterrupted
from harness.faults.registry import fault_named
from harness.kafka.leaders import PartitionState, answered
from harness.kafka.reassignment import reorder_replicas
from harness.rundir.fault_evidence import Coordination, Election
from harness.rundir.member_names import transactional_id
from harness.rundir.run_info import RunInfo

# Annotations are evaluated here (no `from __future__`): `chaos discover` reads them as types.

__all__ = [
    "kill_group_coordinator",
    "kill_transaction_coordinator",
    "move_group_coordinator",
    "move_transaction_coordinator",
]

TRANSACTION_STATE: Final = "__transaction_state"
CONSUMER_OFFSETS: Final = "__consumer_offsets"
PROBE_ID: Final = "harness-probe"
INIT_TIMEOUT_S: Final = 30.0


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


def aim_at_coordinator(
    injection: Injection, topic: str, clients: Sequence[CoordinatedClient]
) -> tuple[int, list[PartitionState]]:
    """Find the broker that coordinates most of `clients`, aim at the partitions by which it does.

    Without clients (nobody runs a load) it is the broker that leads most of `topic`. Raises
    FaultError when nobody has needed a coordinator of that kind yet.
    """
    view = injection.at.view
    states = answered(lambda: _led(view.partitions([topic])), f"the leaders of {topic}")
    where = {client: states[coordinating_partition(client.name, len(states))] for client in clients}
    aimed = list(dict.fromkeys(where.values())) if where else states
    votes = Counter(state.leader for state in (where.values() if where else states))
    broker = min(votes, key=lambda each: (-votes[each], each))
    struck = [state for state in aimed if state.leader == broker]
    injection.evidence.coordinates = [
        Coordination(client.name, client.profile, topic, state.partition, client.run_id)
        for client, state in where.items()
        if state.leader == broker
    ]
    whom = f"coordinator of {votes[broker]} clients" if where else f"leader of {len(struck)}"
    injection.aim(f"broker {broker}, {whom} ({topic})", struck)
    return broker, struck


def _led(states: list[PartitionState]) -> list[PartitionState]:
    """The partitions by number, each with a leader. Raises FaultError while one has none."""
    without = [str(state) for state in states if state.leader < 0]
    if without:
        raise FaultError(f"no leader: {'; '.join(without)}")
    return sorted(states, key=lambda state: state.partition)


def kill_coordinator(
    fault: str,
    target: Target,
    topic: str,
    clients: Sequence[CoordinatedClient],
    evidence_timeout_s: float,
) -> dict[str, Any]:
    """SIGKILL the broker that coordinates most of `clients`; await that others took over."""
    with Injection(fault, target) as injection:
        broker, _ = aim_at_coordinator(injection, topic, clients)
        injection.kill(broker)
        injection.observe_move(evidence_timeout_s)
    return injection.output()


def move_coordinator(
    fault: str,
    target: Target,
    topic: str,
    clients: Sequence[CoordinatedClient],
    evidence_timeout_s: float,
) -> dict[str, Any]:
    """Let another replica become the coordinator, all brokers staying alive.

    The next in-sync replica is made the preferred one for as long as its election takes. The
    order of the replicas is then what it was, so that electing preferred leaders moves it back.
    """
    with Injection(fault, target) as injection:
        broker, struck = aim_at_coordinator(injection, topic, clients)
        before = {state.key: state.replicas for state in struck}
        after = {state.key: _next_first(state) for state in struck}
        port = read_state(target.local.directory).ports[broker].direct
        try:
            reorder_replicas(port, after)
            at = injection.strike()
            injection.evidence.elections = [
                Election(topic, partition, order[0], at)
                for (topic, partition), order in after.items()
            ]
            target.view.elect_preferred(after)
            injection.observe_move(evidence_timeout_s)
        finally:
            with uninterrupted():
                reorder_replicas(port, before)
    return injection.output()


def _next_first(state: PartitionState) -> list[int]:
    """Its replicas, with the next in-sync one after its leader first."""
    order = list(state.replicas)
    start = order.index(state.leader) if state.leader in order else 0
    turned = [*order[start + 1 :], *order[: start + 1]]
    other = next((each for each in turned if each in state.isr and each != state.leader), None)
    if other is None:
        raise FaultError(f"{state}: no other replica is in sync, so nobody can take over.")
    return [other, *(each for each in order if each != other)]


def run_transactional_ids(target: Target) -> list[CoordinatedClient]:
    """The transactional.ids of the runs that are struck; none without a run.

    Without a run on a local cluster where nobody has had a transaction yet, the internal topic is
    made by asking for a coordinator once, so that there is one to strike.
    """
    runs = target.runs()
    if runs:
        return [client for each in runs for client in transactional_ids(each.read_info())]
    if target.brokers.kind == "local" and TRANSACTION_STATE not in target.view.topics():
        settings = {**target.brokers.client_config, "transactional.id": PROBE_ID, "log_level": 2}
        Producer(settings).init_transactions(INIT_TIMEOUT_S)
    return []


@activity
def kill_transaction_coordinator(evidence_timeout_s: float = 20.0) -> dict[str, Any]:
    """SIGKILL the broker that coordinates most of the run's transactional.ids.

    Waits until other brokers lead those partitions of __transaction_state in a newer leader
    epoch, at most `evidence_timeout_s`. The broker stays dead until `heal`.
    """
    target = attach()
    return kill_coordinator(
        "kill_transaction_coordinator",
        target,
        TRANSACTION_STATE,
        run_transactional_ids(target),
        evidence_timeout_s,
    )


@activity
def move_transaction_coordinator(evidence_timeout_s: float = 20.0) -> dict[str, Any]:
    """Let another broker become the coordinator of most of the run's transactional.ids.

    No process is touched: the partitions of __transaction_state get another leader by election,
    as in a planned move. `heal` moves them back.
    """
    target = attach()
    return move_coordinator(
        "move_transaction_coordinator",
        target,
        TRANSACTION_STATE,
        run_transactional_ids(target),
        evidence_timeout_s,
    )


def run_groups(target: Target, profile: str | None) -> list[CoordinatedClient]:
    """The groups of the runs that are struck. Raises FaultError when none has such a profile."""
    groups = [
        group for each in target.runs() for group in consumer_groups(each.read_info(), profile)
    ]
    if not groups:
        raise FaultError(f"profile {profile}: the run has no such profile with consumers.")
    return groups


@activity
def kill_group_coordinator(
    profile: str | None = None, evidence_timeout_s: float = 20.0
) -> dict[str, Any]:
    """SIGKILL the broker that coordinates most of the run's consumer groups, or that of a profile.

    Waits until other brokers lead those partitions of __consumer_offsets in a newer leader
    epoch, at most `evidence_timeout_s`. The broker stays dead until `heal`.
    """
    target = attach()
    target.require(fault_named("kill_group_coordinator"))
    return kill_coordinator(
        "kill_group_coordinator",
        target,
        CONSUMER_OFFSETS,
        run_groups(target, profile),
        evidence_timeout_s,
    )


@activity
def move_group_coordinator(
    profile: str | None = None, evidence_timeout_s: float = 20.0
) -> dict[str, Any]:
    """Let another broker become the coordinator of most of the run's groups, or of a profile's.

    No process is touched: the partitions of __consumer_offsets get another leader by election,
    as in a planned move. `heal` moves them back.
    """
    target = attach()
    target.require(fault_named("move_group_coordinator"))
    return move_coordinator(
        "move_group_coordinator",
        target,
        CONSUMER_OFFSETS,
        run_groups(target, profile),
        evidence_timeout_s,
    )
