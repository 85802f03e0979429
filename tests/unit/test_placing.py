"""Where anomalies lie in time and offsets: in few stretches, with everything that was counted."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.judge.placing import STRETCHES_MAX, places, ranges_of, stretches_of
from harness.reconcile.findings import OFFSETS_APART, STRETCH_US, ProfileFindings
from harness.record.codec import ANY_PARTITION
from harness.rundir.clock import from_us, to_us
from tests.support.histories import profile

DAY_US = 1_772_360_100_000_000


def found() -> ProfileFindings:
    return ProfileFindings(profile("p", topics=["t"]))


def test_offsets_that_are_close_are_one_range_and_others_are_not() -> None:
    findings = found()
    findings.note_offsets("lost", 0, 2, np.array([7, 5, 6, 6 + OFFSETS_APART, 5_000, -1]))
    placed = places(findings, ["t"]).offsets["lost"]
    assert [(each.topic, each.partition) for each in placed] == [("t", 2), ("t", 2)]
    assert [(each.first_offset, each.last_offset, each.count) for each in placed] == [
        (5, 6 + OFFSETS_APART, 4),
        (5_000, 5_000, 1),
    ]


def test_an_occurrence_without_a_known_offset_or_time_has_no_place() -> None:
    findings = found()
    findings.note_offsets("lost", 0, 0, np.array([-1, -1]))
    findings.note_times("lost", np.array([-1]), np.array([-1]))
    placed = places(findings, ["t"])
    assert (placed.times, placed.offsets) == ({}, {})


def test_a_lane_without_a_partition_of_its_own_has_no_offsets() -> None:
    findings = found()
    findings.note_offsets("lost", 0, ANY_PARTITION, np.array([5]))
    assert places(findings, ["t"]).offsets == {"lost": []}


def test_a_few_stretches_stay_as_fine_as_they_were_noted() -> None:
    times = Counter({(DAY_US, DAY_US + STRETCH_US): 3, (DAY_US + 9 * STRETCH_US,) * 2: 1})
    kept = stretches_of(times)
    assert [(each.from_at, each.count) for each in kept] == [
        (from_us(DAY_US), 3),
        (from_us(DAY_US + 9 * STRETCH_US), 1),
    ]


@given(st.dictionaries(st.integers(0, 5_000), st.integers(1, 50), min_size=1, max_size=400))
def test_of_many_stretches_neighbours_are_joined_and_all_are_counted(slots: dict[int, int]) -> None:
    times = Counter(
        {
            (DAY_US + slot * STRETCH_US, DAY_US + (slot + 1) * STRETCH_US): count
            for slot, count in slots.items()
        }
    )
    kept = stretches_of(times)
    assert len(kept) <= STRETCHES_MAX
    assert sum(each.count for each in kept) == sum(slots.values())
    assert to_us(kept[0].from_at) == DAY_US + min(slots) * STRETCH_US
    assert to_us(kept[-1].until) == DAY_US + (max(slots) + 1) * STRETCH_US
    assert [each.from_at for each in kept] == sorted(each.from_at for each in kept)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**6)), min_size=1, max_size=500))
def test_of_many_ranges_the_nearest_are_joined_and_all_are_counted(
    places_of: list[tuple[int, int]],
) -> None:
    ranges: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
    for partition, offset in places_of:
        ranges.setdefault((0, partition), []).append((offset, offset, 1))
    kept = ranges_of(ranges, ["t"])
    assert len(kept) <= STRETCHES_MAX
    assert sum(each.count for each in kept) == len(places_of)
    for partition, offset in places_of:
        assert any(
            each.partition == partition and each.first_offset <= offset <= each.last_offset
            for each in kept
        )
