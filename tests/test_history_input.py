"""Histories as they come: nulls, damage, contradictions, other units, bytes of all kinds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.history.lines import Block, Refusals
from harness.history.ndjson import NdjsonReader
from harness.history.tables import History
from harness.printable import printable
from tests.test_histories import ATTEMPT, READ, Judged, counts

ACKED = {**ATTEMPT, "outcome": "acked", "offset": 0}
DRAIN = {"type": "drain", "topic": "t", "partition": 0, "complete": True, "end": 1}
MEMBER = {"member": 1, "topic": "t", "partition": 0}
COMMITTED = {"type": "commit", **MEMBER, "offset": 1, "step": "committed", "at_us": 5}
SECONDS = 1_700_000_000


@pytest.fixture
def judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Judged:
    return Judged(tmp_path, capsys)


def refused(judge: Judged, path: Path, line: int, *says: str, profile: str = "idempotent") -> None:
    """Judging ends with 2 and a sentence that names file and line."""
    assert judge(path, options=("--profile", profile)) == {}
    assert judge.status == 2
    assert f"{path}:{line}: " in judge.stderr
    for words in says:
        assert words in judge.stderr
    assert judge.stderr.count("\n") == 1


# -- what a field may hold


def test_a_field_that_may_be_left_out_may_be_null(judge: Judged) -> None:
    plain = [ACKED, READ, {**ATTEMPT, "sequence": 1}, DRAIN]
    nulls = [
        {**ACKED, "transaction": None, "at_us": None},
        {**READ, "content": None, "sent_topic": None, "set": None, "read_us": None,
         "input_topic": None, "input_offset": None, "leader_epoch": None},
        {**ATTEMPT, "sequence": 1, "outcome": None, "offset": None},
        {**DRAIN, "start": None, "last_stable": None, "ended_us": None, "reason": None},
    ]  # fmt: skip
    want = judge(judge.write("plain.ndjson", *plain))
    found = judge(judge.write("nulls.ndjson", *nulls))
    assert found["profiles"] == want["profiles"]
    assert counts(found)["unknown"] == 1


def test_a_column_of_which_some_lines_say_null_is_read_as_line_by_line() -> None:
    block = [{**ATTEMPT, "sequence": n, "at_us": [None, 7][n % 2]} for n in range(4)]
    block.append({**ATTEMPT, "sequence": 4})
    reader = NdjsonReader(History(), Refusals())
    parsed = reader._parsed(Block(Path("f"), list(range(5)), block))
    assert parsed is not None
    assert parsed["attempt"][0]["at_us"].tolist() == [-1, 7, -1, 7, -1]


@pytest.mark.parametrize("key", ["producer", "topic", "partition", "sequence"])
def test_a_field_that_is_needed_may_not_be_null(key: str, judge: Judged) -> None:
    refused(judge, judge.write("h.ndjson", ACKED, {**ATTEMPT, key: None}), 2, f"{key}: null")


@pytest.mark.parametrize(
    ("at_us", "says"),
    [
        (SECONDS * 1_000_000_000, "nanoseconds"),
        (2**62, "nanoseconds"),
        (10**40, "nanoseconds"),
        (SECONDS * 1_000, "milliseconds"),
        (float(SECONDS), "microseconds"),
        (-1, "microseconds"),
        ("2026-01-01T00:00:00Z", "microseconds"),
        (True, "microseconds"),
    ],
)
def test_an_instant_that_cannot_be_in_microseconds_is_refused(
    at_us: Any, says: str, judge: Judged
) -> None:
    path = judge.write("h.ndjson", ACKED, {**COMMITTED, "at_us": at_us})
    refused(judge, path, 2, "at_us: ", says, profile="consume-at-least-once")


@pytest.mark.parametrize("at_us", [0, 9, SECONDS * 1_000_000, 253_402_300_799_999_999])
def test_an_instant_in_microseconds_is_taken(at_us: int, judge: Judged) -> None:
    path = judge.write("h.ndjson", ACKED, READ, {**COMMITTED, "at_us": at_us})
    judge(path, options=("--profile", "consume-at-least-once"))
    assert judge.status in (0, 1, 3)


@pytest.mark.parametrize(
    ("key", "number"),
    [("offset", 2**63), ("offset", 240 * 2**32), ("sequence", 2**63), ("producer", 2**32),
     ("leader_epoch", 2**31), ("offset", 10**400), ("partition", 1e3)],
)  # fmt: skip
def test_a_number_out_of_its_range_is_refused(key: str, number: Any, judge: Judged) -> None:
    refused(judge, judge.write("h.ndjson", ACKED, {**READ, key: number}), 2, f"{key}: ")


# -- lines that are damaged


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (json.dumps(ACKED)[:-1] + ', "sequence": 7}', "sequence: stands twice"),
        (json.dumps(ACKED)[:-1] + ', "note": {"a": 1, "a": 2}}', "a: stands twice"),
        (json.dumps(ACKED)[:-1] + ', "note": NaN}', "no JSON"),
        (json.dumps(ACKED)[:-1] + ', "note": -Infinity}', "no JSON"),
        (json.dumps(ACKED)[:-1] + ', "at_us": 1e999}', "Infinity"),
        ("[" * 100_000, "nested too deeply"),
        ('{"type": []}', "type: []"),
        ('{"type": {}}', "type: {}"),
        ('{"type": 1}', "type: 1"),
        ("null", "null"),
        ("\0" * 90, "\\x00"),
        (json.dumps({**ATTEMPT, "topic": "a\x1b]0;x\x07"}), "\\u001b"),
        (json.dumps({**ATTEMPT, "topic": "\ud800"}), "\\ud800"),
        (f'{{"type": "attempt", "producer": {"9" * 5000}}}', "no JSON"),
    ],
)
def test_a_damaged_line_is_refused_and_no_control_byte_of_it_is_shown(
    line: str, says: str, judge: Judged
) -> None:
    path = judge.write("h.ndjson", ACKED, READ, line)
    refused(judge, path, 3, says)
    assert printable(judge.stderr, keep="\n") == judge.stderr
    judge(path, options=("--lenient",))
    assert judge.status == 3
    refused(judge, judge.write("first.ndjson", line, ACKED), 1, says)


def test_bytes_that_are_no_utf_8_are_refused(judge: Judged) -> None:
    path = judge.folder / "h.ndjson"
    path.write_bytes(json.dumps(ACKED).encode() + b"\n" + b'{"type": "\xff\x1b[2J"}\n')
    refused(judge, path, 2, "is not UTF-8")
    assert "\x1b" not in judge.stderr


def test_a_file_name_with_control_bytes_is_shown_with_escapes(judge: Judged) -> None:
    path = judge.write("a\x1b[2Jb.ndjson", "{")
    assert judge(path) == {}
    assert judge.status == 2
    assert "a\\x1b[2Jb.ndjson:1: { is no JSON" in judge.stderr


# -- lines that contradict each other, and files that are one


@pytest.mark.parametrize(
    ("second", "says"),
    [
        ({**DRAIN, "end": 2}, "another drain line"),
        ({**DRAIN, "complete": False}, "another drain line"),
        ({**DRAIN, "partition": 1, "start": 2}, "2 is above the end 1"),
    ],
)
def test_drain_lines_that_cannot_be_true_together_are_refused(
    second: dict[str, Any], says: str, judge: Judged
) -> None:
    refused(judge, judge.write("h.ndjson", ACKED, READ, DRAIN, second), 4, says)


def test_a_drain_line_that_is_repeated_is_no_contradiction(judge: Judged) -> None:
    judge(judge.write("h.ndjson", ACKED, READ, DRAIN, {**DRAIN, "start": None}))
    assert judge.status in (0, 3)
    assert judge.stderr == ""


def test_two_committed_offsets_of_one_group_and_partition_are_refused(judge: Judged) -> None:
    told = {"type": "group_offset", "topic": "t", "partition": 0, "offset": 1}
    path = judge.write("h.ndjson", ACKED, READ, told, {**told, "offset": 0})
    refused(judge, path, 4, "another line says 1", profile="consume-at-least-once")


def test_one_file_under_two_names_is_refused(judge: Judged) -> None:
    path = judge.write("h.ndjson", ACKED, READ)
    (judge.folder / "folder").mkdir()
    soft, hard = judge.folder / "soft.ndjson", judge.folder / "hard.ndjson"
    soft.symlink_to(path)
    os.link(path, hard)
    for other in (judge.folder / "folder" / ".." / "h.ndjson", soft, hard):
        assert judge(path, other) == {}
        assert judge.status == 2
        assert f"{other}: named twice ({path} is the same file)" in judge.stderr
