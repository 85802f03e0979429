"""Histories that say keys: order within a key, compacted topics, and what lines may say of them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.history.judging import judge_files
from harness.reconcile.key_order import TableOrder
from harness.record.keys import KeyTable
from harness.rundir import cells
from harness.rundir.verdict import KeysVerdict, ProfileVerdict
from tests.unit.test_generated_histories import folder
from tests.unit.test_histories import ATTEMPT, READ, Judged
from tests.unit.test_history_input import refused

TOPIC = {"type": "topic", "topic": "t", "compacted": True}
QUIET: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


@pytest.fixture
def judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Judged:
    return Judged(tmp_path, capsys)


def sent(sequence: int, key: str | None, at: int | None, **more: Any) -> dict[str, Any]:
    """An attempt that was acknowledged at an offset, or of unknown outcome (None)."""
    outcome = {"outcome": "unknown"} if at is None else {"outcome": "acked", "offset": at}
    return {**ATTEMPT, "sequence": sequence, "key": key, **outcome, **more}


def read(sequence: int, at: int, **more: Any) -> list[dict[str, Any]]:
    """A record that both readings got."""
    line = {**READ, "sequence": sequence, "offset": at, **more}
    return [{**line, "set": "live"}, line]


def drain(end: int) -> dict[str, Any]:
    return {
        "type": "drain", "topic": "t", "partition": 0, "complete": True, "start": 0, "end": end,
    }  # fmt: skip


def profile_of(lines: list[dict[str, Any]], name: str = "at-least-once") -> ProfileVerdict:
    """What the judge says of lines."""
    with folder() as path:
        file = path / "h.ndjson"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return judge_files([file], name, lenient=False).profiles[0]


# -- order within a key


def swapped(first: str | None, second: str | None) -> list[dict[str, Any]]:
    """Two records that stand the other way round than they were sent."""
    return [sent(0, first, 1), sent(1, second, 0), *read(0, 1), *read(1, 0), drain(2)]


@pytest.mark.parametrize(
    ("first", "second", "inversions"), [("a", "a", 1), ("a", "b", 0), ("a", None, 0), ("", "", 1)]
)
def test_an_inversion_counts_for_a_key_only_between_records_of_it(
    first: str | None, second: str | None, inversions: int
) -> None:
    found = profile_of(swapped(first, second))
    assert found.counts["inversion"] == 1
    keys = len({first, second} - {None})
    assert found.keys == KeysVerdict(keys, inversions, inversions, 0, 0)


def test_a_history_without_keys_has_no_counts_of_keys() -> None:
    assert profile_of(swapped(None, None)).keys is None


def test_the_key_of_an_attempt_counts_before_that_of_a_reading() -> None:
    lines = swapped("a", None)
    said = [{**each, "key": "a"} if each["type"] == "observation" else each for each in lines]
    assert profile_of(said).keys == KeysVerdict(1, 1, 1, 0, 0)
    lines = swapped("a", "b")
    said = [{**each, "key": "a"} if each["type"] == "observation" else each for each in lines]
    keys = profile_of(said).keys
    assert keys is not None
    assert keys.inversions == 0


def test_a_further_copy_counts_for_the_key_of_its_record() -> None:
    lines = [sent(0, "a", 0), sent(1, "b", 1), *read(0, 0), *read(1, 1), *read(0, 2), drain(3)]
    assert profile_of(lines).keys == KeysVerdict(2, 0, 0, 1, 0)


@settings(max_examples=300, **QUIET)
@given(
    keys=st.integers(1, 5),
    records=st.lists(
        st.tuples(st.integers(-1, 4), st.integers(-1, 30), st.integers(-1, 30)), max_size=40
    ),
    chunk=st.integers(1, 12),
)
def test_order_within_a_key_is_the_same_in_chunks_of_any_size(
    keys: int, records: list[tuple[int, int, int]], chunk: int
) -> None:
    of_key = [min(key, keys - 1) for key, _, _ in records]
    expected, highest = [], dict.fromkeys(range(keys), -1)
    for number, (key, (_, place, bound)) in enumerate(zip(of_key, records, strict=True)):
        if key >= 0:
            if 0 <= place < highest[key]:
                expected.append(number)
            highest[key] = max(highest[key], bound)
    order = TableOrder(KeyTable(keys, np.array(of_key, dtype=np.int64)))
    found: list[int] = []
    for first in range(0, len(records), chunk):
        rows = np.array(records[first : first + chunk], dtype=np.int64)
        found += (first + order.add(first, rows[:, 1], rows[:, 2])).tolist()
    assert found == expected


# -- compaction


class Log:
    """A compacted log as brokers keep it, and everything that was said of it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.lines: list[dict[str, Any]] = [TOPIC]
        self.log: list[tuple[int, str, bool, int]] = []
        """offset, key, whether it is a tombstone, sequence"""
        self.live: set[tuple[int, int]] = set()
        self.end = 0
        self.acked: dict[int, int] = {}

    def write(self, count: int) -> None:
        for sequence in range(count):
            key, fate = self.chance.choice("abcd"), self.chance.randrange(6)
            deletes = self.chance.randrange(4) == 0
            written = fate > 0
            if written:
                self.log.append((self.end, key, deletes, sequence))
                self.end += 1
            at = self.end - 1 if fate > 1 else None
            self.lines.append(sent(sequence, key, at, tombstone=deletes))
            if at is not None:
                self.acked[sequence] = at
            if self.chance.randrange(2):
                self.look()
            if self.chance.randrange(3) == 0:
                self.clean()

    def look(self) -> None:
        """The live reader gets all that is there."""
        self.live |= {(sequence, offset) for offset, _, _, sequence in self.log}

    def clean(self) -> None:
        """Compaction goes up to some offset; tombstones may go later than what they delete."""
        upto = self.chance.randrange(self.end + 1)
        last = {key: offset for offset, key, _, _ in self.log if offset < upto}
        first = {key: offset for offset, key, _, _ in reversed(self.log)}
        kept = []
        for each in self.log:
            offset, key, deletes, _ = each
            old = offset < upto and last[key] > offset
            free = offset < upto and deletes and first[key] == offset
            if not old and not (free and self.chance.randrange(2)):
                kept.append(each)
        self.log = kept

    @property
    def text(self) -> list[dict[str, Any]]:
        seen = [{**READ, "sequence": s, "offset": at, "set": "live"} for s, at in sorted(self.live)]
        end = [{**READ, "sequence": s, "offset": at} for at, _, _, s in self.log]
        return [*self.lines, *seen, *end, drain(self.end)]


