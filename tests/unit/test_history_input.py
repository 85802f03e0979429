"""Histories as they come: nulls, damage, contradictions, other units, bytes of all kinds."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.table import Table
from rich.text import Text

from harness.cli.main import main
from harness.errors import UsageError
from harness.history.event_tables import History
from harness.history.judging import judge_files
from harness.history.lines import Block, Refusals
from harness.history.ndjson import NdjsonReader
from harness.rundir.verdict import BROKEN, KEPT
from harness.system import output
from harness.system.printable import printable
from tests.support.generated import generate
from tests.unit.test_histories import ATTEMPT, OUTCOME, READ, Judged, counts

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


@pytest.mark.parametrize("key", ["producer", "topic", "sequence"])
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
        (json.dumps(ACKED)[:-1] + ', "sequence": 7}', "sequence: occurs twice"),
        (json.dumps(ACKED)[:-1] + ', "note": {"a": 1, "a": 2}}', "a: occurs twice"),
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
        (json.dumps({**ATTEMPT, "of\x7fset": 1}), "of\\x7fset: unknown field"),
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


# -- where bytes come from


def test_standard_input_is_a_dash(judge: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    path = judge.write("h.ndjson", ACKED, READ)
    want = judge(path)
    with path.open() as piped:
        monkeypatch.setattr(sys, "stdin", piped)
        assert judge(Path("-")) == want
        assert judge(Path("-"), path) == {}
    assert f"{path}: named twice (- is the same file)" in judge.stderr
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    sys.stdin.close()
    assert judge(Path("-")) == {}
    assert (judge.status, "standard input is closed" in judge.stderr) == (2, True)


def test_a_compressed_file_is_read_whatever_its_name(judge: Judged) -> None:
    path = judge.write("h.ndjson", ACKED, READ)
    want = judge(path)
    packed = judge.folder / "packed"
    data = path.read_bytes()
    packed.write_bytes(gzip.compress(data[:80]) + gzip.compress(data[80:]))
    assert judge(packed)["profiles"] == want["profiles"]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: data[:-9], "breaks off"),
        (lambda data: data[:60] + b"\0\0\0" + data[63:], "damaged"),
        (lambda data: data[:-6] + b"\1\1\1" + data[-3:], "damaged"),
        (lambda data: data + b"more", "damaged"),
    ],
)
def test_compressed_data_that_is_damaged_is_refused(damage: Any, says: str, judge: Judged) -> None:
    lines = [{**ACKED, "sequence": n, "offset": n, "at_us": 7919 * n} for n in range(9)]
    path = judge.write("h.ndjson", *lines)
    packed = judge.folder / "h.gz"
    packed.write_bytes(damage(gzip.compress(path.read_bytes())))
    assert judge(packed) == {}
    assert judge.status == 2
    assert says in judge.stderr
    judge(packed, options=("--lenient",))
    assert judge.status in (2, 3), "2 where no line came before the damage"


def test_a_pipe_without_a_writer_is_refused_and_not_waited_for(judge: Judged) -> None:
    path = judge.folder / "pipe"
    os.mkfifo(path)
    assert judge(path) == {}
    assert judge.status == 2
    assert "a pipe into which nothing was written" in judge.stderr


def test_a_byte_order_mark_is_no_damage_and_utf_16_is_refused(judge: Judged) -> None:
    path = judge.write("h.ndjson", ACKED, READ)
    want, data = judge(path), path.read_bytes()
    marked = judge.folder / "marked"
    marked.write_bytes(b"\xef\xbb\xbf" + data)
    assert judge(marked)["profiles"] == want["profiles"]
    marked.write_text(data.decode(), encoding="utf-16")
    assert judge(marked) == {}
    assert "is UTF-16" in judge.stderr


def test_a_line_of_more_than_a_mebibyte_is_damage_and_the_next_one_is_read(judge: Judged) -> None:
    long = json.dumps({**ATTEMPT, "sequence": 1, "note": "x" * 9_000_000})
    path = judge.write("h.ndjson", ACKED, long, READ)
    refused(judge, path, 2, "more than 1048576 bytes")
    verdict = judge(path, options=("--lenient",))
    assert counts(verdict) == {"attempted": 1, "acked": 1, "read": 1}
    path = judge.write("h.ndjson", ACKED, READ, long)
    refused(judge, path, 3, "more than 1048576 bytes")


# -- ends of files


def test_a_last_line_that_breaks_off_is_passed_over_and_told(judge: Judged) -> None:
    path = judge.write("h.ndjson", ACKED, READ)
    want = judge(path)
    data = path.read_bytes()
    path.write_bytes(data + json.dumps({**READ, "offset": 1}).encode()[:40])
    verdict = judge(path)
    assert verdict["profiles"] == want["profiles"]
    assert judge.status == 0 or want["verdict"] != "kept"
    assert any(f"{path}:3" in reason and "breaks off" in reason for reason in verdict["reasons"])
    for tail in (b"\0" * 40, b"}", b"[1", b'{"type": "attempt"}', b'{"type": "att\n', b'{"\0'):
        path.write_bytes(data + tail)
        refused(judge, path, 3)


def torn(judge: Judged, beginning: str, *lines: dict[str, Any], profile: str) -> dict[str, str]:
    """The verdict of each promise where the last line breaks off."""
    path = judge.write("h.ndjson", *lines)
    path.write_bytes(path.read_bytes() + beginning.encode())
    verdict = judge(path, options=("--profile", profile))
    return {each["promise"]: each["verdict"] for each in verdict["profiles"][0]["promises"]}


PHANTOM = {**READ, "sequence": 7, "offset": 1}
LOST = {**ACKED, "sequence": 1, "offset": 1}
GAP = {**ATTEMPT, "sequence": 2, "outcome": "unknown"}
BREACHES = [ACKED, LOST, GAP, {**ACKED, "sequence": 3, "offset": 3}, READ,
            {**PHANTOM, "offset": 2}, {**READ, "sequence": 3, "offset": 3}, {**READ, "offset": 4},
            {**DRAIN, "start": 0, "end": 5},
            {"type": "observation", "topic": "t", "partition": 0, "offset": 1,
             "content": "foreign"}]  # fmt: skip
STAYS = {
    '{"type": "attempt", "produ': {"lost", "gap", "duplicate"},
    '{"type": "outcome", "produ': {"lost", "phantom", "duplicate"},
    '{"type": "observation", "t': {"phantom", "duplicate"},
    '{"type": "reading", "topic': {"phantom", "duplicate"},
    '{"type": "drain", "topic":': {"phantom", "duplicate"},
    '{"type": "transaction", "p': {"lost", "phantom", "duplicate"},
    '{"type": "offsets", "topic': {"lost", "gap", "phantom", "duplicate"},
    '{"type": "history", "schem': {"lost", "gap", "phantom", "duplicate"},
    '{"type": "end", "lin': {"lost", "gap", "phantom", "duplicate"},
    '{"type": "member", "member': {"lost", "gap", "phantom", "duplicate"},
    '{"type": "atte': {"duplicate"},
    '{"producer": 1, "topic": "': {"duplicate"},
}
ORDERED = """profiles:
  ordered:
    extends: idempotent
    promises: [no_lost, no_duplicate, no_gap, no_phantom]
