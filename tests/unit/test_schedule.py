"""Intended send times: exact, non-decreasing, the same however they are asked for."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.load.schedule import Burst, Constant, Poisson, Ramp, Schedule, parse

SECOND = 1_000_000
TEXTS = ["constant", "ramp", "ramp:2.5", "burst", "burst:0.3,0.7", "burst:2,0", "poisson"]
rates = st.one_of(
    st.integers(min_value=1, max_value=200_000).map(float),
    st.floats(min_value=0.05, max_value=50_000, allow_nan=False),
)


def everything_until(schedule: Schedule, end_us: int) -> list[int]:
    return list(map(int, schedule.due(end_us)))


@given(
    text=st.sampled_from(TEXTS),
    rate=st.floats(min_value=0.5, max_value=5_000),
    seed=st.integers(0, 2**32),
    steps=st.lists(st.integers(min_value=0, max_value=900_000), min_size=1, max_size=12),
)
@settings(max_examples=200, deadline=None)
def test_times_are_the_same_in_whatever_steps_they_are_asked_for(text, rate, seed, steps):
    in_steps = parse(text, rate, seed=seed)
    elapsed, taken = 0, []
    for step in steps:
        elapsed += step
        times = in_steps.due(elapsed)
        assert all(time <= elapsed for time in times.tolist())
        taken += times.tolist()
        next_us = int(in_steps._times(in_steps.taken, 1)[0]) + in_steps.offset_us
        assert next_us > elapsed, "a record that is due was left behind"
    assert taken == everything_until(parse(text, rate, seed=seed), elapsed)
    assert taken == sorted(taken)


@given(
    text=st.sampled_from(TEXTS),
    rate=st.floats(min_value=5, max_value=5_000),
    limit=st.integers(1, 50),
)
@settings(max_examples=100, deadline=None)
def test_a_limit_delays_records_and_changes_none(text, rate, limit):
    limited, all_at_once = parse(text, rate), parse(text, rate)
    wanted = everything_until(all_at_once, 2 * SECOND)
    taken: list[int] = []
    while len(times := limited.due(2 * SECOND, limit)):
        assert len(times) <= limit
        taken += times.tolist()
    assert taken == wanted


@given(rate=rates, first=st.integers(0, 10**10))
@settings(max_examples=300, deadline=None)
def test_constant_puts_record_i_at_exactly_i_over_rate_however_far_on(rate, first):
    schedule = Constant(rate)
    schedule.taken = first
    gap_us = Fraction(SECOND) / Fraction(repr(rate)).limit_denominator(1_000_000)
    for index, time in enumerate(schedule._times(first, 5).tolist(), start=first):
        assert time == math.floor(index * gap_us)


def test_constant_is_exact_in_its_plain_cases():
    assert everything_until(Constant(1000), 4_000) == [0, 1000, 2000, 3000, 4000]
    assert everything_until(Constant(3), SECOND) == [0, 333_333, 666_666, 1_000_000]
    assert everything_until(Constant(0.5), 4 * SECOND) == [0, 2 * SECOND, 4 * SECOND]
    late = Constant(3)
    late.taken = 3 * 10**9
    assert late.due(10**9 * SECOND).tolist() == [10**9 * SECOND]


def test_a_stall_makes_every_record_due_that_the_clock_passed():
    schedule = Constant(100)
    assert len(schedule.due(0)) == 1
    after_stall = schedule.due(2 * SECOND)
    assert after_stall.tolist() == [10_000 * (i + 1) for i in range(200)]


@given(rate=st.floats(min_value=50, max_value=20_000), ramp_s=st.floats(0.5, 30))
@settings(max_examples=100, deadline=None)
def test_ramp_reaches_half_the_records_over_its_rise_and_the_full_rate_after_it(rate, ramp_s):
    schedule = Ramp(rate, ramp_s=ramp_s)
    rise = len(schedule.due(int(ramp_s * SECOND)))
    assert abs(rise - rate * ramp_s / 2) <= 2
    hold = len(schedule.due(int((ramp_s + 2) * SECOND)))
    assert abs(hold - 2 * rate) <= 2


def test_ramp_rises_linearly():
    schedule = Ramp(1000, ramp_s=10)
    counts = [len(schedule.due(second * SECOND)) for second in range(1, 11)]
    assert counts[0] == pytest.approx(50, abs=2)
    assert np.diff(counts).tolist() == pytest.approx([100] * 9, abs=3)


@given(
    rate=st.floats(min_value=10, max_value=5_000),
    on_s=st.floats(0.1, 3),
    off_s=st.floats(0, 3),
)
@settings(max_examples=100, deadline=None)
def test_burst_keeps_the_mean_rate_and_is_silent_while_off(rate, on_s, off_s):
    schedule = Burst(rate, on_s=on_s, off_s=off_s)
    on_us, off_us = round(on_s * SECOND), round(off_s * SECOND)
    cycle_us = on_us + off_us
    times = schedule.due(8 * cycle_us - 1)
    assert abs(len(times) - rate * 8 * cycle_us / SECOND) <= 2
    assert ((times % cycle_us) < on_us).all()


@given(seed=st.integers(0, 2**63 - 1), rate=st.floats(1, 10_000))
@settings(max_examples=50, deadline=None)
def test_poisson_repeats_with_its_seed_and_not_with_another(seed, rate):
    end_us = int(200 / rate * SECOND)
    first = everything_until(Poisson(rate, seed=seed), end_us)
    assert first == everything_until(Poisson(rate, seed=seed), end_us)
    assert first != everything_until(Poisson(rate, seed=seed + 1), end_us)


def test_poisson_gaps_have_the_mean_and_spread_of_an_exponential():
    times = Poisson(1000, seed=7).due(200 * SECOND)
    gaps = np.diff(times)
    assert len(times) == pytest.approx(200_000, rel=0.02)
    assert gaps.mean() == pytest.approx(1000, rel=0.02)
    assert gaps.std() == pytest.approx(1000, rel=0.02)


@given(
    text=st.sampled_from(["constant", "poisson", "burst"]),
    rate=st.floats(20, 5_000),
    producers=st.integers(1, 7),
)
@settings(max_examples=80, deadline=None)
def test_producers_of_one_profile_share_its_rate(text, rate, producers):
    shares = [
        parse(text, rate, seed=number, producer=number, producers=producers).due(20 * SECOND)
        for number in range(producers)
    ]
    total = sum(map(len, shares))
    spread = 6 * math.sqrt(rate * 20) if text == "poisson" else 2 * producers
    assert abs(total - rate * 20) <= spread + 2


def test_producers_of_a_constant_schedule_interleave_evenly():
    merged = sorted(
        time
        for number in range(4)
        for time in parse("constant", 1000, producer=number, producers=4).due(SECOND).tolist()
    )
    assert merged == [1000 * i for i in range(len(merged))]


@pytest.mark.parametrize(
    "text",
    [
        *["", "linear", "constant:5", "ramp:", "ramp:x", "ramp:0", "ramp:-1", "ramp:nan"],
        *["burst:1", "burst:0,1", "burst:1,-1", "burst:inf,1", "poisson:3", "burst:1,2,3"],
    ],
)
def test_what_is_no_schedule_is_refused_with_what_is_accepted(text):
    with pytest.raises(UsageError, match="--schedule"):
        parse(text, 100)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_what_is_no_rate_is_refused(rate):
    with pytest.raises(UsageError, match="--rate"):
        parse("constant", rate)
