"""The brokers' own log files, after real writes and a real kill."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Producer

from harness import faults
from harness.brokers import LocalCluster
from harness.faults.backend import Target
from harness.judge.explain.whereabouts import PRESENT, TRUNCATED, whereabouts
from harness.kafka.leaders import await_full_isr
from harness.record.codecs import BINARY
from harness.record.encoder import Encoder
from harness.replicas.search import Wanted, search_replicas
from harness.rundir.replicas import ReplicaEvidence
from harness.rundir.run_record import load_replicas
from harness.rundir.timeline import read_timeline
from harness.system.stopped import STOPPED, state_after_stop
from tests.support.readings import await_settled
from tests.support.struck import local_of, struck_run
from tests.support.timelines import lines_of

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
RECORDS = 50
HOLD_S = 4.0


@pytest.fixture
def run(cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """A run directory with one topic of one partition, led by broker 2."""
    with struck_run(cluster, tmp_path / "run", monkeypatch, "replicas") as target:
        yield target


def producer_of(run: Target, **settings: object) -> Producer:
    return Producer({**run.brokers.client_config, "log_level": 2, "linger.ms": 50, **settings})


def write(
    run: Target, producer: int, first: int, client: Producer | None = None, **settings: Any
) -> list[int]:
    """Write records of one incarnation; the offsets at which they were acknowledged."""
    assert run.run_dir is not None
    info = run.run_dir.read_info()
    values = Encoder(info.run_id, producer, 200).encode(
        0, 0, first, np.arange(RECORDS, dtype=np.int64)
    )
    offsets: list[Any] = []
    client = client or producer_of(run, **settings)
    for value in values:
        client.produce(
            info.topics[0], value, partition=0,
            on_delivery=lambda error, message: offsets.append(-1 if error else message.offset()),
        )  # fmt: skip
    assert client.flush(30) == 0
    return offsets


def search(run: Target, *identities: tuple[int, int]) -> ReplicaEvidence:
    """Look for (producer, sequence) identities in every broker's files."""
    assert run.run_dir is not None
    info = run.run_dir.read_info()
    wanted = [Wanted(info.topics[0], 0, 0, *each) for each in identities]
    logs, sought = search_replicas(
        wanted, local_of(run).broker_ids, local_of(run).data_directory, info.run_id, BINARY
    )
    return ReplicaEvidence(logs, sought)


def test_records_of_every_compression_are_found_in_every_replica_where_they_were_acknowledged(
    run: Target,
) -> None:
    offsets = {
        producer: write(run, producer, 0, None, acks="all", **{"compression.type": codec})
        for producer, codec in enumerate(CODECS, 1)
    }
    await_full_isr(run.view, run.run_topics, 30)
    found = search(run, *((producer, 7) for producer in offsets), (99, 7))
    assert [log.complete for log in found.logs] == [True] * 3
    assert {log.end for log in found.logs} == {RECORDS * len(CODECS)}
    for sought in found.sought[:-1]:
        where = [(copy.broker, copy.offset, copy.crc_holds) for copy in sought.found]
        at = offsets[sought.producer][7]
        assert where == [(1, at, True), (2, at, True), (3, at, True)]
    assert found.sought[-1].found == []


def write_while_followers_are_stopped(run: Target, client: Producer) -> list[int]:
    """Records that the leader acknowledges alone, until half of the hold is over.

    Each follower may take in the first of them when it continues: those in the reply to the fetch
    that it had open. That reply is under way long before the last of them are written.
    """
    pids = [local_of(run).pid(broker) for broker in (1, 3)]
    deadline = time.monotonic() + 20
    while not all(pid and state_after_stop(pid) == STOPPED for pid in pids):
        assert time.monotonic() < deadline, "the followers were not stopped within 20 s"
    until = time.monotonic() + HOLD_S / 2
    offsets: list[int] = []
    while time.monotonic() < until:
        offsets += write(run, 2, len(offsets), client)
    return offsets


def test_what_only_the_killed_leader_held_is_told_from_what_every_broker_holds(
    run: Target,
) -> None:
    """Followers are stopped while the leader acknowledges alone, then the leader is killed."""
    assert run.run_dir is not None
    topic = run.run_topics()[0]
    common = write(run, 1, 0, acks="all")
    client = producer_of(run, acks=1)
    common += write(run, 1, RECORDS, client)  # it connects before the seconds count
    await_settled(dict(run.brokers.client_config), [topic], 1)
    await_full_isr(run.view, run.run_topics, 30)
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_while_followers_are_stopped, run, client)
        output = faults.stop_followers_then_kill_leader(hold_s=HOLD_S)
        offsets = writing.result(30)
    evidence = output["evidence"]
    assert output["took_effect"], evidence["shortcomings"]
    # When they were stopped, both followers held what was replicated, and nothing more.
    assert [
        (each["broker"], each["partition"], each["end_when_stopped"])
        for each in evidence["follower_logs"]
    ] == [(1, 0, len(common)), (3, 0, len(common))]
    faults.heal()

    assert offsets == list(range(len(common), len(common) + len(offsets)))
    found = load_replicas(run.run_dir, 1)
    assert found is not None
    (dead,) = found.dead
    assert (dead.broker, dead.end, dead.complete) == (2, offsets[-1] + 1, True)
    # Where the next leader went on is known from its log alone: after the reply it had open.
    cut_off = dead.successor_start
    assert cut_off is not None
    assert len(common) <= cut_off <= offsets[-1]
    (stranded,) = dead.stranded
    assert stranded.producer == 2
    assert stranded.first_offset == cut_off
    assert stranded.last_sequence == len(offsets) - 1
    today = search(run, (1, 7), (2, 0), (2, stranded.first_sequence), (2, len(offsets) - 1))
    today.dead = found.dead
    struck = read_timeline(lines_of(run.run_dir)).faults
    assert whereabouts(today, struck, topic, 0, 1, 7).held == PRESENT
    taken_in = cut_off > len(common)
    assert (whereabouts(today, struck, topic, 0, 2, 0).held == PRESENT) == taken_in
    for sequence in (stranded.first_sequence, len(offsets) - 1):
        lost = whereabouts(today, struck, topic, 0, 2, sequence)
        assert (lost.held, lost.broker, lost.offset) == (TRUNCATED, 2, offsets[sequence])
