"""Golden histories: for every anomaly and every outcome rule a minimal one, and its near-miss.

What is expected of a history stands in the note of its first line: the profile, the verdict, which
promises are broken, and every count that is not zero.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.anomalies import ANOMALIES
from harness.cli.main import main
from harness.rundir.verdict_fields import COUNTS
from harness.system.assets import folder

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.ndjson"))
EXIT = {"kept": 0, "broken": 1, "inconclusive": 3}
SCHEMAS = folder("reports") / "schemas"
LINE = Draft202012Validator(json.loads((SCHEMAS / "history.schema.json").read_text()))
VERDICT = Draft202012Validator(json.loads((SCHEMAS / "verdict.schema.json").read_text()))


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a golden history."""
    return map(json.loads, path.read_text().splitlines())


def expected(path: Path) -> dict[str, Any]:
    """What its first line says about the verdict."""
    return dict(next(lines(path))["note"])


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_history_gets_the_verdict_that_it_names(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    want = expected(path)
    thresholds = [word for text in want.get("require", ()) for word in ("--require", text)]
    command = ["verify", "--history", str(path), "--profile", want["profile"], "--json"]
    status = main([*command, *thresholds])
    document = json.loads(capsys.readouterr().out)
    profile = document["profiles"][0]
    outcomes = ("attempted", "read")
    counts = {name: n for name, n in profile["counts"].items() if n and name not in outcomes}
    assert counts == {name: n for name, n in want["counts"].items() if n}, document["reasons"]
    assert document["verdict"] == want["verdict"], document["reasons"]
    assert status == EXIT[want["verdict"]]
    broken = [each["promise"] for each in profile["promises"] if each["verdict"] == "broken"]
    assert broken == want["broken"]
    assert not any(each["challenged"] for each in profile["promises"])
    assert [each.message for each in VERDICT.iter_errors(document)] == []


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_history_is_of_the_schema(path: Path) -> None:
    assert [error.message for line in lines(path) for error in LINE.iter_errors(line)] == []


@pytest.mark.parametrize("anomaly", ANOMALIES)
def test_every_anomaly_has_a_golden_history_and_a_near_miss(anomaly: str) -> None:
    by_name = {path.stem: expected(path)["counts"] for path in GOLDEN}
    assert by_name[anomaly].get(anomaly), f"tests/golden/{anomaly}.ndjson"
    assert not by_name[f"{anomaly}.near-miss"].get(anomaly), f"{anomaly}.near-miss.ndjson"


def test_the_golden_histories_name_counts_that_there_are() -> None:
    assert {name for path in GOLDEN for name in expected(path)["counts"]} <= set(COUNTS)
