"""A run's timeline as its file holds it: what a reader of another project would see and write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from harness.rundir.clock import now
from harness.rundir.run_dir import RunDir
from harness.rundir.timeline_file import documents


def add_line(
    run_dir: RunDir, event: str, source: str, *, at: str | None = None, **fields: Any
) -> None:
    """Add a line to the timeline, whether or not its fields are what an event has."""
    line = {"at": at or now(), "event": event, "source": source, **fields}
    with run_dir.timeline.open("a") as timeline:
        timeline.write(json.dumps(line) + "\n")


def lines_of(run_dir: RunDir, *names: str) -> Iterator[dict[str, Any]]:
    """What the timeline's lines hold: all of them, or those of the events named."""
    return (each for each in documents(run_dir.timeline) if not names or each["event"] in names)
