"""verdict.json against its JSON Schema, and the schema against what it must refuse."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from harness.anomalies import ANOMALIES, CONSUMER_ANOMALIES, PROMISES
from harness.profiles.threshold import FIGURES
from harness.rundir.verdict_fields import COUNTS
from harness.rundir.verdict_file import verdict_of
from harness.system.assets import folder
from tests.support.histories import (
    acked,
    assigned,
    consuming,
    event,
    fault,
    group_at,
    judged,
    observed,
    polled,
    profile,
    records,
    run_info,
    slot,
    worked,
)
from tests.support.schemas import DOCUMENTS, text_of

SCHEMA = json.loads((folder("reports") / "schemas" / "verdict.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)

OF_OLD = COUNTS[: COUNTS.index(CONSUMER_ANOMALIES[0])]
"""The counts that every verdict has had from the beginning."""


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    """A verdict with a fault, a control, a broken promise, samples and availability."""
    subject = profile("idempotent", topics=["t"])
    control = profile("leader-ack", topics=["c"], role="control", in_verdict=False, promises=[])
    history = [
        acked(0, 0),
        observed(0, 0),
        acked(1, 1),
        acked(0, 0, topic=1, producer=2),
        slot("t", 0, attempted=2, acked=2),
        fault("inject"),
        fault("injected", evidence={"moves_leader": True}, took_effect=True),
        fault("healed"),
    ]
    info = run_info([subject, control], aims={"lost": "leader-ack"})
    found: dict[str, Any] = json.loads(
        json.dumps(judged(tmp_path / "run", history, info=info).to_json())
    )
    return found


def problems(document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(document)]


def test_the_schema_is_itself_a_valid_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_kept_schema_is_what_the_dataclasses_say(name: str) -> None:
    kept = (folder("reports") / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8")
    assert kept == text_of(name), (
        f"run: python -m tests.support.schemas {name} > reports/schemas/{name}.schema.json"
    )


def test_a_verdict_with_everything_in_it_conforms(document: dict[str, Any]) -> None:
    assert problems(document) == []
    assert document["profiles"][0]["samples"]
    assert document["faults"]
    assert document["profiles"][0]["availability"]


def test_a_verdict_on_consumers_and_keys_conforms_and_is_read_back(tmp_path: Path) -> None:
    info = run_info([consuming()])
    info.load = replace(info.load, keys=2)
    history = [
        event("incarnation", phase="started", incarnation=1, first_record=0, profile=""),
        event("lag", profile="consume-commit-after", topic="t", partition=0, committed=-1, end=3),
        records(3),
        assigned(0),
        polled(0, 2),
        worked(0, 0),
        group_at(3),
    ]
    verdict = judged(tmp_path / "run", history, info=info)
    document = json.loads(json.dumps(verdict.to_json()))
    assert problems(document) == []
    consume = document["profiles"][0]["consume"]
    assert consume["lag"] == [
        {"topic": "t", "partition": 0, "max": 3, "last": 3, "recovered_ms": None}
    ]
    assert document["profiles"][0]["keys"]["keys"] == 2
    assert {each["member"] for each in document["profiles"][0]["samples"]} >= {1}
    assert verdict_of(document) == verdict


def test_the_schema_names_the_same_counts_anomalies_and_promises_as_the_code() -> None:
    definitions = SCHEMA["$defs"]
    counts = definitions["ProfileVerdict"]["properties"]["counts"]
    assert tuple(counts["properties"]) == COUNTS
    # What later versions count besides is no reason to refuse an earlier verdict.
    assert tuple(counts["required"]) == OF_OLD
    assert tuple(definitions["Sample"]["properties"]["anomaly"]["enum"]) == ANOMALIES
    of_anomalies, of_figures = definitions["PromiseVerdict"]["properties"]["promise"]["anyOf"]
    assert tuple(of_anomalies["enum"]) == PROMISES
    assert re.match(of_figures["pattern"], "p99_ack_ms<200")
    assert tuple(definitions["ThresholdVerdict"]["properties"]["figure"]["enum"]) == tuple(FIGURES)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "delivery-verdict/2"),
        (("verdict",), "passed"),
        (("seed",), "7"),
        (("reasons",), "text"),
        (("unknown",), 1),
        (("profiles", 0, "role"), "added"),
        (("profiles", 0, "counts", "lost"), -1),
        (("profiles", 0, "counts", "lost"), 1.5),
        (("profiles", 0, "counts", "mislaid"), 0),
        (("profiles", 0, "promises", 0, "promise"), "no_unseen"),
        (("profiles", 0, "promises", 0, "promise"), "p99_ack_ms"),
        (("profiles", 0, "promises", 0, "promise"), "p99_ack_ms<"),
        (("profiles", 0, "promises", 0, "threshold"), {"figure": "p99_ack_ms"}),
        (("profiles", 0, "promises", 0, "verdict"), "ok"),
        (("profiles", 0, "promises", 0, "bound_95_per_fault"), 1.1),
        (("profiles", 0, "promises", 0, "bound_95_per_fault"), 0),
        (("profiles", 0, "promises", 0, "reason"), ""),
        (("profiles", 0, "promises", 0, "control"), {"profile": "x"}),
        (("profiles", 0, "samples", 0, "anomaly"), "mislaid"),
        (("profiles", 0, "samples", 0, "offset"), -1),
        (("profiles", 0, "latency_ms", "ack", "all", "count"), None),
        (("faults", 0, "injected_at"), "2025-01-01 00:00:00"),
        (("faults", 0, "injected_at"), 1_700_000_000),
        (("faults", 0, "took_effect"), None),
    ],
)
def test_what_is_not_a_verdict_is_refused(
    document: dict[str, Any], path: tuple[Any, ...], value: Any
) -> None:
    changed = copy.deepcopy(document)
    at = changed
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    assert problems(changed)


@pytest.mark.parametrize("name", SCHEMA["required"])
def test_every_field_at_the_top_is_required(document: dict[str, Any], name: str) -> None:
    del document[name]
    assert problems(document)


@pytest.mark.parametrize("name", OF_OLD)
def test_every_count_of_the_first_version_is_required(document: dict[str, Any], name: str) -> None:
    del document["profiles"][0]["counts"][name]
    assert problems(document)
