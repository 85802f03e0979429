"""Each anomaly has a witness: the events that prove it, in order, and no more than is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.rundir.replicas import DeadLog, LogState, ReplicaEvidence, Sought, StrandedRange
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict import Witness
from tests.support.histories import (
    SLOT_US,
    START_US,
    Proof,
    acked,
    assigned,
    committed,
    consuming,
    corrupt,
    drained,
    event,
    failed,
    fault,
    group_at,
    judged,
    live,
    misrouted,
    observed,
    polled,
    profile,
    read_at,
    records,
    run_info,
    sent,
    slot,
    txn,
    unknown,
    unproven,
    worked,
)

TOPIC = "t"


def witnesses(path: Path, *history: Any, transactional: bool = False) -> list[Witness]:
    info = run_info([profile(topics=[TOPIC], transactional=transactional)])
    return judged(path, history, info=info).profiles[0].witnesses


def only(path: Path, anomaly: str, *history: Any, transactional: bool = False) -> Witness:
    found = witnesses(path, *history, transactional=transactional)
    assert {each.anomaly for each in found} == {anomaly}
    json.dumps(found[0].events)
    return found[0]


def steps(witness: Witness) -> list[str]:
    return [str(each["what"]) for each in witness.events]


def of(witness: Witness, what: str) -> dict[str, Any]:
    return next(each for each in witness.events if each["what"] == what)


def moved(before: int = 1, after: int = 2, **more: Any) -> list[Any]:
    """A leader killed at slot 2, another one in the next epoch, healed at slot 8."""
    evidence = {
        "moves_leader": True,
        "brokers": [
            {"broker": before, "pid": 7, "signal": "SIGKILL", "at": "2023-11-14T22:13:21Z"}
        ],
        "partitions": [
            {
                "topic": TOPIC,
                "partition": 0,
                "leader_before": before,
                "epoch_before": 4,
                "leader_after": after,
                "epoch_after": 5,
            }
        ],
        **more,
    }
    return [
        fault("inject", 2),
        fault("injected", 2, evidence=evidence, took_effect=True),
        fault("healed", 8),
        event("leader", START_US, topic=TOPIC, partition=0, leader=before, leader_epoch=4),
        event(
            "leader", START_US + 6 * SLOT_US, topic=TOPIC, partition=0, leader=after, leader_epoch=5
        ),
    ]


def test_a_lost_record_is_followed_from_its_acknowledgement_to_what_stands_there_now(
    tmp_path: Path,
) -> None:
    history = [
        acked(0, 0),
        observed(0, 0),
        acked(1, 1),
        acked(2, 1),
        observed(2, 1),
        slot(TOPIC, 0, attempted=3, acked=3),
        moved(),
    ]
    found = {each.anomaly: each for each in witnesses(tmp_path, *history)}
    assert set(found) == {"lost", "inconsistent_offset"}
    witness = found["lost"]
    assert (witness.producer, witness.sequence, witness.offset) == (1, 1, 1)
    assert steps(witness) == [
        "attempt", "outcome", "fault", "signal", "elected", "drained", "stands", "read_live",
        "replicas",
    ]  # fmt: skip
    assert of(witness, "outcome")["offset"] == 1
    assert (of(witness, "attempt")["leader"], of(witness, "attempt")["leader_epoch"]) == (1, 4)
    assert (of(witness, "elected")["leader"], of(witness, "elected")["leader_epoch"]) == (2, 5)
    assert (of(witness, "stands")["producer"], of(witness, "stands")["sequence"]) == (1, 2)
    assert of(witness, "fault")["fault_id"] == "f"
    assert witness.replicas is not None
    assert witness.replicas["held"] == "unknown"
    text = "\n".join(witness.text)
    assert "to its client; the leader last seen by then is broker 1, epoch 4" in text
    assert "it was acknowledged at offset 1" in text
    assert "SIGKILL to broker 1" in text
    assert "the drain returned record 2 of producer 1 at offset 1" in text
    assert "the live reading does not hold it" in text


def test_a_record_read_live_before_it_was_lost_says_so_and_where_the_log_ends_now(
    tmp_path: Path,
) -> None:
    found = witnesses(tmp_path, acked(0, 0), observed(0, 0), acked(1, 1), live(1, 1))
    lost = next(each for each in found if each.anomaly == "lost")
    assert of(lost, "read_live")["offset"] == 1
    assert "the log ends at 1, at or below offset 1" in "\n".join(lost.text)
    assert "no fault is on record" in "\n".join(lost.text)
    assert {each.anomaly for each in found} == {"lost", "vanished"}


def test_what_a_dead_leaders_log_held_tells_loss_by_brokers_from_loss_on_the_way(
    tmp_path: Path,
) -> None:
    """Records 1 and 2 are lost; the dead leader's log, which was looked into, held only 1."""
    path = tmp_path / "run"
    dead = DeadLog("f", "now", 1, TOPIC, 0, 3, 2, 1, 5, [StrandedRange(1, 1, 1, 1, 4)], True)
    history = [
        acked(0, 0), observed(0, 0), acked(1, 1), sent(2), moved(),
        slot(TOPIC, 0, attempted=3, acked=3),
    ]  # fmt: skip
    info = run_info([profile(topics=[TOPIC])])
    judged(path, history, info=info)
    run_dir = RunDir(path)
    run_dir.dead_logs("f").parent.mkdir()
    ReplicaEvidence(dead=[dead]).write(run_dir.dead_logs("f"))
    sought = [Sought(TOPIC, 0, 1, 1), Sought(TOPIC, 0, 1, 2)]
    logs = [LogState(2, TOPIC, 0, 0, 1, [[4, 0], [5, 1]], True)]
    ReplicaEvidence(logs, sought).write(run_dir.replicas(1))
    from harness.judge.judge import judge
    from harness.rundir.run_record import load_run

    found = judge(load_run(run_dir, 1)).profiles[0].witnesses
    held = {each.sequence: each.replicas and each.replicas["held"] for each in found}
    assert held == {1: "truncated", 2: "never"}
    first = next(each for each in found if each.sequence == 1)
    assert of(first, "parted")["offset"] == 1
    assert of(first, "replicas")["broker"] == 1
    assert "of 2 sampled lost records 1 are like this" in first.text[-1]


