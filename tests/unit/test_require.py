"""--require and `require:`: asked of which profile, and refused before anything is started."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.cli.main import main
from harness.profiles import load_profiles
from harness.profiles.validate import validate
from harness.runs.plan import plan
from harness.runs.thresholds import Bearer, required_of
from tests.support.made_up_run import make_run

GOLDEN = Path(__file__).parents[1] / "golden"
ALL = [Bearer("idempotent", "all", False), Bearer("fire-and-forget", "0", False)]


def test_a_threshold_without_a_profile_is_asked_of_all() -> None:
    found = required_of(["p99_ack_ms < 200", "idempotent:achieved_rate>0.9"], ALL)
    assert found == {
        "idempotent": ["p99_ack_ms<200", "achieved_rate>0.9"],
        "fire-and-forget": ["p99_ack_ms<200"],
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("idempotnt:p99_ack_ms<200", "did you mean idempotent"),
        ("p99_akc_ms<200", "did you mean p99_ack_ms"),
        ("fire-and-forget:p99_ack_ms<200", "with acks=0 no broker acknowledges"),
        ("consumer_lag_max<100", "the profile has no consumers"),
    ],
)
def test_what_nobody_can_be_asked_is_refused(text: str, says: str) -> None:
    with pytest.raises(harness.UsageError, match=f"--require {text}") as refused:
        required_of([text], ALL)
    assert says in str(refused.value)


def test_a_run_refuses_a_typing_error_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--profile", "idempotent", "--require", "p99_akc_ms<200"]) == 2
    assert "did you mean p99_ack_ms" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_fault_has_no_figure_of_faults() -> None:
    options = harness.RunOptions(experiments=("no_fault",), require=("recovered_ms<5000",))
    with pytest.raises(harness.UsageError, match="inject no fault"):
        plan(options)
    options = harness.RunOptions(experiments=("kill_leader",), require=("recovered_ms<5000",))
    assert all(each.require == ("recovered_ms<5000",) for each in plan(options).request.subjects)
    assert all(each.require == () for each in plan(options).request.controls)


def profiles(tmp_path: Path, require: str, extends: str = "idempotent") -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(
        f"profiles:\n  own:\n    extends: {extends}\n    require: {require}\n"
        "  heir:\n    extends: own\n    summary: takes over what own requires\n"
    )
    return path


def test_a_profile_states_thresholds_and_its_heirs_have_them(tmp_path: Path) -> None:
    path = profiles(tmp_path, "['p99_ack_ms < 200', achieved_rate>0.99]")
    found = load_profiles([path])
    assert found["own"].require == ("p99_ack_ms<200", "achieved_rate>0.99")
    assert found["heir"].require == found["own"].require


@pytest.mark.parametrize(
    ("require", "extends", "says"),
    [
        ("[p99_akc_ms<200]", "idempotent", "did you mean p99_ack_ms"),
        ("p99_ack_ms<200", "idempotent", "a list of expressions"),
        ("[3]", "idempotent", "no comparison"),
        ("[p99_ack_ms<200]", "fire-and-forget", "with acks=0"),
        ("[consumer_lag_max<9]", "idempotent", "no consumers"),
    ],
)
def test_validate_names_the_line_of_a_threshold_that_cannot_be(
    require: str, extends: str, says: str, tmp_path: Path
) -> None:
    path = profiles(tmp_path, require, extends)
    findings = [each for each in validate(path).findings if ".require" in each.where]
    assert findings
    assert findings[0].where.startswith(f"{path}:4: own.require")
    assert says in findings[0].message + findings[0].fix


def history(name: str, *words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    status = main(["verify", "--history", str(GOLDEN / f"{name}.ndjson"), "--json", *words])
    out = capsys.readouterr()
    return status, json.loads(out.out) if out.out else out.err


def test_a_history_has_only_figures_of_outcomes(capsys: pytest.CaptureFixture[str]) -> None:
    status, told = history("outcome-acked", "--require", "p99_ack_ms<200", capsys=capsys)
    assert status == 2
    assert "Accepted with --history: failed_share, unknown_share" in told
    status, document = history("outcome-acked", "--require", "failed_share<=0", capsys=capsys)
    assert status == 0
    assert document["profiles"][0]["promises"][-1]["promise"] == "failed_share<=0"


def test_thresholds_of_a_profile_that_a_history_cannot_show_do_not_apply(tmp_path: Path) -> None:
    path = profiles(tmp_path, "[p99_ack_ms<200]")
    verdict = harness.judge_history([GOLDEN / "outcome-acked.ndjson"], "own", profiles_file=path)
    assert verdict.profiles[0].promises[-1].verdict == "not_applicable"
    assert verdict.verdict == "kept"


def test_verify_refuses_a_threshold_before_it_asks_any_broker(tmp_path: Path) -> None:
    run_dir, _ = make_run(tmp_path / "run")
    with pytest.raises(harness.UsageError, match="did you mean"):
        harness.verify(run_dir.path, require=["p99_akc_ms<200"])
    assert run_dir.next_verification() == 2
