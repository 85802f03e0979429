"""When a partition counts as drained whole: positions and proofs as truth tables."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from harness.errors import EXIT_INCONCLUSIVE, RunDirError
from harness.read import drain as drain_module
from harness.read import survey
from harness.read.drain import drain
from harness.read.read_positions import Position, Positions
from harness.record.binary import decode
from harness.rundir.proof import DrainProof, PartitionProof, blank_proof
from harness.rundir.read_batch import ReadBatch
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import RunInfo
from tests.support.runs import load_plan, profile_run
from tests.support.runs import run_info as made_run


def run_info(*, transactional: bool = False, **topic: str) -> RunInfo:
    producer = {"transactional.id": "t"} if transactional else {}
    profile = profile_run("p", "a", "b", topic_ids=["A", "B"], producer=producer, topic=dict(topic))
    return made_run(profile, load=load_plan(partitions=2))


# -- positions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "parts", "next_offset", "holes"),
    [
        ("gapless", [[0, 1, 2], [3, 4]], 5, 0),
        ("a hole inside a batch", [[0, 2]], 3, 1),
        ("a hole between batches", [[0, 1], [5]], 6, 3),
        ("a hole at the start", [[4]], 5, 4),
    ],
)
def test_offsets_that_were_passed_without_a_record_are_holes(
    what: str, parts: list[list[int]], next_offset: int, holes: int
) -> None:
    position = Position()
    position.begin(0)
    for part in parts:
        position.passed(np.array(part))
    assert (position.next, position.holes, position.failure) == (next_offset, holes, ""), what
    assert position.read == sum(map(len, parts))


@pytest.mark.parametrize(
    "parts", [[[0, 1], [1, 2]], [[2, 1]], [[0, 0]], [[5], [3]], [[0, 5, 3, 6]]]
)
def test_offsets_that_go_back_end_the_proof(parts: list[list[int]]) -> None:
    position = Position()
    for part in parts:
        position.passed(np.array(part))
    assert "offsets came out of order" in position.failure
    assert not position.behind(100), "there is nothing left to wait for"


def test_markers_at_the_end_are_passed_by_the_word_of_the_broker() -> None:
    position = Position()
    position.passed(np.array([0, 1]))
    position.ended(4)
    assert (position.next, position.holes, position.read, position.eof) == (4, 2, 2, 4)


@pytest.mark.parametrize(
    ("eof", "end", "behind"),
    [(None, 0, True), (0, 0, False), (4, 5, True), (5, 5, False), (6, 5, False)],
)
def test_a_position_is_behind_until_the_broker_says_that_the_end_is_the_end(
    eof: int | None, end: int, behind: bool
) -> None:
    position = Position()
    if eof is not None:
        position.ended(eof)
    assert position.behind(end) is behind


def test_having_read_all_offsets_is_not_enough_without_the_word_of_the_broker() -> None:
    position = Position()
    position.passed(np.arange(5))
    assert position.behind(5)


def test_reading_begins_at_the_log_start_and_goes_on_where_it_stopped() -> None:
    position = Position()
    position.begin(10)
    position.passed(np.array([10, 11]))
    position.begin(10)
    assert (position.next, position.holes) == (12, 0)


def test_a_batch_is_counted_partition_by_partition() -> None:
    positions = Positions([("a", 0), ("a", 1), ("b", 0)])
    batch = ReadBatch(
        decode([b""] * 7),
        np.array([0, 0, 1, 0, 0, 1, 1]),
        np.array([0, 0, 0, 1, 0, 0, 0]),
        np.array([0, 1, 0, 0, 2, 1, 3]),
        lambda places: [None] * len(places),
    )
    positions.advance(["a", "b"], batch)
    found = {
        key: (positions[key].next, positions[key].holes) for key in (("a", 0), ("a", 1), ("b", 0))
    }
    assert found == {("a", 0): (3, 0), ("a", 1): (1, 0), ("b", 0): (4, 1)}


# -- proofs ---------------------------------------------------------------------------------


def proven(**changes: object) -> PartitionProof:
    fields: dict[str, object] = {
        "topic_id": "A",
        "start": 0,
        "end": 10,
        "last_stable": 10,
        "log_end": 10,
        "isr": [1, 2, 3],
        "replicas": [1, 2, 3],
        "position": 10,
        "read": 10,
        "eof": True,
        "log_start_after": 0,
        **changes,
    }
    return PartitionProof("a", 0, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("what", "changes", "level", "obstacle"),
    [
        ("all as it should be", {}, "plain", ""),
        ("all as it should be", {}, "transactional", ""),
        (
            "an empty log",
            {"end": 0, "last_stable": 0, "log_end": 0, "position": 0, "read": 0},
            "plain",
            "",
        ),
        ("read further than the end", {"position": 12, "read": 12}, "plain", ""),
        (
            "records that no follower has",
            {"log_end": None},
            "plain",
            "no leader said that its log ends at the high watermark 10",
        ),
        (
            "a log that ended there once",
            {"log_end": 9},
            "plain",
            "no leader said that its log ends at the high watermark 10",
        ),
        ("a failure", {"reason": "it is gone"}, "plain", "it is gone"),
        ("a replica missing", {"isr": [1, 2]}, "plain", "not in full ISR: in sync [1, 2]"),
        ("no replicas known", {"isr": [], "replicas": []}, "plain", "not in full ISR"),
        ("no end", {"end": None}, "plain", "no start and end"),
        ("no start", {"start": None}, "plain", "no start and end"),
        (
            "records deleted before",
            {"start": 3, "log_start_after": 3},
            "plain",
            "starts at offset 3",
        ),
        (
            "one record short",
            {"position": 9},
            "plain",
            "read up to offset 9, and the log ends at 10",
        ),
        ("never read", {"position": None}, "plain", "read up to offset None"),
        ("no word of the broker", {"eof": False}, "plain", "read up to offset 10"),
        ("a hole", {"holes": 1, "read": 9}, "plain", "1 offsets below 10 were passed"),
        ("a marker", {"holes": 1, "read": 9}, "transactional", ""),
        ("a compacted record", {"holes": 1, "read": 9}, "compacted", ""),
        ("an open transaction", {"last_stable": 8}, "transactional", "last stable offset 8 stays"),
        ("an open transaction elsewhere", {"last_stable": 8}, "plain", ""),
        ("records deleted meanwhile", {"log_start_after": 4}, "plain", "moved from 0 to 4"),
        ("start not asked again", {"log_start_after": None}, "plain", "moved from 0 to None"),
    ],
)
def test_a_partition_is_proven_only_when_nothing_stands_in_the_way(
    what: str, changes: dict[str, object], level: str, obstacle: str
) -> None:
    found = proven(**changes).obstacle(
        read_committed=level == "transactional", holes_allowed=level != "plain"
    )
    assert obstacle in found, what
    assert bool(found) == bool(obstacle), what


@pytest.mark.parametrize(
    ("changes", "proven_from"),
    [
        ({}, None),
        ({"start": 3, "log_start_after": 3}, 3),
        ({"log_start_after": 4}, 4),
        ({"start": 3, "log_start_after": None}, None),
        ({"start": 3, "log_start_after": 3, "holes": 1}, None),
        ({"start": 3, "log_start_after": 3, "isr": [1]}, None),
        ({"start": 3, "log_start_after": 3, "reason": "it is gone"}, None),
    ],
)
def test_what_lies_above_a_log_start_that_moved_is_proven_when_nothing_else_is_in_the_way(
    changes: dict[str, object], proven_from: int | None
) -> None:
    proof = proven(**changes)
    proof.conclude(read_committed=False, holes_allowed=False)
    assert proof.proven_from == proven_from
    assert proof.complete is (not changes)


def whole_proof(info: RunInfo) -> DrainProof:
    proof = blank_proof(info, "2026-01-01T00:00:00.000000Z")
    for entry in proof.partitions:
        done = proven()
        for name in ("start", "end", "last_stable", "log_end", "isr", "replicas", "position"):
            setattr(entry, name, getattr(done, name))
        entry.read, entry.eof, entry.log_start_after = done.read, done.eof, 0
    return proof


def test_every_topic_partition_of_the_run_has_an_entry() -> None:
    proof = blank_proof(run_info(), "now")
    found = [(entry.topic, entry.partition) for entry in proof.partitions]
    assert found == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]


def test_a_drain_is_complete_when_all_partitions_are() -> None:
    proof = whole_proof(run_info())
    proof.conclude(run_info())
    assert proof.complete
    assert (proof.reasons, proof.read) == ([], 40)


def test_one_partition_that_is_not_proven_makes_the_drain_incomplete_and_is_named() -> None:
    proof = whole_proof(run_info())
    proof.partitions[3].isr = [1]
    proof.conclude(run_info())
    assert [entry.complete for entry in proof.partitions] == [True, True, True, False]
    assert not proof.complete
    assert proof.reasons == ["b/1: not in full ISR: in sync [1] of replicas [1, 2, 3]"]


def test_a_reason_that_holds_for_all_is_said_once() -> None:
    proof = blank_proof(run_info(), "now")
    proof.reasons.append("the brokers cannot be reached")
    for entry in proof.partitions:
        entry.reason = "the brokers cannot be reached"
    proof.conclude(run_info())
    assert proof.reasons == ["the brokers cannot be reached"]
    assert not proof.complete


@pytest.mark.parametrize(
    ("transactional", "policy", "complete"),
    [(False, "delete", False), (True, "delete", True), (False, "compact,delete", True)],
)
def test_holes_are_allowed_only_where_the_topic_has_them(
    transactional: bool, policy: str, complete: bool
) -> None:
    info = run_info(transactional=transactional, **{"cleanup.policy": policy})
    proof = whole_proof(info)
    proof.partitions[0].holes = 2
    proof.conclude(info)
    assert proof.complete is complete


def test_a_proof_is_read_as_it_was_written(tmp_path: Path) -> None:
    proof = whole_proof(run_info())
    proof.partitions[1].reason = "gone"
    proof.conclude(run_info())
    proof.write(tmp_path)
    assert DrainProof.read_from(tmp_path) == proof


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"partitions": [{"no": 1}]}'])
def test_what_is_no_proof_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "drain.json").write_text(content)
    with pytest.raises(RunDirError, match=r"drain\.json"):
        DrainProof.read_from(tmp_path)


# -- nobody there ---------------------------------------------------------------------------


def test_brokers_that_are_not_there_make_an_incomplete_drain_in_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "_REQUEST_S", 0.5)
    run_dir = RunDir.create(tmp_path / "run")
    began = time.monotonic()
    proof = drain(
        run_dir, run_info(), {"bootstrap.servers": "127.0.0.1:1"}, 1, timeout_s=1.0, progress=None
    )
    assert time.monotonic() - began < 10
    assert not proof.complete
    assert len(proof.reasons) == 1
    assert proof.reasons[0].startswith("127.0.0.1:1 cannot be reached (")
    assert [entry.complete for entry in proof.partitions] == [False] * 4
    assert DrainProof.read_from(run_dir.drained(1)) == proof


def test_a_second_drain_does_not_touch_the_set_of_the_first(tmp_path: Path) -> None:
    run_dir = RunDir.create(tmp_path / "run")
    run_dir.drained(1).mkdir()
    (run_dir.drained(1) / "extras.bin").write_bytes(b"")
    with pytest.raises(RunDirError, match="holds a set of observations already"):
        drain(run_dir, run_info(), {"bootstrap.servers": "127.0.0.1:1"}, 1, timeout_s=1)


def test_the_command_says_why_a_drain_is_incomplete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(survey, "_REQUEST_S", 0.5)
    monkeypatch.delenv("HARNESS_CLIENT_CONFIG", raising=False)
    run_dir = RunDir.create(tmp_path / "run")
    run_dir.write_info(run_info())
    assert drain_module.main([str(run_dir.path), "--timeout", "1"]) == EXIT_INCONCLUSIVE
    assert "incomplete: 127.0.0.1:1 cannot be reached" in capsys.readouterr().err


def test_the_command_names_a_folder_that_is_no_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drain_module.main([str(tmp_path)]) == RunDirError.exit_code
    assert "run.json" in capsys.readouterr().err


def test_a_client_configuration_that_is_no_json_is_refused_without_repeating_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HARNESS_CLIENT_CONFIG", '{"sasl.password": "hunter2"')
    run_dir = RunDir.create(tmp_path / "run")
    run_dir.write_info(run_info())
    assert drain_module.main([str(run_dir.path)]) == 2
    said = capsys.readouterr().err
    assert "HARNESS_CLIENT_CONFIG" in said
    assert "hunter2" not in said
