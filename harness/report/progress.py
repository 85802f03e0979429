"""Progress on stderr: a live line on a terminal, one line a stage when piped."""

from __future__ import annotations

import time
from types import TracebackType

from rich.status import Status

from harness.system.output import console
from harness.system.progress import ProgressEvent


class TerminalProgress:
    """Shows what is under way and since when. `output` is where a result for people goes."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = console(stderr=True)
        self.output = console(stderr=quiet)
        self._started = time.monotonic()
        self._status: Status | None = None
        self._stage = ""

    def __enter__(self) -> TerminalProgress:
        if self.console.is_terminal:
            self._status = self.console.status("")
            self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __call__(self, event: ProgressEvent) -> None:
        """Show one event."""
        match event.kind:
            case "stage":
                self.stage(event.text)
            case "note":
                self.note(event.text)
            case "detail":
                self.detail(event.text)

    def stop(self) -> None:
        """No live line any more; further notes are still printed."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def stage(self, text: str) -> None:
        """A new stage begins."""
        self._stage = text
        self.note(text)
        self._show("")

    def note(self, text: str) -> None:
        """A line that stays."""
        self.console.print(f"[dim]{self._elapsed():6.1f} s[/dim]  ", end="")
        self.console.print(text, markup=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        """What happens inside a stage: on the live line only."""
        self._show(text)

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _show(self, detail: str) -> None:
        if self._status is not None:
            self._status.update(f"{self._stage} [dim]{detail}[/dim]")
