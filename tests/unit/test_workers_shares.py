"""Which worker makes which part of a load, from when, and by which clock."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from harness.errors import UsageError
from harness.load.clock_offset import RoundTrip, clock_offset
from harness.load.dispatch import FixedDispatcher, user_counts
from harness.load.schedule import schedule_of
from harness.load.shares import NUMBERS, shares
from harness.runs.options import RunOptions
from harness.runs.plan import plan
from harness.runs.workers import workers_plan
from tests.support.runs import load_plan, run_info

PROFILES = ["a", "b", "c"]


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 7, 12])
def test_each_client_has_exactly_one_worker_and_each_worker_one_client_at_least(
    workers: int,
) -> None:
    found = shares(PROFILES, 4, workers)
    pairs = [pair for share in found for pair in share.pairs]
    assert sorted(pairs) == [(profile, instance) for profile in PROFILES for instance in range(4)]
    sizes = [len(share.pairs) for share in found]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1


@pytest.mark.parametrize("workers", [1, 2, 63, 64, 1000])
def test_blocks_of_numbers_are_apart_within_18_bits_and_leave_the_first_to_members(
    workers: int,
) -> None:
    found = shares(["a"], workers, workers)
    assert NUMBERS == 2**18
    assert found[0].first >= 1
    assert all(before.last + 1 == after.first for before, after in pairwise(found))
    assert found[-1].last < NUMBERS
    assert all(share.last - share.first + 1 == found[0].first for share in found)


def test_more_workers_than_clients_are_refused_with_what_to_give() -> None:
    with pytest.raises(UsageError, match=r"4 workers: the load has 3 clients .*--producers 2"):
        shares(PROFILES, 1, 4)


def test_a_client_has_the_same_schedule_on_whichever_worker_it_is() -> None:
    plan = load_plan(rate_per_s=500, schedule="poisson", partitions=3, producers=2, warm_up_s=1.0)
    info = run_info(seed=7, load=plan)
    first, again, other = (schedule_of(info, instance) for instance in (0, 0, 1))
    times = first.due(2_000_000)
    assert len(times) > 300
    assert np.array_equal(times, again.due(2_000_000))
    assert not np.array_equal(times[:100], other.due(2_000_000)[:100])


def test_the_clock_offset_is_that_of_the_fastest_round_trip() -> None:
    trips = [
        RoundTrip(sent_us=1_000, answered_us=9_000, received_us=5_000),
        RoundTrip(sent_us=10_000, answered_us=15_150, received_us=10_301),
        RoundTrip(sent_us=20_000, answered_us=29_999, received_us=40_000),
    ]
    found = clock_offset(trips)
    assert (found.offset_us, found.error_us) == (5_000, 151)


def test_the_true_offset_lies_within_the_error_however_a_trip_is_delayed() -> None:
    true_us = -123_456
    rng = np.random.default_rng(1)
    for _ in range(200):
        trips = []
        for start in range(0, 8_000_000, 1_000_000):
            there, back = (int(each) for each in rng.integers(10, 400_000, 2))
            trips.append(RoundTrip(start, start + there + true_us, start + there + back))
        found = clock_offset(trips)
        assert abs(found.offset_us - true_us) <= found.error_us


def test_a_dispatch_is_the_same_whoever_joins_or_leaves() -> None:
    table = {"w1": user_counts(PROFILES, [("a", 0), ("a", 2), ("b", 0)]), "w2": {"c": 1}}
    dispatcher = FixedDispatcher(lambda: table)
    assert list(dispatcher) == []
    for _ in range(2):
        dispatcher.new_dispatch(target_user_count=99, spawn_rate=1, user_classes=None)
        assert list(dispatcher) == [{"w1": {"a": 2, "b": 1, "c": 0}, "w2": {"c": 1}}]
        dispatcher.add_worker(object())
        dispatcher.remove_worker(object())
    assert dispatcher.dispatch_in_progress, "Locust does not dispatch again by itself"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (RunOptions(workers=2, expect_workers=2), "give one"),
        (RunOptions(workers=0), r"--workers 0: accepted is 1 to 1000"),
        (RunOptions(expect_workers=2, master_bind_port=0), "--master-bind-port 0"),
        (RunOptions(workers=2, master_bind_host="*"), "--master-bind-host: is for workers that"),
        (RunOptions(workers=3, expect_workers_max_wait_s=3), "--expect-workers-max-wait: is for"),
        (RunOptions(workers=4), "4 workers: the load has 3 clients"),
    ],
)
def test_numbers_of_workers_that_cannot_be_are_refused(options: RunOptions, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        workers_plan(options, 3)


def test_without_workers_one_process_makes_the_load() -> None:
    assert workers_plan(RunOptions(), 3) is None
    plan = workers_plan(RunOptions(expect_workers=3, expect_workers_max_wait_s=5), 3)
    assert plan is not None
    assert (plan.count, plan.expected, plan.wait_s, plan.host) == (3, True, 5, "127.0.0.1")


def test_a_bound_is_refused_with_workers_whose_ledgers_arrive_at_the_end() -> None:
    options = RunOptions(until_bound=0.5, expect_workers=2, producers=2)
    with pytest.raises(UsageError, match="those of workers elsewhere arrive at the end"):
        plan(options)
    assert plan(replace(options, expect_workers=None, workers=2)).request.workers is not None
