"""`harness verify --history`: what is refused and how, what is skipped, what is told apart."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from harness.cli.main import main
from harness.history import stream as history_stream
from harness.history.events import TYPES, problem_of
from harness.history.lines import Refusals, Source
from tests.support import history_schema

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "histories.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```(ndjson|verifiable) ([^\n]*)\n(.*?)```", PAGE, re.DOTALL)
EXIT = {"kept": 0, "broken": 1, "inconclusive": 3}
ATTEMPT = {"type": "attempt", "producer": 1, "topic": "t", "partition": 0, "sequence": 0}
READ = {**ATTEMPT, "type": "observation", "offset": 0}
BEGAN = {"type": "reading", "topic": "t", "partition": 0, "start": 0}
OUTCOME = {**ATTEMPT, "type": "outcome", "outcome": "acked", "offset": 0}


class Judged:
    """Writes histories and judges them with the command."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.status = -1
        self.stderr = ""

    def write(self, name: str, *written: dict[str, Any] | str) -> Path:
        """A file with these lines."""
        path = self.folder / name
        texts = [each if isinstance(each, str) else json.dumps(each) for each in written]
        path.write_text("".join(f"{text}\n" for text in texts))
        return path

    def __call__(self, *files: Path, options: tuple[str, ...] = ()) -> dict[str, Any]:
        """The verdict; empty where there was none."""
        named = [word for path in files for word in ("--history", str(path))]
        self.status = main(["verify", *named, *options, "--json"])
        shown = self._capsys.readouterr()
        self.stderr = shown.err
        assert "Traceback" not in shown.err
        return json.loads(shown.out) if shown.out else {}


@pytest.fixture
def judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Judged:
    return Judged(tmp_path, capsys)


def counts(verdict: dict[str, Any]) -> dict[str, int]:
    """The counts that are not zero."""
    return {name: n for name, n in verdict["profiles"][0]["counts"].items() if n}


# -- the page