@pytest.mark.parametrize(
    ("anomaly", "history", "expected", "words"),
    [
        (
            "unseen",
            [acked(0, 0), observed(0, 0), acked(1, 1), unproven()],
            ["attempt", "outcome", "no_fault", "stands", "read_live", "drained"],
            "whether it is there is not known: its end was not reached",
        ),
        (
            "duplicate",
            [acked(0, 0), observed(0, 0), observed(0, 2)],
            ["attempt", "outcome", "no_fault", "copy", "copy"],
            "the drain returned copy 2 at offset 2",
        ),
        (
            "gap",
            [acked(0, 0), observed(0, 0), unknown(1), acked(2, 1), observed(2, 1)],
            ["acknowledged", "acknowledged", "attempt", "outcome", "no_fault", "drained"],
            "record 2 was acknowledged at offset 1",
        ),
        (
            "phantom",
            [acked(0, 0), observed(0, 0), observed(9, 1)],
            ["ledger", "read"],
            "holds 1 attempts here, and none of them is record 9",
        ),
        ("corrupt", [acked(0, 0), observed(0, 0), corrupt(1)], ["read"], "fails its checksum"),
        ("misrouted", [acked(0, 0), observed(0, 0), misrouted(5, 1)], ["read"], "identity names"),
        (
            "failed_visible",
            [failed(0), observed(0, 0)],
            ["attempt", "outcome", "read_live", "read_drained"],
            "it failed",
        ),
        (
            "inconsistent_offset",
            [acked(0, 1), observed(0, 0)],
            ["attempt", "outcome", "no_fault", "stands", "copy"],
            "the drain returned it at offset 0",
        ),
        (
            "inconsistent_offset",
            [acked(0, 1), acked(0, 1, producer=2), unproven()],
            ["attempt", "outcome", "no_fault", "stands", "acknowledged"],
            "record 0 of producer 1 was acknowledged at offset 1 as well",
        ),
        (
            "duplicate",
            [acked(0, 0), live(0, 0), drained(0, 5), Proof(start=5)],
            ["attempt", "outcome", "no_fault", "copy", "read_live"],
            "the live reader got copy 2 at offset 0",
        ),
        (
            "inversion",
            [acked(0, 5), live(0, 5), acked(1, 3), unproven()],
            ["attempt", "outcome", "attempt", "outcome", "no_fault", "stands", "stands"],
            "record 1 was acknowledged at offset 3",
        ),
        (
            "inversion",
            [acked(0, 1), observed(0, 1), acked(1, 0), observed(1, 0)],
            ["attempt", "outcome", "attempt", "outcome", "no_fault", "stands", "stands"],
            "the drain returned record 0 at offset 1; it was handed over before record 1",
        ),
        (
            "vanished",
            [acked(0, 0), observed(0, 0), unknown(1), live(1, 1)],
            ["attempt", "outcome", "read_live", "no_fault", "stands"],
            "the live reader got it at offset 1",
        ),
    ],
)
def test_an_anomaly_of_records_has_its_story(
    anomaly: str, history: list[Any], expected: list[str], words: str, tmp_path: Path
) -> None:
    found = witnesses(tmp_path, *history)
    assert {each.anomaly for each in found} - {"lost", "unseen"} <= {anomaly}
    witness = next(each for each in found if each.anomaly == anomaly)
    assert steps(witness) == expected
    assert words in "\n".join(witness.text)
    assert witness.text[0].startswith(f"{anomaly}: ")
    assert len(witness.text) == len(witness.events) + 1


