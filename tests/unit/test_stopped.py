"""When a process is stopped, and what is noted of a stopped follower's logs."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.replicas.followers import follower_logs
from harness.rundir.fault_evidence import FollowerLog
from harness.system import stopped
from harness.system.stopped import STOPPED, running_threads, state_after_stop

linux = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are in /proc")
THREADS = """
import sys, threading
for _ in range(3):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process of four threads."""
    with subprocess.Popen(
        [sys.executable, "-c", THREADS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        yield child
        child.kill()


@linux
def test_a_process_is_stopped_once_every_thread_of_it_is(
    process: subprocess.Popen[bytes],
) -> None:
    assert running_threads(process.pid) == 4
    process.send_signal(signal.SIGSTOP)
    assert state_after_stop(process.pid) == STOPPED
    assert running_threads(process.pid) == 0
    process.send_signal(signal.SIGCONT)


@linux
def test_a_process_of_which_a_thread_still_runs_does_not_count_as_stopped(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    process.send_signal(signal.SIGSTOP)
    assert state_after_stop(process.pid) == STOPPED
    monkeypatch.setattr(stopped, "_STATE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(stopped, "running_threads", lambda _: 2)
    assert state_after_stop(process.pid) == "2 threads running"


def test_a_process_that_is_not_stopped_has_the_state_that_it_is_in(
    process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopped, "_STATE_TIMEOUT_S", 0.05)
    assert state_after_stop(process.pid) in ("sleeping", "running")
    process.kill()
    process.wait()
    assert state_after_stop(process.pid) == "gone"


def test_the_log_of_a_stopped_follower_is_noted_with_its_end(tmp_path: Path) -> None:
    directory = tmp_path / "broker-1" / "t-0"
    directory.mkdir(parents=True)
    (directory / "00000000000000000007.log").write_bytes(b"")

    def log_directory(broker: int) -> Path:
        return tmp_path / f"broker-{broker}"

    assert follower_logs([1, 3], [("t", 0)], log_directory, 5) == [
        FollowerLog(1, "t", 0, 7),
        FollowerLog(3, "t", 0, None),  # it has no such log
    ]
    assert follower_logs([1], [("t", 0)], log_directory, -1) == [FollowerLog(1, "t", 0, None)]
