"""Ctrl-C during a run: stop at once, stop in order, or give up."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from types import FrameType

from harness.errors import EXIT_INTERRUPTED_TWICE, Interrupted
from harness.runs.stop import Stop


@contextlib.contextmanager
def interruptible(stop: Stop, say: Callable[[str], None]) -> Iterator[None]:
    """Handle SIGINT and SIGTERM while the block runs.

    The first one asks for an orderly end; the second ends the process. Before there is load
    nothing has to be healed or judged: then the first one raises Interrupted wherever the run is,
    while brokers start or topics are made.
    """

    def handle(number: int, _: FrameType | None) -> None:
        if stop():
            stop.abandon()
            # The supervisor reads the end of its lifeline and takes the brokers down.
            os._exit(EXIT_INTERRUPTED_TWICE)
        stop.ask()
        name = signal.Signals(number).name
        if stop.can_leave:
            raise Interrupted(f"{name} before there was any load: nothing to judge.")
        say(f"{name}: healing, then judging what was recorded (once more to give up)")

    before = {each: signal.signal(each, handle) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
