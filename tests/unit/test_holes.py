"""Offsets that a read_committed drain passed without a record: what accounts for each of them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import RunDirError
from harness.judge.judge import judge
from harness.read.read_positions import Position
from harness.replicas.files import Replica
from harness.replicas.held_offsets import log_held
from harness.rundir.holes import Holes, PartitionHoles, account
from harness.rundir.replicas import LogHeld
from harness.rundir.run_dir import RunDir
from harness.rundir.run_record import load_run
from tests.support.histories import (
    RUN_ID,
    Proof,
    acked,
    observed,
    profile,
    records,
    run_info,
    txn,
    write_run,
)  # fmt: skip
from tests.support.log_files import batch, marker, replica

TOPIC = f"harness-{RUN_ID}-transactional"


# -- what the log held ----------------------------------------------------------------------


def data(base: int, count: int, producer: int, *, epoch: int = 0, codec: str = "none") -> bytes:
    """Records of an open transaction."""
    values = [b"v"] * count
    return batch(
        base, values, codec=codec, producer=producer, producer_epoch=epoch, transactional=True
    )


def held(tmp_path: Path, parts: list[bytes], end: int, start: int = 0, first: int = 0) -> LogHeld:
    replica(tmp_path, "t", parts, [(0, 0)], first=first)
    return log_held(Replica(tmp_path, "t", 0), 1, start, end)


def ranges(log: LogHeld) -> dict[str, list[int]]:
    found = {name: getattr(log, name) for name in ("markers", "aborted", "open", "absent")}
    return {name: flat for name, flat in found.items() if flat}


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_a_transaction_is_what_its_own_producers_marker_says(tmp_path: Path, codec: str) -> None:
    parts = [
        data(0, 3, 7, codec=codec),
        data(3, 2, 8, codec=codec),
        data(5, 2, 7, codec=codec),
        marker(7, "abort", 7),
        marker(8, "commit", 8),
        batch(9, [b"no transaction"], codec=codec),
        data(10, 1, 7, codec=codec),
        marker(11, "commit", 7),
    ]
    log = held(tmp_path, parts, 12)
    assert ranges(log) == {"markers": [7, 8, 11, 11], "aborted": [0, 2, 5, 6]}
    assert (log.start, log.end, log.reason) == (0, 12, "")


def test_a_transaction_goes_on_in_the_next_segment(tmp_path: Path) -> None:
    replica(tmp_path, "t", [data(0, 3, 7)], [(0, 0)])
    replica(tmp_path, "t", [data(3, 2, 7), marker(5, "abort", 7)], [(0, 0)], first=3)
    log = log_held(Replica(tmp_path, "t", 0), 1, 0, 6)
    assert ranges(log) == {"markers": [5, 5], "aborted": [0, 4]}


def test_what_no_marker_has_ended_is_open(tmp_path: Path) -> None:
    parts = [data(0, 2, 7), data(2, 3, 8), marker(5, "commit", 8), data(6, 1, 8)]
    assert ranges(held(tmp_path, parts, 7)) == {"markers": [5, 5], "open": [0, 1, 6, 6]}


@pytest.mark.parametrize(("epoch", "wanted"), [(1, "aborted"), (2, "aborted"), (0, "open")])
def test_a_marker_ends_what_was_written_up_to_its_own_epoch(
    tmp_path: Path, epoch: int, wanted: str
) -> None:
    log = held(tmp_path, [data(0, 2, 7, epoch=1), marker(2, "abort", 7, epoch)], 3)
    assert ranges(log) == {"markers": [2, 2], wanted: [0, 1]}


def test_batches_of_two_epochs_that_lie_side_by_side_end_apart(tmp_path: Path) -> None:
    parts = [data(0, 2, 7, epoch=1), data(2, 2, 7, epoch=2), marker(4, "abort", 7, 1)]
    assert ranges(held(tmp_path, parts, 5)) == {
        "markers": [4, 4],
        "aborted": [0, 1],
        "open": [2, 3],
    }


def test_a_damaged_batch_at_the_end_that_was_named_is_not_looked_at(tmp_path: Path) -> None:
    damaged = marker(3, "abort", 8)
    damaged = damaged[:-1] + bytes([damaged[-1] ^ 1])
    parts = [data(0, 2, 7), marker(2, "abort", 7), damaged]
    assert held(tmp_path, parts, 3).reason == ""
    assert "fails its checksum" in held(tmp_path, parts, 4).reason


def test_a_later_commit_is_not_of_records_that_an_earlier_epoch_aborted(tmp_path: Path) -> None:
    parts = [
        data(0, 2, 7, epoch=1),
        marker(2, "abort", 7, 2),
        data(3, 2, 7, epoch=2),
        marker(5, "commit", 7, 2),
    ]
    assert ranges(held(tmp_path, parts, 6)) == {"markers": [2, 2, 5, 5], "aborted": [0, 1]}


def test_a_control_record_of_another_kind_ends_no_transaction(tmp_path: Path) -> None:
    log = held(tmp_path, [data(0, 2, 7), marker(2, "leader change", 7)], 3)
    assert ranges(log) == {"markers": [2, 2], "open": [0, 1]}


def test_offsets_of_no_batch_are_absent(tmp_path: Path) -> None:
    parts = [batch(0, [b"a"]), batch(4, [b"b"]), batch(5, [b"c", b"d"], deltas=[1, 3, 4])]
    assert ranges(held(tmp_path, parts, 10)) == {"absent": [1, 3, 5, 5, 7, 7, 9, 9]}


def test_only_offsets_below_the_end_that_was_named_are_looked_at(tmp_path: Path) -> None:
    torn = marker(5, "abort", 8)[:-1]
    log = held(tmp_path, [data(0, 2, 7), marker(2, "abort", 7), data(3, 2, 8), torn], 3)
    assert (log.end, log.reason, ranges(log)) == (3, "", {"markers": [2, 2], "aborted": [0, 1]})


def test_offsets_below_a_start_that_moved_are_not_told(tmp_path: Path) -> None:
    parts = [data(0, 4, 7), marker(4, "abort", 7)]
    log = held(tmp_path, parts, 5, start=2)
    assert (log.start, ranges(log)) == (2, {"markers": [4, 4], "aborted": [2, 3]})


@pytest.mark.parametrize(
    ("what", "parts", "end", "reason"),
    [
        ("a torn batch", [data(0, 2, 7), marker(2, "abort", 7)[:-1]], 2, "end at offset 2"),
        ("a short file", [data(0, 2, 7)], 2, "its files end at offset 2"),
        ("a batch that goes back", [data(0, 2, 7), data(1, 2, 7)], 2, "is where 2 was next"),
        ("a changed marker", [data(0, 2, 7), marker(2, "commit", 7)[:-8] + b"\1" * 8], 2,
         "the marker at offset 2 fails its checksum"),
        ("an empty file", [], 0, "its files end at offset 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_further_says_where_and_why(
    tmp_path: Path, what: str, parts: list[bytes], end: int, reason: str
) -> None:
    log = held(tmp_path, parts, 5)
    assert log.end == end, what
    assert reason in log.reason, what


def test_a_log_that_is_not_there_says_so(tmp_path: Path) -> None:
    log = log_held(Replica(tmp_path, "t", 0), 3, 0, 5)
    assert (log.end, log.reason) == (0, "it has no such directory")


def test_looking_ends_with_its_time(tmp_path: Path) -> None:
    replica(tmp_path, "t", [data(0, 2, 7)], [(0, 0)])
    log = log_held(Replica(tmp_path, "t", 0), 1, 0, 2, time_max_s=-1)
    assert (log.end, log.reason) == (0, "not read further within -1 s")


# -- what the reader passed -----------------------------------------------------------------


def test_holes_are_noted_as_stretches() -> None:
    position = Position()
    position.begin(2, noting=True)
    for part in ([3, 4], [5], [8, 10, 11], [12]):
        position.passed(np.array(part))
    position.ended(13)
    position.ended(15)
    position.begin(2, noting=True)
    position.ended(16)
    assert position.stretches == [2, 2, 6, 7, 9, 9, 13, 14, 15, 15]
    assert position.holes == 1 + 2 + 1 + 2 + 1


def test_holes_are_only_counted_where_nobody_asks_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    position = Position()
    position.passed(np.array([1, 5]))
    assert (position.holes, position.stretches) == (4, [])
    monkeypatch.setattr("harness.read.read_positions.STRETCHES_MAX", 2)
    position = Position()
    position.begin(0, noting=True)
    position.passed(np.array([1, 3, 5, 7]))
    assert (position.holes, position.stretches, position.noting) == (4, [], False)


# -- the rule -------------------------------------------------------------------------------

LOG = LogHeld(1, 0, 20, markers=[5, 5, 9, 9], aborted=[6, 8], open=[18, 19], absent=[])
ENTRY = PartitionHoles("t", 0, 20, [5, 9, 18, 19], LOG)


def test_markers_aborted_records_and_open_ones_account_for_a_hole() -> None:
    found = account(ENTRY, 18)
    assert (found.holes, found.markers, found.aborted, found.open) == (7, 2, 3, 2)
    assert (found.unaccounted, found.unchecked, found.obstacle) == (0, 0, "")


def stretches(*offsets: int) -> list[int]:
    """Each offset as a stretch of its own."""
    return [offset for each in offsets for offset in (each, each)]


@pytest.mark.parametrize(
    ("what", "offsets", "log", "last_stable", "sentence"),
    [
        ("a committed record before a marker", [4, 5], LOG, 18,
         "1 offset was passed without a record (4)"),
        ("one after it", [9, 10], LOG, 18, "(10)"),
        ("several", [0, 1, 3, 11, 12, 14, 15, 17], LOG, 20,
         "8 offsets were passed without a record (0 to 1, 3, 11 to 12 and 2 more stretches)"),
        ("an open one below the last stable offset", [18, 19], LOG, 20, "(18 to 19)"),
        ("a part of it", [18, 19], LOG, 19, "(18)"),
        ("an offset that the log has not", [3], replace(LOG, absent=[3, 3]), 18,
         "the log of broker 1 holds nothing at 1"),
        ("both", [2, 3], replace(LOG, absent=[3, 3]), 18,
         "holds a record that should have been returned at 1 and nothing at 1"),
    ],
)  # fmt: skip
def test_every_other_hole_is_unaccounted_and_named(
    what: str, offsets: list[int], log: LogHeld, last_stable: int, sentence: str
) -> None:
    holes = stretches(*sorted({5, 6, 7, 8, 9, *offsets}))
    found = account(replace(ENTRY, holes=holes, log=log), last_stable)
    assert sentence in found.obstacle, what
    assert found.unaccounted > 0


@pytest.mark.parametrize("at", [6, 8, 18])
def test_an_aborted_record_that_was_returned_is_no_hole(at: int) -> None:
    """It is failed_visible, which is judged by what became of the attempt."""
    holes = stretches(*sorted({5, 6, 7, 8, 9, 18, 19} - {at}))
    assert account(replace(ENTRY, holes=holes), 18).obstacle == ""


def test_holes_beyond_what_was_looked_at_are_not_checked() -> None:
    log = replace(LOG, end=8, markers=[5, 5], aborted=[6, 7], open=[], reason="it ends there")
    found = account(replace(ENTRY, log=log), 20)
    assert (found.markers, found.aborted, found.unaccounted, found.unchecked) == (1, 2, 0, 4)
    assert found.unchecked_why == "the log of broker 1: it ends there"
    assert found.obstacle == ""


def test_without_a_log_no_hole_is_checked() -> None:
    found = account(replace(ENTRY, log=None, reason="no files"), 20)
    assert (found.holes, found.unchecked, found.unchecked_why) == (7, 7, "no files")
    assert found.obstacle == ""


@pytest.mark.parametrize("kind", ["markers", "absent"])
def test_a_log_without_a_record_that_was_read_shows_nothing(kind: str) -> None:
    changed: dict[str, Any] = {kind: [2, 2, 5, 5, 9, 9]}
    log = replace(LOG, **changed)
    found = account(replace(ENTRY, log=log), 18)
    assert (found.unchecked, found.unaccounted, found.obstacle) == (7, 0, "")
    assert found.unchecked_why == "the log of broker 1 holds no record at offset 2, which was read"


# -- in a run -------------------------------------------------------------------------------


def a_run(path: Path, *entries: PartitionHoles) -> RunDir:
    """Six records, a marker after each three; partition 0 is read up to offset 8."""
    info = run_info([profile("transactional", transactional=True)])
    info.load.partitions = 2
    history = [
        records(3),
        [acked(n, n + 1) for n in (3, 4, 5)],
        [observed(n, n + 1) for n in (3, 4, 5)],
        txn(1, "committed", 0, 2),
        txn(2, "committed", 3, 5),
        Proof(0, end=8),
    ]
    run_dir = write_run(path / "run", history, info=info)
    if entries:
        Holes(partitions=list(entries)).write(run_dir.drained(1))
    return run_dir


def judged(run_dir: RunDir) -> tuple[str, list[str]]:
    """What became of no_lost, and the verdict's reasons."""
    verdict = judge(load_run(run_dir, 1))
    found = {each.promise: each.verdict for each in verdict.profiles[0].promises}
    return found["no_lost"], verdict.reasons


