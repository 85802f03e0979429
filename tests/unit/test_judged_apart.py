"""What an oracle once judged apart from the harness, and no golden history can show: it takes
several files, damage, or a profile of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.history.judging import judge_files
from harness.rundir.verdict import ProfileVerdict

T0 = 1_700_000_000_000_000
PLACE: dict[str, Any] = {"topic": "t", "partition": 0}
ACKED = {"type": "attempt", "producer": 1, **PLACE, "sequence": 0, "outcome": "acked", "offset": 0}
READ = {"type": "observation", "producer": 1, **PLACE, "sequence": 0, "offset": 0}
ANYWHERE = {"type": "attempt", "producer": 1, "topic": "t", "sequence": 0, "outcome": "acked"}
DIRTY = (
    "profiles:\n  dirty-reader:\n    extends: transactional\n"
    "    consumer: {isolation.level: read_uncommitted}\n"
)


def text(*lines: dict[str, Any]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def judged(
    folder: Path, *files: str, profile: str = "idempotent", lenient: bool = False, own: str = ""
) -> ProfileVerdict:
    paths = [folder / f"{number}.ndjson" for number in range(len(files))]
    for path, said in zip(paths, files, strict=True):
        path.write_text(said)
    profiles = [folder / "own.yaml"] if own else []
    for path in profiles:
        path.write_text(own)
    return judge_files(paths, profile, lenient=lenient, profiles=profiles).profiles[0]


def verdict_on(profile: ProfileVerdict, promise: str) -> str:
    return next(each.verdict for each in profile.promises if each.promise == promise)


def test_a_file_that_holds_only_the_beginning_of_a_line_is_passed_over(tmp_path: Path) -> None:
    whole = judged(tmp_path, text(ACKED, READ))
    assert judged(tmp_path, text(ACKED, READ), '{"type": "obs').counts == whole.counts
    assert judged(tmp_path, '{"type": "obs', text(ACKED, READ)).counts == whole.counts


@pytest.mark.parametrize("files", [['{"type": "obs'], ["{", "{"], [text(ACKED), ""]])
def test_files_without_a_line_are_no_history(tmp_path: Path, files: list[str]) -> None:
    with pytest.raises(UsageError, match=r"no line of a history|is empty"):
        judged(tmp_path, *files)


@pytest.mark.parametrize("promise", ["no_duplicate", "no_failed_visible", "no_misrouted"])
def test_a_line_that_was_skipped_may_have_said_where_an_attempt_belongs(
    tmp_path: Path, promise: str
) -> None:
    """Then what was read is misrouted, and is no reading of that attempt."""
    lines = {
        "no_duplicate": [ANYWHERE, READ, {**READ, "offset": 1}],
        "no_failed_visible": [{**ANYWHERE, "outcome": "failed"}, READ],
        "no_misrouted": [ANYWHERE, READ, {**READ, "partition": 1}],
    }[promise]
    placed = [{**line, **PLACE} if line["type"] == "attempt" else line for line in lines]
    if promise == "no_misrouted":
        placed[2] = {**placed[2], "sent_partition": 0}
    for told, kept, damaged in ((lines, "broken", "inconclusive"), (placed, "broken", "broken")):
        assert verdict_on(judged(tmp_path, text(*told)), promise) == kept
        profile = judged(tmp_path, text(*told) + "damage\n", lenient=True)
        assert verdict_on(profile, promise) == damaged


@pytest.mark.parametrize("others", [[], [{"sequence": 7}]])
@pytest.mark.parametrize(
    ("levels", "count"),
    [
        (["read_uncommitted"], 0),
        (["read_committed"], 1),
        (["read_committed", "read_uncommitted"], 0),
    ],
)
def test_when_a_read_uncommitted_reader_got_a_record_says_nothing_of_its_commit(
    tmp_path: Path, levels: list[str], count: int, others: list[dict[str, Any]]
) -> None:
    """Also where another record was read at that offset, and where both readers got it."""
    steps = ("begin", "commit_called", "committed")
    lines = [
        {key: ACKED[key] for key in ACKED if key != "outcome" and key != "offset"}
        | {"transaction": 1},
        *(
            {"type": "transaction", "producer": 1, "transaction": 1, "step": step, "at_us": T0 + n}
            for n, step in enumerate(steps, 10)
        ),
        *(
            {**READ, "set": "live", "read_us": T0 + n, "isolation": level}
            for n, level in enumerate(levels)
        ),
        *({**READ, "set": "live", "read_us": T0 + 50, **other} for other in others),
        READ,
    ]
    profile = judged(tmp_path, text(*lines), profile="dirty-reader", own=DIRTY)
    assert profile.counts["precommitted_read"] == count
