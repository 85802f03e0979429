"""The live reader on a real three-broker Kafka, while brokers die and logs are cut."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGKILL

import numpy as np
import pytest

from harness.brokers import LocalCluster
from harness.rundir.clock import now_us, to_us
from harness.rundir.columns import ColumnFile
from harness.rundir.latency import merge, percentiles, read_log
from harness.rundir.rows import COPY, CORRUPT, FOREIGN, cell_files
from harness.system.lifeline import Child
from tests.support.readings import PARTITIONS, Reading, cells
from tests.support.rows import read_batches, read_extras
from tests.support.timelines import add_line, lines_of

pytestmark = pytest.mark.cluster

START_TIMEOUT_S = 60.0
READ_TIMEOUT_S = 60.0


class Running:
    """A live reader process on a reading."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.live = reading.run_dir.live
        self.child = Child(
            [sys.executable, "-m", "harness.read.live_reader", str(reading.run_dir.path)],
            log=reading.run_dir.logs / "reader.log",
            environment={"HARNESS_CLIENT_CONFIG": json.dumps(reading.config)},
        )
        self.await_(lambda: "started" in self.phases(), START_TIMEOUT_S, "the reader's start")

    def phases(self) -> list[str]:
        return [event["phase"] for event in lines_of(self.reading.run_dir, "reader")]

    def await_(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self.child.process.poll() is None, self.child.tail()
            assert time.monotonic() < deadline, f"{what}: not within {timeout_s} s"
            time.sleep(0.05)

    def await_cells(self, count: int) -> None:
        self.await_(
            lambda: filled(self.live) >= count, READ_TIMEOUT_S, f"{count} records read live"
        )

    def stop(self) -> None:
        assert self.child.stop(grace_s=20) == 0, self.child.tail()


def filled(folder: Path) -> int:
    """How many cells of a set that is still being written hold an offset."""
    count = 0
    for path in cell_files(folder):
        file = ColumnFile.open(path)
        for key in file.partitions:
            count += sum(int(np.count_nonzero(extent.high)) for extent in file.extents(*key))
        file.close()
    return count


@pytest.fixture
def reading(cluster: LocalCluster, tmp_path: Path) -> Reading:
    return Reading(cluster, tmp_path / "run", ["idempotent", "transactional"])


@pytest.fixture
def running(reading: Reading) -> Iterator[Running]:
    started = Running(reading)
    yield started
    started.child.stop(grace_s=20)


def test_what_is_written_is_read_live_with_its_latency_and_instants(
    reading: Reading, running: Running
) -> None:
    add_line(reading.run_dir, "run", "load", phase="load_started")
    before_us = now_us()
    reading.fill(200)
    running.await_cells(2 * PARTITIONS * 2 * 200)
    running.stop()
    after_us = now_us()
    assert running.phases() == ["started", "stopped"]
    found = cells(running.live)
    assert found == {
        (incarnation, topic, partition): list(range((incarnation - 1) * 200, incarnation * 200))
        for incarnation in (1, 2)
        for topic in (0, 1)
        for partition in range(PARTITIONS)
    }
    assert all(ColumnFile.open(path).closed_cleanly for path in cell_files(running.live))
    for profile in ("idempotent", "transactional"):
        log = reading.run_dir.latency / f"{profile}.end_to_end.reader.hlog"
        latency = percentiles(merge(read_log(log)))
        assert latency.count == PARTITIONS * 2 * 200
        assert latency.max is not None
        assert 0 < latency.max < (after_us - before_us) / 1000
    rows = read_batches(running.live)
    assert set(rows["topic"].tolist()) == {1}, "instants are kept for read_committed topics"
    for partition in range(PARTITIONS):
        here = rows[rows["partition"] == partition]
        covered = [n for row in here for n in range(row["first_offset"], row["last_offset"] + 1)]
        assert covered == list(range(400))
        assert (np.diff(here["read_us"].astype(np.int64)) >= 0).all()
    assert before_us < rows["read_us"].min()
    assert rows["read_us"].max() < after_us


def test_latency_is_left_out_while_the_load_warms_up(cluster: LocalCluster, tmp_path: Path) -> None:
    reading = Reading(cluster, tmp_path / "run")
    reading.info.load.warm_up_s = 30.0
    reading.run_dir.write_info(reading.info)
    running = Running(reading)
    try:
        reading.fill(50)  # before the load has said that it started
        running.await_cells(300)
        add_line(reading.run_dir, "run", "load", phase="load_started")
        reading.fill(50)  # warming up
        running.await_cells(600)
        log = reading.run_dir.latency / "idempotent.end_to_end.reader.hlog"
        assert not log.exists()
        late = reading.values(1)
        running.stop()
    finally:
        running.child.stop(grace_s=20)
    assert late
    assert not log.exists()


def test_odd_records_are_noted_live(reading: Reading, running: Running) -> None:
    values = reading.values(10)
    offsets = reading.write([*values, values[3], b"text", values[4][:-1] + b"!"])
    reading.run_id, own = "another-run", reading.run_id
    foreign = reading.values(1, incarnation=8)
    reading.run_id = own
    reading.write(foreign)
    running.await_(lambda: len(read_extras(running.live)) == 4, READ_TIMEOUT_S, "four odd records")
    running.stop()
    rows = read_extras(running.live)
    assert dict(zip(rows["offset"].tolist(), rows["kind"].tolist(), strict=True)) == {
        offsets[10]: COPY,
        offsets[11]: CORRUPT,
        offsets[12]: CORRUPT,
        offsets[12] + 1: FOREIGN,
    }


def test_only_committed_records_of_a_transactional_profile_are_read(
    reading: Reading, running: Running
) -> None:
    aborted = reading.values(5, topic=1)
    reading.transaction(aborted, "abort", topic=1)
    before_us = now_us()
    producer = reading.transaction(reading.values(4, topic=1, incarnation=2), "leave open", topic=1)
    reading.write(reading.values(3), topic=0)
    running.await_cells(3)
    assert filled(running.live) == 3, "an open transaction is not visible"
    called_us = now_us()
    producer.commit_transaction(30)
    running.await_cells(7)
    running.stop()
    assert set(cells(running.live)) == {(1, 0, 0), (2, 1, 0)}
    rows = read_batches(running.live)
    assert [(row["first_offset"], row["last_offset"]) for row in rows] == [(6, 9)]
    assert before_us < called_us <= int(rows["read_us"][0])


def test_reading_goes_on_when_a_leader_dies(
    cluster: LocalCluster, reading: Reading, running: Running
) -> None:
    reading.fill(50)
    running.await_cells(600)
    leader = reading.leaders(reading.topics[0])[0]
    cluster.signal(leader, SIGKILL)
    try:
        cluster.wait_exited(leader, 10)
        reading.fill(50)
        running.await_cells(1_200)
    finally:
        cluster.heal()
    reading.fill(50)
    running.await_cells(1_800)
    running.stop()
    assert len(read_extras(running.live)) == 0
    assert not any(event["fatal"] for event in lines_of(reading.run_dir, "client_error"))


def test_reading_goes_on_behind_records_that_were_deleted_unread(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    reading = Reading(cluster, tmp_path / "run")
    reading.fill(100, incarnations=1)
    reading.delete_before(60)
    running = Running(reading)
    try:
        running.await_cells(PARTITIONS * 100 - 60)
        reading.fill(10, incarnations=1)
        running.await_cells(PARTITIONS * 110 - 60)
        running.stop()
    finally:
        running.child.stop(grace_s=20)
    codes = {event["code"] for event in lines_of(reading.run_dir, "client_error")}
    assert codes & {"_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE"}


def test_reading_goes_on_where_a_log_was_cut_back_and_keeps_what_was_there(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """An unclean election: the new leader never had the last records, and others take their
    offsets. What was read live stays in the set, and what is there now is read too."""
    reading = Reading(
        cluster,
        tmp_path / "run",
        topic_settings={"min.insync.replicas": "1", "unclean.leader.election.enable": "true"},
    )
    reading.write(reading.values(50))
    running = Running(reading)
    try:
        running.await_cells(50)
        leader = reading.leaders(reading.topics[0])[0]
        for broker in cluster.broker_ids:
            cluster.set_link(broker, "replication", "blackhole")
        lost = reading.values(20)
        reading.write(lost, acks="1", **{"enable.idempotence": False})
        # Once the followers have left the ISR, the leader alone decides what is committed.
        running.await_cells(70)
        cluster.signal(leader, SIGKILL)
        cluster.wait_exited(leader, 10)
        for broker in cluster.broker_ids:
            # A response that the link still holds would bring a follower the cut records after all.
            cluster.close_connections(broker, "replication")
            cluster.set_link(broker, "replication", "pass")
        after = reading.values(5, incarnation=2)
        reading.write(after, acks="1", **{"enable.idempotence": False})
        running.await_cells(75)
        running.stop()
    finally:
        running.child.stop(grace_s=20)
        cluster.heal()
    found = cells(running.live)
    assert len(found[2, 0, 0]) == 5
    assert found == {(1, 0, 0): list(range(70)), (2, 0, 0): list(range(50, 55))}
    errors = list(lines_of(reading.run_dir, "client_error"))
    assert "_AUTO_OFFSET_RESET" in {event["code"] for event in errors}
    assert any("truncation detected at offset 70" in event["reason"] for event in errors)


def test_a_reader_whose_parent_is_gone_ends_by_itself(reading: Reading, running: Running) -> None:
    reading.fill(10)
    running.await_cells(120)
    running.child.release()
    assert running.child.process.wait(20) == 0
    assert running.phases() == ["started", "stopped"]


def test_what_a_killed_reader_had_read_can_be_read(reading: Reading, running: Running) -> None:
    reading.fill(100)
    running.await_cells(1_200)
    os.kill(running.child.process.pid, SIGKILL)
    running.child.process.wait(20)
    assert sum(map(len, cells(running.live).values())) == 1_200
    assert not any(ColumnFile.open(path).closed_cleanly for path in cell_files(running.live))


def test_a_live_set_is_written_by_one_reader(reading: Reading, running: Running) -> None:
    running.stop()
    second = Child(
        [sys.executable, "-m", "harness.read.live_reader", str(reading.run_dir.path)],
        log=reading.run_dir.logs / "second.log",
        environment={"HARNESS_CLIENT_CONFIG": json.dumps(reading.config)},
    )
    assert second.process.wait(30) == 2
    second.release()
    assert "holds a set of observations already" in second.tail()
    failed = [e for e in lines_of(reading.run_dir, "reader") if e["phase"] == "failed"]
    assert len(failed) == 1
    assert to_us(failed[0]["at"]) <= now_us()
