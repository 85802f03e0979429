"""What the load planned and did not send, and why attempts failed: told, and judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cli.main import main
from harness.judge.judge import TIMED_OUT_IN_CLIENT
from harness.judge.loading import FAILED_SHARE_MAX, UNSENT_SHARE_MAX
from harness.rundir.load_events import SentSlots
from harness.rundir.verdict import LoadVerdict, PromiseVerdict, Verdict
from tests.support.histories import (
    HEALTHY,
    acked,
    event,
    failed,
    judged,
    observed,
    profile,
    run_info,
    slot,
    unknown,
)

TOPIC = "t"


def run(tmp_path: Path, *history: Any, unsent: int | None = 0, **more: Any) -> Verdict:
    """A run of one idempotent profile whose load stopped in order."""
    healthy = [each for each in HEALTHY if each.fields.get("phase") != "load_stopped"]
    fields: dict[str, Any] = (
        {} if unsent is None else {"unsent": unsent, "unsent_by": {"idempotent": unsent}}
    )
    stopped = event("run", phase="load_stopped", **fields)
    info = run_info([profile(topics=[TOPIC], **more)])
    return judged(tmp_path / "run", [*history, healthy, stopped], info=info, healthy=False)


def load_of(verdict: Verdict) -> LoadVerdict:
    load = verdict.profiles[0].load
    assert load is not None
    return load


def kept(count: int, first: int = 0) -> list[Any]:
    """Acknowledged attempts at the offset of their sequence, read back."""
    return [each for s in range(first, first + count) for each in (acked(s, s), *observed(s, s))]


def promise(verdict: Verdict, name: str) -> PromiseVerdict:
    (found,) = (each for each in verdict.profiles[0].promises if each.promise == name)
    return found


def test_the_achieved_rate_stands_beside_the_one_asked_for(tmp_path: Path) -> None:
    """100 attempts in the first and 60 in the third of three slots: 160 in 0.75 s."""
    slots = [
        slot(TOPIC, 4, attempted=100, acked=100),
        slot(TOPIC, 6, attempted=60, acked=60),
        slot(TOPIC, 9, acked=0),
    ]
    load = load_of(run(tmp_path, kept(160), slots))
    assert load.asked_per_s == run_info([profile()]).load.rate_per_s
    assert load.achieved_per_s == pytest.approx(160 / 0.75, abs=0.1)
    assert (load.planned, load.unsent, load.failures) == (160, 0, [])


@pytest.mark.parametrize(
    ("unsent", "verdict"), [(10, "kept"), (11, "inconclusive")], ids=["at the limit", "above it"]
)
def test_a_load_of_which_too_much_was_never_sent_is_no_test(
    unsent: int, verdict: str, tmp_path: Path
) -> None:
    """90 of 100 records sent are just enough."""
    assert UNSENT_SHARE_MAX == 0.1
    found = run(tmp_path, kept(90), slot(TOPIC, 0, attempted=90, acked=90), unsent=unsent)
    assert load_of(found).planned == 90 + unsent
    assert load_of(found).unsent == unsent
    assert found.verdict == verdict
    assert promise(found, "no_lost").bound_95_per_fault is None
    told = [reason for reason in found.reasons if f"{unsent} (" in reason]
    assert len(told) == 1
    assert "were never sent" in told[0]


def test_nothing_is_said_of_records_that_were_all_sent(tmp_path: Path) -> None:
    found = run(tmp_path, kept(90), slot(TOPIC, 0, attempted=90, acked=90))
    assert not any("never sent" in reason for reason in found.reasons)


def test_a_load_that_did_not_say_what_it_left_unsent_has_no_plan(tmp_path: Path) -> None:
    load = load_of(run(tmp_path, kept(9), slot(TOPIC, 0, attempted=9, acked=9), unsent=None))
    assert (load.planned, load.unsent) == (None, None)


def test_failed_attempts_are_told_with_their_reason_count_and_time(tmp_path: Path) -> None:
    full: dict[str, Any] = {"failed_by": {"_QUEUE_FULL": 2}}
    slots = [
        slot(TOPIC, 0, attempted=8, acked=6, failed=2, **full),
        slot(TOPIC, 8, attempted=8, acked=5, failed=2, unknown=1, **full,
             unknown_by={"_MSG_TIMED_OUT": 1}),
    ]  # fmt: skip
    history = [kept(11), [failed(s) for s in range(11, 15)], unknown(15), slots]
    found = run(tmp_path, history)
    first, second = load_of(found).failures
    assert (first.outcome, first.code, first.count) == ("failed", "_QUEUE_FULL", 4)
    assert "queue was full" in first.meaning
    assert (first.first_at, first.last_at) == (
        "2023-11-14T22:13:20.000000Z",
        "2023-11-14T22:13:22.250000Z",
    )
    assert (second.outcome, second.code, second.count) == ("unknown", "_MSG_TIMED_OUT", 1)
    (told,) = (reason for reason in found.reasons if "attempts" in reason)
    assert "5 of 16 attempts (31.2 %)" in told
    assert "4 failed, _QUEUE_FULL: the client's own queue was full" in told
    assert "between 22:13:20.00 and 22:13:22.25 UTC" in told
    assert found.verdict == "kept"


@pytest.mark.parametrize(
    ("lost", "verdict"), [(8, "kept"), (9, "inconclusive")], ids=["at the limit", "above it"]
)
@pytest.mark.parametrize("outcome", [failed, unknown])
def test_a_load_that_mostly_failed_is_no_test(
    lost: int, verdict: str, outcome: Any, tmp_path: Path
) -> None:
    """8 of 16 attempts are just enough."""
    assert FAILED_SHARE_MAX == 0.5
    found = run(tmp_path, kept(16 - lost), [outcome(s) for s in range(16 - lost, 16)])
    assert found.verdict == verdict
    none = promise(found, "no_lost")
    assert ("most of the load came to nothing" in none.reason) == (verdict == "inconclusive")


def test_a_break_is_a_break_however_much_of_the_load_failed(tmp_path: Path) -> None:
    found = run(tmp_path, acked(0, 0), [failed(s) for s in range(1, 9)])
    assert promise(found, "no_lost").verdict == "broken"
    assert promise(found, "no_duplicate").verdict == "inconclusive"


def test_what_was_aborted_on_purpose_says_nothing_against_the_load(tmp_path: Path) -> None:
    aborted = slot(TOPIC, 0, attempted=9, acked=2, failed=7, failed_by={"aborted": 7})
    found = run(tmp_path, kept(2), [failed(s) for s in range(2, 9)], aborted)
    assert [(each.code, each.count) for each in load_of(found).failures] == [("aborted", 7)]
    assert found.verdict == "kept"
    assert not any("attempts" in reason for reason in found.reasons)


def test_what_has_no_reason_on_record_is_told_as_such(tmp_path: Path) -> None:
    partly = slot(TOPIC, 0, attempted=9, acked=6, failed=1, failed_by={"_TRANSPORT": 1})
    found = run(tmp_path, kept(6), [failed(6), failed(7), unknown(8)], partly)
    told = {(e.outcome, e.code, e.count, e.first_at is None) for e in load_of(found).failures}
    assert told == {
        ("failed", "_TRANSPORT", 1, False),
        ("failed", "not_recorded", 1, True),
        ("unknown", "not_recorded", 1, True),
    }


def test_the_failures_of_another_profile_are_not_told_here(tmp_path: Path) -> None:
    elsewhere = slot("another", 0, failed=3, failed_by={"_QUEUE_FULL": 3})
    assert load_of(run(tmp_path, kept(3), elsewhere)).failures == []


def test_an_attempt_is_placed_in_time_by_its_sequence() -> None:
    """Ten attempts in the first slot, none in the second, four in the third."""
    starts = np.array([0, 250, 500]) * 1000
    slots = SentSlots(starts, starts + 250_000, np.array([10, 0, 4]))
    sequences = np.array([0, 5, 9, 10, 13, 14, -1])
    assert slots.sent_us(sequences).tolist() == [0, 125_000, 225_000, 500_000, 687_500, -1, -1]
    assert slots.total == 14


def test_a_history_has_no_load_of_ours_and_may_have_failed_for_the_most_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[dict[str, Any]] = [{"type": "history", "schema": "delivery-history/1"}]
    where = {"producer": 1, "topic": TOPIC, "partition": 0}
    lines += [
        {"type": "attempt", **where, "sequence": s, "outcome": "failed" if s else "acked"}
        | ({} if s else {"offset": 0})
        for s in range(4)
    ]
    lines += [{"type": "observation", **where, "sequence": 0, "offset": 0}]
    path = tmp_path / "history.ndjson"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    main(["verify", "--history", str(path), "--profile", "idempotent", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["profiles"][0]["load"] is None
    assert not any("came to nothing" in reason for reason in document["reasons"])


@pytest.mark.parametrize(
    ("idempotence", "topic", "code", "named"),
    [
        (True, TOPIC, "_MSG_TIMED_OUT", True),
        (False, TOPIC, "_MSG_TIMED_OUT", False),
        (True, "another", "_MSG_TIMED_OUT", False),
        (True, TOPIC, "_TRANSPORT", False),
    ],
    ids=["its records timed out", "without idempotence", "of another topic", "another reason"],
)
def test_duplicates_of_an_idempotent_producer_whose_records_timed_out_are_broken_and_explained(
    idempotence: bool, topic: str, code: str, named: bool, tmp_path: Path
) -> None:
    slots = [
        slot(TOPIC, 0, attempted=3, acked=2, unknown=1),
        slot(topic, 1, attempted=1, unknown=1, unknown_by={code: 1}),
    ]
    history = [kept(2), *observed(1, 2), unknown(2), slots]
    producer = {"acks": "all", "enable.idempotence": idempotence}
    found = promise(run(tmp_path, history, producer=producer), "no_duplicate")
    assert found.verdict == "broken"
    assert (TIMED_OUT_IN_CLIENT in found.reason) == named
