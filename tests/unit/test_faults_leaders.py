"""Whom a fault aims at, and how long is waited for what."""

from __future__ import annotations

import pytest

from harness.errors import FaultError
from harness.kafka.leaders import PartitionState, await_that, followers_of, most_led


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
