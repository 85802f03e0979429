"""Readings of a history at two isolation levels, and the holes for which they account."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.history.judging import judge_files
from harness.rundir.verdict import Verdict

T0 = 1_700_000_000_000_000
PLACE: dict[str, Any] = {"topic": "t", "partition": 0}
UNCOMMITTED = {"isolation": "read_uncommitted"}


def judged(path: Path, *lines: dict[str, Any], profile: str = "transactional") -> Verdict:
    file = path / "h.ndjson"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return judge_files([file], profile, lenient=False)


def transaction(number: int, *end: str) -> list[dict[str, Any]]:
    """One record in a transaction, its sequence one below the number."""
    steps = ("begin", *end)
    return [
        {"type": "attempt", "producer": 1, **PLACE, "sequence": number - 1, "transaction": number},
        *(
            {"type": "transaction", "producer": 1, "transaction": number, "step": step,
             "at_us": T0 + 10 * number + i}
            for i, step in enumerate(steps)
        ),
    ]  # fmt: skip


def read(sequence: int, offset: int, **more: Any) -> dict[str, Any]:
    return {"type": "observation", "producer": 1, **PLACE, "sequence": sequence,
            "offset": offset, **more}  # fmt: skip


def drain(end: int, **more: Any) -> dict[str, Any]:
    return {"type": "drain", **PLACE, "complete": True, "end": end, **more}


COMMITTED = transaction(1, "commit_called", "committed")
ABORTED = transaction(2, "abort_called", "aborted")
BOTH = [*COMMITTED, *ABORTED, read(0, 0), drain(4, start=0, last_stable=4)]
"""A committed record at 0 and its marker, an aborted one at 2 and its marker."""


def holes(verdict: Verdict) -> str:
    """What the reasons say of offsets that were not read."""
    found = [reason for reason in verdict.reasons if "were not read" in reason]
    assert len(found) == 1, verdict.reasons
    return found[0]


def test_without_a_read_uncommitted_reading_holes_are_not_checked(tmp_path: Path) -> None:
    assert "3 offsets below the end were not read: transaction markers and aborted" in holes(
        judged(tmp_path, *BOTH)
    )


def test_a_read_uncommitted_reading_accounts_for_aborted_records_and_markers(
    tmp_path: Path,
) -> None:
    said = holes(
        judged(tmp_path, *BOTH, read(0, 0, **UNCOMMITTED), read(1, 2, **UNCOMMITTED),
               drain(4, **UNCOMMITTED))
    )  # fmt: skip
    assert said == (
        "t-0: 3 offsets below the end were not read; a read_uncommitted reading returned 1 of "
        "them; 2 hold no record, as markers of 2 transactions that wrote there do"
    )


def test_holes_beyond_the_read_uncommitted_reading_are_not_checked(tmp_path: Path) -> None:
    said = holes(judged(tmp_path, *BOTH, read(0, 0, **UNCOMMITTED), read(1, 2, **UNCOMMITTED)))
    assert "; 1 hold no record, as markers of 2 transactions" in said
    assert "; 1 offset more are not checked" in said


def test_holes_before_the_read_uncommitted_reading_are_not_checked_unless_it_began_there(
    tmp_path: Path,
) -> None:
    late = [*BOTH, read(1, 2, **UNCOMMITTED), drain(4, **UNCOMMITTED)]
    said = holes(judged(tmp_path, *late))
    assert "; 1 hold no record" in said
    assert "; 1 offset more are not checked" in said
    began = {"type": "reading", **PLACE, "start": 1, **UNCOMMITTED}
    said = holes(judged(tmp_path, *late, began))
    assert "; 2 hold no record" in said
    assert "not checked" not in said


@pytest.mark.parametrize(
    "more",
    [
        [read(1, 2, **UNCOMMITTED), drain(4, start=0, **UNCOMMITTED)],
        [read(0, 0, **UNCOMMITTED), read(1, 2, **UNCOMMITTED),
         {**drain(4, **UNCOMMITTED), "complete": False}],
        [read(0, 0, **UNCOMMITTED), read(1, 2, set="live", **UNCOMMITTED)],
    ],
    ids=["that missed a committed record", "that did not end", "that was live"],
)  # fmt: skip
def test_a_read_uncommitted_reading_shows_no_markers(
    tmp_path: Path, more: list[dict[str, Any]]
) -> None:
    said = holes(judged(tmp_path, *BOTH, *more))
    assert "returned 1 of them" in said
    assert "hold no record" not in said
    assert "; 2 offsets more are not checked" in said


def test_more_holes_than_transactions_ended_are_not_checked_and_break_nothing(
    tmp_path: Path,
) -> None:
    verdict = judged(
        tmp_path, *COMMITTED, read(0, 0), read(0, 0, set="live", read_us=T0 + 90),
        drain(4, start=0, last_stable=4), read(0, 0, **UNCOMMITTED), drain(4, **UNCOMMITTED),
        {"type": "offsets", **PLACE, "at_us": T0, "last_stable": 0, "high_watermark": 0},
    )  # fmt: skip
    said = holes(verdict)
    assert "; 1 hold no record, as markers of 1 transaction that" in said
    assert "; 2 offsets more are not checked" in said
    assert verdict.verdict == "kept", verdict.reasons


def test_the_reasons_say_how_many_readings_are_not_judged(tmp_path: Path) -> None:
    verdict = judged(tmp_path, *BOTH, read(1, 2, **UNCOMMITTED))
    assert any(reason.startswith("1 reading at read_uncommitted") for reason in verdict.reasons)
    assert verdict.profiles[0].counts["read"] == 1


def test_two_drain_lines_of_one_level_that_differ_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two drain lines say different things about t-0"):
        judged(tmp_path, *BOTH, drain(5, isolation="read_committed"))


def test_a_drain_line_of_another_level_counts_where_there_is_no_other(tmp_path: Path) -> None:
    lines = [
        {"type": "attempt", "producer": 1, **PLACE, "sequence": n, "outcome": "acked", "offset": n}
        for n in range(2)
    ]
    rest = [read(0, 0), read(0, 0, set="live")]
    of_other = judged(
        tmp_path, *lines, *rest, drain(1, isolation="read_committed"), profile="at-least-once"
    )
    assert of_other.profiles[0].counts["lost"] == 1
    both = judged(
        tmp_path, *lines, *rest, drain(1, isolation="read_committed"),
        {**drain(1), "complete": False}, profile="at-least-once",
    )  # fmt: skip
    assert both.profiles[0].counts["lost"] == 0
    assert both.profiles[0].counts["unseen"] == 1


def test_a_read_uncommitted_start_does_not_say_where_the_committed_reading_began(
    tmp_path: Path,
) -> None:
    late = [*transaction(1, "commit_called", "committed"), read(0, 5)]
    began = {"type": "reading", **PLACE, "start": 0}
    counted = [judged(tmp_path, *late, {**began, **more}) for more in ({}, UNCOMMITTED)]
    assert [any("reading began above" in each for each in v.reasons) for v in counted] == [
        False,
        True,
    ]


def test_instants_at_read_uncommitted_show_nothing_where_the_profile_reads_so(
    tmp_path: Path,
) -> None:
    profiles = tmp_path / "p.yaml"
    profiles.write_text(
        "profiles:\n  loose:\n    extends: transactional\n    consumer:\n"
        "      isolation.level: read_uncommitted\n"
    )
    file = tmp_path / "h.ndjson"
    lines = [*COMMITTED, read(0, 0), read(0, 0, set="live", read_us=T0 + 1)]
    for more, count in (({}, 0), ({"isolation": "read_committed"}, 1)):
        told = [{**line, **(more if line["type"] == "observation" else {})} for line in lines]
        file.write_text("".join(json.dumps(line) + "\n" for line in told))
        verdict = judge_files([file], "loose", lenient=False, profiles=[profiles])
        assert verdict.profiles[0].counts["precommitted_read"] == count
