"""A signal in the middle of a fault: it ends the experiment, and never the repair."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from harness.faults.interrupts import EXIT_WITH_ROLLBACKS, interruptible, uninterrupted


def raise_signal(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_sigterm_ends_a_fault_as_an_exit_that_chaos_toolkit_heals_after() -> None:
    with pytest.raises(SystemExit) as ended, interruptible():
        raise_signal(signal.SIGTERM)
    assert ended.value.code == EXIT_WITH_ROLLBACKS


def test_the_handler_of_before_is_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with interruptible(), uninterrupted():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def repair(*signals: signal.Signals, then: Callable[[], None]) -> None:
    """A repair that signals arrive in, and what it does after them."""
    with uninterrupted():
        for number in signals:
            raise_signal(number)
        then()


@pytest.mark.parametrize(
    ("number", "raised"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_repair_is_finished_before_a_signal_is_answered(
    number: signal.Signals, raised: type[BaseException]
) -> None:
    done: list[str] = []
    with pytest.raises(raised):
        repair(number, then=lambda: done.append("repaired"))
    assert done == ["repaired"]


def test_a_second_signal_ends_a_repair() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        repair(signal.SIGTERM, signal.SIGINT, then=lambda: done.append("repaired"))
    assert done == []


def test_a_repair_that_fails_does_not_make_the_signal_forgotten() -> None:
    def fail() -> None:
        raise ValueError("not repaired")

    with pytest.raises(SystemExit):
        repair(signal.SIGTERM, then=fail)


def test_in_another_thread_both_change_nothing() -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with interruptible(), uninterrupted():
                pass
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert failures == []


def test_the_loss_of_the_parent_ends_an_activity() -> None:
    script = """
import time
from harness.faults.activity import activity

@activity
def wait():
    print("waiting", flush=True)
    time.sleep(60)

try:
    wait()
except SystemExit as ended:
    print("ended with", ended.code, flush=True)
"""
    reading, writing = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=(reading,),
        env={**os.environ, "HARNESS_LIFELINE_FD": str(reading)},
    )
    os.close(reading)
    assert child.stdout is not None
    assert child.stdout.readline() == "waiting\n"
    os.close(writing)
    output, _ = child.communicate(timeout=20)
    assert output == f"ended with {EXIT_WITH_ROLLBACKS}\n"
