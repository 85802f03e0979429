"""What work that takes a while tells of itself to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """One thing to tell: `stage` begins a stage, `note` is a fact to keep, `detail` is what happens
    inside the stage right now and is superseded by the next one."""

    kind: Literal["stage", "note", "detail"]
    text: str


OnProgress = Callable[[ProgressEvent], None]