"""


@pytest.mark.parametrize("beginning", STAYS)
def test_what_a_line_that_breaks_off_may_have_undone_is_not_broken(
    beginning: str, judge: Judged, tmp_path: Path
) -> None:
    (tmp_path / "profiles.yaml").write_text(ORDERED)
    path = judge.write("h.ndjson", *BREACHES)
    path.write_bytes(path.read_bytes() + beginning.encode())
    options = ("--profiles", str(tmp_path / "profiles.yaml"), "--profile", "ordered")
    promises = judge(path, options=options)["profiles"][0]["promises"]
    broken = {each["promise"].removeprefix("no_") for each in promises
              if each["verdict"] == "broken"}  # fmt: skip
    assert broken == STAYS[beginning]
    others = [each for each in promises if each["verdict"] != "broken"]
    assert {each["verdict"] for each in others} <= {"inconclusive"}
    assert all("breaks off and may tell otherwise" in each["reason"] for each in others)


def test_where_partitions_were_not_known_a_torn_attempt_may_undo_more(judge: Judged) -> None:
    loose = {"type": "attempt", "producer": 1, "topic": "t", "sequence": 9, "outcome": "unknown"}
    there = {**READ, "sequence": 9, "offset": 8, "set": "live"}
    lines = [*BREACHES, loose, there]
    assert torn(judge, '{"type": "attempt"', *lines, profile="idempotent")["no_lost"] == (
        "inconclusive"
    )
    assert torn(judge, '{"type": "attempt"', *BREACHES, profile="idempotent")["no_lost"] == "broken"


def test_a_torn_line_may_be_the_call_of_the_commit(judge: Judged) -> None:
    began = [{**ATTEMPT, "transaction": 1}, READ, {**READ, "set": "live", "read_us": 10**15},
             {"type": "transaction", "producer": 1, "transaction": 1, "step": "begin",
              "at_us": 10**15}]  # fmt: skip
    call = '{"type": "transaction", "producer": 1, "transaction": 1, "st'
    assert torn(judge, call, *began, profile="transactional")["no_precommitted_read"] == (
        "inconclusive"
    )
    other = '{"type": "offsets", "to'
    assert torn(judge, other, *began, profile="transactional")["no_precommitted_read"] == "broken"


@pytest.mark.parametrize("failed", [True, False])
def test_a_torn_outcome_may_say_that_a_record_of_a_transaction_was_never_sent(
    failed: bool, judge: Judged
) -> None:
    lines: list[dict[str, Any]] = [{**ATTEMPT, "transaction": 1},
             *({"type": "transaction", "producer": 1, "transaction": 1, "step": step,
                "at_us": 10**15} for step in ("begin", "commit_called", "committed")),
             {**DRAIN, "start": 0, "last_stable": 1}]  # fmt: skip
    beginning = '{"type": "outcome", "producer": 1' if failed else '{"type": "offsets", "pa'
    promises = torn(judge, beginning, *lines, profile="transactional")
    want = "inconclusive" if failed else "broken"
    assert (promises["no_lost"], promises["no_lost_txn"]) == (want, want)


HEAD = {"type": "history", "schema": "delivery-history/1", "ends": True}


def test_a_file_that_ends_with_its_end_line_is_whole(judge: Judged) -> None:
    path = judge.write("h.ndjson", HEAD, ACKED, READ, {"type": "end", "lines": 3})
    verdict = judge(path)
    assert verdict["verdict"] == judge(judge.write("plain.ndjson", ACKED, READ))["verdict"]


@pytest.mark.parametrize("kept", [1, 2])
def test_a_file_without_the_end_line_that_it_announces_proves_nothing(
    kept: int, judge: Judged
) -> None:
    lost = [HEAD, ACKED, DRAIN, READ, {"type": "end", "lines": 4}]
    verdict = judge(judge.write("h.ndjson", *lost[: 1 + kept]))
    assert judge.status == 3, "the reading that is missing would make it whole"
    assert any("breaks off: it says that it has an end line" in r for r in verdict["reasons"])


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ([HEAD, ACKED, {"type": "end", "lines": 3}], 3),
        ([HEAD, ACKED, READ, READ, {"type": "end", "lines": 3}], 5),
        ([HEAD, ACKED, READ, {"type": "end", "lines": 3}, READ], 5),
        ([HEAD, ACKED, READ, {"type": "end", "lines": 3}, {"type": "end", "lines": 3}], 5),
        ([ACKED, READ, {"type": "end", "lines": 3}], 3),
    ],
)
def test_an_end_line_that_counts_other_lines_is_refused(
    written: list[dict[str, Any]], line: int, judge: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    for size in (1 << 22, 7):
        monkeypatch.setattr("harness.history.stream.BLOCK_BYTES", size)
        refused(judge, judge.write("h.ndjson", *written), line)


# -- what damage may hide


def damaged(lines: list[str], chance: random.Random) -> list[str]:
    """The lines, some of them torn."""
    places = set(chance.sample(range(len(lines)), chance.randint(1, max(1, len(lines) // 3))))
    return [text[: len(text) // 2] if n in places else text for n, text in enumerate(lines)]


@pytest.mark.parametrize("seed", range(150))
def test_a_damaged_history_is_never_kept_and_breaks_nothing_that_the_whole_one_does_not(
    seed: int, tmp_path: Path
) -> None:
    chance = random.Random(seed)
    case = generate(seed, chance.randint(4, 40), transactional=chance.random() < 0.5)
    broken = []
    for name, lines in (
        ("whole", case.text.splitlines()),
        ("torn", damaged(case.text.splitlines(), chance)),
    ):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        try:
            verdict = judge_files([path], case.profile, lenient=True)
        except UsageError:
            assert name == "torn"
            return
        promises = verdict.profiles[0].promises
        broken.append({each.promise for each in promises if each.verdict == BROKEN})
    assert verdict.verdict != KEPT
    assert broken[1] <= broken[0]


GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.ndjson"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_no_single_torn_line_of_a_golden_history_breaks_a_promise(
    path: Path, tmp_path: Path
) -> None:
    lines = path.read_text().splitlines()
    profile = json.loads(lines[0])["note"]["profile"]
    whole = judge_files([path], profile, lenient=False).profiles[0].promises
    broken = {each.promise for each in whole if each.verdict == BROKEN}
    for place in range(1, len(lines)):
        torn = tmp_path / f"{place}.ndjson"
        text = [line[:-3] if n == place else line for n, line in enumerate(lines)]
        torn.write_text("\n".join(text) + "\n")
        try:
            verdict = judge_files([torn], profile, lenient=True)
        except UsageError:
            continue
        assert verdict.verdict != KEPT
        found = {p.promise for p in verdict.profiles[0].promises if p.verdict == BROKEN}
        assert found <= broken, lines[place]


def test_a_record_at_two_offsets_stays_a_duplicate_beside_a_torn_line(judge: Judged) -> None:
    again = {**READ, "offset": 3}
    torn = json.dumps(READ)[:-9]
    verdict = judge(
        judge.write("h.ndjson", ACKED, READ, again, torn),
        options=("--lenient", "--profile", "idempotent"),
    )
    assert judge.status == 1
    promises = {p["promise"]: p["verdict"] for p in verdict["profiles"][0]["promises"]}
    assert [name for name, said in promises.items() if said == "broken"] == ["no_duplicate"]
    assert "kept" not in promises.values()


# -- the tools of Kafka, and profiles of one's own


def test_events_of_a_tool_that_say_nothing_about_records_are_passed_over_and_told(
    judge: Judged,
) -> None:
    fetched = {"timestamp": 4, "name": "offsets_fetched", "offsets": []}
    lines = [tool("producer_send_success"), tool("record_data")]
    want = judge(judge.write("a.log", *lines))
    verdict = judge(judge.write("a.log", lines[0], fetched, lines[1], fetched))
    assert verdict["profiles"] == want["profiles"]
    assert any("passed over: offsets_fetched (2)" in reason for reason in verdict["reasons"])


@pytest.mark.parametrize(
    "line",
    [
        {"timestamp": 1, "name": "producer_sent_success"},
        {"timestamp": 1, "name": "x", "value": "0.1"},
        {"timestamp": 1, "name": "x", "acked": 3},
        {"timestamp": 1, "name": "x", "offset": 3},
        {"timestamp": 1, "name": ""},
        {"timestamp": 1, "name": ["x"]},
    ],
)
def test_an_unknown_event_that_may_be_a_damaged_one_is_refused(
    line: dict[str, Any], judge: Judged
) -> None:
    refused(judge, judge.write("a.log", tool("producer_send_success"), line), 2, "name: ")


def test_a_topic_of_a_tool_with_control_bytes_is_refused(judge: Judged) -> None:
    path = judge.write("a.log", {**tool("producer_send_success"), "topic": "a\x1b[2J"})
    refused(judge, path, 1, "topic: ", "a topic's name")


def tool(name: str) -> dict[str, Any]:
    """A line about record 0 as a tool prints it."""
    where = {"value": "0.0", "topic": "t", "partition": 0, "offset": 0}
    return {"timestamp": 1_700_000_000_100, "name": name, "key": None, **where}


def test_a_history_is_judged_by_a_profile_of_ones_own(judge: Judged) -> None:
    mine = judge.folder / "mine.yaml"
    mine.write_text(
        "profiles:\n"
        "  orders:\n"
        "    extends: idempotent\n"
        "    summary: Orders, which must not be lost.\n"
    )
    path = judge.write("h.ndjson", ACKED, READ)
    verdict = judge(path, options=("--profiles", str(mine), "--profile", "orders"))
    assert verdict["profiles"][0]["profile"] == "orders"
    assert judge(path, options=("--profile", "orders")) == {}
    assert "there is no such profile" in judge.stderr


# -- terminals

EVIL = "\x1b]0;title\x07\x1b[2J\x9b1m\u202e"


def test_control_characters_of_a_history_reach_no_terminal(
    judge: Judged, capsys: pytest.CaptureFixture[str]
) -> None:
    drain = {**DRAIN, "complete": False, "reason": EVIL}
    own = judge.write("own.ndjson", ACKED, drain, {**READ, "note": EVIL})
    value = {"value": f"{EVIL}.0"}
    tools = judge.write("a.log", {**tool("producer_send_success"), **value},
                        {**tool("record_data"), "value": f"x{EVIL}.0"},
                        {"timestamp": 1, "name": f"y{EVIL}"})  # fmt: skip
    for path in (own, tools):
        main(["verify", "--history", str(path)])
        shown = capsys.readouterr()
        for text in (shown.out, shown.err):
            assert printable(text, keep="\n") == text


def test_control_characters_in_what_is_printed_are_escapes_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = io.StringIO()
    screen = output.console(stderr=False)
    screen.file = shown
    table = Table("topic")
    table.add_row(Text(f"a{EVIL}b"))
    screen.print(table)
    screen.print(f"a{EVIL}b", style="bold", markup=False)
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.getvalue())
    assert printable(text, keep="\n") == text
    assert "\\x1b[2J" in text
    assert "\x1b[1m" in shown.getvalue(), "what rich itself sends to a terminal stays"


def test_control_characters_in_an_error_are_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    output.complain(f"no file {EVIL}\nor so")
    text = capsys.readouterr().err
    assert printable(text, keep="\n") == text


def test_text_that_is_shown_stays_as_it_is() -> None:
    text = "Größe 5\u00a0000 \u2013 \u202f€ 日本"
    assert printable(text) == text


# -- partitions that were not known when a record was sent


def loose(sequence: int, **more: Any) -> dict[str, Any]:
    """An attempt without a partition."""
    return {"type": "attempt", "producer": 1, "topic": "t", "sequence": sequence, **more}


def test_an_attempt_without_a_partition_belongs_where_its_acknowledgement_says(
    judge: Judged,
) -> None:
    outcome = {**OUTCOME, "partition": 1, "offset": 0}
    read = {**READ, "partition": 1}
    with_it = judge(judge.write("a.ndjson", {**ATTEMPT, "partition": 1}, outcome, read))
    without = judge(judge.write("a.ndjson", read, outcome, loose(0)))
    assert without["profiles"] == with_it["profiles"]
    verdict = judge(judge.write("a.ndjson", loose(0), outcome, READ, {**read, "sequence": 1}))
    assert counts(verdict)["misrouted"] == 1, "acknowledged at partition 1, read at partition 0"
    assert counts(verdict)["lost"] == 1


def test_an_attempt_without_a_partition_belongs_where_it_is_read_first(judge: Judged) -> None:
    acked = loose(0, outcome="acked")
    verdict = judge(judge.write("a.ndjson", acked, {**READ, "partition": 2, "offset": 4}, READ))
    assert counts(verdict)["misrouted"] == 1
    assert "phantom" not in counts(verdict)
    sample = next(s for s in verdict["profiles"][0]["samples"] if s["anomaly"] == "misrouted")
    assert sample["partition"] == 0


def test_an_attempt_of_which_no_line_says_the_partition_is_unseen(judge: Judged) -> None:
    whole = {**DRAIN, "end": 1}
    lines = [ACKED, READ, whole, loose(7, outcome="acked"), loose(8)]
    verdict = judge(judge.write("a.ndjson", *lines))
    assert judge.status == 3
    found = counts(verdict)
    assert (found["unseen"], found["unknown"], found["acked"]) == (1, 1, 2)
    assert "lost" not in found


def test_an_offset_without_its_partition_is_refused(judge: Judged) -> None:
    path = judge.write("a.ndjson", ACKED, loose(0, outcome="acked", offset=3))
    refused(judge, path, 2, "partition: is missing", "the partition that the offset is of")


def test_an_outcome_without_a_partition_and_without_an_attempt_is_refused(judge: Judged) -> None:
    outcome = {"type": "outcome", "producer": 1, "topic": "t", "sequence": 5, "outcome": "unknown"}
    refused(judge, judge.write("a.ndjson", loose(0), outcome), 2, "has no attempt")
    refused(judge, judge.write("a.ndjson", ATTEMPT, outcome), 2, "has no attempt")
