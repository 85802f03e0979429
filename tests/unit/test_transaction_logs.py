"""What a damaged record of a producer's transactions still shows, and what it no longer does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.reconcile.findings import ProfileFindings
from harness.reconcile.reconcile import reconcile
from harness.rundir.clock import NEVER_US
from harness.rundir.run_dir import RunDir
from harness.rundir.run_record import load_run
from harness.rundir.transaction_steps import read_transactions
from harness.rundir.transactions import NOT_KNOWN_US, UNRECORDED
from tests.support.histories import (
    Proof,
    acked,
    anomalies,
    attempted,
    failed,
    observed,
    profile,
    run_info,
    txn,
    unknown,
    write_run,
)

TRANSACTIONAL = run_info([profile("transactional", transactional=True)])
OF_TRANSACTIONS = {"gap", "torn_txn", "lost_txn", "precommitted_read"}
LOG = "1.txn.ndjson"
Lines = list[dict[str, Any]]


def whole_run(path: Path, **options: Any) -> RunDir:
    """Three transactions: committed, aborted, and one whose commit has an unknown outcome."""
    history = [
        [acked(0, 0), acked(1, 1), observed(0, 0), observed(1, 1), txn(1, "committed", 0, 1)],
        [failed(2), txn(2, "aborted", 2, 2)],
        [unknown(3), observed(3, 5), txn(3, "unknown", 3, 3)],
    ]
    return write_run(path, history, info=TRANSACTIONAL, **options)


def found_in(run_dir: RunDir) -> ProfileFindings:
    return reconcile(load_run(run_dir, 1))[0]


def damaged(run_dir: RunDir, change: Callable[[Lines], Lines]) -> ProfileFindings:
    """What is found after the lines of the log were changed."""
    path = run_dir.ledger / LOG
    lines = change([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return found_in(run_dir)


def without(*places: int) -> Callable[[Lines], Lines]:
    return lambda lines: [line for place, line in enumerate(lines) if place not in places]


def swapped(one: int, other: int) -> Callable[[Lines], Lines]:
    def change(lines: Lines) -> Lines:
        lines[one], lines[other] = lines[other], lines[one]
        return lines

    return change


def changed(place: int, **fields: Any) -> Callable[[Lines], Lines]:
    def change(lines: Lines) -> Lines:
        lines[place] |= fields
        return lines

    return change


def test_a_whole_record_of_transactions_accuses_nobody_and_hides_nothing(tmp_path: Path) -> None:
    found = found_in(whole_run(tmp_path / "run"))
    assert anomalies(found) == {}
    assert OF_TRANSACTIONS & set(found.blind) == {"precommitted_read"}
    assert "when offsets were read live" in found.blind["precommitted_read"][0]


DAMAGE: dict[str, Callable[[Lines], Lines]] = {
    "the end of the log is gone": without(3, 4, 5, 6, 7, 8),
    "all but the first line is gone": without(*range(1, 9)),
    "every line is gone": without(*range(9)),
    "the first transaction is gone": without(0, 1, 2),
    "the line that says committed is gone": without(2),
    "the commit was called after it had succeeded": swapped(1, 2),
    "a transaction begins twice": lambda lines: [lines[0], *lines],
    "a committed transaction was aborted as well": lambda lines: [
        *lines[:3], {**lines[2], "step": "aborted"}, *lines[3:]
    ],
    "the transactions stand the other way round": lambda lines: lines[6:] + lines[:6],
    "ranges overlap": changed(7, ranges={"0:0": [1, 3]}),
    "a range begins below its first record": changed(1, ranges={"0:0": [1, 0]}),
    "an instant goes back": changed(4, at_us=5),
    "an instant is text": changed(1, at_us="soon"),
    "an instant is a fraction": changed(1, at_us=1.5),
    "a number is below zero": changed(1, txn=-1),
    "a step is unknown": changed(1, step="committted"),
    "ranges are a list": changed(1, ranges=[1, 2]),
    "a range has one number": changed(1, ranges={"0:0": [1]}),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "killed"])
def test_a_damaged_record_of_transactions_accuses_nobody_and_says_what_is_wrong(
    tmp_path: Path, name: str, closed: bool
) -> None:
    found = damaged(whole_run(tmp_path / "run", closed=closed), DAMAGE[name])
    assert anomalies(found) == {}
    assert set(found.blind) >= OF_TRANSACTIONS
    for anomaly in OF_TRANSACTIONS:
        assert any("producer 1" in reason for reason in found.blind[anomaly]), found.blind[anomaly]


@pytest.mark.parametrize("place", range(9))
@pytest.mark.parametrize("junk", ["nonsense", "[]", "{", "", "\0\0\0\0", "null", '{"txn": 1}'])
def test_a_line_that_is_no_step_is_counted_and_named(tmp_path: Path, place: int, junk: str) -> None:
    run_dir = whole_run(tmp_path / "run")
    path = run_dir.ledger / LOG
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:place], junk, *lines[place + 1 :]]) + "\n")
    found = found_in(run_dir)
    assert anomalies(found) == {}
    assert any(f"such as line {place + 1}" in reason for reason in found.blind["torn_txn"])


def test_bytes_that_are_no_text_are_damage() -> None:
    log = read_transactions([b'{"txn": 1, "step": "begin", "at_us": 1}\n', b"\xff\xfe\n"])
    assert "line 2" in log.damage
    assert not log.open_at_end


def test_a_missing_record_of_transactions_leaves_what_it_would_show_inconclusive(
    tmp_path: Path,
) -> None:
    run_dir = whole_run(tmp_path / "run")
    (run_dir.ledger / LOG).unlink()
    found = found_in(run_dir)
    assert anomalies(found) == {}
    assert "left no record of its transactions" in found.blind["torn_txn"][0]


def test_an_open_transaction_of_a_dead_process_that_is_visible_was_visible_too_early(
    tmp_path: Path,
) -> None:
    history = [acked(0, 0), observed(0, 0), txn(1, "committed", 0, 0)]
    history += [attempted(1), txn(2, "begin", 0, 0), observed(1, 1)]
    run_dir = write_run(tmp_path / "run", history, info=TRANSACTIONAL, closed=False)
    assert anomalies(found_in(run_dir)) == {"precommitted_read": 1}


def test_what_no_begin_precedes_is_no_witness_of_a_commit_that_was_never_called(
    tmp_path: Path,
) -> None:
    history = [acked(0, 0), observed(0, 0), txn(1, "committed", 0, 0), attempted(1), observed(1, 1)]
    run_dir = write_run(tmp_path / "run", history, info=TRANSACTIONAL, closed=False)
    assert anomalies(found_in(run_dir)) == {}


def test_a_ledger_closed_in_order_leaves_no_transaction_open(tmp_path: Path) -> None:
    """Then the log lost the lines that name the records."""
    history = [acked(0, 0), observed(0, 0), txn(1, "committed", 0, 0)]
    history += [unknown(1), txn(2, "begin", 0, 0), observed(1, 1)]
    run_dir = write_run(tmp_path / "run", history, info=TRANSACTIONAL, closed=True)
    assert anomalies(found_in(run_dir)) == {}


def test_a_damaged_record_still_shows_a_commit_that_was_torn(tmp_path: Path) -> None:
    history = [
        [acked(0, 0), acked(1, 1), observed(0, 0), txn(1, "committed", 0, 1)],
        [acked(2, 3), observed(2, 3), txn(2, "committed", 2, 2)],
    ]
    run_dir = write_run(tmp_path / "run", history, info=TRANSACTIONAL)
    found = damaged(run_dir, without(5))
    assert anomalies(found) == {"lost": 1, "torn_txn": 1}


@pytest.mark.parametrize("change", [None, without(2)], ids=["whole", "damaged"])
def test_a_last_stable_offset_hung_at_the_drain_needs_the_last_step_of_every_transaction(
    tmp_path: Path, change: Callable[[Lines], Lines] | None
) -> None:
    history = [
        [acked(0, 0), observed(0, 0), txn(1, "committed", 0, 0)],
        [Proof(0, complete=False, end=3, last_stable=1)],
    ]
    info = run_info([profile("transactional", transactional=True)])
    info.profiles[0].producer["transaction.timeout.ms"] = 30_000
    run_dir = write_run(tmp_path / "run", history, info=info)
    found = found_in(run_dir) if change is None else damaged(run_dir, change)
    assert anomalies(found) == ({"hung_txn": 1} if change is None else {})


def test_a_transaction_that_was_told_twice_has_no_instant() -> None:
    lines = [
        b'{"txn": 1, "step": "begin", "at_us": 1}\n',
        b'{"txn": 1, "step": "commit_called", "at_us": 2, "ranges": {"0:0": [0, 0]}}\n',
        b'{"txn": 1, "step": "committed", "at_us": 3}\n',
        b'{"txn": 1, "step": "aborted", "at_us": 4}\n',
        b'{"txn": 2, "step": "begin", "at_us": 5}\n',
    ]
    log = read_transactions(lines)
    assert log.states.tolist()[0] == UNRECORDED
    assert log.commit_called_us.tolist() == [NOT_KNOWN_US, NOT_KNOWN_US]
    assert read_transactions(lines[:3] + lines[4:]).commit_called_us.tolist() == [2, NEVER_US]


@pytest.mark.parametrize("first", [0, 1, 2])
def test_a_record_belongs_to_one_transaction_only(first: int) -> None:
    lines = [
        b'{"txn": 1, "step": "begin", "at_us": 1}\n',
        b'{"txn": 1, "step": "commit_called", "at_us": 2, "ranges": {"0:0": [0, 1]}}\n',
        b'{"txn": 1, "step": "committed", "at_us": 3}\n',
        b'{"txn": 2, "step": "begin", "at_us": 4}\n',
        b'{"txn": 2, "step": "commit_called", "at_us": 5, "ranges": {"0:0": [%d, 3]}}\n' % first,
        b'{"txn": 2, "step": "committed", "at_us": 6}\n',
    ]
    log = read_transactions(lines)
    assert ("overlap" in log.damage) is (first < 2)
    assert ((0, 0) in log.ranges) is (first == 2)


@pytest.mark.parametrize("torn", [b"", b'{"txn": 2, "step": "com'], ids=["whole", "torn"])
def test_a_torn_last_line_may_have_called_the_last_commit_and_no_other(torn: bytes) -> None:
    lines = [
        b'{"txn": 1, "step": "begin", "at_us": 1}\n',
        b'{"txn": 1, "step": "unknown", "at_us": 2, "ranges": {"0:0": [0, 0]}}\n',
        b'{"txn": 2, "step": "begin", "at_us": 3, "ranges": {"0:0": [1, 1]}}\n',
        *([torn] if torn else []),
    ]
    log = read_transactions(lines)
    assert log.torn is bool(torn)
    assert log.commit_called_us.tolist() == [NEVER_US, NOT_KNOWN_US if torn else NEVER_US]


@pytest.mark.parametrize(("ended_at_us", "called_us"), [(3, 2), (2, 2), (1, NOT_KNOWN_US)])
def test_a_clock_that_goes_back_says_of_no_commit_when_it_was_called(
    ended_at_us: int, called_us: int
) -> None:
    lines = [
        b'{"txn": 1, "step": "begin", "at_us": 1}\n',
        b'{"txn": 1, "step": "commit_called", "at_us": 2, "ranges": {"0:0": [0, 0]}}\n',
        b'{"txn": 1, "step": "committed", "at_us": %d}\n' % ended_at_us,
    ]
    assert read_transactions(lines).commit_called_us.tolist() == [called_us]
