"""A control challenges a promise only by what it lost or doubled while a fault was on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from harness.judge.availability import Window
from harness.judge.fault_windows import by_window, unlike, windows
from harness.rundir.recorded_faults import RecordedFault
from harness.rundir.verdict import PromiseVerdict, Verdict
from tests.support.histories import (
    SLOT_US,
    START_US,
    acked,
    consuming,
    drained,
    fault,
    judged,
    observed,
    profile,
    records,
    run_info,
    sent,
    slot,
    worked,
)

SUBJECT, CONTROL = "t-subject", "t-control"
STRUCK = {"moves_leader": False, "brokers": [{"broker": 1}],
          "partitions": [{"topic": SUBJECT, "partition": 0}]}  # fmt: skip


def strikes(at_slot: float, healed: float | None, fault_id: str = "f", **more: Any) -> list[Any]:
    """A fault that struck the subject at one slot and was healed at another."""
    found = [fault("injected", at_slot, fault_id, evidence=STRUCK, took_effect=True, **more)]
    return found if healed is None else [*found, fault("healed", healed, fault_id, **more)]


def steady() -> list[Any]:
    """The subject's load, never interrupted, always something in flight."""
    return [slot(SUBJECT, n, attempted=5 if n else 9, acked=5) for n in range(80)]


def run(tmp_path: Path, *history: Any, acks: Any = 1, **more: Any) -> Verdict:
    control = profile(
        "leader-ack", topics=[CONTROL], role="control", in_verdict=False,
        promises=["no_phantom"], producer={"acks": acks},
    )  # fmt: skip
    info = run_info([profile(topics=[SUBJECT]), control],
                    **{"aims": {"lost": "leader-ack"}, **more})  # fmt: skip
    return judged(tmp_path / "run", [records(3), steady(), *history], info=info)


def lost_by_control(*at_slots: int, producer: int = 2, **more: Any) -> list[Any]:
    """The control loses one attempt in each of these slots, and has one left at the end."""
    slots = [slot(CONTROL, at, attempted=1, acked=1, **more) for at in (*at_slots, 79)]
    last = len(at_slots)
    return [
        [acked(s, s, topic=1, producer=producer) for s in range(last + 1)],
        observed(last, last, topic=1, producer=producer),
        slots,
    ]


def no_lost(verdict: Verdict) -> PromiseVerdict:
    return next(each for each in verdict.profiles[0].promises if each.promise == "no_lost")


@pytest.mark.parametrize(
    ("at_slot", "challenges"),
    [(35, False), (36, True), (40, True), (59, True), (60, False), (70, False)],
)
def test_a_loss_challenges_only_from_a_second_before_the_fault_until_it_is_healed(
    at_slot: int, challenges: bool, tmp_path: Path
) -> None:
    """The fault strikes at slot 40, of 250 ms each, and is healed at slot 60."""
    verdict = run(tmp_path, strikes(40, 60), lost_by_control(at_slot))
    found = no_lost(verdict)
    assert found.challenged is challenges
    assert found.verdict == ("kept" if challenges else "inconclusive")
    assert (found.trials, found.faults_exposed) == (int(challenges), 1)
    assert (found.bound_95_per_fault is None) is not challenges
    assert found.control is not None
    assert found.control.count == 1
    assert found.control.outside == int(not challenges)
    assert ("in no fault's window" in found.reason) is not challenges


def test_what_was_lost_without_a_fault_is_told_beside_what_was_lost_in_one(tmp_path: Path) -> None:
    found = no_lost(run(tmp_path, strikes(40, 60), lost_by_control(3, 4, 45, 70)))
    assert found.verdict == "kept"
    assert "leader-ack showed 1 under the same faults" in found.reason
    assert "leader-ack showed 3 more in no fault's window" in found.reason