MARKED = PartitionHoles(TOPIC, 0, 8, [3, 3, 7, 7], LogHeld(2, 0, 8, markers=[3, 3, 7, 7]))


def test_a_run_whose_holes_are_all_accounted_for_says_so_and_is_kept(tmp_path: Path) -> None:
    verdict, reasons = judged(a_run(tmp_path, MARKED))
    assert verdict == "kept", reasons
    said = "the log files of the leaders account for 2 offsets that were passed without a record"
    assert any(said in reason for reason in reasons), reasons


def test_an_unaccounted_hole_leaves_its_partition_without_proof(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path, replace(MARKED, log=LogHeld(2, 0, 8, markers=[7, 7])))
    verdict, reasons = judged(run_dir)
    assert verdict == "inconclusive"
    (told,) = [reason for reason in reasons if "no_lost" in reason]
    assert "1 offset was passed without a record (3)" in told
    assert f"{TOPIC}-0" in told


def test_holes_that_nobody_checked_are_told_and_take_nothing_away(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path, replace(MARKED, log=None, reason="no files here"))
    verdict, reasons = judged(run_dir)
    assert verdict == "kept"
    (told,) = [reason for reason in reasons if "not checked" in reason]
    assert "2 offsets that were passed without a record by the read_committed drain of" in told
    assert f"{TOPIC}-0" in told
    assert told.endswith("(no files here)")


