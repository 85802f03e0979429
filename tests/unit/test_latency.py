"""HDR logs: exact cells, intervals by intended send time, and what Java reads from them."""

from __future__ import annotations

import math
import re
import subprocess
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.brokers.local.jars import fetch_jars
from harness.brokers.local.java import find_java
from harness.errors import EnvironmentFailure, RunDirError
from harness.rundir import latency
from harness.rundir.hlog import CELLS, HIGHEST_EQUIVALENT_US, HIGHEST_US, Interval, cells_of
from harness.rundir.latency import IntervalRecorder, merge, percentile_us, percentiles, read_log

START_US = 1_700_000_000_000_000
S = 1_000_000
Longs = npt.NDArray[np.int64]


def longs(*values: int) -> Longs:
    return np.array(values, dtype=np.int64)


def counts_of(values: Longs) -> Longs:
    return np.bincount(cells_of(values), minlength=CELLS).astype(np.int64)


def recorded(path: Path) -> dict[int, int]:
    """How many values each second holds, by its start in s after START_US."""
    found: dict[int, int] = {}
    for interval in read_log(path):
        assert interval.end_us - interval.start_us == S
        second = (interval.start_us - START_US) // S
        found[second] = found.get(second, 0) + int(interval.counts.sum())
    return found


# -- cells ----------------------------------------------------------------------------------

REFERENCE = HdrHistogram(1, HIGHEST_US, 3)


def test_the_layout_has_as_many_cells_as_the_reference() -> None:
    assert REFERENCE.counts_len == CELLS


@given(st.integers(0, HIGHEST_US))
@settings(max_examples=500)
def test_a_value_falls_into_the_cell_of_the_reference(value: int) -> None:
    cell = int(cells_of(longs(value))[0])
    assert cell == REFERENCE._counts_index_for(value)
    assert int(HIGHEST_EQUIVALENT_US[cell]) == REFERENCE.get_highest_equivalent_value(value)


@pytest.mark.parametrize("power", range(1, 32))
def test_cells_are_right_on_both_sides_of_every_power_of_two(power: int) -> None:
    for value in (2**power - 1, 2**power, 2**power + 1):
        assert cells_of(longs(value))[0] == REFERENCE._counts_index_for(value)


def test_the_largest_value_of_each_cell_falls_into_it_and_the_next_into_the_next() -> None:
    inside = HIGHEST_EQUIVALENT_US[HIGHEST_EQUIVALENT_US < HIGHEST_US]
    assert (cells_of(inside) == np.arange(len(inside))).all()
    assert (cells_of(inside[:-1] + 1) == np.arange(1, len(inside))).all()


# -- percentiles ----------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 2_047), min_size=1, max_size=400), st.sampled_from([50, 90, 99, 99.9])
)
def test_a_percentile_is_the_value_at_the_rank_rounded_up(values: list[int], at: float) -> None:
    """Values below 2,048 µs have cells of their own, so the answer is exact."""
    rank = max(math.ceil(round(at * len(values) / 100, 9)), 1)
    assert percentile_us(counts_of(longs(*values)), at) == sorted(values)[rank - 1]


@pytest.mark.parametrize(
    ("values", "at", "expected"),
    [
        ([1, 2], 50.0, 1),
        ([1, 2, 3], 50.0, 2),
        ([1, 2, 3, 4], 50.0, 2),
        (list(range(1, 1001)), 99.9, 999),
        (list(range(1, 1002)), 99.9, 1000),
        (list(range(1, 11)), 90.0, 9),
        (list(range(1, 11)), 99.0, 10),
        ([7], 0.0, 7),
        ([7, 9], 100.0, 9),
    ],
)
def test_known_ranks(values: list[int], at: float, expected: int) -> None:
    assert percentile_us(counts_of(longs(*values)), at) == expected


def test_percentiles_are_in_milliseconds_and_null_when_empty() -> None:
    some = percentiles(counts_of(longs(*[1_500] * 999, 2_000)))
    assert (some.count, some.p50, some.p999, some.p9999, some.max) == (1000, 1.5, 1.5, 2.0, 2.0)
    none = percentiles(merge([]))
    assert (none.count, none.p50, none.p90, none.p99, none.p999, none.p9999, none.max) == (
        0,
        *[None] * 6,
    )


# -- recording ------------------------------------------------------------------------------


def test_a_value_belongs_to_the_second_its_record_was_meant_for(tmp_path: Path) -> None:
    path = tmp_path / "p.ack.1.hlog"
    with IntervalRecorder(path, START_US) as recorder:
        intended = START_US + longs(0, 999_999, 1_000_000, 1_999_999, 2_500_000)
        recorder.record(intended, longs(5 * S, 4 * S, 3 * S, 2 * S, 1))
    assert recorded(path) == {0: 2, 1: 2, 2: 1}