def test_the_bound_counts_only_the_faults_in_whose_window_the_control_broke(
    tmp_path: Path,
) -> None:
    """Three faults struck the subject; the control lost something in the first and the third."""
    three = [*strikes(20, 30, "a"), *strikes(40, 50, "b"), *strikes(60, 70, "c", name="other")]
    found = no_lost(run(tmp_path, three, lost_by_control(22, 23, 65)))
    assert (found.faults_exposed, found.trials) == (3, 2)
    assert found.bound_95_per_fault == pytest.approx(1 - 0.05**0.5)
    assert found.exposed_by_fault == {"kill_leader": 1, "other": 1}
    assert found.control is not None
    assert [(each.fault, each.count) for each in found.control.by_fault] == [
        ("kill_leader", 2),
        ("other", 1),
    ]


def test_a_fault_that_does_not_aim_at_an_anomaly_challenges_nothing_by_it(tmp_path: Path) -> None:
    """The control lost something, but under a fault that is there to make duplicates."""
    aims = {"kill_leader": ["lost"], "cut": ["duplicate"]}
    both = [*strikes(20, 30, "a"), *strikes(40, 50, "b", name="cut")]
    found = no_lost(run(tmp_path, both, lost_by_control(45), fault_aims=aims))
    assert (found.verdict, found.trials) == ("inconclusive", 0)


def test_a_loss_that_cannot_be_placed_in_time_challenges_nothing_and_says_so(
    tmp_path: Path,
) -> None:
    """The slots tell of one attempt fewer than the ledger holds."""
    history = [*lost_by_control(45), acked(2, 2, topic=1, producer=2), observed(2, 2, topic=1)]
    found = no_lost(run(tmp_path, strikes(40, 60), history[:-1]))
    assert (found.verdict, found.challenged) == ("inconclusive", False)
    assert found.control is not None
    assert found.control.unplaced == found.control.count > 0
    assert "at a time that is not on record" in found.reason


def test_attempts_of_several_producers_are_placed_by_the_slots_of_each(tmp_path: Path) -> None:
    """Producer 2 loses its only attempt in the fault; producer 3 sends before it and keeps it."""
    both = [
        slot(CONTROL, 3, attempted=1, acked=1, attempted_by={"3": 1}),
        slot(CONTROL, 45, attempted=1, acked=1, attempted_by={"2": 1}),
        acked(0, 0, topic=1, producer=2),
        acked(0, 1, topic=1, producer=3),
        observed(0, 1, topic=1, producer=3),
    ]
    assert no_lost(run(tmp_path, strikes(40, 60), both)).verdict == "kept"


def test_duplicates_are_placed_like_losses(tmp_path: Path) -> None:
    for at_slot, verdict in ((45, "kept"), (65, "inconclusive")):
        history = [
            slot(CONTROL, at_slot, attempted=1, acked=1),
            acked(0, 0, topic=1, producer=2),
            observed(0, 0, topic=1, producer=2),
            drained(0, 1, topic=1, producer=2),
        ]
        found = run(tmp_path / str(at_slot), strikes(40, 60), history,
                    aims={"duplicate": "leader-ack"})  # fmt: skip
        promise = next(e for e in found.profiles[0].promises if e.promise == "no_duplicate")
        assert promise.verdict == verdict


def test_what_nobody_acknowledged_challenges_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """The control has acks=0: its losses say nothing about records that a broker confirmed."""
    history = [
        [sent(s, topic=1, producer=2) for s in range(2)],
        observed(1, 0, topic=1, producer=2),
        slot(CONTROL, 45, attempted=2, acked=2),
    ]
    found = no_lost(run(tmp_path, strikes(40, 60), history, acks=0))
    assert (found.verdict, found.challenged) == ("kept", False)
    assert "acks=0 only" in found.reason


def test_what_nobody_acknowledged_challenges_a_profile_that_asks_for_no_acknowledgement(
    tmp_path: Path,
) -> None:
    subject = profile("own", topics=[SUBJECT], promises=["no_lost"], producer={"acks": 0})
    control = profile("fire-and-forget", topics=[CONTROL], role="control", in_verdict=False,
                      promises=[], producer={"acks": 0})  # fmt: skip
    history = [
        steady(),
        sent(0),
        observed(0, 0),
        strikes(40, 60),
        [sent(s, topic=1, producer=2) for s in range(2)],
        observed(1, 0, topic=1, producer=2),
        slot(CONTROL, 45, attempted=2, acked=2),
    ]
    info = run_info([subject, control], aims={"lost": "fire-and-forget"})
    found = no_lost(judged(tmp_path / "run", history, info=info))
    assert (found.verdict, found.challenged) == ("kept", True)


