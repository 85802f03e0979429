"""Steps of transactions in a history: what contradicts itself, and what shows nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.history.judging import judge_files
from harness.rundir.verdict import ProfileVerdict

T0 = 1_700_000_000_000_000
HEAD = {"type": "history", "schema": "delivery-history/1", "transaction_timeout_ms": 30_000}
DRAIN = {"type": "drain", "topic": "t", "partition": 0, "complete": True, "end": 2,
         "last_stable": 2}  # fmt: skip
WATCHED = {"type": "offsets", "topic": "t", "partition": 0, "at_us": T0, "last_stable": 0,
           "high_watermark": 0}  # fmt: skip
ATTEMPT = {"type": "attempt", "producer": 1, "topic": "t", "partition": 0, "sequence": 0,
           "transaction": 1}  # fmt: skip
READ = {"type": "observation", "producer": 1, "topic": "t", "partition": 0, "sequence": 0,
        "offset": 0}  # fmt: skip
LIVE = {**READ, "set": "live", "read_us": T0 + 500}


def steps(*names: str, transaction: int = 1, at_us: int = T0) -> list[dict[str, Any]]:
    """Steps of a transaction, ten microseconds apart."""
    return [
        {"type": "transaction", "producer": 1, "transaction": transaction, "step": name,
         "at_us": at_us + 10 * place}
        for place, name in enumerate(names)
    ]  # fmt: skip


def judged(path: Path, *lines: Any, lenient: bool = False) -> ProfileVerdict:
    """The verdict of the profile `transactional` on a history of these lines."""
    path.write_text("".join(json.dumps(line) + "\n" for line in [HEAD, *lines]))
    return judge_files([path], "transactional", lenient=lenient).profiles[0]


def promise(profile: ProfileVerdict, name: str) -> tuple[str, str]:
    found = next(each for each in profile.promises if each.promise == name)
    return found.verdict, found.reason


CONTRADICTIONS = {
    "committed and then aborted": ("begin", "commit_called", "committed", "aborted"),
    "aborted and then committed": ("begin", "abort_called", "aborted", "committed"),
    "committed twice": ("begin", "commit_called", "committed", "committed"),
    "a commit called after the end": ("begin", "commit_called", "committed", "commit_called"),
    "begun twice": ("begin", "begin"),
    "a number that is used again": ("begin", "commit_called", "committed", "begin"),
    "begun after the call of its commit": ("commit_called", "begin"),
    "committed when only an abort was called": ("begin", "abort_called", "committed"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_steps_that_contradict_each_other_are_refused_with_their_line(
    tmp_path: Path, name: str
) -> None:
    made = steps(*CONTRADICTIONS[name])
    with pytest.raises(UsageError) as refused:
        judged(tmp_path / "h.ndjson", *made, ATTEMPT, READ, LIVE, DRAIN, WATCHED)
    assert f"h.ndjson:{len(made) + 1}: step: {made[-1]['step']}, but" in str(refused.value)
    assert "transaction 1 of producer 1" in str(refused.value)


def test_a_step_that_contradicts_is_left_out_when_lenient(tmp_path: Path) -> None:
    made = steps("begin", "commit_called", "committed", "aborted")
    path = tmp_path / "h.ndjson"
    profile = judged(path, *made, ATTEMPT, READ, LIVE, DRAIN, WATCHED, lenient=True)
    assert profile.verdict == "inconclusive"
    assert profile.counts["acked"] == 1


SEQUENCES = {
    "a commit called again after an unknown answer": (
        ("begin", "commit_called", "unknown", "commit_called", "committed"), "acked",
    ),
    "a commit that had to be aborted": (
        ("begin", "commit_called", "abort_called", "aborted"), "failed",
    ),
    "an abort of which only the outcome is recorded": (("aborted",), "failed"),
    "an end that is unknown": (("begin", "commit_called", "unknown"), "unknown"),
    "an unknown end whose call is not recorded": (("begin", "unknown"), "unknown"),
}  # fmt: skip


@pytest.mark.parametrize("name", SEQUENCES)
def test_steps_that_can_follow_on_each_other_decide_the_outcome(tmp_path: Path, name: str) -> None:
    made, outcome = SEQUENCES[name]
    profile = judged(tmp_path / "h.ndjson", *steps(*made), ATTEMPT, DRAIN, WATCHED)
    assert profile.counts[outcome] == 1
    assert profile.counts["precommitted_read"] == 0


def test_the_first_call_of_a_commit_is_the_one_that_counts(tmp_path: Path) -> None:
    made = steps("begin", "commit_called", "unknown", "commit_called", "committed")
    read = {**LIVE, "read_us": T0 + 15}
    profile = judged(tmp_path / "h.ndjson", *made, ATTEMPT, READ, read, DRAIN, WATCHED)
    assert profile.counts["precommitted_read"] == 0
    read = {**LIVE, "read_us": T0 + 9}
    profile = judged(tmp_path / "h.ndjson", *made, ATTEMPT, READ, read, DRAIN, WATCHED)
    assert profile.counts["precommitted_read"] == 1


def test_an_attempt_outside_of_any_transaction_is_never_read_before_its_commit(
    tmp_path: Path,
) -> None:
    outside = {**ATTEMPT, "outcome": "acked", "offset": 0}
    del outside["transaction"]
    inside = {**ATTEMPT, "sequence": 1}
    profile = judged(
        tmp_path / "h.ndjson", outside, inside, *steps("begin", "commit_called", "committed"),
        READ, {**READ, "sequence": 1, "offset": 1}, {**LIVE, "sequence": 1, "offset": 1},
        {**DRAIN, "end": 3, "last_stable": 3}, WATCHED,
    )  # fmt: skip
    assert profile.counts["precommitted_read"] == 0


def test_instants_that_run_backward_leave_what_they_would_show_inconclusive(
    tmp_path: Path,
) -> None:
    made = steps("begin", "commit_called", "committed")
    made[0]["at_us"] = T0 + 1_000_000
    stuck = [{**WATCHED, "at_us": T0 + us, "high_watermark": 2} for us in (0, 99_000_000)]
    read = {**LIVE, "read_us": T0}
    profile = judged(tmp_path / "h.ndjson", *made, ATTEMPT, READ, read, DRAIN, *stuck)
    for name in ("no_precommitted_read", "no_hung_txn"):
        verdict, reason = promise(profile, name)
        assert verdict == "inconclusive"
        assert "no steady clock: commit_called of transaction 1 of producer 1" in reason
    assert promise(profile, "no_lost")[0] == "kept"


def test_the_longest_transaction_timeout_that_is_stated_counts(tmp_path: Path) -> None:
    made = steps("begin", "commit_called", "committed")
    stuck = [{**WATCHED, "at_us": T0 + us, "high_watermark": 2} for us in (0, 100_000_000)]
    longer = {**HEAD, "transaction_timeout_ms": 80_000}
    for more, verdict in (((longer,), "kept"), ((), "broken")):
        profile = judged(tmp_path / "h.ndjson", *more, *made, ATTEMPT, READ, LIVE, DRAIN, *stuck)
        assert promise(profile, "no_hung_txn")[0] == verdict


OPEN = {"type": "attempt", "producer": 1, "topic": "t", "partition": 0, "sequence": 1,
        "transaction": 2}  # fmt: skip
ENDED = [ATTEMPT, *steps("begin", "commit_called", "committed"), READ, LIVE]
LEFT_OPEN = [*ENDED, OPEN, *steps("begin", transaction=2, at_us=T0 + 30)]
OPEN_FOR_US = 50_000_000
"""A transaction's timeout, the coordinator's scan and a failover."""


def look(at_us: int, last_stable: int = 2) -> dict[str, Any]:
    """A look at the last stable offset of a log that goes up to 2."""
    return {**WATCHED, "at_us": T0 + at_us, "last_stable": last_stable, "high_watermark": 2}


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        ([*ENDED, WATCHED], "inconclusive"),
        ([*ENDED, WATCHED, look(20)], "inconclusive"),
        ([*ENDED, WATCHED, look(21, last_stable=1)], "inconclusive"),
        ([*ENDED, WATCHED, look(21)], "kept"),
        ([*ENDED, WATCHED, DRAIN], "kept"),
        ([*ENDED, WATCHED, {**DRAIN, "complete": False}], "inconclusive"),
        ([*ENDED, WATCHED, {**DRAIN, "end": 3}], "inconclusive"),
        ([*LEFT_OPEN, WATCHED, look(31)], "inconclusive"),
        ([*LEFT_OPEN, WATCHED, look(30 + OPEN_FOR_US)], "inconclusive"),
        ([*LEFT_OPEN, WATCHED, look(31 + OPEN_FOR_US)], "kept"),
        ([*LEFT_OPEN, WATCHED, DRAIN], "kept"),
    ],
)
def test_that_nothing_hangs_is_seen_after_the_last_transaction_or_not_at_all(
    lines: list[dict[str, Any]], verdict: str, tmp_path: Path
) -> None:
    found, reason = promise(judged(tmp_path / "h.ndjson", *lines), "no_hung_txn")
    assert found == verdict, reason
    assert ("the last stable offset of t-0 was not seen" in reason) == (verdict == "inconclusive")


def test_a_visible_record_of_an_aborted_transaction_leaves_it_open_whether_it_was_early(
    tmp_path: Path,
) -> None:
    after = steps("begin", "commit_called", "committed", transaction=2, at_us=T0 + 30)
    there = [{**READ, "sequence": 1, "offset": 1}, {**LIVE, "sequence": 1, "offset": 1}]
    aborted = [ATTEMPT, *steps("begin", "abort_called", "aborted"), OPEN, *after, *there]
    seen = judged(tmp_path / "h.ndjson", *aborted, READ, LIVE)
    assert promise(seen, "no_failed_visible")[0] == "broken"
    assert promise(seen, "no_precommitted_read")[0] == "inconclusive"
    unseen = judged(tmp_path / "h.ndjson", *aborted)
    assert promise(unseen, "no_precommitted_read")[0] == "kept"
