"""Interrupts that wait: an exception out of a signal handler can come between any two lines."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait until the block has ended; then their handlers run.

    For the few lines that make something and note who has to remove it.
    """
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    try:
        with handled_by(note, signal.SIGINT, signal.SIGTERM):
            yield
    finally:
        for number in dict.fromkeys(came):
            signal.raise_signal(number)


@contextlib.contextmanager
def handled_by(
    handle: Callable[[int, FrameType | None], None], *numbers: signal.Signals
) -> Iterator[None]:
    """Let `handle` answer these signals while the block runs.

    Python runs handlers in its main thread only, so in another thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, handle)
        for number in numbers
        # Who started us with a signal ignored, as a shell does for background jobs, means it.
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
