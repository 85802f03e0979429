"""The brokers' log files are read as Kafka writes them, and what they show is judged purely."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.judge.explain.whereabouts import NEVER, PRESENT, TRUNCATED, UNKNOWN, whereabouts
from harness.record.codecs import BINARY
from harness.record.encoder import Encoder
from harness.replicas.batches import batches, crc32c, crc_holds, payload, records
from harness.replicas.dead_logs import note_dead_logs
from harness.replicas.files import Replica
from harness.replicas.search import Wanted, search_replicas
from harness.rundir.recorded_faults import RecordedFault
from harness.rundir.replicas import (
    Copy,
    DeadLog,
    LogState,
    ReplicaEvidence,
    Sought,
    StrandedRange,
)
from harness.rundir.timeline import LeaderChange
from tests.support.log_files import batch, replica

RUN = "20260101-000000-abcd"
CODECS = ["none", "gzip", "snappy", "xerial", "lz4", "zstd"]


def values(first: int, count: int, producer: int = 1, partition: int = 0) -> list[bytes]:
    encoder = Encoder(RUN, producer, 120)
    return encoder.encode(0, partition, first, np.arange(count, dtype=np.int64))


def wanted(sequence: int, producer: int = 1) -> Wanted:
    return Wanted("t", 0, 0, producer, sequence)


def test_the_checksum_is_crc_32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of RFC 3720's polynomial


@pytest.mark.parametrize("codec", CODECS)
def test_records_are_read_back_from_a_batch_of_any_compression(codec: str) -> None:
    data = batch(40, values(7, 30), epoch=3, codec=codec)
    (found,) = batches(data)
    assert (found.base_offset, found.last_offset, found.leader_epoch) == (40, 69, 3)
    assert crc_holds(data, found)
    read = list(records(found, payload(data, found)))
    assert [each.offset for each in read] == list(range(40, 70))
    assert [each.value for each in read] == values(7, 30)


def test_a_batch_whose_writer_died_within_it_is_no_batch() -> None:
    data = batch(0, values(0, 3)) + batch(3, values(3, 3))
    assert [each.base_offset for each in batches(data[:-1])] == [0]
    assert [each.base_offset for each in batches(data)] == [0, 3]


def test_a_changed_byte_fails_the_batchs_checksum() -> None:
    data = bytearray(batch(0, values(0, 3)))
    data[100] ^= 1
    (found,) = batches(bytes(data))
    assert not crc_holds(bytes(data), found)


@pytest.mark.parametrize("codec", CODECS)
def test_a_wanted_record_is_found_with_broker_offset_and_epoch(codec: str, tmp_path: Path) -> None:
    for broker in (1, 2):
        last = batch(9, values(9, 3), epoch=4, codec=codec)
        parts = [batch(0, values(0, 9), codec=codec), *([last] if broker == 2 else [])]
        replica(tmp_path / str(broker), "t", parts, [(0, 0), (4, 9)])
    logs, sought = search_replicas(
        [wanted(10), wanted(3), wanted(12)], [1, 2, 3], lambda b: tmp_path / str(b), RUN, BINARY
    )
    assert [each.found for each in sought] == [
        [Copy(2, 10, 4, True)],
        [Copy(1, 3, 0, True), Copy(2, 3, 0, True)],
        [],
    ]
    assert [(log.broker, log.end, log.complete) for log in logs] == [(1, 9, True), (2, 12, True)]


def test_another_producers_record_of_the_same_sequence_is_not_it(tmp_path: Path) -> None:
    replica(tmp_path, "t", [batch(0, values(0, 5, producer=2))], [(0, 0)])
    _, sought = search_replicas([wanted(3, producer=1)], [1], lambda _: tmp_path, RUN, BINARY)
    assert sought[0].found == []


@pytest.mark.parametrize("codec", ["none", "zstd"])
def test_bytes_that_only_begin_like_the_record_are_not_it(codec: str, tmp_path: Path) -> None:
    (torn,) = values(3, 1)
    changed = torn[:-1] + bytes([torn[-1] ^ 1])
    (elsewhere,) = values(3, 1, partition=5)
    replica(tmp_path, "t", [batch(0, [changed, elsewhere], codec=codec)], [(0, 0)])
    _, sought = search_replicas([wanted(3)], [1], lambda _: tmp_path, RUN, BINARY)
    assert sought[0].found == []


def test_a_search_that_runs_out_of_time_says_that_it_is_not_complete(tmp_path: Path) -> None:
    replica(tmp_path, "t", [batch(0, values(0, 5))], [(0, 0)])
    logs, _ = search_replicas([wanted(3)], [1], lambda _: tmp_path, RUN, BINARY, time_max_s=-1)
    assert [log.complete for log in logs] == [False]
    assert "time" in logs[0].reason


def test_what_a_dead_leader_alone_held_is_noted_in_stretches(tmp_path: Path) -> None:
    mine, other = tmp_path / "1", tmp_path / "2"
    common = batch(0, values(0, 5))
    alone = batch(5, values(5, 4), epoch=0) + batch(9, values(0, 2, producer=8), epoch=0)
    replica(mine, "t", [common, alone], [(0, 0)])
    replica(other, "t", [common, batch(5, values(50, 9), epoch=2)], [(0, 0), (2, 5)])
    folders = {1: mine, 2: other}
    (noted,) = note_dead_logs("f", 1, [(("t", 0), 2)], lambda b: folders[b], RUN, BINARY)
    assert (noted.end, noted.successor, noted.successor_start, noted.successor_epoch) == (
        11, 2, 5, 2,
    )  # fmt: skip
    assert noted.stranded == [StrandedRange(1, 5, 8, 5, 0), StrandedRange(8, 0, 1, 9, 0)]
    assert noted.complete


def test_a_successor_without_a_newer_epoch_leaves_the_note_incomplete(tmp_path: Path) -> None:
    replica(tmp_path / "1", "t", [batch(0, values(0, 5))], [(0, 0)])
    replica(tmp_path / "2", "t", [batch(0, values(0, 5))], [(0, 0)])
    (noted,) = note_dead_logs("f", 1, [(("t", 0), 2)], lambda b: tmp_path / str(b), RUN, BINARY)
    assert (noted.complete, noted.stranded) == (False, [])
    assert "no leader epoch after 0" in noted.reason


def test_an_offset_belongs_to_the_last_batch_that_reaches_it(tmp_path: Path) -> None:
    replica(tmp_path, "t", [batch(0, values(0, 5)), batch(5, values(5, 5))], [(0, 0)])
    replica_ = Replica(tmp_path, "t", 0)
    for offset, bases in ((4, [0, 5]), (5, [5]), (9, [5]), (10, [])):
        assert [each.base_offset for _, each in replica_.batches_from(offset)] == bases
    assert replica_.end() == 10


# -- whereabouts ---------------------------------------------------------------------------------

KILLED = RecordedFault(
    "f", "kill_leader", "", 1, injected=True, took_effect=True,
    evidence={
        "moves_leader": True,
        "partitions": [{"topic": "t", "partition": 0, "leader_before": 1}],
    },
)  # fmt: skip
TODAY = LogState(2, "t", 0, 0, 20, [[0, 0]], True)
NOT_FOUND = Sought("t", 0, 1, 7)
FOUND = Sought("t", 0, 1, 7, [Copy(2, 12, 3, True)])
NOTED = DeadLog("f", "now", 1, "t", 0, 9, 2, 5, 1, [], True)
HELD = DeadLog("f", "now", 1, "t", 0, 9, 2, 5, 1, [StrandedRange(1, 5, 8, 5, 0)], True)
PARTLY = DeadLog("f", "now", 1, "t", 0, None, 2, None, None, [], False, "cannot be read")


@pytest.mark.parametrize(
    ("replicas", "faults", "held"),
    [
        (None, [], UNKNOWN),
        (ReplicaEvidence([TODAY], [FOUND]), [], PRESENT),
        (ReplicaEvidence([TODAY], [FOUND], [HELD]), [KILLED], PRESENT),
        (ReplicaEvidence([TODAY], [NOT_FOUND], [HELD]), [KILLED], TRUNCATED),
        (ReplicaEvidence([], [], [HELD]), [KILLED], TRUNCATED),
        (ReplicaEvidence([TODAY], [NOT_FOUND], [NOTED]), [KILLED], NEVER),
        (ReplicaEvidence([TODAY], [NOT_FOUND]), [], NEVER),
        # Somebody may have held it without anybody having looked.
        (ReplicaEvidence([TODAY], [NOT_FOUND]), [KILLED], UNKNOWN),
        (ReplicaEvidence([TODAY], [NOT_FOUND], [PARTLY]), [KILLED], UNKNOWN),
        (ReplicaEvidence([], [NOT_FOUND]), [], UNKNOWN),
        (ReplicaEvidence([TODAY], []), [], UNKNOWN),
        (
            ReplicaEvidence([LogState(2, "t", 0, 0, 20, [], False, "no time")], [NOT_FOUND]),
            [],
            UNKNOWN,
        ),
    ],
)
def test_a_lost_record_is_present_truncated_or_never_there_only_where_that_is_shown(
    replicas: ReplicaEvidence | None, faults: list[RecordedFault], held: str
) -> None:
    answer = whereabouts(replicas, faults, "t", 0, 1, 7)
    assert answer.held == held
    assert answer.text
    assert answer.to_json()["held"] == held


def test_a_note_about_log_files_survives_its_file(tmp_path: Path) -> None:
    found = ReplicaEvidence([TODAY], [FOUND], [HELD])
    found.write(tmp_path / "replicas" / "f.json")
    assert ReplicaEvidence.read_from(tmp_path / "replicas" / "f.json") == found


# -- a record that was acknowledged at an offset was in its leader's log


def led(*terms: tuple[int, int]) -> list[LeaderChange]:
    """(leader, epoch) in order, as the observer saw them."""
    return [LeaderChange(number, *each) for number, each in enumerate(terms)]


def noted(broker: int, successor_epoch: int, *, complete: bool = True) -> DeadLog:
    return DeadLog("f", "now", broker, "t", 0, 9, 2, 5, successor_epoch, [], complete, "late")


LATER = LogState(2, "t", 0, 0, 20, [[0, 0], [1, 5], [2, 15]], True)
"""Offset 7 holds a record of epoch 1 today."""


@pytest.mark.parametrize(
    ("leaders", "dead", "held", "says"),
    [
        # nobody looked at the log of the leader that acknowledged it
        (
            [(1, 0), (2, 1)],
            [],
            UNKNOWN,
            "the log of broker 1, leader in epoch 0, was not looked at",
        ),
        ([(1, 0), (2, 1)], [noted(3, 1)], UNKNOWN, "the log of broker 1"),
        ([(1, 0), (2, 1)], [noted(1, 1, complete=False)], UNKNOWN, "the log of broker 1"),
        ([], [noted(1, 1)], UNKNOWN, "which broker led then is not on record"),
        # it was looked at, and held nothing
        ([(1, 0), (2, 1)], [noted(1, 1)], NEVER, "did that of broker 1, which led then"),
        # who led in later epochs than what stands there now cannot have acknowledged it
        ([(1, 0), (2, 1), (1, 2), (3, 3)], [noted(1, 1)], NEVER, "broker 1"),
        # it was looked at after a later term: what the first one cut off is not known
        ([(1, -1), (3, 0), (2, 1)], [noted(1, 1), noted(3, 1)], UNKNOWN, "the log of broker 1"),
        ([(1, -1), (3, 0), (2, 1)], [noted(1, 0), noted(3, 1)], NEVER, "brokers 1, 3"),
    ],
)
def test_an_acknowledged_record_never_reached_a_log_only_where_its_leaders_log_was_looked_at(
    leaders: list[tuple[int, int]], dead: list[DeadLog], held: str, says: str
) -> None:
    answer = whereabouts(
        ReplicaEvidence([LATER], [NOT_FOUND], dead), [], "t", 0, 1, 7, acked_at=7,
        leaders=led(*leaders),
    )  # fmt: skip
    assert answer.held == held
    assert says in answer.text
    assert "lost on the way" not in answer.text


def test_where_the_log_ends_below_an_acknowledged_offset_every_leader_may_have_given_it() -> None:
    replicas = ReplicaEvidence([LATER], [NOT_FOUND], [noted(1, 1)])
    answer = whereabouts(replicas, [], "t", 0, 1, 7, acked_at=30, leaders=led((1, 0), (2, 1)))
    assert answer.held == UNKNOWN
    assert "broker 2, leader in epoch 1" in answer.text


def test_a_change_of_the_leader_that_no_fault_explains_may_have_cut_off_what_was_sent() -> None:
    replicas = ReplicaEvidence([TODAY], [NOT_FOUND])
    answer = whereabouts(replicas, [], "t", 0, 1, 7, unexplained=["what x cut off was not noted"])
    assert (answer.held, "what x cut off" in answer.text) == (UNKNOWN, True)