@pytest.mark.parametrize(("kind", "says", "text"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_example_of_the_page_is_judged_as_it_says(
    kind: str, says: str, text: str, judge: Judged
) -> None:
    words = says.split()
    settings_of = dict(word.split("=") for word in words if "=" in word)
    profile = settings_of.pop("profile", "at-least-once")
    verdict = judge(judge.write(kind, text), options=("--profile", profile))
    assert verdict["verdict"] == words[0], verdict["reasons"]
    assert judge.status == EXIT[words[0]]
    promises = {each["promise"]: each["verdict"] for each in verdict["profiles"][0]["promises"]}
    for promise in (word for word in words[1:] if word.startswith("no_")):
        assert promises[promise] == "broken"
    found = counts(verdict)
    assert {name: str(found.get(name, 0)) for name in settings_of} == settings_of


def test_the_page_has_examples_of_both_formats_and_names_every_type_and_field() -> None:
    assert {kind for kind, _, _ in EXAMPLES} == {"ndjson", "verifiable"}
    for name, fields in TYPES.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
        stated = row.split("|")[2].replace(" ", "").split(",")
        assert stated == [key + ("" if field.required else "?") for key, field in fields.items()]


# -- the schema


def test_the_schema_is_what_the_table_of_types_says() -> None:
    stored = json.loads((ROOT / "reports" / "schemas" / "history.schema.json").read_text())
    assert stored == history_schema.schema(), (
        "run: python -m tests.support.history_schema > reports/schemas/history.schema.json"
    )
    Draft202012Validator.check_schema(stored)


VALUES = st.one_of(
    st.sampled_from([0, 1, 7, -1, 1.5, True, None, "", "t", "acked", "committed", "drain", [], {}]),
    st.sampled_from(["corrupt", "intact", "live", "assigned", "begin", 2**63, 2**32, "x" * 250]),
    st.sampled_from([1_700_000_000_000, 1_700_000_000_000_000_000, "a\x1b[2J", "\ud800", "\x7f"]),
)
GOOD = {
    "number": st.integers(0, 9),
    "instant": st.integers(0, 9),
    "text": st.just("t"),
    "remark": st.just("a\nb"),
    "key": st.sampled_from(["", "a", "a\nb", "\ud800"]),
    "flag": st.booleans(),
}


@st.composite
def any_lines(draw: st.DrawFn) -> dict[str, Any]:
    """Lines that are near to being right: each field as it should be, absent, or anything."""
    name = draw(st.sampled_from(list(TYPES)))
    line: dict[str, Any] = {"type": name}
    for key, field in TYPES[name].items():
        chance = draw(st.integers(0, 11))
        if chance == 0:
            line[key] = draw(VALUES)
        elif chance < 9 or (field.required and chance < 11):
            words = field.words
            line[key] = draw(GOOD[field.kind] if words is None else st.sampled_from(list(words)))
    if draw(st.integers(0, 15)) == 0:
        line["sequnce"] = 1
    return line


VALIDATOR = Draft202012Validator(history_schema.schema())


@settings(max_examples=600, deadline=None)
@given(any_lines())
def test_a_line_is_accepted_by_the_reader_exactly_when_the_schema_accepts_it(
    line: dict[str, Any],
) -> None:
    errors = [error.message for error in VALIDATOR.iter_errors(line)]
    problem = problem_of(line)
    assert (problem is None) == (not errors), (line, problem, errors)


@settings(max_examples=200, deadline=None)
@given(st.lists(any_lines(), min_size=1, max_size=6))
def test_many_lines_at_once_are_accepted_exactly_when_each_by_itself_is(
    written: list[dict[str, Any]],
) -> None:
    from harness.history.event_tables import History
    from harness.history.lines import Block
    from harness.history.ndjson import NdjsonReader

    reader = NdjsonReader(History(), Refusals())
    together = reader._parsed(Block(Path("f"), list(range(len(written))), written))
    assert (together is not None) == all(problem_of(line) is None for line in written)


def test_judging_a_history_imports_no_client_library() -> None:
    code = "import harness.history.judging, sys; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ended.stdout.split())
    assert "harness.judge.judge" in loaded
    assert not loaded & {"confluent_kafka", "locust", "chaoslib", "gevent"}


# -- wrong use


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["verify", "RUN", "--history", "FILE"], "either a run directory or a history"),
        (["verify", "--history", "FILE", "--profile", "idempotnt"], "idempotent"),
        (["verify", "--history", "/nowhere/h.ndjson"], "No such file"),
        (["verify", "--history", "."], "cannot be read"),
        (["verify", "--history", "EMPTY"], "empty"),
        (["verify", "--history", "BLANK"], "no line of a history"),
        (["verify", "--history", "FILE", "--history", "FILE"], "named twice"),
        (["verify", "--history", "FILE", "--history", "KAFKA"], "files of one format"),
        (["verify", "--history", "FILE", "--config", "acks=all"], "without any broker"),
        (["verify", "RUN", "--lenient"], "--lenient goes with --history"),
        (["verify", "RUN", "--profile", "idempotent"], "--profile goes with --history"),
    ],
)
def test_wrong_use_is_refused_with_exit_2(
    arguments: list[str], says: str, judge: Judged, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "FILE": judge.write("h.ndjson", ATTEMPT),
        "KAFKA": judge.write("k.jsonl", {"timestamp": 1, "name": "startup_complete"}),
        "EMPTY": judge.write("empty.ndjson"),
        "BLANK": judge.write("blank.ndjson", "", "  "),
    }
    assert main([str(files.get(word, word)) for word in arguments]) == 2
    shown = capsys.readouterr()
    assert says in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


# -- malformed lines