def test_a_late_value_opens_its_second_again_and_both_lines_add_up(tmp_path: Path) -> None:
    path = tmp_path / "p.ack.1.hlog"
    with IntervalRecorder(path, START_US) as recorder:
        recorder.record(longs(START_US), longs(100))
        recorder.flush()
        recorder.record(longs(START_US + 5 * S), longs(100))
        recorder.record(longs(START_US), longs(6 * S))
    lines = [interval for interval in read_log(path) if interval.start_us == START_US]
    assert [int(line.counts.sum()) for line in lines] == [1, 1]
    assert recorded(path) == {0: 2, 5: 1}
    assert percentiles(merge(lines)).max == pytest.approx(6_000, rel=1e-3)


def test_values_outside_the_range_are_clamped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "p.ack.1.hlog"
    with IntervalRecorder(path, START_US) as recorder:
        recorder.record(START_US + longs(0, 1, 2, 3), longs(-5, 10, HIGHEST_US + 1, HIGHEST_US * 9))
        assert (recorder.below_range, recorder.above_range) == (1, 2)
    counts = merge(read_log(path))
    assert counts[[0, 10, cells_of(longs(HIGHEST_US))[0]]].tolist() == [1, 1, 2]
    assert "#[Clamped so far: 1 below 0, 2 above 3600000000 us]" in path.read_text()


def test_a_stall_over_a_hundred_seconds_is_spread_over_them_in_bounded_memory(
    tmp_path: Path,
) -> None:
    path = tmp_path / "p.ack.1.hlog"
    with IntervalRecorder(path, START_US) as recorder:
        intended = START_US + np.arange(0, 100 * S, 1000, dtype=np.int64)
        for _ in range(3):
            recorder.record(intended, START_US + 100 * S - intended)
            assert len(recorder._open) + len(recorder._spare) <= latency._OPEN_MAX
    assert recorded(path) == dict.fromkeys(range(100), 3 * 1000)


@given(
    batches=st.lists(
        st.lists(st.tuples(st.integers(0, 20 * S), st.integers(-10, 2 * HIGHEST_US)), max_size=30),
        max_size=12,
    )
)
@settings(deadline=None, max_examples=60)
def test_nothing_recorded_is_missing_from_the_log(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[int, int]]]
) -> None:
    path = tmp_path_factory.mktemp("hlog") / "x.hlog"
    with IntervalRecorder(path, START_US) as recorder:
        for batch in batches:
            recorder.record(
                START_US + longs(*[intended for intended, _ in batch]),
                longs(*[value for _, value in batch]),
            )
    every = [pair for batch in batches for pair in batch]
    found = read_log(path)
    for second in range(21):
        values = [value for intended, value in every if intended // S == second]
        part = [interval for interval in found if interval.start_us == START_US + second * S]
        expected = counts_of(np.clip(longs(*values), 0, HIGHEST_US)) if values else merge([])
        assert (merge(part) == expected).all()


def test_record_writes_by_itself_and_leaves_the_newest_second_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    path = tmp_path / "p.ack.1.hlog"
    recorder = IntervalRecorder(path, START_US)
    for second in range(5):
        clock[0] += 1.0
        recorder.record(longs(START_US + second * S), longs(10))
    assert recorded(path) == {0: 1, 1: 1, 2: 1}
    recorder.close()
    assert recorded(path) == dict.fromkeys(range(5), 1)


def test_a_second_recorder_goes_on_with_the_same_log(tmp_path: Path) -> None:
    path = tmp_path / "p.ack.1.hlog"
    for _ in range(2):
        with IntervalRecorder(path, START_US) as recorder:
            recorder.record(longs(START_US), longs(10))
    assert recorded(path) == {0: 2}
    assert path.read_text().count("format version") == 1


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match=r"gone/p\.hlog: cannot be written"):
        IntervalRecorder(tmp_path / "gone" / "p.hlog", START_US)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    path = tmp_path / "p.hlog"
    path.symlink_to("/dev/full")
    with pytest.raises(EnvironmentFailure, match=r"p\.hlog: no space left"):
        IntervalRecorder(path, START_US)


# -- reading --------------------------------------------------------------------------------


def filled(path: Path, count: int = 20_000) -> Longs:
    values = np.random.default_rng(5).lognormal(8, 2, count).astype(np.int64)
    with IntervalRecorder(path, START_US) as recorder:
        recorder.record(START_US + np.arange(count, dtype=np.int64) * 150, values)
    return values


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "p.ack.1.hlog"
    filled(path)
    whole = read_log(path)
    data = path.read_bytes()
    path.write_bytes(data[:-7])
    assert [part.start_us for part in read_log(path)] == [part.start_us for part in whole[:-1]]


@pytest.mark.parametrize(
    "line",
    [
        "1700000000.000,1.000,1.000,nonsense",
        "1700000000.000,1.000,1.000,HISTFAAAAB542pNpmSzMwMDAxgABzFCaEUoz2X+AMIKZAEARAtM=",
        "x,1.000,1.000,HISTFAAAABx42pNpmSzMwMDAzMAABTAaAAB1AAo=",
        "one two three",
    ],
)
def test_a_line_that_is_none_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "p.ack.1.hlog"
    filled(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:5], line + "\n", *lines[5:]]))
    with pytest.raises(RunDirError, match=r"p\.ack\.1\.hlog, line 6: not a line of an HdrHist"):
        read_log(path)


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match=r"x\.hlog: a latency log is expected here"):
        read_log(tmp_path / "x.hlog")


