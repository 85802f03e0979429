"""Holes of real transactional logs: all are accounted for, and one that is planted is found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Consumer, Producer

from harness.brokers import LocalCluster
from harness.kafka import consumer as consumer_module
from harness.read import drain_reading as reading_module
from harness.read.drain import drain
from harness.rundir.holes import HoleAccount, Holes
from harness.rundir.proof import DrainProof
from harness.rundir.run_dir import RunDir
from harness.rundir.run_record import load_run
from tests.support.readings import PARTITIONS, Reading, await_settled

pytestmark = pytest.mark.cluster


@pytest.fixture
def transactional(cluster: LocalCluster, tmp_path: Path) -> Reading:
    """Short segments, so that transactions go over several."""
    settings = {"min.insync.replicas": "2", "segment.ms": "300"}
    return Reading(cluster, tmp_path / "run", ["transactional"], settings)


def write(reading: Reading, producers: int, transactions: int, each: int) -> dict[str, int]:
    """Transactions of several producers, side by side and on all partitions; a third is aborted."""
    made = []
    for number in range(producers):
        config: dict[str, Any] = {
            **reading.config,
            "transactional.id": f"{reading.run_id}-{number}",
            "compression.type": ["none", "lz4", "zstd"][number % 3],
        }
        made.append(Producer(config))
        made[-1].init_transactions(30)
    counts = {"committed": 0, "aborted": 0}
    chance = np.random.default_rng(1)
    for _ in range(transactions):
        for producer in made:
            producer.begin_transaction()
        for partition in range(PARTITIONS):
            for number, producer in enumerate(made):
                for value in reading.values(each, partition=partition, incarnation=number + 1):
                    producer.produce(reading.topics[0], value, partition=partition)
        for producer in made:
            assert producer.flush(30) == 0
            aborted = chance.random() < 1 / 3
            (producer.abort_transaction if aborted else producer.commit_transaction)(30)
            counts["aborted" if aborted else "committed"] += each * PARTITIONS
    await_settled(reading.config, reading.topics, PARTITIONS)
    return counts


def drained(reading: Reading, number: int = 1, *, looking: bool = True) -> DrainProof:
    return drain(
        reading.run_dir,
        reading.info,
        reading.config,
        number,
        timeout_s=20,
        log_directory=reading.cluster.data_directory if looking else None,
    )


def accounts(reading: Reading, number: int = 1) -> list[HoleAccount]:
    """As a judgement reads them from the directory."""
    drain = load_run(reading.run_dir, number).drain
    assert drain is not None
    return list(drain.holes.values())


class _Forgetful:
    """A consumer that keeps some records for itself."""

    def __init__(self, consumer: Consumer, kept: Callable[[Any], bool]) -> None:
        self._consumer, self._kept = consumer, kept

    def consume(self, *args: Any) -> list[Any]:
        return [each for each in self._consumer.consume(*args) if each.error() or self._kept(each)]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)


def test_every_hole_of_real_commits_and_aborts_is_accounted_for(transactional: Reading) -> None:
    counts = write(transactional, 4, 25, 20)
    assert counts["aborted"] > 0 < counts["committed"]
    proof = drained(transactional)
    assert proof.complete, proof.reasons
    assert proof.read == counts["committed"]
    found = accounts(transactional)
    assert len(found) == PARTITIONS
    assert sum(each.aborted for each in found) == counts["aborted"]
    assert [(each.unaccounted, each.unchecked, each.open) for each in found] == [(0, 0, 0)] * 3
    # Each transaction has left one marker in each partition, when no coordinator moved.
    assert [each.markers for each in found] == [4 * 25] * 3
    holes = Holes.read_from(transactional.run_dir.drained(1))
    assert holes is not None
    folder = transactional.cluster.data_directory(1) / f"{transactional.topics[0]}-0"
    assert len(list(folder.glob("*.log"))) > 1, "the test wants several segments"


def test_a_committed_record_that_the_reader_kept_for_itself_is_found(
    transactional: Reading, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(transactional, 3, 20, 10)
    assert drained(transactional).complete
    offsets = _offsets(transactional)
    taken = offsets[len(offsets) // 2]
    original = consumer_module.new_consumer

    def forgetful(*args: Any, **more: Any) -> _Forgetful:
        return _Forgetful(
            original(*args, **more), lambda each: (each.partition(), each.offset()) != (1, taken)
        )

    monkeypatch.setattr(reading_module, "new_consumer", forgetful)
    proof = drained(transactional, 2)
    assert not proof.complete
    assert [each.partition for each in proof.partitions if not each.complete] == [1]
    assert f"1 offset was passed without a record ({taken})" in proof.partitions[1].reason
    # Nothing but the directory is needed to say so again.
    moved = RunDir(tmp_path / "elsewhere")
    shutil.copytree(transactional.run_dir.path, moved.path)
    drain_again = load_run(moved, 2).drain
    assert drain_again is not None
    assert [each.unaccounted for each in drain_again.holes.values()] == [0, 1, 0]
    again = drain_again.partitions[0, 1]
    assert (again.proven, f"({taken})" in again.reason) == (False, True)


def _offsets(reading: Reading) -> list[int]:
    """What the first drain returned of partition 1."""
    holes = Holes.read_from(reading.run_dir.drained(1))
    assert holes is not None
    (entry,) = [each for each in holes.partitions if each.partition == 1]
    passed = {
        offset
        for first, last in zip(entry.holes[::2], entry.holes[1::2], strict=True)
        for offset in range(first, last + 1)
    }
    return [offset for offset in range(entry.position) if offset not in passed]


def test_an_open_transaction_accounts_for_nothing_below_the_last_stable_offset(
    transactional: Reading,
) -> None:
    write(transactional, 2, 3, 5)
    producer = transactional.transaction(transactional.values(5), "leave open")
    proof = drain(
        transactional.run_dir,
        transactional.info,
        transactional.config,
        1,
        timeout_s=2,
        log_directory=transactional.cluster.data_directory,
    )
    assert "a transaction is open" in proof.partitions[0].reason
    found = accounts(transactional)
    assert [each.unaccounted for each in found] == [0, 0, 0], "the reader stopped below it"
    producer.abort_transaction(30)
    await_settled(transactional.config, transactional.topics, PARTITIONS)
    assert drained(transactional, 2).complete
    assert sum(each.aborted for each in accounts(transactional, 2)) >= 5


def test_a_log_whose_start_moved_is_accounted_for_from_there(transactional: Reading) -> None:
    write(transactional, 2, 10, 10)
    transactional.delete_before(37)
    proof = drained(transactional)
    assert (proof.partitions[0].start, proof.partitions[0].proven_from) == (37, 37)
    found = accounts(transactional)
    assert [(each.unaccounted, each.unchecked) for each in found] == [(0, 0)] * 3


def test_without_the_files_nothing_is_checked_and_the_drain_is_complete(
    transactional: Reading,
) -> None:
    write(transactional, 2, 3, 5)
    assert drained(transactional, looking=False).complete
    found = accounts(transactional)
    assert all(each.unchecked == each.holes > 0 for each in found)
    assert {each.unchecked_why for each in found} == {
        "the log files of these brokers cannot be read from here"
    }
