"""Gaps, recovery, and the phases of latency around faults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.judge.availability import Window, availability, during, within
from harness.judge.phases import latency_phases
from harness.rundir.latency import IntervalRecorder
from harness.rundir.run_dir import RunDir
from harness.rundir.run_record import LatencyLogs, load_run
from harness.rundir.timeline import Timeline, read_timeline
from tests.support.histories import (
    SLOT_US,
    START_US,
    acked,
    fault,
    observed,
    profile,
    run_info,
    run_record_of,
    slot,
)

TOPIC = "t"
PROFILE = profile(topics=[TOPIC])


def timeline(*events: Any) -> Timeline:
    flat = [each for item in events for each in (item if isinstance(item, list) else [item])]
    return read_timeline(each.fields for each in flat)


def steady(slots: range, rate: int = 50, partition: int = 0) -> list[Any]:
    return [slot(TOPIC, n, partition, attempted=rate, acked=rate) for n in slots]


def silent(slots: range, rate: int = 50, partition: int = 0) -> list[Any]:
    return [slot(TOPIC, n, partition, attempted=rate) for n in slots]


def struck(at_slot: float, healed: float | None = None, fault_id: str = "f") -> list[Any]:
    broker = {"brokers": [{"broker": 1}]}
    events = [fault("injected", at_slot, fault_id, evidence=broker, took_effect=True)]
    return events if healed is None else [*events, fault("healed", healed, fault_id)]


@pytest.mark.parametrize(
    ("events", "gap_ms"),
    [
        (steady(range(8)), 0.0),
        ([steady(range(4)), silent(range(4, 10)), steady(range(10, 14))], 1500.0),
        ([steady(range(4)), steady(range(20, 24))], 0.0),
        (
            [
                steady(range(3)),
                slot(TOPIC, 3, attempted=50, acked=20),
                slot(TOPIC, 9, acked=30),
                steady(range(10, 12)),
            ],
            1250.0,
        ),
        (
            [
                steady(range(4)),
                slot(TOPIC, 10, attempted=5),
                slot(TOPIC, 12, attempted=5, acked=10),
            ],
            500.0,
        ),
        ([silent(range(6)), steady(range(6, 9))], 0.0),
        (silent(range(6)), 1500.0),
        ([steady(range(4)), silent(range(4, 9))], 1250.0),
        ([slot(TOPIC, 0), slot(TOPIC, 1)], None),
    ],
    ids=[
        "acknowledged in every slot",
        "six slots of attempts without any acknowledgement",
        "a pause of the load is no gap",
        "what is in flight waits even where no more is attempted",
        "a gap begins with its first attempt",
        "the client's way to its brokers does not count",
        "nothing ever acknowledged",
        "the end of the load without acknowledgements",
        "no attempt at all",
    ],
)
def test_the_longest_gap_without_acknowledgement(events: list[Any], gap_ms: float | None) -> None:
    (found,) = availability(PROFILE, timeline(*events))
    assert found.longest_gap_ms == gap_ms


@pytest.mark.parametrize(
    ("events", "recovered_ms"),
    [
        ([steady(range(40))], None),
        ([steady(range(40)), struck(8)], 0.0),
        ([steady(range(8)), silent(range(8, 20)), steady(range(20, 40)), struck(8)], 3000.0),
        (
            [
                steady(range(8)),
                silent(range(8, 20)),
                [slot(TOPIC, n, attempted=50, acked=10) for n in range(20, 26)],
                steady(range(26, 40)),
                struck(8),
            ],
            4250.0,
        ),
        ([steady(range(8)), silent(range(8, 20)), struck(8)], None),
        ([steady(range(20)), silent(range(20, 30)), steady(range(30, 40)), struck(8, 12)], 0.0),
        (
            [
                steady(range(8)),
                silent(range(8, 12)),
                steady(range(12, 24)),
                silent(range(24, 28)),
                steady(range(28, 40)),
                struck(8, 10),
                struck(24, 26, "g"),
            ],
            1000.0,
        ),
        ([steady(range(8)), silent(range(8, 9)), steady(range(9, 20)), struck(8)], 250.0),
        (
            [
                steady(range(8)),
                silent(range(8, 9)),
                steady(range(9, 20)),
                silent(range(20, 24)),
                steady(range(24, 60)),
                struck(8),
            ],
            4000.0,
        ),
        (
            [
                steady(range(8)),
                silent(range(8, 9)),
                steady(range(9, 34)),
                silent(range(34, 38)),
                steady(range(38, 60)),
                struck(8),
            ],
            250.0,
        ),
        ([steady(range(40), rate=1), struck(8)], 0.0),
        (
            [
                [slot(TOPIC, n, attempted=1, acked=2 if n % 2 else 0) for n in range(41)],
                struck(8),
            ],
            0.0,
        ),
        (
            [
                steady(range(100), 1),
                silent(range(100, 200), 1),
                steady(range(200, 300), 1),
                struck(100),
            ],
            25_000.0,
        ),
    ],
    ids=[
        "no fault, no recovery",
        "not disturbed",
        "back when it is back at the full rate",
        "a trickle is not the scheduled rate",
        "not back by the end of the load",
        "a later disturbance is not put down to a fault that was healed",
        "recovery from the first fault, not the second",
        "one slot without acknowledgements at a high rate",
        "a stumble and then the fall are one disturbance",
        "what comes more than three seconds later is another one",
        "a slow partition is not disturbed",
        "a slow partition is not disturbed by chance",
        "a slow partition that stops is",
    ],
)  # fmt: skip
def test_recovery_is_when_it_acknowledges_at_the_scheduled_rate_again(
    events: list[Any], recovered_ms: float | None
) -> None:
    (found,) = availability(PROFILE, timeline(*events))
    assert found.recovered_ms == (
        None if recovered_ms is None else pytest.approx(recovered_ms, abs=1)
    )


def test_each_partition_has_its_own_availability() -> None:
    found = availability(
        PROFILE,
        timeline(
            steady(range(8)), silent(range(8, 12)), steady(range(12, 20)),
            steady(range(20), partition=1), struck(8),
        ),
    )  # fmt: skip
    assert [(each.partition, each.longest_gap_ms) for each in found] == [(0, 1000.0), (1, 0.0)]


def test_a_window_lasts_until_the_last_partition_is_back() -> None:
    found = during(
        PROFILE,
        timeline(
            steady(range(8)), silent(range(8, 12)), steady(range(12, 40)),
            steady(range(8), partition=1), silent(range(8, 16), partition=1),
            steady(range(16, 40), partition=1),
            struck(8), struck(30, fault_id="g"),
        ),
    )  # fmt: skip
    at = [START_US + n * SLOT_US for n in (8, 16, 30, 30)]
    assert found == [Window(at[0], at[1]), Window(at[2], at[3])]


def test_producers_that_share_a_slot_are_added_up() -> None:
    found = timeline(steady(range(4), 20), steady(range(4), 30)).loads[TOPIC, 0]
    assert found.attempted.tolist() == [50] * 4
    assert len(found) == 4


@pytest.mark.parametrize(
    ("span", "inside"),
    [((0, 10), False), ((0, 11), True), ((15, 16), True), ((20, 30), False), ((19, 30), True)],
)
def test_windows_do_not_hold_their_end(span: tuple[int, int], inside: bool) -> None:
    assert within([Window(10, 20)], *span) == inside


SECOND_US = 1_000_000


def phases_of(tmp_path: Path, windows: list[Window]) -> dict[str, int]:
    """One record a second for ten seconds, each taking as many ms as its second's number."""
    path = tmp_path / "idempotent.ack.1.hlog"

    with IntervalRecorder(path, START_US) as recorder:
        for second in range(10):
            at = np.array([START_US + second * SECOND_US + 5], dtype=np.int64)
            recorder.record(at, np.array([1000 * (second + 1)], dtype=np.int64))

    logs = {("idempotent", "ack"): LatencyLogs((path,))}
    found = latency_phases("idempotent", logs, windows)
    assert found["service"].all.count == 0
    assert found["ack"].all.max == pytest.approx(10.0, rel=1e-3)
    return {
        name: getattr(found["ack"], name).count for name in ("before", "during", "after", "all")
    }


