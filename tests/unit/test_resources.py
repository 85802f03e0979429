"""What local brokers use of the machine: sampled from real processes, and drawn by slot."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from harness.brokers.local.resources import ResourceWatch, taken_bytes
from harness.report.resource_lanes import resource_panel, resource_slots
from harness.report.series import ProfileSeries, RunSeries
from harness.rundir.clock import from_us
from harness.rundir.events import ResourcesEvent

START = 1_772_360_100_000_000
BUSY = "while True: pass"


def test_a_busy_process_is_seen_with_its_cpu_memory_and_files(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "segment").write_bytes(os.urandom(100_000))
    seen: list[ResourcesEvent] = []
    enough = threading.Event()

    def take(event: ResourcesEvent) -> None:
        seen.append(event)
        if len(seen) == 3:
            enough.set()

    with subprocess.Popen([sys.executable, "-c", BUSY]) as process:
        watch = ResourceWatch(lambda: {2: process.pid}, {2: tmp_path}, take, interval_s=0.1)
        try:
            assert enough.wait(30)
        finally:
            watch.end()
            process.kill()
    count = len(seen)
    assert {each.broker for each in seen} == {2}
    assert max(each.cpu_percent for each in seen) > 0
    assert min(each.memory_bytes for each in seen) > 1_000_000
    assert min(each.disk_bytes for each in seen) >= 100_000
    assert len(seen) == count, "a watch that has ended writes nothing"


def test_a_process_that_ended_is_passed_over() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    asked = threading.Event()
    seen: list[ResourcesEvent] = []

    def pids() -> dict[int, int]:
        if len(rounds) > 2:
            asked.set()
        rounds.append(1)
        return {1: process.pid}

    rounds: list[int] = []
    watch = ResourceWatch(pids, {1: Path("/nonexistent")}, seen.append, interval_s=0.01)
    assert asked.wait(10)
    watch.end()
    assert seen == []


def test_a_sparse_file_counts_by_its_blocks(tmp_path: Path) -> None:
    with (tmp_path / "index").open("wb") as file:
        file.truncate(50_000_000)
    assert taken_bytes(tmp_path) < 1_000_000


def run() -> RunSeries:
    flat = np.ones(40)
    series = ProfileSeries(
        "p", np.arange(40, dtype=np.float64) * 0.25, 0.25, flat, flat, np.zeros(40), flat
    )
    return RunSeries([series], start_us=START, end_s=10.0)


def sample(at_s: float, broker: int, cpu: float) -> ResourcesEvent:
    return ResourcesEvent(
        at=from_us(START + int(at_s * 1e6)),
        broker=broker,
        cpu_percent=cpu,
        memory_bytes=300_000_000,
        disk_bytes=5_000_000,
    )


def test_each_slot_has_its_highest_sample_and_a_dead_broker_a_break() -> None:
    slot_s, slots = resource_slots(
        run(), [sample(0.5, 1, 20), sample(1.5, 1, 90), sample(8.5, 1, 5), sample(-4, 1, 99)]
    )
    assert slot_s == 2.0
    cpu = slots["cpu", 1]
    assert (cpu[0], cpu[4]) == (90, 5)
    assert np.isnan(cpu[1:4]).all()
    assert slots["memory", 1][0] == 300


def test_where_nothing_was_sampled_the_panel_says_why() -> None:
    panel = resource_panel(run(), [])
    assert panel.chart is None
    assert "only brokers that the harness runs on this machine" in panel.absent
    drawn = resource_panel(run(), [sample(1, 1, 50), sample(1, 2, 10)])
    assert drawn.chart is not None
    assert ">cpu, broker 2<" in drawn.chart
    assert drawn.table is not None
    assert drawn.table.rows[0][1][:2] == ["50 %", "10 %"]
    assert drawn.table.rows[1][1][0] == "–"
