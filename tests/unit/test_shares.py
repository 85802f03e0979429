"""A drain's reading split over processes: what goes to whom, and how parts make one set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import RunDirError
from harness.read.drain_reading import ReadRange
from harness.read.drain_workers import processes_for, shared_out
from harness.rundir.columns import ColumnFile, pack_offsets
from harness.rundir.rows import Counts


def stretch(partition: int, offsets: int, start: int = 0) -> ReadRange:
    return ReadRange("t", partition, start, start + offsets, "read_uncommitted")


@pytest.mark.parametrize(
    ("offsets", "cores", "processes"),
    [
        ([10, 10], 8, 1),
        ([999_999, 999_999], 8, 1),
        ([1_000_000, 1_000_000], 8, 2),
        ([1_000_000, 1_000_000], 1, 1),
        ([9_000_000], 8, 1),
        ([1_000_000] * 50, 4, 4),
    ],
)
def test_more_processes_read_only_where_cores_partitions_and_records_are_worth_it(
    offsets: list[int], cores: int, processes: int
) -> None:
    stretches = [stretch(number, each) for number, each in enumerate(offsets)]
    assert processes_for(stretches, cores) == processes


def test_what_was_read_before_does_not_count_towards_a_process() -> None:
    assert processes_for([stretch(0, 100, 10**9), stretch(1, 100, 10**9)], 8) == 1


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=40), st.integers(1, 8))
def test_every_partition_is_read_by_exactly_one_process(offsets: list[int], shares: int) -> None:
    stretches = [stretch(number, each) for number, each in enumerate(offsets)]
    lists = shared_out(stretches, shares)
    assert len(lists) == shares
    assert sorted(each.partition for share in lists for each in share) == list(range(len(offsets)))
    loads = [sum(each.target - each.start for each in share) for share in lists]
    assert max(loads) - min(loads) <= max(offsets), "no list is longer by more than one partition"


def test_counts_of_parts_add_up() -> None:
    one = Counts(read=5, cells=3, copies=1, corrupt=1)
    assert one.plus(Counts(read=2, cells=1, foreign=1)) == Counts(7, 4, 1, 1, 0, 1, 0, 0)


def column_file(path: Path, partition: int, offsets: list[int]) -> ColumnFile:
    path.parent.mkdir(exist_ok=True)
    file = ColumnFile.create(path, run=1, incarnation=3, kind="drained", profile="p")
    sequences = np.arange(len(offsets), dtype=np.uint64)
    file.scatter(0, partition, sequences, *pack_offsets(np.array(offsets)))
    file.close()
    return ColumnFile.open(path)


def test_files_of_two_parts_are_read_as_one(tmp_path: Path) -> None:
    whole = column_file(tmp_path / "3.obs", 0, [5, 6])
    whole.include(column_file(tmp_path / "part-1" / "3.obs", 1, [7]))
    assert whole.partitions == [(0, 0), (0, 1)]
    assert whole.gather(0, 1, np.zeros(1, dtype=np.uint64))[0].tolist() == [7]
    whole.close()


def test_parts_that_share_a_partition_are_refused(tmp_path: Path) -> None:
    whole = column_file(tmp_path / "3.obs", 0, [5, 6])
    with pytest.raises(RunDirError, match="topic 0, partition 0"):
        whole.include(column_file(tmp_path / "part-1" / "3.obs", 0, [7]))
