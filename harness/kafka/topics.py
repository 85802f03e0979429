"""A run's own topics: made with their leaders where the faults will strike, checked, deleted.

Every topic of a run is named `harness-<run_id>-…` and is never one that existed before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, OffsetSpec

from harness.errors import ClusterError, UsageError
from harness.kafka.admin import REQUEST_TIMEOUT_S, admin_client, reason
from harness.kafka.reach import answer_of_each, first_answer
from harness.profiles.model import Setting, text
from harness.system.output import complain

RETENTION_S = 7 * 86_400
DELETE_TIMEOUT_S = 30.0
CREATE_TIMEOUT_S = 60.0
"""A topic is created in its own time where a controller is being elected."""
_BROKER_SETTINGS = (
    "transaction.state.log.replication.factor",
    "transaction.state.log.min.isr",
    "offsets.topic.replication.factor",
    "unclean.leader.election.enable",
    "min.insync.replicas",
)


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """What a cluster says of itself, as far as an envelope depends on it."""

    cluster_id: str
    broker_ids: tuple[int, ...]
    settings: Mapping[str, str]
    """Broker settings that internal topics and defaults follow; empty when they are not shown."""


def cluster_facts(client_config: Mapping[str, str]) -> ClusterFacts:
    """Ask a cluster for its id, brokers and the settings of its internal topics.

    Raises ClusterError with the client's reason when no broker answers.
    """
    where = client_config.get("bootstrap.servers", "?")
    _, described = first_answer(
        client_config,
        lambda client: client.describe_cluster(request_timeout=REQUEST_TIMEOUT_S),
        what=f"Asking {where} for its brokers",
        timeout_s=REQUEST_TIMEOUT_S + 1,
    )
    broker_ids = tuple(sorted(node.id for node in described.nodes))

    def ask_settings(client: AdminClient, broker: int) -> Future[Any]:
        resource = ConfigResource(ConfigResource.Type.BROKER, str(broker))
        asked = client.describe_configs([resource], request_timeout=REQUEST_TIMEOUT_S)
        future: Future[Any] = asked[resource]
        return future

    answers = answer_of_each(
        client_config,
        {node.id: f"{node.host}:{node.port}" for node in described.nodes},
        ask_settings,
        what=f"Asking each broker of {where} for its settings",
        timeout_s=REQUEST_TIMEOUT_S,
    )
    settings: dict[str, str] = {}
    for broker in broker_ids[:1]:
        try:
            shown: Any = answers[broker].result(0)
        except (KafkaException, TimeoutError):
            shown = {}  # a principal without DescribeConfigs may still produce and consume
        settings = {
            name: shown[name].value
            for name in _BROKER_SETTINGS
            if name in shown and shown[name].value is not None
        }
    return ClusterFacts(str(described.cluster_id), broker_ids, settings)


def replica_assignment(
    broker_ids: Sequence[int], leader: int, partitions: int, replication_factor: int
) -> list[list[int]]:
    """Replicas of each partition, all with the same preferred leader.

    Faults strike one broker at a time; a partition led elsewhere would not be exposed to them.
    """
    others = [broker for broker in broker_ids if broker != leader]
    return [
        [leader, *(others[(partition + i) % len(others)] for i in range(replication_factor - 1))]
        if others
        else [leader]
        for partition in range(partitions)
    ]


def finite(topic: Mapping[str, Setting], duration_s: float | None) -> dict[str, Setting]:
    """A topic's settings on brokers of somebody else, where nothing of a run may stay for ever.

    A profile without a retention gets one that is far longer than its run.
    """
    if int(str(topic.get("retention.ms", -1))) >= 0:
        return dict(topic)
    return {**topic, "retention.ms": int(1000 * (RETENTION_S + 2 * (duration_s or 0)))}


def create_topics(
    client_config: Mapping[str, str],
    topics: Mapping[str, Mapping[str, Any]],
    *,
    partitions: int,
    leader: int,
    facts: ClusterFacts,
) -> dict[str, str]:
    """Create topics from their settings and return their ids by name.

    `replication.factor` of the settings decides the replicas; the other settings become the
    topic's configuration. Raises UsageError when the cluster has too few brokers or when a topic
    of that name exists, ClusterError when the brokers refuse.
    """
    admin = admin_client(client_config)
    new: list[NewTopic] = []
    for name, settings in topics.items():
        config = {key: text(value) for key, value in settings.items()}
        factor = int(config.pop("replication.factor", "3"))
        if factor > len(facts.broker_ids):
            raise UsageError(
                f"topic {name}: replication.factor {factor} needs as many brokers, and the cluster "
                f"has {len(facts.broker_ids)}. Use a larger cluster, or set "
                f"--config topic.replication.factor={len(facts.broker_ids)}."
            )
        assignment = replica_assignment(facts.broker_ids, leader, partitions, factor)
        new.append(
            NewTopic(name, num_partitions=partitions, replica_assignment=assignment, config=config)
        )
    for name in sorted(set(topics) & _topics(admin)):
        raise UsageError(
            f"topic {name}: exists already, and a run writes only into its own new topics."
        )
    try:
        await_created(admin.create_topics(new, request_timeout=CREATE_TIMEOUT_S))
        return wait_for_topics(admin, list(topics), partitions=partitions)
    except BaseException:
        # None of them was there before, so whatever is there now was made here.
        left = _still_there(admin, _asked_to_delete(admin, dict.fromkeys(topics, "")))
        if left:
            complain(f"topics of the run that did not start: still there are {', '.join(left)}")
        raise


def _topics(admin: AdminClient) -> set[str]:
    try:
        return set(admin.list_topics(timeout=REQUEST_TIMEOUT_S).topics)
    except KafkaException as error:
        raise ClusterError(f"Asking for the topics: {reason(error)}") from error


def await_created(requested: Mapping[str, Future[None]]) -> None:
    """Await topics whose names are in no other use. Raises ClusterError when one is refused.

    That one exists already is success: the client asks again where an answer is late.
    """
    for name, future in requested.items():
        try:
            future.result(CREATE_TIMEOUT_S + 10)
        except TimeoutError as error:
            raise ClusterError(f"topic {name}: the brokers did not answer.") from error
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise ClusterError(f"topic {name}: not created: {reason(error)}") from error


def wait_for_topics(
    admin: AdminClient, names: list[str], *, partitions: int, timeout_s: float = 30.0
) -> dict[str, str]:
    """Await that every partition has a leader and its full ISR; topic ids by name."""
    deadline = time.monotonic() + timeout_s
    while True:
        missing: list[str] = []
        ids: dict[str, str] = {}
        futures = admin.describe_topics(TopicCollection(names), request_timeout=REQUEST_TIMEOUT_S)
        for name, future in futures.items():
            try:
                described: Any = future.result(REQUEST_TIMEOUT_S)
            except KafkaException as error:
                missing.append(f"{name} ({error.args[0].name()})")
                continue
            ids[name] = str(described.topic_id)
            whole = [
                partition
                for partition in described.partitions
                if partition.leader is not None
                and partition.leader.id >= 0
                and len(partition.isr) == len(partition.replicas)
            ]
            if len(whole) != partitions:
                missing.append(f"{name} ({len(whole)} of {partitions} partitions in full ISR)")
        if not missing:
            missing = _without_serving_leader(admin, names, partitions)
        if not missing:
            return ids
        if time.monotonic() > deadline:
            raise ClusterError(
                f"topics not ready within {timeout_s:g} s: {', '.join(missing)}. Look at the "
                "brokers' logs."
            )
        time.sleep(0.1)


def _without_serving_leader(admin: AdminClient, names: list[str], partitions: int) -> list[str]:
    """Partitions whose leader does not answer as one yet.

    Metadata names a leader before that broker has taken the partition over; what a producer with
    acks=0 sends in between is dropped, which would look like a loss of Kafka's.
    """
    wanted = {
        TopicPartition(name, partition): OffsetSpec.latest()
        for name in names
        for partition in range(partitions)
    }
    silent: list[str] = []
    futures = admin.list_offsets(wanted, request_timeout=REQUEST_TIMEOUT_S)
    for at, future in futures.items():
        try:
            # A leader that did not answer comes as a negative offset, and as no error.
            answered = future.result(REQUEST_TIMEOUT_S).offset >= 0
        except (KafkaException, TimeoutError):
            answered = False
        if not answered:
            silent.append(f"{at.topic}/{at.partition} (its leader does not serve it yet)")
    return silent


def delete_topics(
    client_config: Mapping[str, str],
    names: Sequence[str],
    log: Callable[[str], None],
    *,
    timeout_s: float = DELETE_TIMEOUT_S,
) -> dict[str, str]:
    """Delete a run's topics and await that they are gone; name → why, of those that are not.

    What is still there is also said, and is no error. A request that gets no answer is made again.
    """
    # The client has to live until its futures end: they are its, and end with it.
    admin = admin_client(client_config)
    deadline = time.monotonic() + timeout_s
    left: dict[str, str] = dict.fromkeys(names, "")
    while left:
        left = _asked_to_delete(admin, left)
        left = _still_there(admin, left)
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    for name, why in left.items():
        log(f"topic {name} is still there: {why}. Delete it by hand.")
    return left


def _asked_to_delete(admin: AdminClient, names: Mapping[str, str]) -> dict[str, str]:
    """Every name, with what the brokers answered."""
    futures = admin.delete_topics(list(names), operation_timeout=REQUEST_TIMEOUT_S)
    answers: dict[str, str] = {}
    for name, future in futures.items():
        answers[name] = "it is being deleted and has not gone yet"
        try:
            future.result(REQUEST_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                answers[name] = f"the brokers answered {reason(error)}"
        except TimeoutError:
            answers[name] = "the brokers did not answer"
    return answers


def _still_there(admin: AdminClient, names: Mapping[str, str]) -> dict[str, str]:
    """Those names that a broker still lists; all of them where none answers."""
    try:
        listed = admin.list_topics(timeout=REQUEST_TIMEOUT_S).topics
    except KafkaException as error:
        why = f"asking what topics there are: {reason(error)}"
        return {name: answer or why for name, answer in names.items()}
    return {name: answer for name, answer in names.items() if name in listed}
