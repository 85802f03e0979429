"""Where a cluster's partitions are led, and by which leader epoch.

Leaders and in-sync replicas come from Metadata, which librdkafka asks of any broker that is
connected. (DescribeTopics goes to the one broker that it last took for the controller, and has no
answer for as long as that one is dead.) Leader epochs come from ListOffsets: its answer for the
latest offset carries the current leader epoch (KIP-320). Requests are bounded and short, since
some of the brokers asked here are dead or stopped on purpose.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from confluent_kafka import ElectionType, KafkaError, KafkaException
from confluent_kafka import TopicPartition as At
from confluent_kafka.admin import ConfigResource, NewTopic, OffsetSpec

from harness.errors import FaultError
from harness.kafka.admin import admin_client
from harness.kafka.topics import CREATE_TIMEOUT_S

REQUEST_TIMEOUT_S: Final = 2.0
POLL_S: Final = 0.1
Key = tuple[str, int]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class PartitionState:
    """One partition as a broker's metadata shows it; `leader` is -1 while there is none."""

    topic: str
    partition: int
    leader: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]

    @property
    def key(self) -> Key:
        """(topic, partition)"""
        return self.topic, self.partition

    @property
    def in_full_isr(self) -> bool:
        """Whether it has a leader and every replica is in sync."""
        return self.leader >= 0 and set(self.isr) == set(self.replicas)

    @property
    def preferred(self) -> bool:
        """Whether its first replica leads it."""
        return bool(self.replicas) and self.leader == self.replicas[0]

    def __str__(self) -> str:
        isr = ",".join(map(str, self.isr))
        replicas = ",".join(map(str, self.replicas))
        return f"{self.topic}-{self.partition} leader {self.leader} ISR {isr} of {replicas}"


def most_led(partitions: Iterable[PartitionState]) -> tuple[int, list[PartitionState]]:
    """The broker that leads the most partitions, and those; on a tie the smallest id.

    Raises FaultError when none of them has a leader.
    """
    led = [partition for partition in partitions if partition.leader >= 0]
    if not led:
        raise FaultError(
            "no partition to aim at: none of the topics has a leader. Heal the cluster first "
            "(harness cluster heal)."
        )
    count = Counter(partition.leader for partition in led)
    target = min(count, key=lambda broker: (-count[broker], broker))
    return target, [partition for partition in led if partition.leader == target]


def followers_of(leader: int, partitions: Iterable[PartitionState]) -> list[int]:
    """The other brokers that hold a replica of `partitions`."""
    return sorted({broker for each in partitions for broker in each.replicas} - {leader})


class ClusterView:
    """Asks a cluster about its partitions. Raises FaultError for what no broker answers in time.

    client_config: librdkafka settings, bootstrap.servers included.
    """

    may_elect = True
    """False once the cluster has refused this client's right to ask for an election."""

    def __init__(self, client_config: Mapping[str, str]) -> None:
        self._admin = admin_client(
            client_config, socket_timeout_s=5.0, settings={"reconnect.backoff.max.ms": 500}
        )

    def topics(self) -> list[str]:
        """Names of all topics, internal ones included."""
        return sorted(self._metadata().topics)

    def cluster_id(self) -> str:
        """What the cluster calls itself."""
        return str(self._metadata().cluster_id or "")

    def brokers(self) -> list[int]:
        """Ids of the brokers that are registered and not fenced."""
        return sorted(self._metadata().brokers)

    def addresses(self) -> dict[int, str]:
        """HOST:PORT of each of `brokers`, as the cluster advertises it to this client."""
        return {each.id: f"{each.host}:{each.port}" for each in self._metadata().brokers.values()}

    def partitions(self, topics: Sequence[str]) -> list[PartitionState]:
        """Every partition of `topics`, in that order. Raises FaultError for an unknown topic."""
        known = self._metadata().topics
        missing = [topic for topic in topics if topic not in known]
        if missing:
            raise FaultError(f"the cluster knows no topic {', '.join(missing)}.")
        return [
            PartitionState(topic, each.id, each.leader, tuple(each.replicas), tuple(each.isrs))
            for topic in topics
            for each in sorted(known[topic].partitions.values(), key=lambda part: part.id)
        ]

    def epochs(self, keys: Iterable[Key]) -> dict[Key, int]:
        """The leader epoch of each partition whose leader answers; the others are left out."""
        wanted = {At(*key): OffsetSpec.latest() for key in keys}
        if not wanted:
            return {}
        futures = self._admin.list_offsets(wanted, request_timeout=REQUEST_TIMEOUT_S)
        epochs: dict[Key, int] = {}
        for at, future in futures.items():
            try:
                result = _answer(future, "listing offsets")
            except FaultError:
                continue
            if result.leader_epoch is not None:
                epochs[(at.topic, at.partition)] = result.leader_epoch
        return epochs

    def broker_setting(self, broker: int, name: str) -> str | None:
        """A setting of a live broker, or None when it has no such setting or does not show it."""
        resource = ConfigResource(ConfigResource.Type.BROKER, str(broker))
        futures = self._admin.describe_configs([resource], request_timeout=REQUEST_TIMEOUT_S)
        shown = _answer(futures[resource], f"asking broker {broker} for its settings")
        entry = shown.get(name)
        return None if entry is None or entry.value is None else str(entry.value)

    def elect_preferred(self, keys: Iterable[Key]) -> None:
        """Ask that the first replica of each partition becomes its leader; does not wait for it.

        Where this client has not the right to (Alter on the cluster), `may_elect` becomes False.
        """
        # No timeout is passed: confluent-kafka 2.16.1 raises SystemError for any it is given.
        future = self._admin.elect_leaders(ElectionType.PREFERRED, [At(*key) for key in keys])
        try:
            results = _answer(future, "electing preferred leaders", timeout_s=6.0)
        except FaultError as refused:
            reason = refused.__cause__
            if isinstance(reason, KafkaException) and reason.args[0].code() == _NO_RIGHT:
                self.may_elect = False
                return
            raise
        for at, error in results.items():
            # Documented as an exception, handed out as its error.
            cause = error.args[0] if isinstance(error, KafkaException) else error
            code = None if cause is None else cause.code()
            if code == _NO_RIGHT:
                self.may_elect = False
                return
            if code not in (None, KafkaError.ELECTION_NOT_NEEDED, _PREFERRED_NOT_AVAILABLE):
                raise FaultError(
                    f"electing the preferred leader of {at.topic}-{at.partition}: {error}"
                )

    def create_topic(self, name: str, replicas: Sequence[int]) -> None:
        """Create a topic of one partition on `replicas`, the first of them leading."""
        topic = NewTopic(name, num_partitions=1, replica_assignment=[list(replicas)])
        future = self._admin.create_topics([topic], request_timeout=CREATE_TIMEOUT_S)[name]
        _done(future, f"creating topic {name}", KafkaError.TOPIC_ALREADY_EXISTS)

    def delete_topic(self, name: str) -> None:
        """Delete a topic."""
        future = self._admin.delete_topics([name], request_timeout=CREATE_TIMEOUT_S)[name]
        _done(future, f"deleting topic {name}", KafkaError.UNKNOWN_TOPIC_OR_PART)

    def _metadata(self) -> Any:
        try:
            return self._admin.list_topics(timeout=REQUEST_TIMEOUT_S)
        except KafkaException as error:
            raise FaultError(f"asking for the cluster's metadata: {_reason(error)}") from error


