"""How long the lists of a page may be, so that the page stays small. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Room:
    """How many rows each kind of list has at most; the verdict holds all of them."""

    reasons: int = 200
    partitions: int = 300
    samples: int = 1_000
    witnesses: int = 120
    findings: int = 200
    faults: int = 300
    evidence: int = 40
    failures: int = 300
    errors: int = 300
    values: int = 480
    characters: int = 2_000
    """Of one text."""

    @property
    def least(self) -> bool:
        """Is it as small as it gets?"""
        return self.samples <= 1

    def halved(self) -> Room:
        """Half of each, at least one; texts keep 200 characters."""
        half = {name: max(getattr(self, name) // 2, 1) for name in self.__slots__}
        return Room(**half | {"characters": max(self.characters // 2, 200)})

    def kept(self, rows: Sequence[Any], most: int) -> list[Any]:
        """The first `most` rows."""
        return list(rows[:most])

    @staticmethod
    def share(most: int, groups: int) -> int:
        """How many rows each of several lists has, at least one."""
        return max(most // max(groups, 1), 1)

    def text(self, text: str) -> str:
        """A text as long as it may be, with a mark where it is cut."""
        return text if len(text) <= self.characters else f"{text[: self.characters - 1]}…"
