"""For whatever faults and anomalies: each anomaly has one place, and each attempt one instant."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.judge.fault_windows import BEFORE_US, by_window, windows
from harness.rundir.load_events import SentSlots
from harness.rundir.recorded_faults import RecordedFault

SECOND = 1_000_000


@st.composite
def faults(draw: st.DrawFn) -> list[RecordedFault]:
    """Faults in the order of injection, some never healed, some healed after the next struck."""
    struck = sorted(draw(st.lists(st.integers(1, 100), max_size=6)))
    return [
        RecordedFault(
            f"f{number}",
            "kill_leader",
            "",
            at * SECOND,
            healed_us=None if (lasted := draw(st.none() | st.integers(0, 40))) is None
            else (at + lasted) * SECOND,
        )
        for number, at in enumerate(struck)
    ]  # fmt: skip


@given(faults())
def test_windows_begin_a_second_before_their_faults_and_reach_into_no_later_one(
    given_faults: list[RecordedFault],
) -> None:
    found = windows(given_faults)
    for index, (fault, window) in enumerate(zip(given_faults, found, strict=True)):
        assert window.from_us == fault.injected_us - BEFORE_US
        if fault.healed_us is not None:
            assert window.to_us <= fault.healed_us
        for later in given_faults[index + 1 :]:
            assert window.to_us <= max(later.injected_us - BEFORE_US, fault.injected_us)


@given(
    faults(),
    st.dictionaries(
        st.tuples(st.integers(0, 150), st.integers(1, 30)), st.integers(1, 9), max_size=20
    ),
)
def test_every_anomaly_belongs_to_one_fault_or_to_none(
    given_faults: list[RecordedFault], stretches: dict[tuple[int, int], int]
) -> None:
    placed = Counter(
        {(at * SECOND, (at + took) * SECOND): n for (at, took), n in stretches.items()}
    )
    chosen = windows(given_faults)
    inside, outside = by_window(placed, chosen)
    assert sum(inside) + outside == placed.total()
    alone = sum(
        count
        for (begin, end), count in placed.items()
        if not any(begin < window.to_us and end > window.from_us for window in chosen)
    )
    assert outside == alone


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12))
def test_the_nth_attempt_lies_in_the_slot_in_which_it_was_counted(attempted: list[int]) -> None:
    begins = np.arange(len(attempted), dtype=np.int64) * 250_000
    slots = SentSlots(begins, begins + 250_000, np.array(attempted, dtype=np.int64))
    wanted = [number for number, count in enumerate(attempted) for _ in range(count)]
    sequences = np.arange(slots.total + 3, dtype=np.int64)
    at_us = slots.sent_us(sequences)
    assert (at_us[: slots.total] // 250_000).tolist() == wanted
    assert (at_us[slots.total :] == -1).all()
    assert (np.diff(at_us[: slots.total]) >= 0).all()