@settings(max_examples=80, **QUIET)
@given(st.integers(0, 2**62), st.integers(1, 30))
def test_what_compaction_removes_is_never_called_a_loss(seed: int, count: int) -> None:
    log = Log(seed)
    log.write(count)
    found = profile_of(log.text, "idempotent")
    broken = {name: found.counts[name] for name in ("lost", "vanished", "inconsistent_offset")}
    assert broken == dict.fromkeys(broken, 0), json.dumps(log.text)
    gone = len(log.acked.keys() - {sequence for *_, sequence in log.log})
    keys = found.keys
    assert (0 if keys is None else keys.superseded) + found.counts["unseen"] == gone


@settings(max_examples=80, **QUIET)
@given(st.integers(0, 2**62), st.integers(1, 30))
def test_the_last_record_of_a_key_is_lost_when_it_is_gone(seed: int, count: int) -> None:
    log = Log(seed)
    log.write(count)
    last = {key: each for each in log.log for key in [each[1]]}
    values = [each for each in last.values() if not each[2] and each[3] in log.acked]
    # What a tombstone of unknown outcome may have deleted is not known to be lost.
    doubt = {
        line["key"]
        for line in log.lines[1:]
        if line["tombstone"] and line["outcome"] == "unknown"
        if line["sequence"] not in {sequence for *_, sequence in log.log}
        if line["sequence"] not in {sequence for sequence, _ in log.live}
    }
    values = [each for each in values if each[1] not in doubt]
    if not values:
        return
    taken = log.chance.choice(values)
    later = [at for at, key, _, _ in log.log if key == taken[1] and at > taken[0]]
    seen = dict(log.live)
    keyed = {line["sequence"]: line["key"] for line in log.lines[1:]}
    known = [at for s, at in [*log.acked.items(), *seen.items()] if keyed[s] == taken[1]]
    log.log.remove(taken)
    lost = int(not later and max(known) == taken[0])
    found = profile_of(log.text, "idempotent")
    assert found.counts["lost"] == lost, json.dumps(log.text)
    assert found.counts["vanished"] == (lost if (taken[3], taken[0]) in log.live else 0)