def test_a_torn_transaction_is_told_with_its_steps_and_what_is_there_of_each_part(
    tmp_path: Path,
) -> None:
    found = witnesses(
        tmp_path,
        acked(0, 0),
        observed(0, 0),
        acked(1, 1),
        txn(3, "committed", 0, 1, called_us=START_US + 5),
        transactional=True,
    )
    torn = next(each for each in found if each.anomaly == "torn_txn")
    assert steps(torn) == ["begin", "commit_called", "ended", "no_fault", "drained"]
    assert torn.text[0] == "torn_txn: transaction 3 of producer 1"
    assert (of(torn, "drained")["records"], of(torn, "drained")["present"]) == (2, 1)
    assert "the first that it did not return is record 1" in "\n".join(torn.text)


def test_a_read_before_the_commit_was_called_is_told_in_the_order_of_the_clock(
    tmp_path: Path,
) -> None:
    witness = only(
        tmp_path,
        "precommitted_read",
        acked(0, 0),
        observed(0, 0),
        read_at(0, 0, START_US + 1),
        txn(1, "committed", 0, 0, called_us=START_US + 9),
        transactional=True,
    )
    assert steps(witness) == ["read_live", "begin", "commit_called", "ended"]
    assert [each["at"] for each in witness.events] == sorted(e["at"] for e in witness.events)


def test_an_aborted_record_that_is_read_names_its_transaction(tmp_path: Path) -> None:
    witness = only(
        tmp_path, "failed_visible", failed(0), drained(0, 0), txn(1, "aborted", 0, 0),
        transactional=True,
    )  # fmt: skip
    assert steps(witness) == ["begin", "attempt", "outcome", "ended", "read_drained"]
    assert "abort returns success" in "\n".join(witness.text)


def test_at_most_three_witnesses_are_told_of_an_anomaly_and_none_without(tmp_path: Path) -> None:
    many = [acked(number, number) for number in range(9)]
    assert len(witnesses(tmp_path / "many", many)) == 3
    assert witnesses(tmp_path / "none", acked(0, 0), observed(0, 0)) == []


def test_a_record_processed_again_after_its_commit_is_told_by_what_each_member_did(
    tmp_path: Path,
) -> None:
    info = run_info([consuming(topics=[TOPIC])])
    history = [
        *records(2),
        assigned(0),
        polled(0, 1),
        worked(0, 1),
        committed(2),
        assigned(0, member=2),
        polled(1, member=2),
        worked(1, member=2),
        group_at(2),
    ]
    found = judged(tmp_path, history, info=info).profiles[0].witnesses
    again = next(each for each in found if each.anomaly == "reprocessed")
    assert again.offset == 1
    told = [(each["what"], each.get("member")) for each in again.events]
    in_order = [
        ("polled", 1), ("begin", 1), ("effect", 1), ("committed", 1), ("died", 1),
        ("polled", 2), ("begin", 2), ("effect", 2), ("group_at", None),
    ]  # fmt: skip
    assert [each for each in told if each in in_order] == in_order
    assert "member 1 has committed up to offset 2, past it (it waited)" in "\n".join(again.text)