MALFORMED = [
    ("{", "{ is no JSON", "JSON object"),
    ("[1]", "[1]", "JSON object"),
    ('{"type": "attempt", "pro', '{"type": "attempt", "pro is no JSON', "JSON object"),
    ({**ATTEMPT, "producer": "p"}, 'producer: "p"', "whole number"),
    ({**ATTEMPT, "producer": True}, "producer: true", "whole number"),
    ({**ATTEMPT, "partition": -1}, "partition: -1", "from 0 to"),
    ({**ATTEMPT, "partition": 1 << 16}, "partition: 65536", "from 0 to"),
    ({**ATTEMPT, "topic": ""}, 'topic: ""', "text of 1 to"),
    ({**ATTEMPT, "sequence": 1.0}, "sequence: 1.0", "whole number"),
    ({**ATTEMPT, "sequence": None}, "sequence: null", "whole number"),
    ({**ATTEMPT, "sequnce": 3}, "sequnce: unknown field", "only producer"),
    ({"type": "attempt"}, "producer: is missing", "whole number"),
    ({"type": "atempt"}, 'type: "atempt"', "attempt"),
    ({"kind": "attempt"}, "type: is missing", "attempt"),
    ({**ATTEMPT, "outcome": "ok"}, 'outcome: "ok"', "acked"),
    ({**ATTEMPT, "outcome": "unknown", "offset": 3}, "offset: 3", "only where outcome is acked"),
    ({**READ, "content": "corrupt"}, "producer: 1", "no identity"),
    ({"type": "observation", "topic": "t", "partition": 0, "offset": 1}, "producer", "identity"),
    ({"type": "history", "schema": "delivery-history/2"}, "schema", "delivery-history/1"),
]


@pytest.mark.parametrize(("line", "found", "expected"), MALFORMED)
def test_a_malformed_line_is_refused_by_file_line_field_and_what_was_expected(
    line: Any, found: str, expected: str, judge: Judged
) -> None:
    path = judge.write("h.ndjson", {**ATTEMPT, "sequence": 9}, line, {**ATTEMPT, "sequence": 8})
    assert judge(path) == {}
    assert judge.status == 2
    assert f"{path}:2: {found}" in judge.stderr
    assert expected in judge.stderr.partition("expected")[2]


@pytest.mark.parametrize(("line", "found", "expected"), MALFORMED)
def test_lenient_counts_and_skips_malformed_lines_and_proves_nothing_kept(
    line: Any, found: str, expected: str, judge: Judged
) -> None:
    path = judge.write("h.ndjson", OUTCOME, ATTEMPT, line, READ)
    verdict = judge(path, options=("--lenient",))
    assert judge.status == 3, expected
    assert counts(verdict)["acked"] == 1
    told = [reason for reason in verdict["reasons"] if "1 malformed line was skipped" in reason]
    assert any(f"{path}:3: {found}" in reason for reason in told)


def test_a_line_of_another_program_is_skipped_without_any_doubt(judge: Judged) -> None:
    noise = "[2024-01-01 00:00:00] WARN broker 1 is not there"
    path = judge.write("h.ndjson", noise, ATTEMPT, OUTCOME, READ, READ)
    assert judge(path) == {}
    assert judge.status == 2
    assert f"{path}:1: " in judge.stderr
    verdict = judge(path, options=("--lenient",))
    assert judge.status == 0
    assert any("1 malformed line was skipped" in reason for reason in verdict["reasons"])


def test_what_is_missing_beside_a_skipped_line_is_not_proven_lost(judge: Judged) -> None:
    sent = [{**ATTEMPT, "sequence": n, "outcome": "acked", "offset": n} for n in range(4)]
    torn = json.dumps({**READ, "sequence": 1, "offset": 1})[:-4]
    path = judge.write("h.ndjson", *sent, READ, torn, {**READ, "sequence": 2, "offset": 2},
                       {**READ, "sequence": 3, "offset": 3})  # fmt: skip
    verdict = judge(path, options=("--lenient",))
    assert judge.status == 3
    assert counts(verdict)["lost"] == 1
    assert "may tell otherwise: 1 malformed line" in verdict["reasons"][1]
    path = judge.write("h.ndjson", *sent, READ, torn, {**READ, "sequence": 3, "offset": 3})
    verdict = judge(path, options=("--lenient",))
    assert judge.status == 3, "the line may have said that the log starts at 3"
    assert counts(verdict)["lost"] == 2


@pytest.mark.parametrize(
    ("written", "line", "says"),
    [
        ([ATTEMPT, READ, ATTEMPT], 3, "was attempted before"),
        ([ATTEMPT, {**OUTCOME, "sequence": 1}], 2, "has no attempt"),
        ([READ, OUTCOME], 2, "has no attempt"),
        ([ATTEMPT, OUTCOME, OUTCOME], 3, "has one already"),
        ([{**ATTEMPT, "outcome": "failed"}, OUTCOME], 2, "has one already"),
    ],
)
def test_lines_that_contradict_each_other_are_refused_where_the_later_one_stands(
    written: list[Any], line: int, says: str, judge: Judged
) -> None:
    path = judge.write("h.ndjson", *written)
    assert judge(path) == {}
    assert judge.status == 2
    assert f"{path}:{line}: " in judge.stderr
    assert says in judge.stderr
    judge(path, options=("--lenient",))
    assert judge.status == 3


