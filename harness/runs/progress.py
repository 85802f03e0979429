"""What a run tells of itself while it is under way, faults included."""

from __future__ import annotations

from harness.rundir.run import RunDir
from harness.system.progress import OnProgress, ProgressEvent


class Progress:
    """Passes stages, notes and details on to a listener, if there is one."""

    def __init__(self, listener: OnProgress | None = None) -> None:
        self._listener = listener
        self._read_to = 0

    def stage(self, text: str) -> None:
        """A new stage begins."""
        self._tell(ProgressEvent("stage", text))

    def note(self, text: str) -> None:
        """A fact to keep."""
        self._tell(ProgressEvent("note", text))

    def detail(self, text: str) -> None:
        """What happens inside the stage right now."""
        self._tell(ProgressEvent("detail", text))

    def follow(self, run_dir: RunDir) -> None:
        """Tell which faults were injected or healed since the last call."""
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

    def _tell(self, event: ProgressEvent) -> None:
        if self._listener is not None:
            self._listener(event)