def test_chunks_of_any_size_give_the_same_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(12):
        log = Log(seed)
        log.write(25)
        if log.log:
            log.log.pop(log.chance.randrange(len(log.log)))
        expected = profile_of(log.text, "idempotent")
        for chunk in (1, 2, 7):
            monkeypatch.setattr(cells, "CHUNK", chunk)
            found = profile_of(log.text, "idempotent")
            assert (found.counts, found.keys) == (expected.counts, expected.keys)
        monkeypatch.undo()


def test_a_topic_line_counts_before_the_settings_of_the_profile(
    judge: Judged, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "profiles:\n  compact:\n    extends: at-least-once\n    topic: {cleanup.policy: compact}\n"
    )
    lines = [sent(0, "a", 0), sent(1, "a", 1), *read(1, 1), drain(2)]
    options = ("--profiles", str(file), "--profile", "compact")
    assert (
        judge(judge.write("h.ndjson", *lines), options=options)["profiles"][0]["keys"]["superseded"]
        == 1
    )
    said = {**TOPIC, "compacted": False}
    assert (
        judge(judge.write("h.ndjson", said, *lines), options=options)["profiles"][0]["counts"][
            "lost"
        ]
        == 1
    )


def test_the_verdict_says_what_was_superseded_and_what_has_no_key(judge: Judged) -> None:
    kept = judge(
        judge.write("h.ndjson", TOPIC, sent(0, "a", 0), sent(1, "a", 1), *read(1, 1), drain(2))
    )
    assert any("1 acknowledged record is gone from a compacted topic" in r for r in kept["reasons"])
    open_ = judge(
        judge.write("h.ndjson", TOPIC, sent(0, None, 0), sent(1, "a", 1), *read(1, 1), drain(2))
    )
    assert open_["verdict"] == "inconclusive"
    assert any("the key of 1 record that is gone" in reason for reason in open_["reasons"])


def test_the_story_of_a_loss_says_that_it_was_the_last_of_its_key(judge: Judged) -> None:
    lost = judge(
        judge.write("h.ndjson", TOPIC, sent(0, "a", 0), sent(1, "b", 1), *read(1, 1), drain(2))
    )
    text = "\n".join(lost["profiles"][0]["witnesses"][0]["text"])
    assert "the last record of its key" in text


@pytest.mark.parametrize(
    ("compacted", "begins", "verdict"),
    [
        (True, '{"type": "attempt", "producer": 1', "inconclusive"),
        (False, '{"type": "attempt", "producer": 1', "broken"),
        (False, '{"type": "topic", "topic": "t", "comp', "inconclusive"),
    ],
)
def test_a_line_that_breaks_off_may_have_told_of_a_later_record_or_of_compaction(
    judge: Judged, compacted: bool, begins: str, verdict: str
) -> None:
    lines = [sent(0, "a", 0), sent(1, "b", 1), *read(1, 1), drain(2)]
    path = judge.write("h.ndjson", *([TOPIC] if compacted else []), *lines)
    path.write_text(path.read_text() + begins)
    assert judge(path)["verdict"] == verdict


# -- what a line may hold


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ({**ATTEMPT, "key": 5}, ("key: 5; expected text, or null",)),
        ({**ATTEMPT, "key": ["a"]}, ('key: ["a"]; expected text, or null',)),
        ({**READ, "key": False}, ("key: false; expected text, or null",)),
        ({**ATTEMPT, "tombstone": "yes"}, ('tombstone: "yes"; expected true or false',)),
        ({**TOPIC, "compacted": "compact"}, ('compacted: "compact"; expected true or false',)),
        ({**TOPIC, "compacted": 1}, ("compacted: 1; expected true or false",)),
        ({"type": "topic", "compacted": True}, ("topic: is missing",)),
        ({**TOPIC, "partition": 0}, ("partition: unknown field",)),
        ({**TOPIC, "compacted": False}, ("compacted: false, and another line says true of t",)),
    ],
)
def test_a_line_that_says_it_wrongly_is_refused(
    judge: Judged, line: dict[str, Any], says: tuple[str, ...]
) -> None:
    refused(judge, judge.write("h.ndjson", TOPIC, line), 2, *says)


def test_null_says_nothing_and_a_topic_may_be_named_twice(judge: Judged) -> None:
    lines = [TOPIC, TOPIC, {**TOPIC, "compacted": None}, sent(0, None, 0, tombstone=None)]
    assert (
        judge(judge.write("h.ndjson", *lines, *read(0, 0, key=None), drain(1)))["verdict"] == "kept"
    )
