"""Progress on stderr: a live line on a terminal, one line a stage when piped."""

from __future__ import annotations

import time
from types import TracebackType

from rich.status import Status

from harness.rundir.run import RunDir
from harness.system.output import console


class Progress:
    """What the harness is doing now, for how long, and what the load sees meanwhile."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = console(stderr=True)
        self.output = console(stderr=quiet)
        self._started = time.monotonic()
        self._status: Status | None = None
        self._stage = ""
        self._read_to = 0

    def __enter__(self) -> Progress:
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

    def follow(self, run_dir: RunDir) -> None:
        """Say which faults have struck since the last call."""
        if not run_dir.timeline.exists():
            return
        with run_dir.timeline.open("rb") as lines:
            lines.seek(self._read_to)
            data = lines.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read_to += len(whole)
        for event in run_dir.parse(whole.splitlines()):
            if event["event"] == "fault" and event.get("phase") in ("injected", "healed", "failed"):
                self.note(
                    f"  {event['phase']:8} {event.get('fault', '')} {event.get('target') or ''}"
                    f"{' – ' + event['reason'] if event.get('reason') else ''}"
                )

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _show(self, detail: str) -> None:
        if self._status is not None:
            self._status.update(f"{self._stage} [dim]{detail}[/dim]")
