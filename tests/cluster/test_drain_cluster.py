"""The drain on a real three-broker Kafka: what is complete, and what proves nothing."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from signal import SIGKILL
from typing import Any

import numpy as np
import pytest

from harness.brokers import LocalCluster
from harness.errors import HarnessError
from harness.read.drain import drain
from harness.read.drain_reading import ReadRange
from harness.read.drain_workers import _Helper
from harness.record.encoder import Encoder
from harness.rundir.proof import DrainProof
from harness.rundir.rows import COPY, CORRUPT, FOREIGN, MISROUTED, STRAY
from harness.rundir.run_dir import RunDir
from harness.rundir.run_record import load_run
from tests.support.readings import MESSAGE_BYTES, PARTITIONS, Reading, await_settled, cells
from tests.support.rows import read_extras

pytestmark = pytest.mark.cluster


@pytest.fixture
def reading(cluster: LocalCluster, tmp_path: Path) -> Reading:
    return Reading(cluster, tmp_path / "run")


@pytest.fixture
def transactional(cluster: LocalCluster, tmp_path: Path) -> Reading:
    return Reading(cluster, tmp_path / "run", ["transactional"])


def drained(reading: Reading, number: int = 1, timeout_s: float = 10) -> DrainProof:
    proof = drain(
        reading.run_dir, reading.info, reading.config, number, timeout_s=timeout_s, progress=None
    )
    assert DrainProof.read_from(reading.run_dir.drained(number)) == proof
    assert proof.counts["read"] == proof.read
    assert proof.read == proof.counts["cells"] + len(read_extras(reading.run_dir.drained(number)))
    assert proof.counts["again"] == 0
    return proof


def kinds(reading: Reading, number: int = 1) -> Counter[int]:
    return Counter(read_extras(reading.run_dir.drained(number))["kind"].tolist())


# -- complete -------------------------------------------------------------------------------


def test_a_complete_drain_has_every_record_in_its_cell(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    reading = Reading(cluster, tmp_path / "run", ["idempotent", "leader-ack"])
    reading.fill(1_500, incarnations=3)
    proof = drained(reading)
    assert proof.complete, proof.reasons
    assert proof.read == 2 * PARTITIONS * 3 * 1_500
    assert kinds(reading) == {}
    expected = {
        (incarnation, topic, partition): list(range((incarnation - 1) * 1_500, incarnation * 1_500))
        for incarnation in (1, 2, 3)
        for topic in (0, 1)
        for partition in range(PARTITIONS)
    }
    assert cells(reading.run_dir.drained(1)) == expected
    for entry in proof.partitions:
        assert (entry.start, entry.end, entry.position, entry.read) == (0, 4_500, 4_500, 4_500)
        assert (entry.isr, entry.replicas, entry.holes, entry.eof) == (
            [1, 2, 3],
            [1, 2, 3],
            0,
            True,
        )


def test_an_empty_topic_is_drained_whole(reading: Reading) -> None:
    proof = drained(reading)
    assert proof.complete, proof.reasons
    assert (proof.read, proof.partitions[0].eof) == (0, True)


def test_a_later_drain_reads_everything_anew_into_a_set_of_its_own(reading: Reading) -> None:
    reading.fill(100)
    first = drained(reading)
    reading.fill(50)
    second = drained(reading, 2)
    assert first.complete
    assert second.complete
    assert (first.read, second.read) == (2 * 3 * 100, 2 * 3 * 150)


# -- planted --------------------------------------------------------------------------------


def test_each_planted_record_is_observed_as_what_it_is(reading: Reading) -> None:
    values = reading.values(200)
    reading.write(values)
    times = np.array([1], dtype=np.uint64)
    changed = [bytes([*value[:60], value[60] ^ 4, *value[61:]]) for value in values[:3]]
    foreign = Encoder("another-run", 1, MESSAGE_BYTES).encode(0, 0, 0, np.repeat(times, 4))
    misrouted = reading.values(5, partition=1)
    phantom = Encoder(reading.run_id, 1, MESSAGE_BYTES).encode(0, 0, 10_000_000, times)
    near_phantom = Encoder(reading.run_id, 1, MESSAGE_BYTES).encode(0, 0, 700, times)
    offsets = reading.write(
        [*values[:2], *changed, *foreign, *misrouted, *phantom, *near_phantom, values[0], b"text"]
    )
    proof = drained(reading)
    assert proof.complete, "planted records are read like any others"
    assert proof.read == 200 + 18
    assert kinds(reading) == {COPY: 3, CORRUPT: 4, FOREIGN: 4, MISROUTED: 5, STRAY: 1}
    rows = read_extras(reading.run_dir.drained(1))
    assert sorted(rows["offset"].tolist()) == sorted({*offsets} - {offsets[15]})
    copies = rows[rows["kind"] == COPY]
    assert copies["sequence"].tolist() == [0, 1, 0]
    assert copies["offset"].tolist() == [offsets[0], offsets[1], offsets[16]]
    assert rows[rows["kind"] == MISROUTED]["identity_partition"].tolist() == [1] * 5
    assert (rows["leader_epoch"] >= 0).all()
    assert proof.counts["cells"] == 201


# -- transactions ---------------------------------------------------------------------------


def test_aborted_records_and_markers_are_holes_and_not_read(transactional: Reading) -> None:
    transactional.transaction(transactional.values(10), "commit")
    transactional.transaction(transactional.values(7), "abort")
    transactional.sequences.clear()
    transactional.transaction(
        Encoder(transactional.run_id, 2, 100).encode(0, 0, 0, np.zeros(5, dtype=np.uint64)),
        "commit",
    )
    proof = drained(transactional)
    assert proof.complete, proof.reasons
    entry = proof.partitions[0]
    assert (entry.read, entry.end, entry.last_stable, entry.position) == (15, 25, 25, 25)
    assert entry.holes == 7 + 3
    assert cells(transactional.run_dir.drained(1)) == {
        (1, 0, 0): list(range(10)),
        (2, 0, 0): list(range(19, 24)),
    }


def test_an_open_transaction_is_waited_for_and_then_proves_nothing(
    transactional: Reading,
) -> None:
    transactional.transaction(transactional.values(10), "commit")
    producer = transactional.transaction(transactional.values(5), "leave open")
    said: list[str] = []
    began = time.monotonic()
    proof = drain(
        transactional.run_dir,
        transactional.info,
        transactional.config,
        1,
        timeout_s=5,
        progress=said.append,
    )
    assert 5 <= time.monotonic() - began < 60
    assert not proof.complete
    assert any("waiting for open transactions" in text for text in said)
    entry = proof.partitions[0]
    assert (entry.read, entry.last_stable, entry.end) == (10, 11, 16)
    assert "the last stable offset 11 stays behind the end 16" in entry.reason
    assert [other.complete for other in proof.partitions[1:]] == [True, True]
    producer.abort_transaction(30)
    second = drained(transactional, 2)
    assert second.complete, second.reasons


def test_a_transaction_that_ends_while_the_drain_waits_is_read(transactional: Reading) -> None:
    producer = transactional.transaction(transactional.values(5), "leave open")
    ended: list[bool] = []

    def commit(text: str) -> None:
        if "open transactions" in text and not ended:
            producer.commit_transaction(30)
            ended.append(True)

    proof = drain(
        transactional.run_dir,
        transactional.info,
        transactional.config,
        1,
        timeout_s=20,
        progress=commit,
    )
    assert ended
    assert proof.complete, proof.reasons
    assert proof.partitions[0].read == 5


# -- not proven -----------------------------------------------------------------------------


@pytest.fixture
def unreplicated(cluster: LocalCluster, reading: Reading) -> Iterator[Reading]:
    """Fifty acknowledged records that no follower can fetch, and all replicas in sync."""
    reading.fill(10)
    alone: dict[str, Any] = {"acks": "1", "enable.idempotence": False}
    reading.write(reading.values(10), **alone)  # it connects before the seconds count
    await_settled(reading.config, reading.topics, PARTITIONS)
    leader = reading.leaders(reading.topics[0])[0]
    cluster.set_link(leader, "replication", "blackhole")
    try:
        reading.write(reading.values(40), **alone)
        yield reading
    finally:
        cluster.set_link(leader, "replication", "pass")


def test_records_above_the_high_watermark_are_waited_for(
    cluster: LocalCluster, unreplicated: Reading
) -> None:
    """Full ISR and ends that stand still prove nothing while a follower is slow to fetch."""
    said: list[str] = []

    def mend(text: str) -> None:
        if "high watermark" in text and not said:
            said.append(text)
            for number in cluster.broker_ids:
                cluster.set_link(number, "replication", "pass")

    run = unreplicated
    proof = drain(run.run_dir, run.info, run.config, 1, timeout_s=20, progress=mend)
    assert said, "the drain did not notice"
    assert proof.complete, proof.reasons
    assert (proof.partitions[0].end, proof.partitions[0].read) == (70, 70)


def test_records_that_stay_above_the_high_watermark_leave_the_drain_unproven(
    unreplicated: Reading,
) -> None:
    proof = drained(unreplicated, timeout_s=2.5)  # replica.lag.time.max.ms is 5 s
    assert not proof.complete
    entry = proof.partitions[0]
    assert (entry.end, entry.log_end, entry.isr) == (30, None, [1, 2, 3])
    assert "no leader said that its log ends at the high watermark 30" in entry.reason
    assert [other.complete for other in proof.partitions[1:]] == [True, True]


def test_a_topic_made_anew_under_the_same_name_is_another_topic(reading: Reading) -> None:
    reading.fill(20)
    reading.delete_topics()
    deadline = time.monotonic() + 20
    while reading.leaders(reading.topics[0]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    reading.create(reading.topics, {})
    reading.fill(5)
    proof = drained(reading, timeout_s=5)
    assert not proof.complete
    assert all("deleted and made anew" in entry.reason for entry in proof.partitions)
    assert proof.read == 0


def test_a_topic_that_is_gone_is_said_to_be(reading: Reading) -> None:
    reading.delete_topics()
    began = time.monotonic()
    proof = drained(reading, timeout_s=60)
    assert time.monotonic() - began < 20
    assert not proof.complete
    assert {entry.reason for entry in proof.partitions} == {"the topic does not exist"}


def test_records_deleted_before_the_drain_leave_it_unproven(reading: Reading) -> None:
    reading.fill(100)
    reading.delete_before(30)
    proof = drained(reading)
    assert [entry.complete for entry in proof.partitions] == [False, True, True]
    assert "the log starts at offset 30" in proof.partitions[0].reason
    assert (proof.partitions[0].read, proof.partitions[0].holes) == (170, 0)
    assert [entry.proven_from for entry in proof.partitions] == [30, None, None]


def test_another_cluster_is_not_read(reading: Reading) -> None:
    reading.fill(10)
    reading.info.cluster_id = "somewhere-else"
    proof = drained(reading)
    assert not proof.complete
    assert proof.read == 0
    assert "the run wrote to somewhere-else" in proof.reasons[0]


def test_a_dead_broker_is_waited_for_and_then_leaves_the_drain_unproven(
    cluster: LocalCluster, reading: Reading
) -> None:
    reading.fill(100)
    cluster.signal(3, SIGKILL)
    try:
        cluster.wait_exited(3, 10)
        began = time.monotonic()
        proof = drained(reading, timeout_s=15)
        assert time.monotonic() - began < 90
    finally:
        cluster.heal()
    assert not proof.complete
    assert all("not in full ISR" in entry.reason for entry in proof.partitions), "\n".join(
        proof.reasons
    )
    assert proof.read == 600, "what is there is read and judged all the same"
    deadline = time.monotonic() + 60
    while len(reading.leaders(reading.topics[0])) < PARTITIONS:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    second = drained(reading, 2)
    assert second.complete, second.reasons


def test_the_command_drains_a_run_of_a_running_cluster_again(reading: Reading) -> None:
    reading.fill(10)
    done = subprocess.run(
        [sys.executable, "-m", "harness.read.drain", str(reading.run_dir.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    proof = DrainProof.read_from(RunDir(reading.run_dir.path).drained(1))
    assert (proof.complete, proof.read) == (True, 60)


def test_several_processes_record_what_one_does(cluster: LocalCluster, tmp_path: Path) -> None:
    """Copies, foreign and damaged records included, at both isolation levels."""
    reading = Reading(cluster, tmp_path / "run", ["idempotent", "transactional"])
    reading.fill(500)
    foreign = Encoder("another-run", 1, MESSAGE_BYTES).encode(0, 0, 0, np.zeros(3, dtype=np.int64))
    for partition in range(PARTITIONS):
        values = reading.values(4, partition=partition)
        damaged = [value[:-1] + b"\0" for value in values[:2]]
        reading.write([*values, values[1], *damaged, *foreign], partition=partition)
    one, several = [
        drain(
            reading.run_dir,
            reading.info,
            reading.config,
            number,
            timeout_s=10,
            processes=processes,
        )
        for number, processes in ((1, 1), (2, 3))
    ]
    parts = sorted(each.name for each in reading.run_dir.drained(2).glob("part-*"))
    assert parts == ["part-1", "part-2"]
    assert several.complete
    assert several.partitions == one.partitions
    assert several.counts == one.counts
    assert (several.counts["copies"], several.counts["corrupt"]) == (PARTITIONS, 2 * PARTITIONS)
    assert several.counts["foreign"] == 3 * PARTITIONS
    first, second = [load_run(reading.run_dir, number).drained for number in (1, 2)]
    assert np.array_equal(np.sort(first.extras), np.sort(second.extras))
    assert cells(reading.run_dir.drained(1)) == cells(reading.run_dir.drained(2))


def test_a_reading_process_that_dies_leaves_no_verdict(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.fill(500)
    ask = _Helper.ask

    def ask_and_kill(helper: _Helper, stretches: Sequence[ReadRange]) -> None:
        ask(helper, stretches)
        helper._child.process.kill()

    monkeypatch.setattr(_Helper, "ask", ask_and_kill)
    with pytest.raises(HarnessError, match="ended with status -9"):
        drain(reading.run_dir, reading.info, reading.config, 1, timeout_s=10, processes=2)
    assert not DrainProof.read_from(reading.run_dir.drained(1)).complete
