"""Signals while a fault is in progress: every fault heals, whatever ends it.

Chaos Toolkit turns SIGTERM into an ordinary exception, and its Python provider turns every
ordinary exception of an activity into "this activity failed, on to the next": a SIGTERM in the
middle of a fault would be swallowed and the next fault injected. Inside `interruptible`, SIGTERM
therefore raises SystemExit(20), which Chaos Toolkit documents as "end now and play the
rollbacks". Inside `uninterrupted`, SIGTERM and SIGINT wait until the block has ended, since a
repair that is itself interrupted leaves brokers stopped; a second signal ends it nevertheless.

Python delivers signals to the main thread only. In another thread both blocks change nothing.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Final

from harness.system import lifeline
from harness.system.interrupts import handled_by

EXIT_WITH_ROLLBACKS: Final = 20
_watched = threading.Event()
parent_lost: Final = threading.Event()
"""Set once the harness that started this process is gone."""


def watch_parent() -> None:
    """End this process as SIGTERM does when the harness that started it is gone.

    Called by the control and again by every activity, because a control that cannot be loaded is
    only logged. Does nothing in a process that a person started.
    """
    if _watched.is_set():
        return
    _watched.set()

    def on_loss() -> None:
        parent_lost.set()
        os.kill(os.getpid(), signal.SIGTERM)

    lifeline.watch(on_loss)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends the experiment, with its rollbacks."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(EXIT_WITH_ROLLBACKS)

    with handled_by(handle, signal.SIGTERM):
        yield


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """SIGTERM and SIGINT are answered when the block has ended; the second one at once."""
    received: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            _end(number)

    try:
        with handled_by(handle, signal.SIGTERM, signal.SIGINT):
            yield
    finally:
        # Also when the block failed: its failure must not make the signal forgotten.
        if len(received) == 1:
            _end(received[0])


def _end(number: int) -> None:
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(EXIT_WITH_ROLLBACKS)
