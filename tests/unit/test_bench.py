"""The bench's pure parts, and that what it starts is measured and ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from rich.console import Console

from harness.bench.cases import Case, all_cases, chosen
from harness.bench.footprint import Footprint, Size, allocated_bytes
from harness.bench.measured import Process
from harness.bench.over_workers import OverWorkers, WorkersRun
from harness.bench.peer import (
    OTHER_NAME,
    PeerResult,
    consumer_result,
    java_settings,
    producer_result,
    write_payloads,
)
from harness.bench.series import Pair, Request, entry_of, in_turn
from harness.bench.sides import Run, StartUp
from harness.bench.table import print_table, rate_goal
from harness.bench.worker import Flow, WorkerResult, flow, result_of
from harness.errors import HarnessError, UsageError
from harness.load.client import OPEN_RECORDS_MAX
from harness.profiles import load_builtin
from harness.record.binary import decode
from harness.rundir.run_info import ProfileRun

CASE = Case("load idempotent 100 B", "load", "idempotent", 100, 1_000_000, "ProducerPerformance")
NO_START_UP = StartUp(0.0, 0.0)


# -- what is measured ----------------------------------------------------------------------------


def test_every_built_in_producer_profile_and_verification_is_measured_at_both_sizes() -> None:
    names = [case.name for case in all_cases()]
    bare = [profile.name for profile in load_builtin().values() if profile.bare]
    assert names == [
        *(f"load {profile} 100 B" for profile in bare),
        *(f"load {profile} 1 KiB" for profile in bare),
        "verify 100 B",
        "verify 1 KiB",
    ]


def test_only_takes_the_cases_that_hold_the_text() -> None:
    assert [case.name for case in chosen(["idempotent 1", "verify 100"], None)] == [
        "load idempotent 100 B",
        "load idempotent 1 KiB",
        "verify 100 B",
    ]


def test_a_text_that_fits_no_case_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(UsageError, match=r"fits no case.*load idempotent 100 B.*footprint"):
        chosen(["exactly-once"], None)


@pytest.mark.parametrize("pairs", [0, -1, 1001])
def test_a_number_of_pairs_out_of_range_is_refused(pairs: int) -> None:
    with pytest.raises(UsageError, match="--pairs"):
        Request.of(pairs=pairs, only=[], records=None)


def test_a_number_of_records_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match="--records 10"):
        Request.of(pairs=1, only=[], records=10)


@pytest.mark.parametrize(
    ("only", "records", "footprint"),
    [
        ([], None, True),
        (["footprint"], None, True),
        (["verify"], None, False),
        ([], 1_000, False),
    ],
)
def test_the_footprint_is_measured_unless_something_else_was_asked_for(
    only: list[str], records: int | None, footprint: bool
) -> None:
    assert bool(Request.of(pairs=1, only=only, records=records).growth) is footprint


def test_growth_goes_up_by_tens_to_the_size_that_was_asked_for() -> None:
    asked = Request.of(pairs=1, only=["footprint"], records=None, growth=30_000_000)
    assert asked.growth == (1_000_000, 10_000_000, 30_000_000)
    assert Request.of(pairs=1, only=[], records=None).growth == (1_000_000, 10_000_000)


@pytest.mark.parametrize("growth", [0, 1_000_000, 1_000_000_001])
def test_a_growth_that_gives_no_slope_or_is_out_of_range_is_refused(growth: int) -> None:
    with pytest.raises(UsageError, match=f"--growth {growth}: accepted is"):
        Request.of(pairs=1, only=[], records=None, growth=growth)


def test_a_growth_that_is_left_out_is_refused() -> None:
    with pytest.raises(UsageError, match="Add --only footprint"):
        Request.of(pairs=1, only=["verify"], records=None, growth=10_000_000)


def test_the_flood_keeps_a_request_a_partition_with_idempotence_and_more_in_a_transaction() -> None:
    profiles = load_builtin()

    def flow_of(name: str, message_bytes: int) -> Flow:
        settings = dict(profiles[name].producer)
        run = ProfileRun(name, "subject", ["t"], ["i"], settings, {}, {}, [])
        return flow(run, message_bytes, 3)

    assert flow_of("idempotent", 100) == Flow(10_000, 3 * 8_620)
    assert flow_of("idempotent", 1024) == Flow(3 * 961, 3 * 961)
    # The end of a transaction waits for what it holds, and without idempotence nothing is limited.
    assert flow_of("transactional", 100) == Flow(10_000, 3 * 8_620)
    assert flow_of("transactional", 1024) == Flow(10_000, 25_000)
    assert flow_of("at-least-once", 1024) == Flow(10_000, OPEN_RECORDS_MAX)


def test_importing_the_bench_loads_no_client_library() -> None:
    code = "import sys, harness.bench; print('confluent_kafka' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"


# -- Kafka's tools -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(load_builtin()))
def test_every_producer_setting_of_a_profile_is_handed_to_kafkas_tool_or_has_no_counterpart(
    name: str,
) -> None:
    settings = java_settings(load_builtin()[name].producer)
    assert settings["acks"] == str(load_builtin()[name].producer["acks"])
    assert settings.keys() >= {"linger.ms", "batch.size", "compression.type", "retries"}
    assert not settings.keys() & set(OTHER_NAME)


def test_settings_that_java_calls_otherwise_are_renamed_and_converted() -> None:
    settings = {"queue.buffering.max.kbytes": 1024, "message.max.bytes": 5, "acks": "all"}
    assert java_settings({**settings, "enable.idempotence": True}) == {
        "buffer.memory": "1048576",
        "max.request.size": "5",
        "acks": "all",
        "enable.idempotence": "true",
    }


def test_a_setting_without_a_known_java_name_is_an_error_and_not_dropped() -> None:
    with pytest.raises(HarnessError, match=r"sticky\.partitioning"):
        java_settings({"sticky.partitioning.linger.ms": 10})


def test_the_last_line_of_totals_is_what_a_producer_run_came_to() -> None:
    output = (
        "499 records sent, 99.8 records/sec (0.01 MB/sec), 3.0 ms avg latency, 4.0 ms max\n"
        "1000 records sent, 222.5 records/sec (0.02 MB/sec), 3.0 ms avg latency, 9.00 ms max "
        "latency, 2 ms 50th, 4 ms 95th, 7 ms 99th, 9 ms 99.9th.\n"
    )
    assert producer_result(output) == PeerResult(1000, 222.5)


def test_a_consumer_runs_rate_is_that_of_fetching() -> None:
    output = (
        "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, "
        "rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec\n"
        "2025-01-01 00:00:00:000, 2025-01-01 00:00:04:000, 95.3674, 23.8, 1000000, 250000.0, "
        "3000, 1000, 95.3674, 1000000.0\n"
    )
    assert consumer_result(output) == PeerResult(1_000_000, 1_000_000.0)


@pytest.mark.parametrize("read", [producer_result, consumer_result])
def test_a_tool_that_printed_no_totals_is_an_error_that_shows_what_it_printed(read) -> None:
    with pytest.raises(HarnessError, match="TimeoutException"):
        read("org.apache.kafka.common.errors.TimeoutException: no topic\n")


@pytest.mark.parametrize("message_bytes", [100, 1024])
def test_the_tools_payload_is_text_made_of_intact_records_of_our_encoder(
    tmp_path: Path, message_bytes: int
) -> None:
    path = tmp_path / "payload"
    count = write_payloads(path, message_bytes)
    # As the tool reads it: UTF-8 text, split at newlines, encoded again.
    values = [line.encode() for line in path.read_bytes().decode().split("\n")]
    assert len(values) == count == len(set(values)) == 2_000
    assert {len(value) for value in values} == {message_bytes}
    assert decode(values).intact.all()


# -- pairs ---------------------------------------------------------------------------------------


def test_ours_and_theirs_take_turns_in_going_first() -> None:
    order: list[str] = []

    def side(name: str):
        def run() -> Run:
            order.append(name)
            return Run(1.0, 1.0)

        return run

    pairs = in_turn(side("A"), side("B"), 3)
    assert "".join(order) == "ABBAAB"
    assert len(pairs) == 3


def test_an_entry_holds_medians_of_each_side_and_of_the_pairs_ratios() -> None:
    pairs = [
        Pair(Run(100.0, 2.0), Run(100.0, 8.0)),
        Pair(Run(300.0, 1.0), Run(100.0, 4.0)),
        Pair(Run(200.0, 9.0), Run(400.0, 10.0)),
    ]
    entry = entry_of(CASE, pairs, StartUp(0.5, 2.0))
    assert entry["name"] == "load idempotent 100 B"
    assert (entry["records_per_s"], entry["cpu_us_per_record"]) == (200, 2.0)
    assert entry["peer"] == "ProducerPerformance"
    assert (entry["peer_records_per_s"], entry["peer_cpu_us_per_record"]) == (100, 8.0)
    assert (entry["cpu_ratio"], entry["cpu_ratio_range"]) == (0.25, [0.25, 0.9])
    assert (entry["rate_ratio"], entry["rate_ratio_range"]) == (1.0, [0.5, 3.0])
    assert entry["pairs"] == 3


def test_the_ratio_beyond_start_up_leaves_out_what_every_run_begins_with() -> None:
    pair = Pair(Run(100.0, 2.5), Run(100.0, 6.0))
    entry = entry_of(CASE, [pair], StartUp(0.5, 2.0))
    assert (entry["start_up_cpu_s"], entry["peer_start_up_cpu_s"]) == (0.5, 2.0)
    assert entry["cpu_ratio"] == 0.417
    assert entry["cpu_ratio_beyond_start_up"] == 0.5


def test_a_run_that_is_all_start_up_has_no_ratio_beyond_it() -> None:
    pair = Pair(Run(100.0, 2.5), Run(100.0, 6.0))
    assert entry_of(CASE, [pair], StartUp(1.0, 7.0))["cpu_ratio_beyond_start_up"] is None


@pytest.mark.parametrize(
    ("name", "message_bytes", "goal"),
    [
        ("load idempotent 100 B", 100, 1.0),
        ("load idempotent 1 KiB", 1024, 1.0),
        ("verify 100 B", 100, 0.8),
        ("verify 1 KiB", 1024, 1.0),
    ],
)
def test_the_goal_for_rates(name: str, message_bytes: int, goal: float) -> None:
    assert rate_goal(name, message_bytes) == goal


def test_the_table_shows_ratios_before_figures(capsys: pytest.CaptureFixture[str]) -> None:

    pair = Pair(Run(250_000.0, 2.0), Run(200_000.0, 8.0))
    print_table([entry_of(CASE, [pair], StartUp(0.5, 2.0))], Console(width=80))
    shown = capsys.readouterr().out
    first, second = [line for line in shown.splitlines() if line.startswith(CASE.name)]
    assert "…" not in shown
    assert first.index("0.25") < first.index("1.25")
    assert second.index("8.00") < second.index("250,000")


def size(records: int, verify_s: float, disk_bytes: int, anonymous_bytes: int | None) -> Size:
    peaks = {"load": anonymous_bytes, "reader": anonymous_bytes, "verify": anonymous_bytes}
    return Size(records, 1e6, 1.0, verify_s, 1.0, disk_bytes, peaks)


def test_slopes_leave_out_what_every_run_takes() -> None:
    found = Footprint((size(100, 2.0, 5_000, 1_000), size(1_100, 12.0, 20_000, 2_000)))
    assert found.disk_bytes_per_record == 15.0
    assert found.anonymous_bytes_per_record == 3.0
    assert found.marginal_time == 0.5, "10 ms for each further record, 20 ms for the first hundred"


def test_memory_that_the_kernel_does_not_tell_has_no_slope() -> None:
    found = Footprint((size(100, 2.0, 5_000, None), size(1_100, 12.0, 20_000, None)))
    assert found.anonymous_bytes_per_record is None
    assert found.to_json()["anonymous_bytes_per_record"] is None


def test_the_growth_table_has_a_line_for_each_size(capsys: pytest.CaptureFixture[str]) -> None:

    found = Footprint((size(100, 2.0, 5_000, 1_000), size(1_100, 12.0, 20_000, 3_000_000)))
    print_table([found.to_json()], Console(width=80))
    shown = capsys.readouterr().out
    rows = [line.split() for line in shown.splitlines() if line[:1].isdigit()]
    assert [row[0] for row in rows if len(row) == 8] == ["100", "1,100"]
    assert "0.50 (goal ≤ 1.2)" in " ".join(shown.split())
    assert "…" not in shown


# -- processes -----------------------------------------------------------------------------------


def test_processes_that_a_process_starts_are_measured_with_it(tmp_path: Path) -> None:
    busy = "import time; b = bytearray(40 << 20); e = time.process_time() + 0.4\n"
    busy += "while time.process_time() < e: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}], check=True)"
    process = Process([sys.executable, "-c", code], what="parent", folder=tmp_path, memory=True)
    measured = process.finish(30)
    assert measured.cpu_s > 0.4
    if sys.platform == "linux":
        assert measured.anonymous_bytes is not None
        assert measured.anonymous_bytes > 40 << 20


def test_a_process_is_measured_with_its_start_up_and_its_memory(tmp_path: Path) -> None:
    code = (
        "import time\n"
        "block = bytearray(b'x') * 60_000_000\n"
        "while time.process_time() < 0.5: pass\n"
        "time.sleep(0.3)\n"
        "print('done')\n"
    )
    process = Process([sys.executable, "-c", code], what="busy", folder=tmp_path, memory=True)
    measured = process.finish(60)
    assert 0.5 <= measured.cpu_s < 0.8
    assert measured.wall_s >= 0.8
    assert measured.output == "done\n"
    if sys.platform == "linux":
        assert measured.anonymous_bytes is not None
        assert 60e6 < measured.anonymous_bytes < 90e6


def test_a_process_that_fails_is_an_error_with_its_output(tmp_path: Path) -> None:
    code = "print('no leader for partition 0'); raise SystemExit(3)"
    process = Process([sys.executable, "-c", code], what="failing", folder=tmp_path)
    with pytest.raises(HarnessError, match=r"failing: ended with status 3(.|\n)*no leader for"):
        process.finish(60)


def test_a_process_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(100)"
    process = Process([sys.executable, "-c", code], what="slow", folder=tmp_path)
    pid = int(_first_line(tmp_path / "slow.log"))
    with pytest.raises(HarnessError, match=r"slow: not finished within 0\.1 s"):
        process.finish(0.1)
    assert not psutil.pid_exists(pid)


def test_a_measured_process_ends_when_the_bench_is_killed(tmp_path: Path) -> None:
    sleeper = "import os, time; print(os.getpid(), flush=True); time.sleep(100)"
    bench = (
        "import sys, time\nfrom pathlib import Path\n"
        "from harness.bench.measured import Process\n"
        f"folder = Path({str(tmp_path)!r})\n"
        f"Process([sys.executable, '-c', {sleeper!r}], what='orphan', folder=folder)\n"
        "time.sleep(100)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", bench])
    pid = int(_first_line(tmp_path / "orphan.log"))
    assert psutil.pid_exists(pid)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid):
        assert time.monotonic() < deadline, "it outlived the bench"
        time.sleep(0.02)


def test_a_worker_without_a_result_is_an_error() -> None:
    assert result_of('warning\n{"records": 10, "elapsed_s": 2.0}\n') == WorkerResult(10, 2.0)
    assert WorkerResult(10, 2.0).records_per_s == 5.0
    with pytest.raises(HarnessError, match="no result"):
        result_of("warning\n")


def test_disk_is_counted_in_allocated_blocks(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10_000_000)
    (tmp_path / "folder").mkdir()
    with (tmp_path / "folder" / "full").open("wb") as file:
        file.write(os.urandom(1_000_000))
        file.flush()
        os.fsync(file.fileno())
    assert 1_000_000 <= allocated_bytes(tmp_path) < 1_100_000


def test_cases_can_be_written_as_json() -> None:
    assert json.loads(json.dumps(entry_of(CASE, [Pair(Run(1.0, 1.0), Run(1.0, 1.0))], NO_START_UP)))


def _first_line(path: Path) -> str:
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"{path} stayed empty"
        time.sleep(0.02)
    return path.read_text().splitlines()[0]


def test_load_over_workers_is_measured_unless_something_else_was_asked_for() -> None:
    def asked(*only: str, **more: int) -> bool:
        records, growth = more.get("records"), more.get("growth")
        request = Request.of(pairs=1, only=only, records=records, growth=growth)
        return request.over_workers

    assert asked()
    assert asked("load over workers")
    assert not asked("load idempotent")
    assert not asked("footprint")
    assert not asked(records=100_000)


def test_what_workers_cost_is_compared_by_the_medians_of_each_number(
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = [(1, 2.0), (1, 2.2), (1, 9.0), (2, 2.1), (2, 2.3), (4, 2.31), (4, 2.31)]
    fast = [WorkersRun(workers, 1e5, 1_000_000, 10.0, cpu_s, 0.2) for workers, cpu_s in runs]
    # At half the rate: one worker takes 0.02 s a second beside its records, four take 0.04.
    slow = [
        WorkersRun(workers, 5e4, 500_000, 10.0, cpu_s, 0.2)
        for workers, cpu_s in ((1, 1.2), (2, 1.2), (4, 1.355))
    ]
    found = OverWorkers((*fast, *slow))
    assert [found.cpu_us_per_record(each) for each in (1, 2, 4)] == [2.2, pytest.approx(2.2), 2.31]
    assert found.difference == pytest.approx(0.05)
    assert [found.cpu_us_per_further_record(each) for each in (1, 2, 4)] == [
        pytest.approx(2.0), pytest.approx(2.0), pytest.approx(1.91)]  # fmt: skip
    assert found.difference_of_a_further_record == pytest.approx(2.0 / 1.91 - 1)
    assert [found.cpu_share_at_rest(each) for each in (1, 2, 4)] == [
        pytest.approx(0.02), pytest.approx(0.02), pytest.approx(0.04)]  # fmt: skip
    entry = found.to_json()
    assert [each["workers"] for each in entry["workers"]] == [1, 2, 4]
    print_table([entry], Console(width=100))
    printed = capsys.readouterr().out
    assert "2.20 (2.00–9.00)" in printed
    said = " ".join(printed.split())
    assert "CPU a record differs by 5.0% between numbers of workers, that of a further" in said
    assert "a further record by 4.7% (goal: at most 10%)" in said