def test_a_drain_of_an_older_harness_has_its_holes_not_checked(tmp_path: Path) -> None:
    run_dir = a_run(tmp_path)
    path = run_dir.drained(1) / "drain.json"
    document = json.loads(path.read_text())
    document["partitions"][0]["holes"] = 2
    path.write_text(json.dumps(document))
    verdict, reasons = judged(run_dir)
    assert verdict == "kept"
    assert any("no holes.json" in reason for reason in reasons), reasons


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("holes", [3], "first and last offsets in turn"),
        ("holes", [7, 7, 3, 3], "not ascending and apart"),
        ("holes", [4, 3], "not ascending and apart"),
        ("holes", [-1, 3], "an offset that no log has"),
        ("holes", [3, True], "partitions[0].holes[1]"),
        ("log", {"broker": 1}, "partitions[0].log.start: is missing"),
        ("position", None, "partitions[0].position: null"),
    ],
)
def test_a_damaged_file_is_refused_by_name_and_field(
    tmp_path: Path, field: str, value: object, said: str
) -> None:
    run_dir = a_run(tmp_path, MARKED)
    path = run_dir.drained(1) / "holes.json"
    document = json.loads(path.read_text())
    assert document["partitions"] == [asdict(MARKED)]
    document["partitions"][0][field] = value
    path.write_text(json.dumps(document))
    with pytest.raises(RunDirError) as refused:
        judged(run_dir)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)
