"""Saying more about a reading never takes back what it shows.

Small random histories that contradict themselves in every way: acknowledgements, readings of both
sets, none of them related to each other. They are judged without a word on the log's bounds, then
with where the reading began, then with the log's true start and end.
"""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.history.judging import judge_files
from harness.rundir.columns import OFFSET_MAX
from harness.rundir.verdict import BROKEN, INCONCLUSIVE, KEPT, ProfileVerdict

PLACE = {"topic": "t", "partition": 0}
OUTCOMES = ["acked", "acked", "acked", "unknown", "failed"]


def judged(lines: list[dict[str, Any]], profile: str) -> ProfileVerdict:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "h.ndjson"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return judge_files([path], profile, lenient=False).profiles[0]


def attempt(sequence: int, outcome: str, offset: int | None = None, **more: Any) -> dict[str, Any]:
    line = {"type": "attempt", "producer": 1, **PLACE, "sequence": sequence, "outcome": outcome}
    return {**line, **({} if offset is None else {"offset": offset}), **more}


def read(sequence: int, offset: int, **more: Any) -> dict[str, Any]:
    line = {"type": "observation", "producer": 1, **PLACE, "sequence": sequence, "offset": offset}
    return {**line, **more}


def contradictory(seed: int) -> tuple[list[dict[str, Any]], list[int]]:
    """A history, and the offsets that its final reading returned."""
    chance = random.Random(seed)
    offsets = range(chance.choice([0, 0, 2]), 9)
    lines = []
    for producer in (1, 2):
        for sequence in range(chance.randrange(1, 6)):
            outcome = chance.choice(OUTCOMES)
            at = chance.choice([*offsets, None]) if outcome == "acked" else None
            lines.append(attempt(sequence, outcome, at, producer=producer))
    returned = []
    for offset in offsets:
        for which in ("drain", "live"):
            if chance.randrange(3):
                who = {"producer": chance.choice([1, 2]), "set": which}
                lines.append(read(chance.randrange(6), offset, **who))
                returned += [offset] if which == "drain" else []
    return lines, returned


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["at-least-once", "idempotent"]), st.booleans())
def test_the_same_facts_with_start_and_end_stated_give_at_least_what_they_give_without(
    seed: int, profile: str, closer: bool
) -> None:
    lines, returned = contradictory(seed)
    lowest, end = min(returned, default=0), max(returned, default=-1) + 1
    start = lowest if closer else 0
    drain = {"type": "drain", **PLACE, "complete": True, "start": start, "end": end}
    less = judged(lines, profile)
    for said in ({"type": "reading", **PLACE, "start": start}, drain):
        more = judged([*lines, said], profile)
        for name in set(less.counts) - {"unseen"}:
            assert more.counts[name] >= less.counts[name], (name, said, lines)
        for before, after in zip(less.promises, more.promises, strict=True):
            if before.verdict == BROKEN:
                assert after.verdict == BROKEN, (before.promise, said, lines)
        less = more


@pytest.mark.parametrize(("live", "verdict"), [(20, KEPT), (19, KEPT), (18, INCONCLUSIVE)])
def test_no_vanished_needs_19_of_20_records_to_be_read_twice(live: int, verdict: str) -> None:
    lines = [attempt(n, "acked", n) for n in range(20)] + [read(n, n) for n in range(20)]
    lines += [read(n, n, set="live") for n in range(live)]
    drain = {"type": "drain", **PLACE, "complete": True, "start": 0, "end": 20}
    promises = {each.promise: each for each in judged([*lines, drain], "idempotent").promises}
    assert promises.pop("no_vanished").verdict == verdict
    assert {each.verdict for each in promises.values()} == {KEPT}


def test_the_reason_states_how_much_of_which_partition_was_read_twice() -> None:
    lines = [attempt(n, "acked", n) for n in range(3)] + [read(n, n) for n in range(3)]
    found = judged([*lines, read(0, 0, set="live")], "idempotent")
    (reason,) = [each.reason for each in found.promises if each.promise == "no_vanished"]
    assert "at least 95% of each partition" in reason
    assert "1 of 3 (33 %) in t-0" in reason


def test_every_partition_needs_its_own_live_reading() -> None:
    lines: list[dict[str, Any]] = []
    for partition, count in ((0, 40), (1, 1)):
        where = {"partition": partition}
        for n in range(count):
            lines += [attempt(n, "acked", n, **where), read(n, n, **where)]
            lines += [read(n, n, set="live", **where)] if partition == 0 else []
    verdicts = {each.promise: each.verdict for each in judged(lines, "idempotent").promises}
    assert verdicts["no_vanished"] == INCONCLUSIVE


def test_the_highest_numbers_that_a_line_may_hold_are_judged() -> None:
    high = {"producer": 2**32 - 1, "partition": 65_535}
    lines = [
        attempt(2**62 - 1, "acked", OFFSET_MAX, **high),
        attempt(0, "acked", OFFSET_MAX - 1, **high),
        attempt(1, "acked", OFFSET_MAX, **high),
        read(2**62 - 1, OFFSET_MAX, **high),
        read(0, OFFSET_MAX - 1, set="live", **high),
        read(2**62 - 2, OFFSET_MAX - 2, set="live", **high),
    ]
    counts = judged(lines, "idempotent").counts
    assert {name: count for name, count in counts.items() if count} == {
        "attempted": 3, "acked": 3, "read": 1, "lost": 1, "unseen": 1, "inconsistent_offset": 1,
    }  # fmt: skip


def test_a_live_reading_at_another_offset_is_no_second_reading() -> None:
    """Copies are permitted here, and the final reading does not say how far the log goes."""
    lines = [attempt(n, "acked", n) for n in range(3)] + [read(n, n) for n in range(3)]
    lines += [read(n, 100 + n, set="live") for n in range(3)]
    promises = {each.promise: each for each in judged(lines, "at-least-once").promises}
    assert promises["no_vanished"].verdict == INCONCLUSIVE
    assert "0 of 3 (0 %) in t-0" in promises["no_vanished"].reason
