"""When does the evidence show that a fault took effect? A truth table."""

from __future__ import annotations

import dataclasses

import pytest

from harness.brokers.local.evidence import (
    Ended,
    Killed,
    Paused,
    Restarted,
    Resumed,
    Signalled,
)
from harness.rundir.fault_evidence import (
    Cut,
    FaultEvidence,
    MemberEvidence,
    PartitionMove,
    shortcomings,
)

AT = "2026-01-01T00:00:00.000000Z"
MOVED = PartitionMove("t", 0, 1, 4, 2, 5)
KILLED = Killed(1, 100, "SIGKILL", AT, exit_status=-9)
STOPPED = Paused(2, 101, "SIGSTOP", AT, state="stopped")
RESTARTED = Restarted(1, 100, "SIGTERM", AT, exit_status=143, restarted_pid=200)
CUT = Cut(1, "client", "cut_responses", AT, AT, False, True, 4)


def crash(*brokers: Signalled, links: list[Cut] | None = None, **fields: object) -> FaultEvidence:
    evidence = FaultEvidence(
        True, False, brokers=list(brokers), links=links or [], partitions=[MOVED]
    )
    return dataclasses.replace(evidence, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "evidence",
    [
        crash(KILLED),
        crash(STOPPED, KILLED, Resumed(2, 101, "SIGCONT", AT)),
        crash(KILLED, links=[CUT]),
        FaultEvidence(False, False, links=[CUT], partitions=[PartitionMove("t", 0, 1, 4, 1, 4)]),
        FaultEvidence(
            True, True, brokers=[RESTARTED], partitions=[PartitionMove("t", 0, 1, 4, 1, 6)]
        ),
        crash(Ended(1, 100, "SIGTERM", AT, exit_status=143)),
        FaultEvidence(False, True, nominal=True, partitions=[PartitionMove("t", 0, 1, 4, 1, 4)]),
    ],
    ids=["killed", "stopped and killed", "cut and killed", "cut", "restarted", "ended", "nominal"],
)
def test_a_fault_whose_every_trace_was_seen_took_effect(evidence: FaultEvidence) -> None:
    assert shortcomings(evidence) == []


@pytest.mark.parametrize(
    ("evidence", "missing"),
    [
        (crash(dataclasses.replace(KILLED, exit_status=None)), "exit status None"),
        (crash(dataclasses.replace(KILLED, exit_status=143)), "exit status 143"),
        (crash(dataclasses.replace(STOPPED, state="sleeping"), KILLED), "'sleeping'"),
        (crash(KILLED, partitions=[]), "no partition"),
        (crash(KILLED, partitions=[PartitionMove("t", 0, 1, 4)]), "no other leader"),
        (crash(KILLED, partitions=[PartitionMove("t", 0, 1, 4, -1, None)]), "no other leader"),
        (crash(KILLED, partitions=[PartitionMove("t", 0, 1, 4, 2, 4)]), "no other leader"),
        (crash(KILLED, partitions=[PartitionMove("t", 0, 1, 4, 1, 5)]), "no other leader"),
        (crash(KILLED, partitions=[MOVED, PartitionMove("t", 1, 1, 4, 1, 4)]), "t-1"),
        (crash(KILLED, partitions=[PartitionMove("t", 0, 1, None, 2, 5)]), "no other leader"),
        (crash(links=[dataclasses.replace(CUT, answered_through_link=True)]), "not seen"),
        (crash(links=[dataclasses.replace(CUT, answered_through_link=None)]), "not seen"),
        (crash(links=[dataclasses.replace(CUT, answered_past_link=False)]), "past the link"),
        (crash(links=[dataclasses.replace(CUT, answered_past_link=None)]), "past the link"),
        (
            FaultEvidence(
                True,
                True,
                brokers=[dataclasses.replace(RESTARTED, restarted_pid=100)],
                partitions=[MOVED],
            ),
            "no new process",
        ),
        (
            FaultEvidence(
                True,
                True,
                brokers=[dataclasses.replace(RESTARTED, exit_status=-9)],
                partitions=[MOVED],
            ),
            "exit status -9",
        ),
        (crash(Ended(1, 100, "SIGTERM", AT)), "exit status None"),
        (FaultEvidence(False, True, nominal=True, partitions=[MOVED]), "without a fault"),
        (
            FaultEvidence(False, True, nominal=True, brokers=[KILLED]),
            "was done: SIGKILL to broker 1 (process 100), exit status -9",
        ),
        (FaultEvidence(False, True, partitions=[PartitionMove("t", 0, 1, 4, 1, 4)]), "nothing"),
        (FaultEvidence(True, False), "nothing shows that anything was done"),
    ],
)
def test_a_trace_that_is_missing_is_named(evidence: FaultEvidence, missing: str) -> None:
    found = shortcomings(evidence)
    assert len(found) == 1
    assert missing in found[0]


def test_evidence_is_plain_data_with_its_shortcomings() -> None:
    document = crash(dataclasses.replace(KILLED, exit_status=None)).to_json()
    assert document["moves_leader"] is True
    assert document["nominal"] is False
    sent = document["brokers"][0]
    assert (sent["broker"], sent["deed"], sent["signal"]) == (1, "kill", "SIGKILL")
    assert sent["told"] == "SIGKILL to broker 1 (process 100)"
    assert document["partitions"] == [
        {
            "topic": "t",
            "partition": 0,
            "leader_before": 1,
            "epoch_before": 4,
            "leader_after": 2,
            "epoch_after": 5,
        }
    ]
    assert len(document["shortcomings"]) == 1


def struck(action: str, **fields: object) -> MemberEvidence:
    member = MemberEvidence("p", 1, 99, action, "2026-01-01T00:00:00Z", ["t/0", "t/1"])
    for name, value in fields.items():
        setattr(member, name, value)
    return member


@pytest.mark.parametrize(
    ("member", "missing"),
    [
        (struck("SIGKILL", ended="killed by SIGKILL", taken_over=["t/0", "t/1"]), ""),
        (struck("SIGKILL", taken_over=["t/0", "t/1"]), "it was not seen to end"),
        (struck("SIGKILL", ended="left in order", taken_over=["t/0", "t/1"]), "left in order"),
        (struck("SIGKILL", ended="killed by SIGKILL", taken_over=["t/0"]), "assigned t/1"),
        (struck("SIGKILL", ended="killed by SIGKILL", shared=True), ""),
        (struck("SIGSTOP", state="stopped", taken_over=["t/0", "t/1"]), ""),
        (struck("SIGSTOP", state="running", taken_over=["t/0", "t/1"]), "state 'running'"),
        (struck("SIGSTOP", state="stopped"), "no other member was assigned t/0, t/1"),
        (struck("join", assigned=["t/1"]), ""),
        (struck("join", taken_over=["t/0", "t/1"]), "it was assigned no partition"),
        (struck("join", spare=True), ""),
        (struck("join", shared=True), ""),
        (struck("leave", ended="left in order", taken_over=["t/0", "t/1"]), ""),
        (struck("leave", ended="left in order", taken_over=["t/1"]), "assigned t/0"),
        (struck("leave", ended="left in order", partitions=[]), ""),
        (struck("leave", ended="left in order", shared=True), ""),
        (struck("leave", ended="killed by SIGKILL", partitions=[]), "killed by SIGKILL"),
    ],
)
def test_what_a_struck_member_has_to_show(member: MemberEvidence, missing: str) -> None:
    found = shortcomings(FaultEvidence(moves_leader=False, graceful=False, members=[member]))
    assert (found == []) if not missing else (missing in found[0])
