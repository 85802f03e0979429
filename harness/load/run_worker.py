"""What a master knows of each worker of its run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from harness.load import messages as m
from harness.load.clock_offset import ClockOffset, RoundTrip
from harness.load.shares import LoadShare
from harness.rundir.events import IncarnationsEvent, WorkerEvent
from harness.rundir.partial import PartialReceiver

LOST_AFTER_US: Final = 2_000_000
"""A worker that Locust takes for missing for so long is lost. It may come back: until the end of
the run its record is awaited."""


@dataclass(slots=True)
class RunWorker:
    """One worker of a run, from its share to its record."""

    client_id: str
    """As Locust calls it."""
    identity: m.Identity
    share: LoadShare
    trips: list[RoundTrip] = field(default_factory=list)
    offset: ClockOffset = field(default_factory=lambda: ClockOffset(0, 0))
    assigned: m.Assigned | None = None
    ready: bool = False
    ended: m.LoadEnded | None = None
    lost_us: int | None = None
    """Since when nothing was heard of it, by the master's clock."""
    reported_lost: bool = False
    receiver: PartialReceiver | None = None
    arrived: bool = False
    """Is all that it recorded in the run directory?"""
    rejected: str = ""
    """Why what it handed in cannot be used."""

    @property
    def shared(self) -> bool:
        """Whether it writes into the run directory itself."""
        return self.assigned is not None and self.assigned.shared

    @property
    def over(self) -> bool:
        """Whether nothing more is expected of it."""
        return self.arrived or bool(self.rejected)

    def lost_for_us(self, now_us: int) -> int:
        """For how long nothing has been heard of it."""
        return 0 if self.lost_us is None else now_us - self.lost_us

    def joined(self) -> list[WorkerEvent | IncarnationsEvent]:
        """What the timeline gets before it may produce anything.

        The numbers of one that writes elsewhere are on record before any record can carry one.
        """
        share = self.share
        events: list[WorkerEvent | IncarnationsEvent] = [
            WorkerEvent(
                source="load",
                phase="joined",
                name=self.identity.name,
                worker=share.worker,
                clients=[f"{profile}/{instance}" for profile, instance in share.pairs],
                first=share.first,
                last=share.last,
                same_machine=self.shared,
                clock_offset_us=self.offset.offset_us,
                clock_error_us=self.offset.error_us,
            )
        ]
        if not self.shared:
            events.append(self._numbers("handed_out"))
        return events

    def has_arrived(self) -> list[WorkerEvent | IncarnationsEvent]:
        """What the timeline gets once all that it recorded is in the run directory."""
        events: list[WorkerEvent | IncarnationsEvent] = []
        if not self.shared:
            events.append(self._numbers("arrived"))
        events.append(
            WorkerEvent(
                source="load",
                phase="arrived",
                name=self.identity.name,
                worker=self.share.worker,
                clock_offset_us=self.offset.offset_us,
                clock_error_us=self.offset.error_us,
            )
        )
        return events

    def lost(self, reason: str) -> WorkerEvent:
        """What the timeline gets when nothing is heard of it."""
        return WorkerEvent(
            source="load",
            phase="lost",
            name=self.identity.name,
            worker=self.share.worker,
            reason=reason,
        )

    def _numbers(self, phase: str) -> IncarnationsEvent:
        share = self.share
        to = f"worker {share.worker}, {self.identity.name}"
        if phase == "arrived":
            return IncarnationsEvent(
                source="load", phase="arrived", first=share.first, last=share.last
            )
        return IncarnationsEvent(
            source="load", phase="handed_out", first=share.first, last=share.last, to=to
        )
