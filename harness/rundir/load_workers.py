"""The load processes of a run over several, as the timeline tells of them.

No client library is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.rundir.events import WorkerEvent


@dataclass(slots=True)
class LoadWorker:
    """A load process among several."""

    name: str
    first: int
    last: int
    """Its incarnations have numbers first…last."""
    same_machine: bool
    clock_offset_us: int = 0
    """How far its clock was ahead of the master's when it was last measured."""
    clock_error_us: int = 0
    lost_us: int | None = None
    """Since when nothing was heard of it; None where what it recorded arrived in the end."""


def note_worker(workers: dict[int, LoadWorker], event: WorkerEvent) -> None:
    """Take an event. Raises ValueError for an event that lacks what it should have."""
    if event.worker is None:
        return  # one that came late
    if event.phase == "joined":
        if event.first is None or event.last is None:
            raise ValueError("first or last is missing")
        workers[event.worker] = LoadWorker(
            event.name, event.first, event.last, bool(event.same_machine)
        )
    worker = workers.get(event.worker)
    if worker is None:
        raise ValueError(f"worker {event.worker} has not joined")
    worker.lost_us = event.at_us if event.phase == "lost" else None
    if event.clock_offset_us is not None:
        worker.clock_offset_us = event.clock_offset_us
        worker.clock_error_us = event.clock_error_us or 0
