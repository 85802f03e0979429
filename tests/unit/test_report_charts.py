"""What the charts draw: series from the timeline, scales, and the spectrum's points."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report.series import POINTS_MAX, ProfileSeries, RunSeries, read_series
from harness.report.spectrum_chart import spectrum_chart, spectrum_points
from harness.report.svg import (
    Scale,
    decades,
    element,
    log_scale,
    nice_ticks,
    nines,
    steps,
)
from harness.report.timeline_chart import latency_chart, throughput_chart
from harness.rundir.clock import from_us
from harness.rundir.event_lines import decode
from harness.rundir.events import (
    ClientErrorEvent,
    GeneratorEvent,
    LeaderEvent,
    TimelineEvent,
)
from harness.rundir.hlog import CELLS, cells_of
from harness.rundir.latency import percentile_us
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict import FaultRecord

START = 1_772_360_100_000_000
SLOT = 250_000


def load(slot: int, **changes: object) -> TimelineEvent:
    event = {
        "event": "load",
        "at": from_us(START + (slot + 1) * SLOT),
        "profile": "p",
        "topic": "t",
        "partition": 0,
        "from_us": START + slot * SLOT,
        "to_us": START + (slot + 1) * SLOT,
        "attempted": 100,
        "acked": 100,
        "failed": 0,
        "unknown": 0,
        "ack_ms_max": 5.0,
    }
    return decode(event | changes)


def leader(at_s: float, partition: int, broker: int) -> TimelineEvent:
    at = from_us(START + int(at_s * 1e6))
    return LeaderEvent(at=at, topic="t", partition=partition, leader=broker, leader_epoch=0)


def test_partitions_of_a_profile_add_up_and_the_slowest_counts() -> None:
    events = [load(0), load(0, partition=1, acked=50, unknown=3, failed=1, ack_ms_max=9.0), load(1)]
    run = read_series(events, [], ["p"])
    series = run.profiles[0]
    assert series.attempted_per_s.tolist() == [800.0, 400.0]
    assert series.acked_per_s.tolist() == [600.0, 400.0]
    assert series.lost_sight.tolist() == [4.0, 0.0]
    assert series.ack_ms_max.tolist() == [9.0, 5.0]
    assert (run.slot_s, run.end_s) == (0.25, 0.5)


def test_a_slot_without_an_acknowledgement_has_no_latency() -> None:
    series = read_series(
        [load(0), load(1, acked=0, ack_ms_max=0.0), load(3)], [], ["p"]
    ).profiles[0]  # fmt: skip
    assert np.isnan(series.ack_ms_max).tolist() == [False, True, True, False]
    assert series.attempted_per_s.tolist() == [400.0, 400.0, 0.0, 400.0]


def test_a_long_run_is_put_together_without_losing_records_or_the_slowest() -> None:
    count = POINTS_MAX * 3 + 1
    events = [load(slot, ack_ms_max=900.0 if slot == 700 else 5.0) for slot in range(count)]
    run = read_series(events, [], ["p"])
    series = run.profiles[0]
    assert len(series.from_s) <= POINTS_MAX
    assert run.slot_s == 1.0
    assert float(series.attempted_per_s.sum() * series.slot_s) == count * 100
    assert float(np.nanmax(series.ack_ms_max)) == 900.0


def test_the_first_leader_is_no_change_and_one_election_is_one_mark() -> None:
    events = [
        *(leader(0.1, partition, 1) for partition in range(3)),
        *(leader(4.0 + partition / 10, partition, -1) for partition in range(3)),
        *(leader(5.0 + partition / 10, partition, 2) for partition in range(3)),
        leader(9.0, 0, 1),
        leader(9.2, 0, 1),
    ]
    marks = read_series([load(0), *events], [], ["p"]).leaders
    assert [(mark.at_s, mark.partitions, mark.text) for mark in marks] == [
        (5.0, 3, "3 partitions, broker 1 to 2"),
        (9.0, 1, "1 partition, broker 2 to 1"),
    ]


def test_faults_stand_on_the_axis_of_the_load() -> None:
    faults = [
        FaultRecord("a", "", from_us(START + 2_000_000), from_us(START + 3_500_000), {}, True),
        FaultRecord("b", "", from_us(START + 4_000_000), None, {}, False),
    ]
    marks = read_series([load(0)], faults, ["p"]).faults
    assert [(mark.number, mark.from_s, mark.to_s) for mark in marks] == [
        (1, 2.0, 3.5),
        (2, 4, None),
    ]


def test_half_written_events_are_left_out(tmp_path: Path) -> None:
    run_dir = RunDir(tmp_path)
    at = from_us(START)
    torn = [{"event": "load"}, {"event": "load", "at": at, "profile": "p"}, {"at": at},
            {"event": "generator", "at": "x"}]  # fmt: skip
    run_dir.timeline.write_text("".join(json.dumps(each) + "\n" for each in torn))
    assert read_series(run_dir.events(TimelineEvent), [], ["p"]).profiles == []
    run_dir.append(load(0), GeneratorEvent(lag_ms_max=4))
    run = read_series(run_dir.events(TimelineEvent), [], ["p"])
    assert (len(run.profiles), run.generator_slots) == (1, 1)


def test_errors_of_clients_are_counted_by_kind() -> None:
    error = ClientErrorEvent(profile="p", code="_TRANSPORT", reason="reset", fatal=False)
    run = read_series([error, replace(error, count=4), replace(error, fatal=True)], [], ["p"])
    assert run.client_errors == {
        ("p", "_TRANSPORT: reset"): 5,
        ("p", "_TRANSPORT (fatal): reset"): 1,
    }


# ------------------------------------------------------------------------------------- scales


@pytest.mark.parametrize(
    ("high", "ticks"),
    [(1000, [0, 500, 1000]), (1, [0, 0.5, 1.0]), (1240, [0, 500, 1000, 1500]), (0, [0, 0.5, 1.0])],
)
def test_ticks_are_round_and_reach_beyond_the_highest_value(
    high: float, ticks: list[float]
) -> None:
    assert nice_ticks(high, 3) == pytest.approx(ticks)


@given(st.floats(1e-3, 1e9), st.integers(1, 12))
def test_ticks_always_cover_the_value_with_few_steps(high: float, wanted: int) -> None:
    ticks = nice_ticks(high, wanted)
    assert ticks[-1] >= high * 0.999999
    assert len(ticks) <= wanted + 2


@given(st.floats(1e-3, 1e6), st.floats(1, 1e5))
def test_decades_enclose_the_values(low: float, factor: float) -> None:
    ticks = decades(low, low * factor)
    assert ticks[0] <= low * 1.000001
    assert ticks[-1] >= low * factor * 0.999999
    assert len(ticks) >= 2


@pytest.mark.parametrize(("percentile", "place"), [(0, 0), (90, 1), (99, 2), (99.9, 3)])
def test_each_nine_has_the_same_width(percentile: float, place: float) -> None:
    assert nines(percentile) == pytest.approx(place)


def test_a_scale_turns_around_and_holds_at_its_ends() -> None:
    y = log_scale(1.0, 1000.0, 300.0, 0.0)
    assert [y(1.0), y(1000.0), y(0.001), y(1e9)] == pytest.approx([300, 0, 300, 0])
    assert y(31.6228) == pytest.approx(150, abs=0.01)


def test_a_stepped_line_breaks_where_there_is_no_value() -> None:
    x, y = Scale(0, 4, 0, 4), Scale(0, 10, 10, 0)
    drawn = steps(np.arange(4.0), 1.0, np.array([1.0, np.nan, 3.0, 4.0]), x, y)
    assert drawn == "M0.0 9.0H1.0M2.0 7.0H3.0L3.0 6.0H4.0"


def test_text_in_a_drawing_is_escaped() -> None:
    drawn = element("text", "<a> & b", class_='x" onload="y')
    assert drawn == '<text class="x&#34; onload=&#34;y">&lt;a&gt; &amp; b</text>'


# ------------------------------------------------------------------------------------- charts


def series(name: str = "p", acked: float = 1000.0) -> ProfileSeries:
    flat = np.full(8, 1000.0)
    burst = flat.copy()
    burst[5] = acked
    starts = np.arange(8, dtype=np.float64) * 0.25
    return ProfileSeries(name, starts, 0.25, flat, burst, np.zeros(8), np.full(8, 4.0))


def test_a_backlog_beyond_the_axis_is_cut_off_and_named() -> None:
    drawn = throughput_chart(RunSeries(profiles=[series(acked=9_800.0)], end_s=2.0))
    assert 'class="burst"' in drawn
    assert ">9,800</text>" in drawn


def test_no_mark_where_the_axis_reaches() -> None:
    drawn = throughput_chart(RunSeries(profiles=[series(acked=1_400.0)], end_s=2.0))
    assert 'class="burst"' not in drawn


def test_a_long_profile_name_takes_two_lines_and_is_cut_to_its_gutter() -> None:
    name = "a-profile-with-a-name-of-48-characters-altogether"[:48]
    drawn = latency_chart(RunSeries(profiles=[series(name)], end_s=2.0))
    assert ">a-profile-with-a-</text>" in drawn
    assert ">name-of-48-chara…</text>" in drawn


def test_nothing_is_drawn_outside_the_picture() -> None:
    run = RunSeries(profiles=[series(acked=1e7), series("q")], end_s=2.0)
    for drawn in (throughput_chart(run), latency_chart(run)):
        width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn)[0])
        for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", drawn):
            assert 0 <= float(x) <= width
            assert 0 <= float(y) <= height


@given(st.lists(st.integers(1, 10_000_000), min_size=1, max_size=300))
def test_the_spectrum_passes_through_the_percentiles_of_the_verdict(values: list[int]) -> None:
    counts = np.zeros(CELLS, dtype=np.int64)
    np.add.at(counts, cells_of(np.array(values, dtype=np.int64)), 1)
    points = spectrum_points(counts)
    assert [p for p, _ in points] == sorted(p for p, _ in points)
    assert [v for _, v in points] == sorted(v for _, v in points)
    assert points[-1][1] * 1000 == pytest.approx(percentile_us(counts, 100.0))
    assert points[-1][0] <= 100 * (1 - 1 / len(values)) + 1e-9
    middle = [v for p, v in points if p <= 50.0][-1]
    assert middle * 1000 == pytest.approx(percentile_us(counts, 50.0 + 1e-9))


def test_a_run_without_latency_has_no_spectrum() -> None:
    assert spectrum_chart(["p"], {("p", "ack"): np.zeros(CELLS, dtype=np.int64)}) is None
