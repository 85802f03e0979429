"""The part of a load that one of several workers makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.load.shares import Pair
from harness.load.users import Load
from harness.rundir.clock import Clock
from harness.rundir.run_dir import RunDir


class SharedLoad(Load):
    """Some of a run's clients. The master says when they start, and tells the timeline of the load
    as a whole."""

    def __init__(
        self,
        run_dir: RunDir,
        *,
        pairs: Sequence[Pair],
        clock: Clock,
        numbers: range,
        on_ready: Callable[[], None],
        on_failure: Callable[[str], None],
    ) -> None:
        """clock: the master's, as far as it is known here; on_ready: every client has connected."""
        self._on_ready = on_ready
        super().__init__(run_dir, on_failure=on_failure, pairs=pairs, clock=clock, numbers=numbers)

    def _begin(self) -> None:
        if self.await_clients():
            self._on_ready()

    def _tell_end(self) -> None:
        pass  # the master does, once all have ended
