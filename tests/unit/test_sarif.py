"""harness validate --sarif: held to the schema of SARIF 2.1.0, and to what was found where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft4Validator

import harness
from harness.cli.main import main

SCHEMA = json.loads(
    (Path(__file__).parents[1] / "support" / "sarif" / "sarif-2.1.0-rtm.5.json").read_text()
)
PROFILES = """profiles:
  own:
    extends: idempotent
    producer:
      acks: 1
      linger.msx: 5
  open: {extends: leader-ack, critical: false}
"""


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own profiles.yaml").write_text(PROFILES)
    Path("client.properties").write_text("bootstrap.servers=kafka:9092\nacks=0\n")
    Path("text.txt").write_text("nothing of ours")


def problems(document: Any) -> list[str]:
    return [
        f"{error.json_path}: {error.message}"
        for error in Draft4Validator(SCHEMA).iter_errors(document)
    ]


def of(*files: str | Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """(the run, its results) of the document about these files."""
    document = json.loads(json.dumps(harness.sarif(harness.validate(files))))
    assert problems(document) == []
    run = document["runs"][0]
    return run, run["results"]


def line_of(result: dict[str, Any]) -> int | None:
    found: int | None = (
        result["locations"][0]["physicalLocation"].get("region", {}).get("startLine")
    )
    return found


def test_a_finding_has_its_rule_level_file_and_line() -> None:
    run, results = of("own profiles.yaml")
    found = {(each["ruleId"], each["level"], line_of(each)) for each in results}
    assert ("unknown-setting", "error", 6) in found
    assert ("acks-not-all", "error", 5) in found
    assert any(level == "warning" for _, level, _ in found)
    for each in results:
        place = each["locations"][0]["physicalLocation"]["artifactLocation"]
        assert place == {"uri": "own%20profiles.yaml"}
        assert run["tool"]["driver"]["rules"][each["ruleIndex"]]["id"] == each["ruleId"]
    unknown = next(each for each in results if each["ruleId"] == "unknown-setting")
    assert unknown["locations"][0]["logicalLocations"] == [
        {"fullyQualifiedName": "own.producer.linger.msx", "kind": "member"}
    ]
    assert "did you mean linger.ms" in unknown["message"]["text"]
    assert run["invocations"] == [{"executionSuccessful": True}]


def test_every_finding_of_validate_is_a_result_and_each_rule_is_there_once() -> None:
    reports = harness.validate(["own profiles.yaml", "client.properties"])
    run, results = of("own profiles.yaml", "client.properties")
    told = [(each.rule, each.severity) for report in reports for each in report.findings]
    assert [(each["ruleId"], each["level"]) for each in results] == told
    rules = [each["id"] for each in run["tool"]["driver"]["rules"]]
    assert sorted(rules) == sorted({rule for rule, _ in told})
    lines = {line_of(each) for each in results if each["ruleId"] == "acks-not-all"}
    assert lines == {2, 5, 7}


def test_a_finding_stays_the_same_one_when_its_line_moves() -> None:
    def prints() -> set[str]:
        _, results = of("own profiles.yaml")
        return {each["partialFingerprints"]["finding/v1"] for each in results}

    before = prints()
    assert len(before) == len(of("own profiles.yaml")[1])
    Path("own profiles.yaml").write_text(f"# a comment\n{PROFILES}")
    assert prints() == before


def test_a_file_that_cannot_be_read_is_a_notification_of_a_run_without_success() -> None:
    run, results = of("text.txt", "missing.yaml")
    assert results == []
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    told = [each["message"]["text"] for each in invocation["toolExecutionNotifications"]]
    assert "not a kind of file that is known here" in told[0]
    assert "missing.yaml: cannot be read" in told[1]


def test_a_file_elsewhere_has_an_address_as_a_whole() -> None:
    path = Path("own profiles.yaml").resolve()
    _, results = of(path)
    place = results[0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": path.as_uri()}
    assert line_of(results[0]) is not None


@pytest.mark.parametrize(
    ("files", "status"),
    [(["own profiles.yaml"], 1), (["client.properties", "text.txt"], 2)],
)
def test_the_command_writes_the_document_and_ends_as_without_it(
    files: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["validate", *files, "--sarif", "new/found.sarif", "--json"]) == status
    assert len(json.loads(capsys.readouterr().out)["files"]) == len(files)
    document = json.loads(Path("new/found.sarif").read_text())
    assert problems(document) == []
    assert main(["validate", *files, "--sarif", "-"]) == status
    assert json.loads(capsys.readouterr().out) == document


def test_two_documents_on_stdout_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "client.properties", "--sarif", "-", "--json"]) == 2
    assert "both print to stdout" in capsys.readouterr().err


def test_the_schema_refuses_what_is_no_sarif() -> None:
    """Otherwise the tests above would show nothing."""
    document = harness.sarif(harness.validate(["client.properties"]))
    document["runs"][0]["results"][0]["level"] = "fatal"
    assert problems(document)
