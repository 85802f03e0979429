"""Which events there are, and how a line is made of one and read; events.py has their fields.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from harness.rundir.clock import to_us
from harness.rundir.documents import typed
from harness.rundir.events import (
    BrokersEvent,
    ClientErrorEvent,
    ExperimentEvent,
    FaultEvent,
    GeneratorEvent,
    IncarnationEvent,
    IncarnationsEvent,
    IsrEvent,
    LagEvent,
    LeaderEvent,
    LoadEvent,
    MemberEvent,
    OffsetsEvent,
    PodEvent,
    ReaderEvent,
    RebalanceEvent,
    RecoveredEvent,
    ResourcesEvent,
    RunEvent,
    TimelineEvent,
    WorkerEvent,
)

EVENTS: Final[Mapping[str, type[TimelineEvent]]] = {
    kind.NAME: kind
    for kind in (
        RunEvent, FaultEvent, ExperimentEvent, LeaderEvent, IsrEvent, BrokersEvent, PodEvent,
        ResourcesEvent, OffsetsEvent, LoadEvent, GeneratorEvent, IncarnationEvent,
        IncarnationsEvent, WorkerEvent, ClientErrorEvent, ReaderEvent, MemberEvent,
        RebalanceEvent, LagEvent, RecoveredEvent,
    )
}  # fmt: skip
"""name → its dataclass"""


def decode(document: Mapping[str, Any]) -> TimelineEvent:
    """The event of a line.

    Raises ValueError for an event or a phase that this version does not know, a field of another
    type, and an instant that is none.
    """
    kind = EVENTS.get(document["event"])
    if kind is None:
        raise ValueError("this version knows no such event")
    event = typed(kind, document)
    to_us(event.at)
    return event


def encode(event: TimelineEvent, at: str) -> dict[str, Any]:
    """The document of an event, which happened `at` this instant unless it says another one."""
    document = {"at": event.at or at, "event": event.NAME, "source": event.source}
    for name in _FIELDS[event.NAME]:
        value = getattr(event, name)
        if value is not None:
            document[name] = value
    return document


_FIELDS: Final = {
    name: [each.name for each in fields(kind) if each.name not in ("at", "source")]
    for name, kind in EVENTS.items()
}
"""event → its own fields"""
