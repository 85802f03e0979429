"""What shook the brokers without a fault on record is named, and is exposure, but no fault."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.judge.disturbances import Disturbance, disturbances
from harness.report.wording import assurance, headline
from harness.rundir.timeline import read_timeline
from harness.rundir.verdict import Verdict
from tests.support.histories import (
    START_US,
    Event,
    acked,
    event,
    fault,
    judged,
    observed,
    profile,
    run_info,
    slot,
)

SECOND = 4
"""Slots in one."""


def at(second: float) -> int:
    return START_US + round(second * 1_000_000)


def leader(second: float, broker: int, epoch: int, topic: str = "t", partition: int = 0) -> Event:
    return event(
        "leader", at(second), topic=topic, partition=partition, leader=broker, leader_epoch=epoch
    )


def isr(second: float, *brokers: int, topic: str = "t", partition: int = 0) -> Event:
    return event("isr", at(second), topic=topic, partition=partition, isr=list(brokers))


def brokers(second: float, *ids: int) -> Event:
    return event("brokers", at(second), brokers=list(ids))


def struck(begun_s: float, healed_s: float | None, *, members: bool = False) -> list[Event]:
    what = {"members": [{"profile": "p"}]} if members else {"brokers": [{"broker": 1}]}
    found = [
        fault("inject", begun_s * SECOND),
        fault("injected", begun_s * SECOND, evidence=what, took_effect=True),
    ]
    return found if healed_s is None else [*found, fault("healed", healed_s * SECOND)]


def seen(*events: Any) -> list[Disturbance]:
    flat = [each for part in events for each in (part if isinstance(part, list) else [part])]
    return disturbances(read_timeline(each.fields for each in flat))


KILLED = [
    [leader(0, 1, 0), isr(0, 1, 2, 3), brokers(0, 1, 2, 3)],
    [brokers(20, 2, 3), leader(20.2, 2, 1), isr(20.4, 2, 3)],
]
"""A broker is killed at 20 s, and another one leads."""


@pytest.mark.parametrize(
    ("events", "signs"),
    [
        ([leader(0, 1, 0), isr(0, 1, 2, 3), brokers(0, 1, 2, 3)], 0),  # the first sight of things
        ([leader(0, 1, 0), leader(5, 2, 1)], 1),
        ([leader(0, 1, 0), leader(5, 1, 1)], 1),  # elected again: the same leader, a new epoch
        ([leader(0, 1, 3), leader(5, 1, 3)], 0),
        ([leader(0, 1, 3), leader(5, 2, 2)], 0),  # an answer from before
        ([leader(0, 1, 0), leader(5, -1, -1)], 1),
        ([leader(0, -1, -1), leader(5, 1, 0)], 0),
        ([leader(0, 1, 0), leader(5, -1, -1), leader(6, 1, 1)], 2),
        ([leader(0, 1, 0), leader(5, 2, 1, partition=1)], 0),
        ([isr(0, 1, 2, 3), isr(5, 1, 2)], 1),
        ([isr(0, 1, 2), isr(5, 1, 2, 3)], 0),
        ([isr(0, 1, 2), isr(5, 1, 3)], 1),
        ([brokers(0, 1, 2, 3), brokers(5, 1, 3)], 1),
        ([brokers(0, 1, 3), brokers(5, 1, 2, 3)], 0),
        # What a fault on record explains
        ([struck(4, 6), leader(0, 1, 0), leader(5, 2, 1)], 0),
        ([struck(4, 6), leader(0, 1, 0), leader(3.9, 2, 1)], 1),
        ([struck(4, 6), leader(0, 1, 0), leader(16, 2, 1)], 0),
        ([struck(4, 6), leader(0, 1, 0), leader(16.1, 2, 1)], 1),
        ([struck(4, None), isr(0, 1, 2, 3), isr(99, 1, 2)], 0),
        ([struck(4, 6, members=True), isr(0, 1, 2, 3), isr(5, 1, 2)], 1),
        # One that failed may have struck something before it did
        (
            [fault("inject", 16), fault("failed", 20, reason="x"), fault("healed", 24)]
            + [leader(0, 1, 0), leader(4.5, 2, 1)],
            0,
        ),
    ],
)
def test_which_signs_no_fault_on_record_explains(events: list[Any], signs: int) -> None:
    assert sum(len(each.signs) for each in seen(*events)) == signs


def test_signs_at_most_ten_seconds_apart_are_one_disturbance() -> None:
    first = [leader(0, 1, 0), leader(5, 2, 1), leader(15, 1, 2)]
    assert [len(each.signs) for each in seen(*first)] == [2]
    assert [len(each.signs) for each in seen(*first[:2], leader(15.1, 1, 2))] == [1, 1]


def test_a_disturbance_names_what_was_seen_and_when() -> None:
    (found,) = seen(*KILLED)
    assert found.text == (
        "broker 1 ended or fell silent, 1 partition got a new leader epoch, "
        "the in-sync replicas of 1 partition became fewer"
    )
    record = found.record()
    assert (record.seen_at, record.until) == (
        "2023-11-14T22:13:40.000000Z",
        "2023-11-14T22:13:40.400000Z",
    )
    assert (record.brokers_gone, record.leaders_moved, record.isr_shrunk) == ([1], 1, 1)


# -- in the verdict ------------------------------------------------------------------------------


def load(topic: str = "t", until_s: int = 40) -> list[Event]:
    """Steady load; a few records are in flight at the end of each slot."""
    slots = [slot(topic, number, attempted=50, acked=50) for number in range(1, until_s * SECOND)]
    return [slot(topic, 0, attempted=55, acked=50), *slots]


def verdict_on(path: Path, *history: Any) -> Verdict:
    info = run_info([profile(topics=["t"])])
    return judged(path, [acked(0, 0), observed(0, 0), *history], info=info)


def test_an_unexplained_disturbance_is_told_and_neither_a_fault_nor_an_obstacle(
    tmp_path: Path,
) -> None:
    verdict = verdict_on(tmp_path / "run", load(), *KILLED)
    assert (verdict.verdict, verdict.faults, len(verdict.disturbances)) == ("kept", [], 1)
    (judged_profile,) = verdict.profiles
    assert judged_profile.disturbances_exposed == 1
    assert {each.faults_exposed for each in judged_profile.promises} == {0}
    assert {each.bound_95_per_fault for each in judged_profile.promises} == {None}
    assert not any(each.challenged for each in judged_profile.promises)
    assert any(
        reason.startswith("no fault on record explains what was seen at 22:13:40.000 UTC: broker 1")
        for reason in verdict.reasons
    )
    assert headline(verdict).endswith("under 1 disturbance that no fault on record explains.")
    (sentence,) = assurance(verdict)
    assert "what these could have broken is not known" in sentence


def test_nothing_on_record_is_not_called_nothing_that_happened(tmp_path: Path) -> None:
    verdict = verdict_on(tmp_path / "run", load())
    assert verdict.disturbances == []
    assert headline(verdict).endswith("held with no fault on record.")


@pytest.mark.parametrize(
    ("history", "exposed"),
    [
        ([load(), *KILLED], 1),
        ([*KILLED], 0),  # no load
        ([load(until_s=15), *KILLED], 0),  # it had ended
        ([load(), leader(0, 1, 0, topic="u"), leader(20, 2, 1, topic="u")], 0),  # elsewhere
        ([load(), leader(0, 1, 0), leader(5, 2, 1), leader(30, 1, 2)], 2),
    ],
)
def test_a_disturbance_exposes_a_profile_as_a_fault_would(
    history: list[Any], exposed: int, tmp_path: Path
) -> None:
    verdict = verdict_on(tmp_path / "run", *history)
    assert verdict.profiles[0].disturbances_exposed == exposed


def test_a_fault_and_what_no_fault_explains_are_counted_apart(tmp_path: Path) -> None:
    moved = {"topic": "t", "partition": 0, "leader_before": 1, "epoch_before": 0,
             "leader_after": 2, "epoch_after": 1}  # fmt: skip
    evidence = {"moves_leader": True, "brokers": [{"broker": 1}], "partitions": [moved]}
    verdict = verdict_on(
        tmp_path / "run",
        load(),
        fault("inject", 4 * SECOND),
        fault("injected", 4 * SECOND, evidence=evidence, took_effect=True),
        fault("healed", 6 * SECOND),
        [leader(0, 1, 0), leader(5, 2, 1), leader(30, 3, 2)],
    )
    assert headline(verdict).endswith(
        "under 1 fault and 1 disturbance that no fault on record explains."
    )
    assert {each.faults_exposed for each in verdict.profiles[0].promises} == {1}
    assert verdict.profiles[0].disturbances_exposed == 1


def story(path: Path, *history: Any) -> str:
    verdict = verdict_on(path, acked(1, 1), slot("t", 0, attempted=2, acked=2), *history)
    (witness,) = (each for each in verdict.profiles[0].witnesses if each.anomaly == "lost")
    return "\n".join(witness.text)


def test_a_lost_record_beside_a_disturbance_is_told_with_it_and_not_with_peace(
    tmp_path: Path,
) -> None:
    told = story(tmp_path / "run", leader(0, 1, 0), leader(5, 2, 1))
    assert "no fault on record explains what is seen: 1 partition got a new leader epoch" in told
    assert "no fault is on record" not in told
    quiet = story(tmp_path / "quiet", leader(0, 1, 0))
    assert "no fault is on record" in quiet
    assert "no fault was injected" not in quiet


def test_a_disturbance_is_told_of_a_record_only_where_it_is_nearer_than_a_fault(
    tmp_path: Path,
) -> None:
    moves = [leader(0, 1, 0), leader(13, 2, 1)]
    beside_a_fault = story(tmp_path / "a", struck(1, 2), moves)
    assert "fault f" in beside_a_fault
    assert "no fault on record explains" not in beside_a_fault
    assert "no fault on record explains" in story(tmp_path / "b", struck(16, 18), moves)
    far_away = story(tmp_path / "c", leader(0, 1, 0), leader(31, 2, 1))
    assert "no fault is on record" in far_away


def pod(second: float, uid: str, phase: str = "ended", **more: Any) -> Event:
    return event("pod", at(second), phase=phase, node=2, pod="c-b-2", uid=uid, **more)


def struck_pod(begun_s: float, healed_s: float, uid: str) -> list[Event]:
    evidence = {"brokers": [{"broker": 2, "deed": "kill", "uid": uid}]}
    return [
        fault("inject", begun_s * SECOND),
        fault("injected", begun_s * SECOND, evidence=evidence, took_effect=True),
        fault("healed", healed_s * SECOND),
    ]


@pytest.mark.parametrize(
    ("events", "texts"),
    [
        ([struck_pod(5, 30, "one"), pod(6, "one")], []),
        ([pod(6, "one")], ["pod c-b-2 ended"]),
        # Another pod ends while the fault goes on: nobody's fault on record.
        ([struck_pod(5, 30, "one"), pod(6, "one"), pod(9, "two", exit_code=137, reason="Evicted")],
         ["pod c-b-2 ended (exit status 137, Evicted)"]),
        # The same pod, long after the fault on it was healed.
        ([struck_pod(5, 30, "one"), pod(60, "one", "restarted", reason="OOMKilled")],
         ["pod c-b-2 had its container started again (OOMKilled)"]),
        ([pod(6, "one"), pod(8, "one")], ["pod c-b-2 ended"]),
    ],
)  # fmt: skip
def test_a_pod_that_ends_is_explained_by_a_fault_on_that_pod_alone(
    events: list[Any], texts: list[str]
) -> None:
    found = seen(*events)
    assert [each.text for each in found] == texts
    assert all(each.record().brokers_gone == [] for each in found)
