"""What counts as a trial of consumers, what keeps a promise about them open, and their lag."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.anomalies import CONSUMER_ANOMALIES, anomaly_of
from harness.judge.consuming import consumer_exposures, recovered_us
from harness.reconcile.reconcile import reconcile
from harness.rundir.run_record import load_run
from harness.rundir.verdict import BROKEN, INCONCLUSIVE, KEPT, PromiseVerdict, Verdict
from tests.support.histories import (
    SLOT_US,
    START_US,
    accepted,
    acked,
    assigned,
    called,
    closed,
    committed,
    consuming,
    done,
    drained,
    event,
    fault,
    group_at,
    judged,
    polled,
    records,
    revoked,
    run_info,
    run_record_of,
    unproven,
    worked,
    write_run,
)

SUBJECT = consuming(name="consume-at-least-once")
INFO = run_info([SUBJECT])
SECOND_US = 1_000_000


def struck(at_s: float, fault_id: str = "f", **evidence: Any) -> list[Any]:
    """A fault that killed something, `at_s` seconds after the start."""
    slots = at_s * SECOND_US / SLOT_US
    return [
        fault("inject", slots, fault_id, "kill_member"),
        fault("injected", slots, fault_id, "kill_member", evidence=evidence, took_effect=True),
        fault("healed", slots + 1, fault_id, "kill_member"),
    ]


def killed_member(at_s: float, fault_id: str = "f", profile: str = SUBJECT.profile) -> list[Any]:
    members = [{"profile": profile, "member": 1, "pid": 4, "signal": "SIGKILL"}]
    return struck(at_s, fault_id, members=members)


def turned(at_s: float, phase: str, profile: str = SUBJECT.profile) -> Any:
    name = "rebalance" if phase in ("assigned", "revoked", "lost") else "member"
    at_us = START_US + round(at_s * SECOND_US)
    return event(name, at_us, profile=profile, member=2, phase=phase, partitions=[])


def processed_at(*seconds: float) -> list[Any]:
    """One record after the other, processed at these seconds."""
    return [
        each
        for offset, at_s in enumerate(seconds)
        for each in worked(offset, at_us=START_US + round(at_s * SECOND_US))
    ]


def promises(verdict: Verdict) -> dict[str, PromiseVerdict]:
    return {
        anomaly_of(promise.promise): promise
        for promise in verdict.profiles[0].promises
        if anomaly_of(promise.promise) in CONSUMER_ANOMALIES
    }


@pytest.mark.parametrize(
    ("history", "missing"),
    [
        ([killed_member(5), processed_at(4, 6)], ""),
        ([killed_member(5, profile="another"), processed_at(4, 6)], "noticed nothing"),
        ([killed_member(5, profile="another"), turned(6, "revoked"), processed_at(4, 7)], ""),
        ([killed_member(5, profile="another"), turned(6, "ended"), processed_at(4, 7)], ""),
        ([killed_member(5, profile="another"), turned(4, "revoked"), processed_at(4, 7)],
         "noticed nothing"),
        ([killed_member(5, profile="another"), turned(6, "revoked", "another"), processed_at(4, 7)],
         "noticed nothing"),
        ([killed_member(5, profile="another"), turned(6, "started"), processed_at(4, 7)],
         "noticed nothing"),
        ([killed_member(15), processed_at(4, 16)], "processed just before"),
        ([killed_member(5), processed_at(1, 4)], "processed afterwards"),
        ([killed_member(5), killed_member(8, "g"), processed_at(4, 9)], "processed afterwards"),
        ([struck(5, elections=[{"topic": "__consumer_offsets"}], coordinates=[
            {"client": "g", "profile": SUBJECT.profile, "topic": "__consumer_offsets",
             "partition": 1}]), processed_at(4, 6)], ""),
    ],
)  # fmt: skip
def test_consumers_are_exposed_to_a_fault_that_disturbs_them_while_they_work(
    tmp_path: Path, history: list[Any], missing: str
) -> None:
    run = run_record_of(tmp_path / "run", [records(1), history], info=INFO)
    first = consumer_exposures(SUBJECT, run)[0]
    assert missing in first.missing
    assert first.exposed is (not missing)


def test_a_fault_without_evidence_is_no_trial_of_consumers(tmp_path: Path) -> None:
    slots = 5 * SECOND_US / SLOT_US
    history = [
        fault("injected", slots, evidence={"members": [{"profile": SUBJECT.profile}]}),
        processed_at(4, 6),
    ]
    run = run_record_of(tmp_path / "run", history, info=INFO)
    assert "no evidence" in consumer_exposures(SUBJECT, run)[0].missing


WORKED = [records(3), assigned(0), polled(0, 1, 2), processed_at(4, 5.5, 6), group_at(3)]
CONTROL = consuming("auto", name="consume-auto-commit", topics=["control"], promises=[])
AIMED = run_info(
    [SUBJECT, CONTROL],
    aims={"unprocessed": CONTROL.profile},
    faults_planned=1,
)


def test_an_aimed_promise_is_inconclusive_while_its_control_did_not_break(tmp_path: Path) -> None:
    silent = [acked(0, 0, topic=1, producer=2), drained(0, 0, topic=1, producer=2)]
    history = [WORKED, killed_member(5), silent]
    promise = promises(judged(tmp_path / "run", history, info=AIMED))["unprocessed"]
    assert promise.verdict == INCONCLUSIVE
    assert "showed no unprocessed either" in promise.reason
    assert promise.faults_exposed == 1


def test_what_no_experiment_aims_at_is_kept_without_a_challenge(tmp_path: Path) -> None:
    verdict = judged(tmp_path / "run", [WORKED, killed_member(5)], info=INFO)
    found = promises(verdict)
    assert {promise.verdict for promise in found.values()} == {KEPT}
    assert not any(promise.challenged for promise in found.values())
    assert found["repeated"].faults_exposed == 1


def test_a_promise_about_consumers_that_was_seen_to_break_is_broken(tmp_path: Path) -> None:
    history = [WORKED, done(1), unproven(), group_at(3)]
    found = promises(judged(tmp_path / "run", history, info=INFO))
    assert found["repeated"].verdict == BROKEN
    assert "1 further effect of a record" in found["repeated"].reason
    assert found["unprocessed"].verdict == INCONCLUSIVE


BLIND: dict[str, tuple[list[Any], set[str], str]] = {
    "no journal": ([records(1), group_at(1)], set(CONSUMER_ANOMALIES), "left a journal"),
    "nothing handed over": (
        [records(1), assigned(0)],
        set(CONSUMER_ANOMALIES),
        "handed no record",
    ),
    "nothing processed": (
        [records(1), assigned(0), polled(0), group_at(0)],
        {"unprocessed", "reprocessed", "repeated"},
        "not one of its records was processed",
    ),
    "no committed offsets on record": (
        [records(1), assigned(0), polled(0), worked(0), committed(1)],
        {"unprocessed", "commit_lost"},
        "not on record",
    ),
    "nothing committed": (
        [records(1), assigned(0), polled(0), worked(0), group_at(0)],
        {"unprocessed", "reprocessed"},
        "never committed",
    ),
    "the input not drained": (
        [records(1), assigned(0), polled(0), worked(0), group_at(1), unproven()],
        {"unprocessed", "poll_skip", "commit_beyond_position", "start_beyond_committed"},
        "which offsets hold a record is not proven",
    ),
    "no assignment": (
        [records(1), polled(0), worked(0), committed(1), group_at(1)],
        {
            "unassigned_read",
            "poll_skip",
            "backward_poll",
            "start_beyond_committed",
            "double_owner",
        },
        "no assignment of its group is on record",
    ),
    "several members that commit in the background": (
        [
            records(1),
            assigned(0),
            polled(0),
            worked(0),
            committed(1, synchronous=False),
            assigned(1, member=2),
            group_at(1),
        ],
        {"double_owner"},
        "when it was called",
    ),
    "a coordinator that may have a commit of unknown outcome": (
        [
            records(2),
            assigned(0),
            polled(0, 1),
            worked(0, 1),
            called(1),
            polled(1),
            called(2),
            committed(2),
            group_at(1),
        ],
        {"commit_lost"},
        "a commit of unknown outcome may have put it there",
    ),
    "an order that two equal instants leave open": (
        [
            records(1),
            assigned(0),
            polled(0),
            worked(0),
            committed(1, at_us=START_US + 9),
            assigned(0, member=2),
            polled(0, member=2),
            *worked(0, member=2, at_us=START_US + 9),
            group_at(1),
        ],
        {"reprocessed"},
        "their order is not known",
    ),
    "a journal that is gone": (
        [records(1), assigned(0), polled(0), worked(0), group_at(1), turned(1, "assigned")],
        set(CONSUMER_ANOMALIES),
        "the journal of member 2 is not there",
    ),
}


@pytest.mark.parametrize("name", BLIND)
def test_what_could_not_be_looked_at_is_inconclusive(tmp_path: Path, name: str) -> None:
    history, blind, says = BLIND[name]
    found = promises(judged(tmp_path / "run", history, info=INFO))
    assert {each for each, promise in found.items() if promise.verdict == INCONCLUSIVE} == blind
    assert all(says in found[each].reason for each in blind)


def test_what_a_member_whose_journal_is_gone_did_is_not_denied(tmp_path: Path) -> None:
    history = [records(2), assigned(0), polled(0, 1), worked(0), group_at(2)]
    assert judged(tmp_path / "whole", history, info=INFO).profiles[0].counts["unprocessed"] == 1
    gone = [*history, turned(1, "assigned")]
    assert judged(tmp_path / "gone", gone, info=INFO).profiles[0].counts["unprocessed"] == 0


def test_a_killed_member_of_a_pipeline_is_no_load_that_died(tmp_path: Path) -> None:
    pipeline = run_info([consuming("transactional", name="exactly-once-pipeline")])
    by_load = [acked(0, 0), drained(0, 0)]
    by_member = [acked(0, 0, topic=1, producer=2), drained(0, 0, topic=1, producer=2)]
    for name, history, unclosed in (
        ("member", by_member, []),
        ("load", by_load, [1]),
        ("both", by_load + by_member, [1]),
    ):
        run = run_record_of(tmp_path / name, history, info=pipeline, closed=False)
        assert reconcile(run)[0].unclosed == unclosed


def test_what_a_share_group_gave_up_keeps_its_promise_open(tmp_path: Path) -> None:
    shared = consuming("share", promises=["no_unprocessed"])
    history = [records(2), polled(0, 1), worked(0), accepted(0)]
    for name, at, verdict, says in (
        ("pending", 1, KEPT, ""),
        ("passed", 2, INCONCLUSIVE, "gave up 1 of its records"),
    ):
        info = run_info([shared])
        promise = promises(judged(tmp_path / name, [history, group_at(at)], info=info))
        assert promise["unprocessed"].verdict == verdict
        assert says in promise["unprocessed"].reason


def test_a_member_that_died_before_it_had_a_journal_did_nothing(tmp_path: Path) -> None:
    history = [records(1), assigned(0), polled(0), worked(0), group_at(1), turned(1, "started")]
    assert promises(judged(tmp_path / "run", history, info=INFO))["unprocessed"].verdict == KEPT


def test_an_effect_in_a_journal_that_breaks_off_is_not_denied(tmp_path: Path) -> None:
    history = [records(3), assigned(0), polled(0, 1, 2), worked(0, 1)[:3], group_at(3)]
    run_dir = write_run(tmp_path / "run", history, info=INFO)
    journal = run_dir.members / f"{SUBJECT.profile}-1.journal"
    whole = reconcile(load_run(run_dir, 1))[0]
    assert whole.counts["unprocessed"] == 2
    with journal.open("ab") as tail:
        tail.write(b"half an entry")
    torn = reconcile(load_run(run_dir, 1))[0]
    # The record that was begun may be done: the entry that breaks off may have said so.
    assert torn.counts["unprocessed"] == 1
    assert "breaks off" in torn.blind["unprocessed"][0]


def test_what_consumers_did_adds_up(tmp_path: Path) -> None:
    history = [records(5), assigned(0), polled(0, 1, 3), worked(0, 1, 1), committed(3), group_at(3)]
    consume = judged(tmp_path / "run", history, info=INFO).profiles[0].consume
    assert consume is not None
    assert (consume.records, consume.processed, consume.pending) == (5, 2, 2)
    assert (consume.polled, consume.effects, consume.commits) == (3, 3, 1)
    assert (consume.members, consume.died) == (1, 1)


def test_a_sample_names_who_had_the_record_last_and_the_fault_that_was_nearest(
    tmp_path: Path,
) -> None:
    def at(seconds: float) -> int:
        return START_US + round(seconds * SECOND_US)

    history = [
        records(2),
        killed_member(1),
        killed_member(9, "g"),
        assigned(0, at_us=at(2)),
        polled(0, at_us=at(8)),
        committed(1, at_us=at(8.5)),
        worked(0, at_us=at(8.6))[:1],
        assigned(0, member=2, at_us=at(10)),
        polled(1, member=2, at_us=at(11)),
        worked(1, member=2, at_us=at(11)),
        group_at(2),
    ]
    samples = judged(tmp_path / "run", history, info=INFO).profiles[0].samples
    found = [(each.anomaly, each.offset, each.member, each.since_fault_s) for each in samples]
    assert found == [("unprocessed", 0, 1, -0.4), ("poll_skip", 0, 2, 2.0)]


STORIES: dict[str, tuple[list[Any], list[str]]] = {
    "poll_skip": (
        [records(4), assigned(), polled(0, 3)],
        [
            "from which offset it reads is not on record",
            "handed the record at offset 0",
            "record at offset 3",
        ],
    ),
    "backward_poll": (
        [records(3), assigned(0), polled(0, 1, 2, 1)],
        ["from offset 0", "record at offset 1", "record at offset 2", "record at offset 1"],
    ),
    "unassigned_read": (
        [records(2), assigned(0), polled(0), revoked(), polled(1)],
        ["gives the partition up", "handed the record at offset 1"],
    ),
    "commit_beyond_position": (
        [records(4), assigned(0), polled(0), committed(3)],
        ["handed the record at offset 0", "has committed up to offset 3"],
    ),
    "start_beyond_committed": (
        [
            records(3),
            assigned(0),
            polled(0),
            committed(1),
            revoked(),
            assigned(2, member=2),
            polled(2, member=2),
        ],
        [
            "member 1 has committed up to offset 1",
            "member 2 is assigned the partition, to read from offset 2",
            "member 2 is handed the record at offset 2",
        ],
    ),
    "commit_lost": (
        [records(3), assigned(0), polled(0, 1, 2), committed(3), group_at(1)],
        ["member 1 has committed up to offset 3", "the last committed offset on record is 1"],
    ),
    "double_owner": (
        [
            records(2),
            assigned(0),
            assigned(0, member=2),
            polled(0, member=2),
            called(1, member=2),
            committed(1, member=2),
            polled(0),
            called(1),
            committed(1),
            revoked(),
            closed(member=2),
        ],
        [
            "member 1 is assigned",
            "member 2 is assigned",
            "member 2 has committed up to offset 1",
            "member 1 has committed up to offset 1",
        ],
    ),
}


@pytest.mark.parametrize("anomaly", STORIES)
def test_a_witness_tells_what_the_member_was_handed_around_it(tmp_path: Path, anomaly: str) -> None:
    history, told = STORIES[anomaly]
    witnesses = judged(tmp_path / "run", history, info=INFO).profiles[0].witnesses
    lines = next(iter(each.text for each in witnesses if each.anomaly == anomaly))
    for words in told:
        at = next((place for place, line in enumerate(lines) if words in line), None)
        assert at is not None, (words, lines)
        lines = lines[at + 1 :]


@pytest.mark.parametrize(
    ("behind", "back_s"),
    [
        ([2, 3, 3, 9, 9, 3, 2, 1, 1, 1], 5),
        ([2, 3, 3, 2, 3, 3, 2, 1, 1, 1], 2),
        ([2, 3, 3, 9, 9, 9, 9, 9, 9, 9], None),
        ([2, 3, 3, 4, 2, 9, 9, 3, 2, 1], 7),
        ([2, 3, 3, 9, 2, 2, 2, 2, 9, 2], 4),
    ],
)
def test_a_lag_is_back_where_it_was_once_it_stays_there(
    behind: list[int], back_s: int | None
) -> None:
    at_us = START_US + np.arange(len(behind)) * SECOND_US
    found = recovered_us(at_us, np.array(behind), START_US + 2 * SECOND_US)
    assert found == (None if back_s is None else START_US + back_s * SECOND_US)


def test_without_a_look_before_the_fault_no_recovery_is_known() -> None:
    at_us = START_US + np.arange(3) * SECOND_US
    assert recovered_us(at_us, np.array([1, 1, 1]), START_US - 1) is None