@pytest.mark.parametrize(
    ("anomaly", "control_acks", "acks", "of_the_kind"),
    [
        ("lost", 0, "all", False),
        ("lost", 0, 1, False),
        ("lost", 0, 0, True),
        ("lost", 1, "all", True),
        ("duplicate", 0, "all", True),
        ("inversion", 0, "all", True),
    ],
)
def test_only_a_loss_that_nobody_acknowledged_is_of_another_kind(
    anomaly: str, control_acks: Any, acks: Any, of_the_kind: bool
) -> None:
    control = profile("control", producer={"acks": control_acks})
    assert (not unlike(control, profile(producer={"acks": acks}), anomaly)) is of_the_kind


# -- windows


def test_the_windows_of_faults_never_overlap() -> None:
    """The second strikes before the first is healed; the third is never healed."""
    second = 1_000_000
    faults = [
        RecordedFault("a", "x", "", 10 * second, healed_us=30 * second),
        RecordedFault("b", "x", "", 20 * second, healed_us=21 * second),
        RecordedFault("c", "x", "", 22 * second),
    ]
    first, middle, last = windows(faults)
    assert first == Window(9 * second, 19 * second)
    assert middle == Window(19 * second, 21 * second)
    assert last.from_us == 21 * second
    assert last.to_us > 10**18
    assert windows([]) == []


def test_a_window_reaches_back_to_the_oldest_attempt_that_was_still_open(tmp_path: Path) -> None:
    """The fault strikes at slot 40. What was sent from slot 20 on was answered after it."""
    held = [
        slot(CONTROL, 20, attempted=1),
        slot(CONTROL, 30, attempted=1),
        slot(CONTROL, 41, acked=2),
        slot(CONTROL, 79, attempted=1, acked=1),
    ]
    answered = [
        slot(CONTROL, 20, attempted=1, acked=1),
        slot(CONTROL, 30, attempted=1),
        slot(CONTROL, 41, acked=1),
        slot(CONTROL, 79, attempted=1, acked=1),
    ]
    attempts = [acked(s, s, topic=1, producer=2) for s in range(3)]
    there = [observed(s, s, topic=1, producer=2) for s in (1, 2)]
    for name, slots, verdict in (("held", held, "kept"), ("answered", answered, "inconclusive")):
        found = run(tmp_path / name, strikes(40, 60), attempts, there, slots)
        assert no_lost(found).verdict == verdict, name


def test_an_anomaly_belongs_to_the_first_window_that_its_time_touches() -> None:
    placed = Counter({(0, 5): 1, (5, 12): 2, (12, 45): 4, (35, 36): 8, (60, 61): 16})
    assert by_window(placed, [Window(10, 20), Window(30, 40)]) == ([6, 8], 17)


# -- consumers


@pytest.mark.parametrize(
    ("struck_at", "healed_at", "challenges"), [(40, 60, True), (8, 12, False), (70, 75, False)]
)
def test_a_repeated_effect_challenges_where_a_fault_struck_between_the_effects(
    struck_at: int, healed_at: int, challenges: bool, tmp_path: Path
) -> None:
    """The first effect at slot 30, the further one, of another member, at slot 65."""
    group = consuming(name="group", topics=[SUBJECT], promises=["no_repeated"])
    first_us, further_us = START_US + 30 * SLOT_US, START_US + 65 * SLOT_US
    history = [
        records(1),
        strikes(struck_at, healed_at),
        worked(0, at_us=first_us),
        worked(0, member=2, at_us=further_us),
    ]
    info = run_info([group], aims={"repeated": "group"})
    verdict = judged(tmp_path / "run", history, info=info)
    (promise,) = verdict.profiles[0].promises
    assert promise.control is not None
    assert promise.control.count == 1
    assert (promise.control.outside, len(promise.control.by_fault)) == (
        (0, 1) if challenges else (1, 0)
    )