def test_a_log_cut_off_after_its_header_is_empty(tmp_path: Path) -> None:
    with IntervalRecorder(tmp_path / "p.hlog", START_US):
        pass
    assert read_log(tmp_path / "p.hlog") == []


# -- Java -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def java() -> list[str]:
    """The command line of the HistogramLogProcessor that comes with Kafka's jars."""
    return [
        str(find_java().executable),
        "-cp",
        fetch_jars().class_path,
        "org.HdrHistogram.HistogramLogProcessor",
        "-outputValueUnitRatio",
        "1000",
    ]


TOTALS = re.compile(r"T:(\d+) \(\s*(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s*\)")
INTERVAL = re.compile(r"^(\S+): I:(\d+) \(\s*(\S+)\s+(\S+)\s+(\S+)\s*\)", re.MULTILINE)
SPECTRUM = re.compile(r"^\s*(\d+\.\d{3}) [01]\.\d{12}\s+(\d+)", re.MULTILINE)


@pytest.mark.parametrize("shape", ["lognormal", "one value", "whole range", "ranks that divide"])
def test_java_reads_the_same_counts_and_percentiles(
    tmp_path: Path, java: list[str], shape: str
) -> None:
    generator = np.random.default_rng(11)
    values = {
        "lognormal": generator.lognormal(8, 2, 60_000).clip(0, HIGHEST_US).astype(np.int64),
        "one value": longs(1234),
        "whole range": np.exp(generator.uniform(0, np.log(HIGHEST_US), 5_000)).astype(np.int64),
        "ranks that divide": np.arange(1, 1_001, dtype=np.int64),
    }[shape]
    path = tmp_path / "p.ack.1.hlog"
    with IntervalRecorder(path, START_US) as recorder:
        for part in np.array_split(np.arange(len(values)), 7):
            recorder.record(START_US + part * 97, values[part])
            recorder.flush()  # several lines share a second
    done = subprocess.run(
        [*java, "-i", str(path), "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    by_java = (tmp_path / "out").read_text()
    intervals = read_log(path)
    assert [int(count) for _, count, *_ in INTERVAL.findall(by_java)] == [
        int(interval.counts.sum()) for interval in intervals
    ]
    for found, interval in zip(INTERVAL.findall(by_java), intervals, strict=True):
        own = percentiles(interval.counts)
        assert [float(text) for text in found[2:]] == [own.p50, own.p90, own.max]
    total = TOTALS.findall(by_java)[-1]
    own = percentiles(merge(intervals))
    assert int(total[0]) == own.count == len(values)
    assert [float(text) for text in total[1:]] == [
        own.p50,
        own.p90,
        own.p99,
        own.p999,
        own.p9999,
        own.max,
    ]
    cumulated = np.cumsum(merge(intervals))
    spectrum = SPECTRUM.findall((tmp_path / "out.hgrm").read_text())
    assert spectrum
    for value_ms, count in spectrum:
        assert cumulated[cells_of(longs(round(float(value_ms) * 1000)))[0]] == int(count)


def test_java_takes_the_start_time_and_the_seconds_from_the_log(
    tmp_path: Path, java: list[str]
) -> None:
    path = tmp_path / "p.ack.1.hlog"
    with IntervalRecorder(path, START_US + 250_000) as recorder:
        recorder.record(START_US + longs(300_000, 4 * S), longs(10, 20))
    done = subprocess.run(
        [*java, "-i", str(path), "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
    )
    by_java = (tmp_path / "out").read_text() + done.stdout
    assert "StartTime: 1700000000.000" in by_java
    # Java prints the end of each interval in s after the start time, and leaves out an interval
    # that begins before it: the start has to be that of a whole second.
    assert [float(end) for end, *_ in INTERVAL.findall(by_java)] == [1.0, 5.0]


def test_java_reads_intervals_from_before_the_start_that_was_given(
    tmp_path: Path, java: list[str]
) -> None:
    """A producer that replaces another takes over records that were due before it was there."""
    path = tmp_path / "p.ack.1.hlog"
    for second in (0, -2, 3, -7):
        with IntervalRecorder(path, START_US) as recorder:
            recorder.record(longs(START_US + second * S), longs(100 + second))
    done = subprocess.run(
        [*java, "-i", str(path), "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=True,
    )
    by_java = (tmp_path / "out").read_text() + done.stdout
    assert [int(count) for _, count, *_ in INTERVAL.findall(by_java)] == [1, 1, 1, 1]


def test_a_line_shows_its_maximum_in_milliseconds(tmp_path: Path) -> None:
    path = tmp_path / "p.ack.1.hlog"
    with IntervalRecorder(path, START_US) as recorder:
        recorder.record(longs(START_US), longs(1_999))
    assert path.read_text().splitlines()[-1].startswith("1700000000.000,1.000,1.999,HISTFAAA")


def test_an_interval_is_plain_data() -> None:
    assert Interval(0, S, merge([])).end_us == S
