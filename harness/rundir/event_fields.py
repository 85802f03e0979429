"""Which events a timeline has, and what their fields are: what is neither is not passed over.

Another version of the harness may write events that this one does not know, and an event that
nobody knows may tell of a fault, or of the end of a load. So it counts as a line that cannot be
read. A field that is not known is passed over: what an event says without it is not changed by it.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ANY: Final[frozenset[str]] = frozenset()
"""An event without phases, or whose phases are judged where it is read."""
KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "run": frozenset(
        (
            "started", "members_ready", "load_started", "warmed_up", "bound", "load_stopped",
            "load_died", "members_died", "interrupted", "healed", "not_healed",
            "members_caught_up", "members_stopped", "drained", "judged_again", "topics_left",
            "ended",
        )
    ),
    "experiment": frozenset(("started", "method", "rollback", "ended", "joined", "left")),
    "incarnation": frozenset(("started", "closed", "replaced")),
    "reader": frozenset(("started", "stopped", "failed")),
    "member": frozenset(("started", "ended", "replaced")),
    "rebalance": frozenset(("assigned", "revoked", "lost")),
    "fault": ANY,
    "leader": ANY,
    "isr": ANY,
    "brokers": ANY,
    "offsets": ANY,
    "load": ANY,
    "generator": ANY,
    "lag": ANY,
    "client_error": ANY,
    "recovered": ANY,
}  # fmt: skip
"""event → its phases"""


def check_known(event: Mapping[str, Any]) -> None:
    """Raises ValueError or KeyError for an event, or a phase of one, that this version has not."""
    name = event["event"]
    phases = KNOWN.get(name)
    if phases is None:
        raise ValueError("this version knows no such event")
    if phases and event["phase"] not in phases:
        raise ValueError(f"this version knows no phase {event['phase']!r} of it")


def text_of(event: Mapping[str, Any], name: str) -> str:
    """A field that is text. Raises KeyError or ValueError."""
    value = event[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}, expected text")
    return value


def reason_of(event: Mapping[str, Any]) -> str:
    """Its reason, empty where it has none. Raises ValueError for what is no text."""
    return "" if event.get("reason") is None else text_of(event, "reason")


def number_of(event: Mapping[str, Any], name: str) -> float:
    """A field that is a number. Raises KeyError or ValueError."""
    value = event[name]
    if type(value) not in (int, float):
        raise ValueError(f"{name} is {value!r}, expected a number")
    return float(value)


def mapping_of(event: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A field that is an object, empty where it is missing. Raises ValueError."""
    value = event.get(name, {})
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is {value!r}, expected an object")
    return value
