"""What the `load` events say beyond their sums: who sent in which slot, and why attempts failed.

No client library is imported here.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from harness.arrays import I64
from harness.rundir.events import LoadEvent

Sender: TypeAlias = tuple[str, int, int]
"""(topic, partition, incarnation)"""

SLOT_US: Final = 250_000
"""How long a slot of `load` and `generator` events is; slots lie on whole multiples of it since the
epoch."""
ABORTED_ON_PURPOSE: Final = "aborted"
"""Failed: its transaction was aborted because the profile aborts some on purpose."""
ABORTED_AFTER_ERROR: Final = "aborted_after_error"
"""Failed: its transaction was aborted because one of its records could not be written."""
LEFT_OPEN: Final = "left_open"
"""Unknown: the client had reported nothing about it when its producer was closed."""
FAILED: Final = "failed"
UNKNOWN: Final = "unknown"


@dataclass(slots=True)
class Failure:
    """How many attempts ended in one way for one reason, and in which time."""

    count: int
    first_us: int
    """The beginning of the first slot in which one did."""
    last_us: int
    """The end of the last slot in which one did."""

    def add(self, count: int, from_us: int, to_us: int) -> None:
        """`count` more, in a slot."""
        self.count += count
        self.first_us = min(self.first_us, from_us)
        self.last_us = max(self.last_us, to_us)


@dataclass(frozen=True, slots=True)
class SentSlots:
    """How many attempts one incarnation made on one topic-partition, slot by slot, sorted by time;
    equal lengths. The n-th attempt has sequence n, so each attempt can be placed in time."""

    from_us: I64
    to_us: I64
    attempted: I64

    @property
    def total(self) -> int:
        """All attempts that the slots know of."""
        return int(self.attempted.sum())

    def sent_us(self, sequences: I64) -> I64:
        """When attempts were made, spread evenly over their slot; −1 beyond the last slot."""
        upto = np.cumsum(self.attempted)
        slot = np.searchsorted(upto, sequences, side="right")
        known = (slot < len(upto)) & (sequences >= 0)
        slot = np.where(known, slot, 0)
        number = np.maximum(self.attempted[slot], 1)
        within = sequences - (upto[slot] - self.attempted[slot])
        width = self.to_us[slot] - self.from_us[slot]
        return np.where(known, self.from_us[slot] + within * width // number, np.int64(-1))


@dataclass(slots=True)
class LoadLog:
    """Collects what `load` events say, line by line."""

    failures: dict[tuple[str, str, str], Failure] = field(default_factory=dict)
    """(topic, `failed` or `unknown`, reason)"""
    _rows: dict[Sender, tuple[array[int], array[int], array[int]]] = field(default_factory=dict)

    def add(self, event: LoadEvent) -> None:
        """One event."""
        for incarnation, count in (event.attempted_by or {}).items():
            key = (event.topic, event.partition, incarnation)
            columns = self._rows.setdefault(key, (array("q"), array("q"), array("q")))
            for column, value in zip(columns, (event.from_us, event.to_us, count), strict=True):
                column.append(value)
        for outcome, counts in ((FAILED, event.failed_by), (UNKNOWN, event.unknown_by)):
            for reason, count in (counts or {}).items():
                failure = self.failures.get((event.topic, outcome, reason))
                if failure is None:
                    found = Failure(count, event.from_us, event.to_us)
                    self.failures[event.topic, outcome, reason] = found
                else:
                    failure.add(count, event.from_us, event.to_us)

    def sent(self) -> dict[Sender, SentSlots]:
        """Who sent in which slot."""
        found = {}
        for key, columns in self._rows.items():
            arrays = [np.array(column, dtype=np.int64) for column in columns]
            order = np.argsort(arrays[0], kind="stable")
            found[key] = SentSlots(*(column[order] for column in arrays))
        return found
