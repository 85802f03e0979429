"""A run's timeline as the page shows it: rates, faults, leaders."""

from __future__ import annotations

from harness.judge.live import LATE_S, RATE_S, SECONDS_KEPT, LiveRun, asked_window_us
from harness.rundir.clock import from_us
from harness.rundir.events import (
    ExperimentEvent,
    FaultEvent,
    IsrEvent,
    LeaderEvent,
    LoadEvent,
    RunEvent,
    TimelineEvent,
)
from tests.support.histories import profile, run_info

SECOND_US = 1_000_000
BEGIN_US = 1_700_000_000 * SECOND_US


def run_after(*events: TimelineEvent) -> LiveRun:
    run = LiveRun(run_info([profile("idempotent")]))
    for each in events:
        run.take(each)
    return run


def load(second: int, attempted: int, acked: int) -> LoadEvent:
    from_us_ = BEGIN_US + second * SECOND_US
    return LoadEvent(
        profile="idempotent",
        topic="t",
        partition=0,
        from_us=from_us_,
        to_us=from_us_ + 250_000,
        attempted=attempted,
        acked=acked,
        failed=0,
        unknown=0,
        ack_ms_max=1.0,
    )


def test_rates_are_means_over_the_last_whole_seconds() -> None:
    run = run_after(*(load(second, 100, 50) for second in range(20)))
    (shown,) = run.view(BEGIN_US + 20 * SECOND_US).profiles
    assert (shown.achieved_per_s, shown.acked_per_s) == (100, 50)
    # Nothing was sent since: within a few seconds the rate says so.
    (shown,) = run.view(BEGIN_US + (20 + RATE_S + LATE_S) * SECOND_US).profiles
    assert shown.achieved_per_s == 0
    assert shown.attempted == 2000


def test_seconds_are_let_go_of_and_their_counts_are_not() -> None:
    count = SECONDS_KEPT + 50
    (shown,) = run_after(*(load(each, 1, 1) for each in range(count))).view(BEGIN_US).profiles
    assert len(shown.seconds) == SECONDS_KEPT + 1
    assert shown.acked == count


def test_the_time_that_a_rate_is_asked_for_ends_with_the_load() -> None:
    now_us = BEGIN_US + 30 * SECOND_US
    begin, end = asked_window_us(now_us, BEGIN_US, None)
    assert end - begin == RATE_S * SECOND_US
    begin, end = asked_window_us(now_us, BEGIN_US, BEGIN_US + 10 * SECOND_US)
    assert end <= begin
    assert asked_window_us(BEGIN_US + SECOND_US, BEGIN_US, None)[0] == 0


def test_a_fault_goes_from_its_injection_to_its_heal() -> None:
    def at(second: int, phase: str, **more: object) -> FaultEvent:
        return FaultEvent(
            at=from_us(BEGIN_US + second * SECOND_US),
            fault_id="kill_leader-1",
            fault="kill_leader",
            phase=phase,  # type: ignore[arg-type]
            **more,  # type: ignore[arg-type]
        )

    run = run_after(
        at(1, "inject", target="broker 2"), at(2, "injected", took_effect=True), at(5, "heal")
    )
    (shown,) = run.view(BEGIN_US).faults
    assert (shown.target, shown.state, shown.took_effect) == ("broker 2", "heal", True)
    assert (shown.injected_us, shown.healed_us) == (BEGIN_US + 2 * SECOND_US, None)
    run.take(at(6, "healed"))
    assert run.view(BEGIN_US).faults[0].healed_us == BEGIN_US + 6 * SECOND_US


def test_leaders_replicas_and_the_experiment_under_way_are_the_last_that_were_told() -> None:
    run = run_after(
        RunEvent(at=from_us(BEGIN_US), phase="started"),
        LeaderEvent(topic="t", partition=0, leader=1, leader_epoch=0),
        IsrEvent(topic="t", partition=0, isr=[1, 2, 3]),
        LeaderEvent(topic="t", partition=0, leader=2, leader_epoch=1),
        IsrEvent(topic="t", partition=0, isr=[2, 3]),
        ExperimentEvent(phase="started", title="A leader dies"),
        ExperimentEvent(phase="method"),
    )
    view = run.view(BEGIN_US)
    (told,) = [each for each in view.partitions if each.topic == "t"]
    assert (told.leader, told.leader_epoch, told.isr) == (2, 1, [2, 3])
    assert told.replicas_seen == 3
    assert view.experiment == "A leader dies"
    run.take(ExperimentEvent(phase="ended"))
    assert run.view(BEGIN_US).experiment == ""
