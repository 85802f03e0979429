"""Judging Chaos Toolkit's journal: its exit status says too little."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.faults import control
from harness.rundir.experiment_journal import ExperimentJournal, read_journal_document


def activity(name: str, status: str | None = "succeeded", **fields: Any) -> dict[str, Any]:
    run = {"activity": {"name": name}, "output": None, **fields}
    return run if status is None else {**run, "status": status}


def journal(**fields: Any) -> dict[str, Any]:
    met = {"steady_state_met": True, "probes": [activity("full-isr", output=True)]}
    return {
        "experiment": {"title": "A leader dies"},
        "status": "completed",
        "deviated": False,
        "steady_states": {"before": met, "after": met, "during": []},
        "run": [
            activity("kill", output={"fault": "kill_leader", "took_effect": True, "evidence": {}})
        ],
        "rollbacks": [activity("heal")],
        **fields,
    }


NOT_MET = {
    "steady_state_met": False,
    "probes": [activity("full-isr", output=False, tolerance_met=False)],
}


def of(document: dict[str, Any] | None) -> ExperimentJournal:
    return ExperimentJournal(1, "e", document)


def test_a_journal_in_order_tells_no_trouble_and_holds_its_faults() -> None:
    found = of(journal())
    assert found.troubles() == []
    assert found.completed
    assert [fault["fault"] for fault in found.outputs] == ["kill_leader"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (
            {"steady_states": {"before": NOT_MET}, "run": []},
            "its steady state did not hold before the fault ('full-isr')",
        ),
        (
            {"steady_states": {"after": NOT_MET}, "deviated": True},
            "its steady state did not hold after the fault ('full-isr')",
        ),
        ({"status": "aborted"}, "it ended as 'aborted' and not as 'completed'"),
        ({"status": "interrupted"}, "it ended as 'interrupted' and not as 'completed'"),
        ({"deviated": True}, "the system deviated from its steady state"),
        (
            {"run": [activity("kill", "failed", exception=["Trace", "FaultError: no leader\n"])]},
            "activity 'kill' ended as 'failed': FaultError: no leader",
        ),
        ({"run": [activity("kill", None)]}, "activity 'kill' ended as None"),
        (
            {"rollbacks": [activity("heal", "failed", exception=["x"])]},
            "rollback 'heal' ended as 'failed': x",
        ),
    ],
)
def test_what_went_wrong_is_told(fields: dict[str, Any], reason: str) -> None:
    assert of(journal(**fields)).troubles() == [f"experiment e: {reason}"]


def test_a_missing_journal_is_told(tmp_path: Path) -> None:
    assert read_journal_document(tmp_path / "journal.json") is None
    assert of(None).troubles() == ["experiment e left no journal: it did not come to its end"]
    assert not of(None).completed
    assert of(None).outputs == []


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_torn_journal_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "journal.json"
    path.write_text(text)
    assert read_journal_document(path) is None


def test_a_journal_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    path.write_text(json.dumps(journal()))
    assert read_journal_document(path) == journal()


def said_at_the_end(
    document: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.delenv("HARNESS_RUN_DIR", raising=False)
    control.after_experiment_control(document["experiment"], document)
    return capsys.readouterr().err


def test_an_experiment_whose_action_failed_does_not_end_in_silence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = journal(run=[activity("kill", "failed", exception=["UsageError: no control\n"])])
    said = said_at_the_end(failed, capsys, monkeypatch)
    assert "activity 'kill' ended as 'failed': UsageError: no control" in said
    assert "`chaos run` ends with status 0 all the same" in said


def test_what_chaos_run_itself_ends_with_is_not_claimed_to_be_0(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for document in (journal(status="aborted"), journal(deviated=True, run=[activity("x", None)])):
        said = said_at_the_end(document, capsys, monkeypatch)
        assert "not carried out as written" in said
        assert "status 0" not in said


def test_a_sound_experiment_ends_without_a_complaint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said_at_the_end(journal(), capsys, monkeypatch) == ""


def test_a_fault_without_effect_is_complained_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for evidence, why in (
        ({"shortcomings": ["t-0: no other leader"]}, "t-0: no other leader"),
        ({}, "no evidence"),
    ):
        output = {"fault": "kill_leader", "took_effect": False, "evidence": evidence}
        said = said_at_the_end(journal(run=[activity("kill", output=output)]), capsys, monkeypatch)
        assert f"kill_leader shows no effect: {why}" in said
        assert "`chaos run` ends with status 0 all the same" in said