_NO_RIGHT: Final = KafkaError.CLUSTER_AUTHORIZATION_FAILED
_PREFERRED_NOT_AVAILABLE: Final = KafkaError.PREFERRED_LEADER_NOT_AVAILABLE


def await_that(
    pending: Callable[[], str | None], what: str, *, timeout_s: float, poll_s: float = POLL_S
) -> None:
    """Wait until `pending` returns None; it returns what is still missing until then.

    A FaultError of `pending` counts as "not yet": brokers that are down do not answer. Raises
    FaultError that names `what` and the last thing missing after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            missing = pending()
        except FaultError as error:
            missing = str(error)
        if missing is None:
            return
        if time.monotonic() > deadline:
            raise FaultError(f"{what}: not within {timeout_s:g} s; last seen: {missing}")
        time.sleep(poll_s)


def answered(question: Callable[[], Result], what: str, timeout_s: float = 10.0) -> Result:
    """The answer to a question, asked again while brokers do not answer or do not know yet.

    A topic that was just made is unknown to brokers that have not read of it.
    """
    answers: list[Result] = []

    def pending() -> None:
        answers.append(question())

    await_that(pending, what, timeout_s=timeout_s)
    return answers[0]


def await_full_isr(view: ClusterView, topics: Callable[[], Sequence[str]], timeout_s: float) -> int:
    """Wait for the full ISR of every partition of `topics`; how many partitions that are.

    `topics` is asked each time, since internal topics come into being under load; what it raises
    beside FaultError ends the wait.
    """
    count = 0

    def pending() -> str | None:
        nonlocal count
        states = view.partitions(topics())
        count = len(states)
        behind = [str(state) for state in states if not state.in_full_isr]
        return _some(behind) if behind else None

    await_that(pending, "full ISR of every partition", timeout_s=timeout_s)
    return count


def await_preferred(
    view: ClusterView, topics: Callable[[], Sequence[str]], timeout_s: float
) -> None:
    """Elect preferred leaders of the topics that `topics` names at each look; wait until they lead.

    Where this client has not the right to ask for an election, whoever leads is accepted.
    Metadata names a leader before that broker has taken over, and what is sent with acks=0 in
    between is lost: so a leader counts once it answers as one, which ListOffsets shows.
    """

    def pending() -> str | None:
        states = view.partitions(topics())
        away = [state for state in states if not state.preferred and view.may_elect]
        if not away:
            answering = view.epochs(state.key for state in states)
            silent = [str(state) for state in states if state.key not in answering]
            return f"no leader answers yet: {_some(silent)}" if silent else None
        view.elect_preferred(state.key for state in away)
        return _some([str(state) for state in away])

    await_that(pending, "preferred leaders", timeout_s=timeout_s, poll_s=2 * POLL_S)


def _some(items: Sequence[str], limit: int = 5) -> str:
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return "; ".join(items[:limit]) + more


def _answer(future: Any, what: str, timeout_s: float = 2 * REQUEST_TIMEOUT_S) -> Any:
    try:
        return future.result(timeout_s)
    except KafkaException as error:
        raise FaultError(f"{what}: {_reason(error)}") from error
    except TimeoutError as error:
        raise FaultError(f"{what}: no answer within {timeout_s:g} s") from error


def _done(future: Any, what: str, already: int) -> None:
    """Await a change to a topic. That it is `already` so is success: the client asks again where
    an answer is late."""
    try:
        _answer(future, what, timeout_s=CREATE_TIMEOUT_S + 10)
    except FaultError as error:
        cause = error.__cause__
        if not isinstance(cause, KafkaException) or cause.args[0].code() != already:
            raise


def _reason(error: KafkaException) -> str:
    cause = error.args[0]
    return f"{cause.name()}: {cause.str()}"
