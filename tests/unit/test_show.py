"""harness show: what a profile, an experiment or a fault is, for people and as data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

import harness
from harness.anomalies import BY_NAME
from harness.cli.main import main
from harness.faults.experiments import list_experiments
from harness.faults.registry import FAULTS
from harness.profiles import load_builtin


@pytest.mark.parametrize("name", load_builtin())
def test_every_profile_is_shown_with_its_promises_in_words_and_its_settings(name: str) -> None:
    profile, found = load_builtin()[name], harness.definition("profile", name)
    assert found.promises == {
        each: f"never {BY_NAME[each.removeprefix('no_')].what}" for each in profile.promises
    }
    assert found.settings["producer"] == dict(profile.producer)
    assert found.settings["topic"] == dict(profile.topic)
    assert found.what == profile.summary


@pytest.mark.parametrize("name", [each.name for each in list_experiments()])
def test_every_experiment_is_shown_with_its_faults_its_control_and_its_file(name: str) -> None:
    found = harness.definition("experiment", name)
    experiment = next(each for each in list_experiments() if each.name == name)
    assert yaml.safe_load(found.text)["title"] == found.facts["title"]
    for anomaly, control in experiment.aims.items():
        assert f"{anomaly} in {control}, its control" in found.facts["expects"]
    for fault in experiment.faults:
        assert FAULTS[fault].description in found.facts["injects"]


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_shown_with_its_arguments_and_where_it_is_described(name: str) -> None:
    found = harness.definition("fault", name)
    assert found.what == FAULTS[name].description
    assert found.documentation == f"docs/faults.md, {name}"
    page = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
    assert f"### {name}" in page
    assert "configuration" not in found.settings.get("arguments", {})


def test_a_control_is_named_as_one() -> None:
    assert (
        "lost in stop_followers_then_kill_leader"
        in (harness.definition("profile", "leader-ack").facts["control for"])
    )
    assert harness.definition("fault", "stop_followers_then_kill_leader").settings["arguments"][
        "hold_s"
    ] == 1.5  # fmt: skip


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["profile", "idempotnt"], "did you mean idempotent"),
        (["experiment", "kill_leadr"], "did you mean kill_leader"),
        (["fault", "kill_leadr"], "did you mean kill_leader"),
        (["experiment", "nowhere.yaml"], "no such file"),
        (["fault", "kill_leader", "--profiles", "x.yaml"], "goes with `profile`"),
    ],
)
def test_a_name_that_there_is_not_is_refused_with_the_nearest(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", *words]) == 2
    assert says in capsys.readouterr().err


def test_a_profile_of_a_file_is_shown_with_what_it_requires(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "profiles:\n  own: {extends: leader-ack, summary: Ours, require: [p99_ack_ms<200]}\n"
    )
    assert main(["show", "profile", "own", "--profiles", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "p99_ack_ms<200: p99 of ack latency: less than 200 ms" in shown
    assert f"defined: {path}:2" in shown
    assert "acks: 1" in shown
    assert main(["show", "profile", "own", "--profiles", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["promises"]["p99_ack_ms<200"] == "p99 of ack latency: less than 200 ms"
    assert document == harness.definition("profile", "own", profiles_file=path).to_json()
