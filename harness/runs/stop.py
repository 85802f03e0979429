"""Ctrl-C during a run: stop at once, stop in order, or give up."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

from harness.errors import EXIT_INTERRUPTED_TWICE, Interrupted
from harness.runs.progress import Progress
from harness.system.lifeline import Child


class Stop:
    """The first Ctrl-C or SIGTERM asks for an orderly end; the second ends the process.

    Before there is load nothing has to be healed or judged: then the first one raises Interrupted
    wherever the run is, while brokers start or topics are made.
    """

    def __init__(self) -> None:
        self.asked = False
        self.loaded = False
        """Whether load has begun, so that there is something to judge."""
        self._children: list[Child] = []

    def watch_over(self, child: Child) -> Child:
        """A second Ctrl-C also ends this child at once."""
        self._children.append(child)
        return child

    def __call__(self) -> bool:
        return self.asked

    @contextlib.contextmanager
    def installed(self, progress: Progress) -> Iterator[None]:
        """Handle SIGINT and SIGTERM while the block runs."""

        def handle(number: int, _: FrameType | None) -> None:
            if self.asked:
                for child in self._children:
                    child.release()
                    with contextlib.suppress(ProcessLookupError):
                        child.process.kill()
                # The supervisor reads the end of its lifeline and takes the brokers down.
                os._exit(EXIT_INTERRUPTED_TWICE)
            self.asked = True
            if not self.loaded:
                raise Interrupted(
                    f"{signal.Signals(number).name} before there was any load: nothing to judge."
                )
            progress.note(
                f"{signal.Signals(number).name}: healing, then judging what was recorded "
                "(once more to give up)"
            )

        self.loaded = False
        before = {each: signal.signal(each, handle) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
