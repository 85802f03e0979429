"""Judging Chaos Toolkit's journal: its exit status says too little."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.faults import control
from harness.faults.journal import MISSING, findings, read_journal


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


NOT_MET = {"steady_state_met": False, "probes": [activity("full-isr", output=False)]}


def test_a_journal_in_order_is_sound_and_holds_its_faults() -> None:
    found = findings(journal())
    assert found.sound
    assert [fault["fault"] for fault in found.faults] == ["kill_leader"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"steady_states": {"before": NOT_MET}, "run": []}, "not there before the first fault"),
        ({"steady_states": {"after": NOT_MET}, "deviated": True}, "did not return"),
        ({"status": "aborted"}, "status 'aborted'"),
        ({"status": "interrupted"}, "status 'interrupted'"),
        (
            {"run": [activity("kill", "failed", exception=["Trace", "FaultError: no leader\n"])]},
            "kill failed: FaultError: no leader",
        ),
        ({"run": [activity("kill", None)]}, "kill failed: interrupted"),
        ({"rollbacks": [activity("heal", "failed", exception=["x"])]}, "heal failed: x"),
        (
            {
                "run": [
                    activity(
                        "kill",
                        output={
                            "fault": "kill_leader",
                            "took_effect": False,
                            "evidence": {"shortcomings": ["t-0: no other leader"]},
                        },
                    )
                ]
            },
            "kill_leader shows no effect: t-0: no other leader",
        ),
    ],
)
def test_what_went_wrong_is_a_reason(fields: dict[str, Any], reason: str) -> None:
    found = findings(journal(**fields))
    assert not found.sound
    assert [each for each in found.reasons if reason in each]


def test_a_missing_journal_is_a_finding(tmp_path: Path) -> None:
    found = read_journal(tmp_path / "journal.json")
    assert (found.status, found.sound) == (MISSING, False)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_torn_journal_is_a_finding(tmp_path: Path, text: str) -> None:
    path = tmp_path / "journal.json"
    path.write_text(text)
    assert read_journal(path).status == MISSING


def test_a_journal_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.json"
    path.write_text(json.dumps(journal()))
    assert read_journal(path) == findings(journal())


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
    assert "kill failed: UsageError: no control" in said
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