def test_without_faults_everything_is_before(tmp_path: Path) -> None:
    assert phases_of(tmp_path, []) == {"before": 10, "during": 0, "after": 0, "all": 10}


def test_a_second_that_touches_a_window_is_during_as_a_whole(tmp_path: Path) -> None:
    windows = [
        Window(START_US + 2 * SECOND_US + 500_000, START_US + 4 * SECOND_US),
        Window(START_US + 7 * SECOND_US, START_US + 7 * SECOND_US + 1),
    ]
    assert phases_of(tmp_path, windows) == {"before": 2, "during": 3, "after": 5, "all": 10}


def test_the_logs_of_a_run_are_found_by_profile_and_metric(tmp_path: Path) -> None:
    info = run_info([profile("idempotent"), profile("idempotent-2")])
    run = run_record_of(tmp_path / "run", [acked(0, 0), observed(0, 0)], info=info)
    assert run.latency == {}

    run_dir = RunDir(tmp_path / "run")
    for name in ("idempotent.ack.1", "idempotent.ack.2", "idempotent-2.end_to_end.reader"):
        with IntervalRecorder(run_dir.latency / f"{name}.hlog", START_US) as recorder:
            recorder.record(np.array([START_US]), np.array([2000]))

    logs = load_run(run_dir, 1).latency
    assert {key: sum(int(i.counts.sum()) for i in found) for key, found in logs.items()} == {
        ("idempotent", "ack"): 2,
        ("idempotent-2", "end_to_end"): 1,
    }
