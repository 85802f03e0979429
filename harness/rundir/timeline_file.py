"""timeline.ndjson: written by several processes, read whole afterwards or followed as it grows.

Each event is one `write` of one whole line to a file opened for appending, which the kernel keeps
in one piece. The first line has a further field, `schema`.

No client library is imported here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from harness.errors import RunDirError
from harness.rundir.clock import now
from harness.rundir.documents import check_schema, parse_json
from harness.rundir.event_lines import decode, encode
from harness.rundir.events import TimelineEvent

TIMELINE_SCHEMA: Final = "delivery-timeline/1"

E = TypeVar("E", bound=TimelineEvent)


def append(path: Path, events: Iterable[TimelineEvent]) -> None:
    """Add events with one write; safe from any process."""
    at = now()
    documents = [encode(event, at) for event in events]
    if not documents:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        if os.fstat(descriptor).st_size == 0:
            documents[0] = {"schema": TIMELINE_SCHEMA, **documents[0]}
        os.write(descriptor, "".join(json.dumps(each) + "\n" for each in documents).encode())
    finally:
        os.close(descriptor)


@dataclass(slots=True)
class TimelineDamage:
    """Lines of a timeline that cannot be read."""

    count: int = 0
    first: int = 0
    """The number of the first one, from 1."""
    torn: bool = False
    """Does the last line break off, as a process leaves it that dies while it writes?"""

    def note(self, number: int, *, torn: bool) -> None:
        """A line that is no event. `torn`: it is the last one and has no line break."""
        if torn:
            self.torn = True
            return
        self.count += 1
        self.first = self.first or number


def documents(path: Path, damage: TimelineDamage | None = None) -> Iterator[dict[str, Any]]:
    """What the lines of a timeline hold, in file order; nothing where there is no timeline.

    Lines that are no event are left out, and noted in `damage`.
    Raises RunDirError when the file cannot be read, or is of a version that is not known.
    """
    if not path.exists():
        return
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                document = _document(line)
                if number == 1 and document is not None:
                    check_schema(path, document.get("schema"), TIMELINE_SCHEMA)
                if document is not None:
                    yield document
                elif damage is not None and line.strip():
                    damage.note(number, torn=line.startswith(b"{") and not line.endswith(b"\n"))
    except OSError as error:
        raise RunDirError(
            f"{path}: the timeline of a run is expected here ({error.strerror})."
        ) from None


def events(path: Path, kind: type[E]) -> Iterator[E]:
    """The events of one kind (TimelineEvent: of all), in file order, as far as they can be read.

    Raises as `documents`.
    """
    return _decoded(documents(path), kind)


def _decoded(found: Iterable[dict[str, Any]], kind: type[E]) -> Iterator[E]:
    for document in found:
        if kind.NAME and document["event"] != kind.NAME:
            continue
        try:
            event = decode(document)
        except ValueError:
            continue
        if isinstance(event, kind):
            yield event


def _document(line: bytes) -> dict[str, Any] | None:
    """What a line holds; None where it is no event."""
    try:
        document = parse_json(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("event"), str):
        return None
    return document if isinstance(document.get("at"), str) else None


class TimelineFollower:
    """Reads what is appended to a timeline; a line is read once it is whole."""

    def __init__(self, path: Path) -> None:
        """Begin at the first line; the file need not be there yet."""
        self._path = path
        self._read_bytes = 0

    def events(self, kind: type[E], *, containing: bytes = b"") -> Iterator[E]:
        """The events of a kind (TimelineEvent: of all) that were appended since the last call.

        containing: bytes that each line of interest has, by default the kind's name: the others
        are not even parsed, since most lines are about load.
        """
        containing = containing or kind.NAME.encode()
        if not self._path.exists():
            return iter(())
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        lines = (line for line in whole.splitlines() if containing in line)
        return _decoded(filter(None, map(_document, lines)), kind)