def test_a_transaction_that_goes_on_after_another_is_refused(judge: Judged) -> None:
    written = [{**ATTEMPT, "sequence": n, "transaction": t} for n, t in enumerate((1, 2, 1))]
    judge(judge.write("h.ndjson", *written), options=("--profile", "transactional"))
    assert judge.status == 2
    assert "transaction 1 of producer 1 goes on at sequence 2 of t-0" in judge.stderr


# -- reading


def test_lines_may_stand_in_any_order_and_in_several_files(judge: Judged) -> None:
    again = {**READ, "sequence": 1, "offset": 1}
    first = judge.write("a.ndjson", READ, OUTCOME, {**READ, "set": "live"}, again)
    second = judge.write("b.ndjson", {**again, "set": "live"}, ATTEMPT,
                         {**ATTEMPT, "sequence": 1, "outcome": "acked", "offset": 1})  # fmt: skip
    for files in ((first, second), (second, first)):
        verdict = judge(*files)
        assert judge.status == 0, verdict["reasons"]
        assert counts(verdict) == {"attempted": 2, "acked": 2, "read": 2}


def test_one_option_may_name_several_files(judge: Judged) -> None:
    sent, read = judge.write("a.ndjson", ATTEMPT, OUTCOME), judge.write("b.ndjson", READ, READ)
    assert counts(judge(sent, options=(str(read),)))["read"] == 1
    assert judge.status == 0


def test_a_high_partition_takes_no_time(judge: Judged) -> None:
    where = {"partition": 65_535}
    verdict = judge(judge.write("h.ndjson", {**ATTEMPT, **where}, {**OUTCOME, **where}))
    assert counts(verdict)["unseen"] == 1


def test_sequences_need_not_be_dense_and_samples_name_them(judge: Judged) -> None:
    numbers = [10, 70_000, 5_000_000_000, 2**62 - 1]
    sent = [
        {**ATTEMPT, "sequence": s, "outcome": "acked", "offset": n} for n, s in enumerate(numbers)
    ]
    read = [{**READ, "sequence": s, "offset": n} for n, s in enumerate(numbers) if n != 2]
    copy = {**READ, "sequence": 70_000, "offset": 9}
    verdict = judge(
        judge.write("h.ndjson", *sent, *read, copy), options=("--profile", "idempotent")
    )
    found = {(s["anomaly"], s["sequence"], s["offset"]) for s in verdict["profiles"][0]["samples"]}
    assert found == {("lost", 5_000_000_000, 2), ("duplicate", 70_000, 9)}


