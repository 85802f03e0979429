"""What the report draws of the cluster: leaders by broker, replicas in sync, outages, lag."""

from __future__ import annotations

import numpy as np

from harness.report.cluster_series import (
    ClusterSeries,
    Outage,
    at_ends,
    cluster_series,
    most,
    outages_of,
)
from harness.report.lane_charts import OUTAGES_DRAWN, cluster_chart, outage_chart
from harness.report.series import ProfileSeries, RunSeries
from harness.report.value_table import cluster_table
from harness.rundir.timeline import BrokerSet, LeaderChange, LoadSeries, Timeline
from tests.support.histories import profile, run_info

START = 1_772_360_100_000_000
SLOT = 250_000


def run(slots: int = 8) -> RunSeries:
    flat = np.full(slots, 4.0)
    from_s = np.arange(slots, dtype=np.float64) * 0.25
    of_load = ProfileSeries("p", from_s, 0.25, flat, flat, np.zeros(slots), flat)
    return RunSeries([of_load], start_us=START, end_s=slots * 0.25)


def at(slot: float) -> int:
    return START + int(slot * SLOT)


def led(*changes: tuple[float, int]) -> list[LeaderChange]:
    return [LeaderChange(at(slot), leader, 0) for slot, leader in changes]


def series(timeline: Timeline) -> ClusterSeries:
    return cluster_series(run(), timeline, run_info([profile("p", topics=["t"])]))


def test_leaders_of_all_brokers_add_up_to_the_partitions_that_have_one() -> None:
    found = series(
        Timeline(
            leaders={
                ("t", 0): led((-3, 1), (2.5, -1), (4.5, 2)),
                ("t", 1): led((-3, 1), (2.5, 2)),
            }
        )
    )
    assert found.led[1].tolist() == [2, 2, 0, 0, 0, 0, 0, 0]
    assert found.led[2].tolist() == [0, 0, 1, 1, 2, 2, 2, 2]
    assert found.leaderless is not None
    assert found.leaderless.tolist() == [0, 0, 1, 1, 1, 0, 0, 0]


def test_a_partition_is_under_replicated_until_its_replicas_are_back() -> None:
    steps = [(-3, {1, 2, 3}), (1.1, {1}), (1.9, {1, 2}), (4.2, {1, 2, 3})]
    sets = [BrokerSet(at(slot), frozenset(isr)) for slot, isr in steps]
    found = series(Timeline(isr={("t", 0): sets}))
    assert found.under_replicated is not None
    assert found.under_replicated.tolist() == [0, 1, 1, 1, 1, 0, 0, 0]


def test_a_broker_that_went_away_for_part_of_a_slot_is_absent_in_it() -> None:
    sets = [BrokerSet(at(-3), frozenset({1, 2})), BrokerSet(at(3.2), frozenset({1})),
            BrokerSet(at(3.6), frozenset({1, 2}))]  # fmt: skip
    found = series(Timeline(brokers=sets))
    assert found.registered[1].tolist() == [1] * 8
    assert found.registered[2].tolist() == [1, 1, 1, 0, 1, 1, 1, 1]


def test_lag_is_summed_over_partitions_and_not_known_before_somebody_looked() -> None:
    looked = np.array([at(2), at(4)])
    found = series(
        Timeline(
            lags={
                ("p", "t", 0): (looked, np.array([-1, 90]), np.array([50, 100])),
                ("p", "t", 1): (looked, np.array([10, 30]), np.array([30, 30])),
            }
        )
    )
    assert np.isnan(found.lag["p"][:2]).all()
    assert found.lag["p"][2:].tolist() == [70, 70, 10, 10, 10, 10]


def test_of_changes_at_one_instant_only_what_they_come_to_counts() -> None:
    edges = np.array([0, 10, 20])
    assert most([(5, 1.0), (5, -1.0)], edges).tolist() == [0, 0]
    assert most([(5, 1.0), (6, -1.0)], edges).tolist() == [1, 0]
    assert at_ends([(5, 1.0), (6, -1.0)], edges).tolist() == [0, 0]


def load(acked: list[int], attempted: list[int]) -> LoadSeries:
    starts = START + np.arange(len(acked)) * SLOT
    none = np.zeros(len(acked), dtype=np.int64)
    return LoadSeries(starts, starts + SLOT, np.array(attempted), np.array(acked), none, none)


def test_an_outage_lasts_while_records_wait_and_nothing_is_acknowledged() -> None:
    found = outages_of(load([5, 0, 0, 0, 15, 5], [5, 5, 5, 0, 5, 5]), START)
    assert found == [(0.25, 1.0)]


def test_a_partition_to_which_nothing_is_sent_is_not_away() -> None:
    assert outages_of(load([5, 0, 0, 0, 5], [5, 0, 0, 0, 5]), START) == []
    assert outages_of(load([5, 0, 10, 5], [5, 5, 5, 5]), START) == []


def test_where_a_broker_was_not_registered_its_lane_says_so() -> None:
    found = series(
        Timeline(
            leaders={("t", 0): led((-3, 1))},
            brokers=[BrokerSet(at(-3), frozenset({1, 2})), BrokerSet(at(2), frozenset({1}))],
        )
    )
    drawn = cluster_chart(run(), found)
    assert drawn is not None
    assert ">broker 2 leads<" in drawn
    assert "broker 2 not registered from 0.5 to 2.0 s" in drawn
    table = cluster_table(run(), found)
    assert table is not None
    assert table.rows[3][1][table.columns.index("broker 2 registered")] == "no"


def test_without_an_observer_there_is_no_lane() -> None:
    assert cluster_chart(run(), series(Timeline())) is None


def test_of_many_partitions_those_that_were_away_longest_have_a_lane() -> None:
    outages = [Outage("p", "t", n, [(0.0, 0.5 + n / 1000)]) for n in range(OUTAGES_DRAWN + 5)]
    drawn = outage_chart(run(), outages, {"t": "t"})
    assert drawn is not None
    assert drawn.count('class="outage"') == OUTAGES_DRAWN
    assert "partition 4:" not in drawn
    assert "partition 5:" in drawn
