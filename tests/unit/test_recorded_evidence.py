"""Reading evidence back: of any kind of brokers, and of before it said what it is."""

from __future__ import annotations

from typing import Any

import pytest

from harness.brokers.local.evidence import Killed, Paused, Restarted, Resumed
from harness.report.facts import evidence_lines
from harness.report.wording import injected_faults
from harness.rundir.fault_evidence import Cut, FaultEvidence
from harness.rundir.recorded_evidence import RecordedEvidence
from harness.rundir.timeline import read_timeline

AT = "2026-01-01T00:00:10.000000Z"
DONE = [
    Paused(2, 42, "SIGSTOP", AT, state="stopped"),
    Killed(1, 41, "SIGKILL", AT, exit_status=-9),
    Resumed(2, 42, "SIGCONT", AT),
    Restarted(3, 43, "SIGTERM", AT, exit_status=143, restarted_pid=44),
]
CUT = Cut(1, "client", "cut_responses", AT, AT, False, True, 4)
POD = {
    "broker": 2,
    "deed": "kill",
    "at": AT,
    "pod_uid": "6f1c",
    "exit_code": 137,
    "told": "pod kafka-2 (6f1c) was deleted, its container ended with 137",
}


def recorded(fault: str = "f", /, **evidence: Any) -> RecordedEvidence:
    return RecordedEvidence(fault, evidence)


def test_what_faults_write_is_read_with_deed_instant_and_sentence() -> None:
    seen = RecordedEvidence("f", FaultEvidence(True, False, brokers=[*DONE], links=[CUT]).to_json())
    assert [(each.broker, each.deed, each.action) for each in seen.brokers] == [
        (2, "pause", "SIGSTOP"),
        (1, "kill", "SIGKILL"),
        (2, "resume", "SIGCONT"),
        (3, "restart", "SIGTERM"),
    ]
    assert {each.at_us for each in seen.brokers} == {1_767_225_610_000_000}
    assert list(seen.lines()) == [
        "SIGSTOP to broker 2 (process 42), then seen stopped",
        "SIGKILL to broker 1 (process 41), exit status -9",
        "SIGCONT to broker 2 (process 42)",
        "SIGTERM to broker 3 (process 43), exit status 143, started again as process 44",
        "cut_responses on the client link of broker 1, no answer came through it while the broker "
        "did answer beside it, 4 connections reset",
    ]


def test_evidence_of_before_it_said_its_deed_is_read_the_same() -> None:
    document = FaultEvidence(True, False, brokers=[*DONE], links=[CUT]).to_json()
    before = {
        **document,
        **{
            kind: [
                {key: value for key, value in each.items() if key not in ("deed", "told")}
                for each in document[kind]
            ]
            for kind in ("brokers", "links")
        },
    }
    new, old = RecordedEvidence("f", document), RecordedEvidence("f", before)
    assert old.brokers == new.brokers
    assert old.links == new.links


def test_evidence_of_another_kind_of_brokers_speaks_for_itself() -> None:
    seen = recorded(brokers=[POD], moves_leader=True)
    (kill,) = seen.brokers
    assert (kill.broker, kill.deed, kill.what) == (2, "kill", "kill to broker 2")
    assert evidence_lines("f", {"brokers": [POD]}) == [POD["told"]]
    assert not seen.nominal


@pytest.mark.parametrize(
    ("fault", "evidence", "nominal"),
    [
        ("no_fault", {"nominal": True}, True),
        ("calm", {"nominal": True}, True),
        # Evidence of before the word was written: the one fault of that kind had one name.
        ("no_fault", {"brokers": [], "links": []}, True),
        ("kill_leader", {"brokers": [], "links": []}, False),
        ("delete_pods", {"pods": [POD]}, False),
        ("delete_pods", {}, False),
        ("no_fault", {"nominal": False}, False),
        ("f", {"nominal": "true"}, False),
        ("f", {"nominal": 1}, False),
    ],
)
def test_that_nothing_was_to_be_struck_is_said_and_not_concluded(
    fault: str, evidence: dict[str, Any], nominal: bool
) -> None:
    assert RecordedEvidence(fault, evidence).nominal is nominal
    injected = {
        "event": "fault", "at": AT, "fault_id": "x", "fault": fault, "phase": "injected",
        "target": "", "evidence": evidence, "took_effect": True,
    }  # fmt: skip
    (found,) = read_timeline([injected]).faults
    assert found.idle is nominal


@pytest.mark.parametrize("kind", ["brokers", "links"])
@pytest.mark.parametrize("at", ["yesterday", 5])
def test_an_instant_that_is_none_makes_evidence_unreadable(kind: str, at: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        recorded(**{kind: [{"broker": 1, "at": at}]}).check()


def test_only_what_struck_is_counted_as_a_fault_that_struck() -> None:
    class Fault:
        def __init__(self, evidence: dict[str, Any], took_effect: bool = True) -> None:
            self.fault, self.evidence, self.took_effect = "f", evidence, took_effect

    class Verdict:
        faults = (Fault({"nominal": True}), Fault({"pods": [POD]}), Fault({}, took_effect=False))

    assert injected_faults(Verdict()) == 1  # type: ignore[arg-type]
