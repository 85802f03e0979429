"""Histories that say topic ids: a topic that was deleted and created again under its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.history.judging import judge_files
from harness.rundir.verdict import ProfileVerdict
from tests.support.generated import generate
from tests.unit.test_generated_histories import folder
from tests.unit.test_golden import GOLDEN, expected, lines
from tests.unit.test_histories import ATTEMPT, READ, Judged, counts
from tests.unit.test_history_input import refused

TOPIC = {"type": "topic", "topic": "t", "topic_id": "A"}
DRAIN = {"type": "drain", "topic": "t", "partition": 0, "complete": True, "topic_id": "B"}
BEARERS = ("attempt", "outcome", "observation", "drain", "reading", "topic")
QUIET: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


@pytest.fixture
def judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Judged:
    return Judged(tmp_path, capsys)


def profile_of(written: list[dict[str, Any]], name: str) -> ProfileVerdict:
    """What the judge says of lines."""
    with folder() as path:
        file = path / "h.ndjson"
        file.write_text("".join(json.dumps(line) + "\n" for line in written))
        return judge_files([file], name, lenient=False).profiles[0]


PLAIN = [path for path in GOLDEN if not any("topic_id" in line for line in lines(path))]


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.stem)
def test_one_id_that_every_line_says_changes_nothing(path: Path) -> None:
    told = [
        {**line, "topic_id": f"id of {line['topic']}"} if line["type"] in BEARERS else line
        for line in lines(path)
    ]
    name = expected(path)["profile"]
    found, plain = profile_of(told, name), profile_of(list(lines(path)), name)
    assert found.counts == plain.counts
    for now, before in zip(found.promises, plain.promises, strict=True):
        assert (now.verdict, now.observed) == (before.verdict, before.observed)


@settings(max_examples=60, **QUIET)
@given(st.integers(0, 2**62), st.integers(4, 40))
def test_nothing_is_lost_to_a_topic_of_another_id(seed: int, size: int) -> None:
    case = generate(seed, size, transactional=False)
    topics = {line["topic"] for line in case.lines if "topic" in line}
    told = [
        *({**TOPIC, "topic": topic} for topic in topics),
        *({**DRAIN, "topic": topic, "complete": False} for topic in topics),
        *(line for line in case.lines if line["type"] not in ("drain", "topic")),
    ]
    found, before = profile_of(told, case.profile), profile_of(case.lines, case.profile)
    assert found.counts["lost"] == found.counts["gap"] == found.counts["inconsistent_offset"] == 0
    assert found.counts["unseen"] == before.counts["lost"] + before.counts["unseen"]
    assert found.verdict != "kept"


def test_a_wrong_offset_and_a_second_copy_count_within_one_id(judge: Judged) -> None:
    live = {**READ, "set": "live", "topic_id": "A"}
    path = judge.write(
        "h.ndjson",
        {**ATTEMPT, "outcome": "acked", "offset": 3, "topic_id": "A"},
        {**live, "offset": 4},
        {**live, "offset": 5},
        DRAIN,
    )
    found = counts(judge(path, options=("--profile", "idempotent")))
    assert (found["duplicate"], found["inconsistent_offset"], found["unseen"]) == (1, 1, 1)


def test_the_verdict_says_what_was_deleted_and_what_is_passed_over(judge: Judged) -> None:
    acked = {**ATTEMPT, "outcome": "acked", "offset": 3, "topic_id": "A"}
    path = judge.write("h.ndjson", acked, {**READ, "set": "live"}, DRAIN)
    verdict = judge(path)
    assert verdict["verdict"] == "inconclusive"
    said = "\n".join(verdict["reasons"])
    assert "these records went to id A, and the final reading is of id B" in said
    assert "t was deleted and created again (topic ids A, B)" in said
    assert "1 reading is passed over" in said


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({**ATTEMPT, "topic_id": 5}, "topic_id: 5; expected text of 1 to 249 characters"),
        ({**READ, "topic_id": ""}, 'topic_id: ""; expected text of 1 to 249 characters'),
        ({**TOPIC, "topic_id": "B"}, 'topic_id: "B", and another topic line says "A" of t'),
        (
            {**DRAIN, "partition": 1, "topic_id": "C"},
            'topic_id: "C", and another drain line says "B" of t; expected one topic id',
        ),
        ({"type": "member", "member": 1, "step": "started", "topic_id": "A"}, "unknown field"),
    ],
)
def test_an_id_that_is_none_or_contradicts_another_is_refused(
    judge: Judged, line: dict[str, Any], says: str
) -> None:
    refused(judge, judge.write("h.ndjson", TOPIC, DRAIN, line), 3, says)


@pytest.mark.parametrize(("identity", "verdict"), [(None, "broken"), ("A", "inconclusive")])
def test_a_line_left_out_may_have_said_that_two_copies_are_of_two_topics(
    judge: Judged, identity: str | None, verdict: str
) -> None:
    acked = {**ATTEMPT, "outcome": "acked", "offset": 0, "topic_id": identity}
    path = judge.write("h.ndjson", acked, READ, {**READ, "offset": 1, "set": "live"}, "{damaged}")
    found = judge(path, options=("--profile", "idempotent", "--lenient"))
    assert counts(found)["duplicate"] == 1
    promises = {each["promise"]: each["verdict"] for each in found["profiles"][0]["promises"]}
    assert promises["no_duplicate"] == verdict


def test_no_id_may_be_null(judge: Judged) -> None:
    acked = {**ATTEMPT, "outcome": "acked", "offset": 0, "topic_id": None}
    drain = {**DRAIN, "topic_id": None, "end": 1}
    path = judge.write("h.ndjson", {**TOPIC, "topic_id": None}, acked, READ,
                       {**READ, "set": "live"}, drain)  # fmt: skip
    assert judge(path)["verdict"] == "kept"


def test_what_consumers_did_with_a_deleted_topic_is_not_judged_and_the_verdict_says_why() -> None:
    (path,) = (each for each in GOLDEN if each.stem == "deleted.while-it-was-consumed")
    found = profile_of(list(lines(path)), expected(path)["profile"])
    why = {each.promise: each.reason for each in found.promises}
    said = "lines about consumers do not say of which of its topics they are"
    for promise in ("no_unprocessed", "no_backward_poll", "no_commit_lost", "no_double_owner"):
        assert said in why[promise]
