"""The bench against the real cluster, with few records: shape, and that both sides do the work."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.bench.cases import all_cases
from harness.bench.footprint import measure_footprint
from harness.bench.runs import Topic
from harness.bench.series import Request, measure
from harness.bench.sides import Sides
from harness.brokers import LocalCluster
from harness.errors import HarnessError
from tests.support.readings import await_settled

RECORDS = 3_000
SIX = {
    "name",
    "records_per_s",
    "cpu_us_per_record",
    "peer",
    "peer_records_per_s",
    "peer_cpu_us_per_record",
}

pytestmark = pytest.mark.cluster


@pytest.fixture
def sides(cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sides:
    monkeypatch.setattr("harness.bench.sides.START_UP_RUNS", 1)
    return Sides(cluster, tmp_path)


def test_both_sides_send_every_record_and_the_figures_are_a_json_list(
    sides: Sides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    delete = sides.topics.delete

    def count_and_delete(topic: Topic) -> None:
        await_settled(sides.topics.client_config, [topic.name], 3)
        held.append(sides.topics.records(topic))
        delete(topic)

    monkeypatch.setattr(sides.topics, "delete", count_and_delete)
    request = Request.of(
        pairs=1, only=["load leader-ack 1 KiB", "load transactional 100 B"], records=RECORDS
    )
    path = tmp_path / "bench.json"
    measure(request, sides, lambda _: None, path)
    entries = json.loads(path.read_text())
    assert [entry["name"] for entry in entries] == [
        "load transactional 100 B",
        "load leader-ack 1 KiB",
    ]
    for entry in entries:
        assert entry.keys() >= SIX
        assert entry["peer"] == "ProducerPerformance"
        assert all(entry[key] > 0 for key in SIX - {"name", "peer"})
    transactional, leader_ack = held[-4:-2], held[-2:]
    assert leader_ack == [RECORDS, RECORDS]
    # Each transaction ends with a marker in every partition that it wrote to.
    assert all(RECORDS < count < 2 * RECORDS for count in transactional)


def test_verification_reads_and_judges_the_topic_that_kafkas_consumer_reads(sides: Sides) -> None:
    request = Request.of(pairs=2, only=["verify 100 B"], records=RECORDS)
    (entry,) = measure(request, sides, lambda _: None, None)
    assert entry["name"] == "verify 100 B"
    assert entry["peer"] == "ConsumerPerformance"
    assert entry["pairs"] == 2
    assert all(entry[key] > 0 for key in SIX - {"name", "peer"})


def test_records_that_did_not_arrive_are_an_error_and_no_figure(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.bench.runs._ARRIVAL_TIMEOUT_S", 0.5)
    case = replace(all_cases()[0], records=RECORDS)
    with sides.run(case) as run:
        sides.worker("load", run.run_dir, RECORDS - 1, case.name)
        with pytest.raises(HarnessError, match=f"our producer was to send {RECORDS} records"):
            sides.topics.check_arrived(run.topic, case, "our producer")


def test_the_footprint_is_a_slope_over_all_three_processes(sides: Sides) -> None:
    found = measure_footprint(sides, (50_000, 450_000))
    # Five bytes in each of ledger, live and drained set; extents are allocated ahead.
    assert 10 < found.disk_bytes_per_record < 40
    assert [size.records for size in found.sizes] == [50_000, 450_000]
    assert all(set(size.anonymous_bytes) == {"load", "reader", "verify"} for size in found.sizes)
    document = found.to_json()
    assert document.keys() >= SIX
    assert document["name"] == "footprint"
