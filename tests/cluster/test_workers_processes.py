"""Real masters and workers, with librdkafka's mock brokers: who makes what, and what arrives.

Several processes for each test, and seconds of load: too slow for the fast tests.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from harness.rundir.events import IncarnationsEvent
from harness.rundir.timeline import read_timeline
from harness.rundir.timeline_file import documents
from tests.support.mocked_load import (
    STEADY,
    a_run,
    attempts,
    clients_started,
    free_port,
    phase,
    process,
    process_of,
    until,
    workers,
)
from tests.support.wire_worker import WireWorker

pytestmark = pytest.mark.cluster
ALL_CLIENTS = [("one", 0), ("one", 1), ("two", 0), ("two", 1)]


def test_a_worker_of_this_machine_that_is_killed_leaves_its_ledger_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    run_dir, log = a_run(tmp_path / "run"), tmp_path / "load.log"
    command = ["-m", "harness.load.master", str(run_dir.path), str(STEADY), "--workers", "3"]
    with process(log, *command) as master:
        until(lambda: phase(run_dir, "warmed_up"), "the load", log)
        joined = workers(run_dir, "joined")
        assert [event.same_machine for event in joined] == [True] * 3
        offsets = [abs(event.clock_offset_us or 0) for event in joined]
        errors = [event.clock_error_us or 0 for event in joined]
        assert all(offset <= error for offset, error in zip(offsets, errors, strict=True))
        os.kill(process_of(joined[1]), signal.SIGKILL)
        until(lambda: workers(run_dir, "lost"), "the loss", log)
        before = {event.worker: attempts(run_dir, event.first or 0, event.last or 0)
                  for event in joined}  # fmt: skip
        assert all(before.values())
        until(
            lambda: attempts(run_dir, joined[0].first or 0, joined[0].last or 0) > before[1] + 400,
            "the others",
            log,
        )
        master.terminate()
        assert master.wait(60) == 0, log.read_text()
    assert [event.worker for event in workers(run_dir, "lost")] == [2]
    assert sorted(event.worker or 0 for event in workers(run_dir, "arrived")) == [1, 3]
    assert attempts(run_dir, joined[1].first or 0, joined[1].last or 0) == before[2]
    assert clients_started(run_dir) == ALL_CLIENTS
    timeline = read_timeline(documents(run_dir.timeline))
    assert timeline.awaited == [], "its ledger is here"
    assert [number for number, each in timeline.workers.items() if each.lost_us] == [2]
    assert timeline.unsent is not None
    assert sum(timeline.unsent.values()) > 100, "what the lost one did not send is counted"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the processes of a test make their temporary folders."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def test_locust_that_rebalances_doubles_no_client_when_a_worker_joins_and_one_leaves(
    tmp_path: Path, temporary: Path
) -> None:
    run_dir, log, port = a_run(tmp_path / "run"), tmp_path / "master.log", str(free_port())
    locust = ["-m", "locust", "-f", str(STEADY), "--headless", "--only-summary"]
    master_is = ["--master", "--master-bind-port", port, "--expect-workers", "2"]
    worker_is = ["-m", "locust", "-f", str(STEADY), "--worker", "--master-port", port]
    secret = ["--client-config", "sasl.password=never-to-travel", "--loglevel", "DEBUG"]
    with (
        process(log, *locust, *master_is, "--enable-rebalancing", *secret, run_dir=run_dir.path)
        as master,
        process(tmp_path / "a.log", *worker_is),
        process(tmp_path / "b.log", *worker_is),
    ):  # fmt: skip
        until(lambda: phase(run_dir, "warmed_up"), "the load", log)
        joined = workers(run_dir, "joined")
        with process(tmp_path / "late.log", *worker_is):
            until(lambda: workers(run_dir, "late"), "the late one", log)
            os.kill(process_of(joined[0]), signal.SIGKILL)
            until(lambda: workers(run_dir, "lost"), "the loss", log)
            master.send_signal(signal.SIGINT)
            assert master.wait(90) == 0, log.read_text()
    assert clients_started(run_dir) == ALL_CLIENTS
    assert len(workers(run_dir, "late")) == 1
    assert phase(run_dir, "load_stopped")
    assert [event.worker for event in workers(run_dir, "arrived")] == [joined[1].worker]
    assert list(temporary.glob("harness-worker-*")) == [], "also of the one that was killed"


def test_a_worker_that_waits_for_a_run_and_is_killed_leaves_no_folder(
    tmp_path: Path, temporary: Path
) -> None:
    log = tmp_path / "worker.log"
    serve = ["-m", "harness", "worker", "--master-host", "127.0.0.1"]
    with process(log, *serve, "--master-port", str(free_port())) as waiting:
        until(lambda: psutil.Process(waiting.pid).children(), "its process", log)
        assert len(list(temporary.glob("harness-worker-*"))) == 1
        waiting.kill()
        waiting.wait()
        until(lambda: not list(temporary.glob("harness-worker-*")), "the end of its folder", log)


def test_a_worker_elsewhere_hands_in_its_part_also_what_a_killed_process_left(
    tmp_path: Path,
) -> None:
    run_dir, log, port = a_run(tmp_path / "run"), tmp_path / "load.log", str(free_port())
    command = ["-m", "harness.load.master", str(run_dir.path), str(STEADY), "--expect", "2"]

    def serving(name: str) -> list[str]:
        where = ["--master-host", "127.0.0.1", "--master-port", port]
        return ["-m", "harness", "worker", *where, "--work-dir", str(tmp_path / name)]

    with (
        process(tmp_path / "a.log", *serving("a")) as first,
        process(tmp_path / "b.log", *serving("b")),
        process(log, *command, "--port", port) as master,
    ):
        until(lambda: phase(run_dir, "warmed_up"), "the load", log)
        joined = workers(run_dir, "joined")
        assert [event.same_machine for event in joined] == [False] * 2
        assert not list(run_dir.ledger.glob("*")), "it is written elsewhere"
        os.kill(process_of(joined[0]), signal.SIGKILL)
        # Its successor says that something of the run is left.
        until(lambda: workers(run_dir, "late"), "the successor", log)
        master.terminate()
        assert master.wait(120) == 0, log.read_text()
        first.terminate()
        assert first.wait(60) == 0, (tmp_path / "a.log").read_text()
    assert sorted(event.worker or 0 for event in workers(run_dir, "arrived")) == [1, 2]
    phases = [(event.phase, event.first) for event in run_dir.events(IncarnationsEvent)]
    for event in joined:
        assert ("handed_out", event.first) in phases
        assert ("arrived", event.first) in phases
        assert attempts(run_dir, event.first or 0, event.last or 0) > 50
    assert clients_started(run_dir) == ALL_CLIENTS
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["worker.log"]
    assert not (run_dir.path / "workers").exists()
    assert sorted(path.name for path in run_dir.logs.iterdir()) == ["worker-2.log"]


def test_a_worker_that_starts_again_on_its_folder_hands_in_what_was_left_there(
    tmp_path: Path,
) -> None:
    """As a container does whose processes were all killed: only the folder is as it was."""
    run_dir, log, port = a_run(tmp_path / "run"), tmp_path / "load.log", str(free_port())
    run_id = run_dir.read_info().run_id
    command = ["-m", "harness.load.master", str(run_dir.path), str(STEADY), "--expect", "2"]
    serve = ["-m", "harness", "worker", "--master-host", "127.0.0.1", "--master-port", port]
    worker = [*serve, "--work-dir", str(tmp_path / "folder")]
    with (
        process(tmp_path / "killed.log", *worker) as killed,
        process(tmp_path / "other.log", *serve, "--work-dir", str(tmp_path / "other")),
        process(log, *command, "--port", port) as master,
    ):
        until(lambda: phase(run_dir, "warmed_up"), "the load", log)
        joined = next(
            event
            for event in workers(run_dir, "joined")
            if (tmp_path / "folder" / f"{run_id}-{event.first}-{event.last}").exists()
        )
        os.kill(killed.pid, signal.SIGKILL)
        os.kill(process_of(joined), signal.SIGKILL)
        killed.wait()
        with process(tmp_path / "again.log", *worker):
            until(lambda: workers(run_dir, "late"), "its successor", log)
            master.terminate()
            assert master.wait(120) == 0, log.read_text()
    assert sorted(event.worker or 0 for event in workers(run_dir, "arrived")) == [1, 2]
    assert attempts(run_dir, joined.first or 0, joined.last or 0) > 50
    assert read_timeline(documents(run_dir.timeline)).awaited == []


def test_too_few_workers_end_the_run_with_one_sentence(tmp_path: Path) -> None:
    run_dir, log, port = a_run(tmp_path / "run"), tmp_path / "load.log", str(free_port())
    command = ["-m", "harness.load.master", str(run_dir.path), str(STEADY), "--expect", "2"]
    with process(log, *command, "--port", port, "--wait", "0.5") as master:
        assert master.wait(60) == 4
    last = log.read_text().strip().splitlines()[-1]
    assert last.startswith("0 of the 2 workers that this run needs came within 0.5 s: start the")
    assert not list(run_dir.ledger.glob("*"))


def test_a_worker_that_reaches_another_cluster_is_refused_before_there_is_load(
    tmp_path: Path,
) -> None:
    run_dir, log = a_run(tmp_path / "run"), tmp_path / "load.log"
    run_dir.write_info(replace(run_dir.read_info(), cluster_id="the-runs-own"))
    command = ["-m", "harness.load.master", str(run_dir.path), str(STEADY), "--workers", "2"]
    with process(log, *command) as master:
        assert master.wait(90) == 4
    last = log.read_text().strip().splitlines()[-1]
    assert "cannot take part: the brokers at" in last
    assert "and the run's are the-runs-own. Start the worker with the --brokers" in last
    assert not list(run_dir.ledger.glob("*"))


def test_no_client_setting_travels_from_a_master_to_its_workers(tmp_path: Path) -> None:
    run_dir, log, port = a_run(tmp_path / "run"), tmp_path / "master.log", str(free_port())
    locust = ["-m", "locust", "-f", str(STEADY), "--headless", "--only-summary", "--master"]
    secret = ["--client-config", "sasl.password=never-to-travel", "--master-bind-port", port]
    with process(log, *locust, *secret, run_dir=run_dir.path) as master:
        worker = WireWorker(port)
        try:
            worker.serve(60, until="spawn")
        finally:
            worker.close()
            master.kill()
    assert {"harness.who", "harness.clock", "harness.assignment", "spawn"} <= set(worker.kinds)
    assert not any(b"never-to-travel" in each for each in worker.received)
    assert b"delivery_profile" in worker.received[worker.kinds.index("spawn")], "other options do"


def test_locust_without_its_workers_ends_with_the_code_of_a_failed_environment(
    tmp_path: Path,
) -> None:
    log, port = tmp_path / "master.log", str(free_port())
    locust = ["-m", "locust", "-f", str(STEADY), "--headless", "--master"]
    waits = ["--master-bind-port", port, "--expect-workers", "2", "--expect-workers-max-wait", "2"]
    with process(log, *locust, *waits) as master:
        assert master.wait(60) == 4, log.read_text()
    assert "0 of the 2 workers that this run needs came within" in log.read_text()


def test_a_worker_that_is_told_to_stop_hands_in_its_part_and_the_run_goes_on(
    tmp_path: Path,
) -> None:
    run_dir, log, port = a_run(tmp_path / "run"), tmp_path / "load.log", str(free_port())
    command = ["-m", "harness.load.master", str(run_dir.path), str(STEADY), "--expect", "2"]
    where = ["-m", "harness", "worker", "--master-host", "127.0.0.1", "--master-port", port]
    with (
        process(tmp_path / "a.log", *where, "--work-dir", str(tmp_path / "a")),
        process(tmp_path / "b.log", *where, "--work-dir", str(tmp_path / "b")),
        process(log, *command, "--port", port) as master,
    ):
        until(lambda: phase(run_dir, "warmed_up"), "the load", log)
        leaving = workers(run_dir, "joined")[0]
        os.kill(process_of(leaving), signal.SIGTERM)
        until(lambda: workers(run_dir, "arrived"), "its part", log)
        left_with = attempts(run_dir, leaving.first or 0, leaving.last or 0)
        time.sleep(3.0)  # long enough for what it does not send to be told
        master.terminate()
        assert master.wait(90) == 0, log.read_text()
    assert workers(run_dir, "lost") == []
    assert sorted(event.worker or 0 for event in workers(run_dir, "arrived")) == [1, 2]
    assert attempts(run_dir, leaving.first or 0, leaving.last or 0) == left_with > 100
    unsent = read_timeline(documents(run_dir.timeline)).unsent or {}
    assert unsent["one"] > 400
    assert clients_started(run_dir) == ALL_CLIENTS
