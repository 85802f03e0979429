"""What a run tells of itself while it is under way, faults included."""

from __future__ import annotations

from harness.rundir.events import FaultEvent, WorkerEvent
from harness.rundir.run_dir import RunDir
from harness.rundir.timeline_file import TimelineFollower
from harness.system.progress import OnProgress, ProgressEvent


class Progress:
    """Passes stages, notes and details on to a listener, if there is one."""

    def __init__(self, listener: OnProgress | None = None) -> None:
        self._listener = listener
        self._timeline: TimelineFollower | None = None
        self._workers: TimelineFollower | None = None

    def stage(self, text: str) -> None:
        """A new stage begins."""
        self.tell(ProgressEvent("stage", text))

    def note(self, text: str) -> None:
        """A fact to keep."""
        self.tell(ProgressEvent("note", text))

    def detail(self, text: str) -> None:
        """What happens inside the stage right now."""
        self.tell(ProgressEvent("detail", text))

    def follow(self, run_dir: RunDir) -> None:
        """Tell which faults were injected or healed, and which load workers were lost or came late,
        since the last call."""
        if self._timeline is None or self._workers is None:
            self._timeline, self._workers = run_dir.follow(), run_dir.follow()
        for worker in self._workers.events(WorkerEvent):
            if worker.phase == "lost":
                self.note(f"  worker   {worker.name} is lost; the run goes on without it")
            elif worker.phase == "late":
                self.note(f"  worker   {worker.name} came late, and takes part in the next run")
        for event in self._timeline.events(FaultEvent):
            if event.phase in ("injected", "healed", "failed"):
                self.note(
                    f"  {event.phase:8} {event.fault} {event.target or ''}"
                    f"{' – ' + event.reason if event.reason else ''}"
                )

    def tell(self, event: ProgressEvent) -> None:
        """Any of these three."""
        if self._listener is not None:
            self._listener(event)
