"""A request to end a run: at once while there is nothing to judge, in order afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from harness.errors import Interrupted
from harness.system.lifeline import Child


class Stop:
    """Whether somebody asked for the end, and what that means at the moment.

    asked: looked at again and again, such as `threading.Event().is_set`; `ask` does the same from
    a signal handler.
    """

    def __init__(self, asked: Callable[[], bool] | None = None) -> None:
        self._given = asked
        self._asked = False
        self.can_leave = True
        """Whether a run can be left wherever it is: there is no load yet, so nothing to judge."""
        self._children: list[Child] = []

    def __call__(self) -> bool:
        return self._asked or (self._given is not None and self._given())

    def ask(self) -> None:
        """Ask for the end of the run."""
        self._asked = True

    def begin(self) -> None:
        """A run begins. Raises Interrupted when its end was asked for already."""
        self.can_leave = True
        self.check()

    def check(self) -> None:
        """Raises Interrupted when the end of a run was asked for that has no load yet."""
        if self.can_leave and self():
            raise Interrupted("stopped before there was any load: nothing to judge.")

    def load_begins(self) -> None:
        """From here on there is something to judge. Raises Interrupted as `check` does."""
        self.check()
        self.can_leave = False

    def end(self) -> None:
        """The run is over."""
        self.can_leave = False
        self._children.clear()

    def watch_over(self, child: Child) -> Child:
        """Let `abandon` end this child too."""
        self._children.append(child)
        return child

    def abandon(self) -> None:
        """Kill the load and the experiments: they are not awaited any more."""
        for child in self._children:
            child.release()
            with contextlib.suppress(ProcessLookupError):
                child.process.kill()