def test_a_file_is_read_the_same_however_it_is_cut_into_blocks(
    judge: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [{**ATTEMPT, "sequence": n, "outcome": "acked", "offset": n} for n in range(50)]
    read = [{**READ, "sequence": n, "offset": n} for n in range(50) if n != 31]
    path = judge.write("h.ndjson", *sent, "", *read)
    whole = judge(path)
    for size in (7, 100, 1 << 10):
        monkeypatch.setattr(history_stream, "BLOCK_BYTES", size)
        assert judge(path) == whole
    assert counts(whole)["lost"] == 1


def test_two_broken_lines_never_make_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "h.ndjson"
    path.write_text('{"a": [1\n2]}\n{"b": 1}, {"c": 2}\n{"d": {}}\n')
    refusals = Refusals(lenient=True)
    objects = [each for block in Source(path, refusals).blocks() for each in block.objects]
    assert objects == [{"d": {}}]
    assert refusals.damaged == 3


def test_witnesses_name_records_by_the_recorders_own_numbers(judge: Judged) -> None:
    """Every story that names a sequence, over sequences 100, 200, … of producer 0."""

    def sent(number: int, offset: int, **more: Any) -> dict[str, Any]:
        return {**ATTEMPT, "producer": 0, "sequence": number * 100, "outcome": "acked",
                "offset": offset, **more}  # fmt: skip

    def read(number: int, offset: int, **more: Any) -> dict[str, Any]:
        return {**READ, "producer": 0, "sequence": number * 100, "offset": offset, **more}

    written = [
        *(sent(number, number) for number in range(1, 8)),
        read(1, 1), read(3, 4), read(4, 3), read(5, 5), read(5, 9), read(6, 6), read(7, 10),
        read(8, 11), read(9, 12, sent_partition=4), read(3, 14, set="live"), BEGAN,
    ]  # fmt: skip
    verdict = judge(judge.write("h.ndjson", *written), options=("--profile", "idempotent"))
    profile = verdict["profiles"][0]
    found = {(each["anomaly"], each["sequence"]) for each in profile["samples"]}
    assert found == {
        ("lost", 200), ("inversion", 400), ("duplicate", 300), ("duplicate", 500), ("phantom", 800),
        ("misrouted", 900), ("inconsistent_offset", 300), ("inconsistent_offset", 400),
        ("inconsistent_offset", 700),
    }  # fmt: skip
    for witness in profile["witnesses"]:
        assert (witness["anomaly"], witness["sequence"]) in found
        numbers = [event["sequence"] for event in witness["events"] if "sequence" in event]
        numbers += [int(n) for n in re.findall(r"record (\d+)", " ".join(witness["text"]))]
        assert numbers
        assert all(number % 100 == 0 and number for number in numbers), witness
    assert not any("None" in line for each in profile["witnesses"] for line in each["text"])


@pytest.mark.parametrize(
    ("instants", "stays"),
    [((None, None), 1), ((5, 4), 0), ((4, 5), 1), ((5, None), 1), ((None, 5), 1), ((5, 5), 1)],
)
def test_of_two_contents_the_later_reading_stays(
    instants: tuple[int | None, int | None], stays: int, judge: Judged
) -> None:
    reads = [
        {**READ, "sequence": n, **({} if at_us is None else {"read_us": at_us})}
        for n, at_us in enumerate(instants)
    ]
    sent = [{**ATTEMPT, "sequence": n, "outcome": "unknown"} for n in range(2)]
    sent.append({**ATTEMPT, "producer": 2, "outcome": "acked", "offset": 1})
    anchor = {**READ, "producer": 2, "offset": 1}
    verdict = judge(judge.write("h.ndjson", *sent, *reads, anchor))
    gone = [s["sequence"] for s in verdict["profiles"][0]["samples"] if s["anomaly"] == "vanished"]
    assert gone == [1 - stays]
    assert counts(verdict)["unknown_present"] == 1


def test_a_start_that_is_contradicted_is_no_start_that_moved(judge: Judged) -> None:
    """Of records and of consumers: only that it is contradicted is said, not that it moved."""
    read = {**READ, "set": "drain"}
    drain = {"type": "drain", "topic": "t", "partition": 0, "complete": True, "start": 2, "end": 3}
    acked = [{**ATTEMPT, "sequence": at, "outcome": "acked", "offset": at} for at in range(3)]
    member = {
        "member": 1,
        "topic": "t",
        "partition": 0,
        "offset": 0,
        "at_us": 1_700_000_000_000_001,
    }
    handed = [
        {**member, "type": "assignment", "step": "assigned"},
        {**member, "type": "processing", "step": "polled"},
        {**member, "type": "processing", "step": "polled", "offset": 2},
    ]
    history = judge.write("h.ndjson", *acked, read, {**read, "sequence": 2, "offset": 2}, drain)
    with_members = judge.write("m.ndjson", *handed)
    for files, promise in (((history,), "no_lost"), ((history, with_members), "no_poll_skip")):
        verdict = judge(*files, options=("--profile", "consume-at-least-once"))
        assert judge.status == EXIT["inconclusive"], judge.stderr
        found = {each["promise"]: each for each in verdict["profiles"][0]["promises"]}[promise]
        assert found["verdict"] == "inconclusive"
        assert "offset 0 was read, and the log is said to begin at 2" in found["reason"]
        assert "had moved" not in found["reason"]
