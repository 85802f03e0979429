"""Whom a fault aims at, and how long is waited for what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from harness.errors import FaultError
from harness.kafka.leaders import (
    ClusterView,
    Key,
    PartitionState,
    await_preferred,
    await_that,
    followers_of,
    most_led,
)


def state(leader: int, *isr: int, partition: int = 0) -> PartitionState:
    return PartitionState("t", partition, leader, (1, 2, 3), isr or (1, 2, 3))


@pytest.mark.parametrize(
    ("leaders", "target", "led"),
    [
        ([1, 1, 2], 1, [0, 1]),
        ([2, 1, 2], 2, [0, 2]),
        ([-1, -1, 3], 3, [2]),
        ([3, 1, 2], 1, [1]),
    ],
    ids=["most", "most, another", "leaderless ones do not count", "smallest id on a tie"],
)
def test_the_target_is_the_broker_that_leads_most(
    leaders: list[int], target: int, led: list[int]
) -> None:
    states = [state(leader, partition=i) for i, leader in enumerate(leaders)]
    found, partitions = most_led(states)
    assert found == target
    assert [each.partition for each in partitions] == led


@pytest.mark.parametrize("leaders", [[], [-1, -1]])
def test_without_a_leader_there_is_no_target(leaders: list[int]) -> None:
    with pytest.raises(FaultError, match="no partition to aim at"):
        most_led([state(leader) for leader in leaders])


def test_followers_are_all_other_replicas() -> None:
    assert followers_of(2, [state(2), state(2, partition=1)]) == [1, 3]


@pytest.mark.parametrize(
    ("partition", "full", "preferred"),
    [
        (state(1), True, True),
        (state(2), True, False),
        (state(1, 1, 2), False, True),
        (state(-1), False, False),
    ],
)
def test_full_isr_needs_every_replica_and_a_leader(
    partition: PartitionState, full: bool, preferred: bool
) -> None:
    assert (partition.in_full_isr, partition.preferred) == (full, preferred)


def test_waiting_ends_when_nothing_is_missing_and_takes_no_answer_as_not_yet() -> None:
    answers = iter(["brokers [1]", FaultError("no answer"), None])

    def pending() -> str | None:
        answer = next(answers)
        if isinstance(answer, FaultError):
            raise answer
        return answer

    await_that(pending, "all brokers", timeout_s=5, poll_s=0)
    assert next(answers, "used up") == "used up"


def test_waiting_in_vain_says_what_for_and_what_was_last_missing() -> None:
    with pytest.raises(FaultError, match="full ISR: not within 0 s; last seen: t-0"):
        await_that(lambda: "t-0", "full ISR", timeout_s=0, poll_s=0)


class RefusingAdmin:
    """An admin client whose user has no right to alter the cluster."""

    def __init__(self, *, by_partition: bool) -> None:
        self.by_partition = by_partition
        self.asked = 0

    def elect_leaders(self, _type: object, keys: list[TopicPartition]) -> Future[Any]:
        """As Kafka answers: one error for the request, and the same for each partition."""
        self.asked += 1
        refusal = KafkaException(KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED))
        future: Future[Any] = Future()
        if self.by_partition:
            future.set_result(dict.fromkeys(keys, refusal))
        else:
            future.set_exception(refusal)
        return future


class ViewOfOthers(ClusterView):
    """A cluster whose leader is not the preferred one, and answers."""

    def __init__(self, admin: RefusingAdmin) -> None:
        self._admin = admin  # type: ignore[assignment]

    def partitions(self, topics: Sequence[str]) -> list[PartitionState]:  # noqa: ARG002
        return [state(2)]

    def epochs(self, keys: Iterable[Key]) -> dict[Key, int]:
        return dict.fromkeys(keys, 7)


@pytest.mark.parametrize("by_partition", [False, True])
def test_where_no_election_may_be_asked_for_whoever_leads_is_accepted(by_partition: bool) -> None:
    admin = RefusingAdmin(by_partition=by_partition)
    view = ViewOfOthers(admin)
    await_preferred(view, lambda: ["t"], 5)
    assert (view.may_elect, admin.asked) == (False, 1)
    assert ClusterView.may_elect
