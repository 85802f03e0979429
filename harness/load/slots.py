"""What happened in each slot of 250 ms: the timeline's `load` and `generator` events.

An attempt counts in the slot in which it was handed to the client, an outcome in the slot in
which it became known. Slots lie on whole multiples of 250 ms since the epoch, so that those of
all producers, and of other processes, fall together. For acks=0 `acked` counts what the client
reported as sent: no broker acknowledges anything there. Attempts are also counted by incarnation,
so that each attempt can be placed in time by its sequence; those that failed or whose outcome is
unknown also by reason: the client's error code, or a word of harness.rundir.load_events.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from harness.rundir.clock import from_us
from harness.rundir.events import ClientErrorEvent, GeneratorEvent, LoadEvent
from harness.rundir.load_events import SLOT_US
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import RunInfo

_GRACE_US: Final = 100_000
"""Outcomes are taken from the client's reports this much after the fact, at most."""


@dataclass(slots=True)
class Slot:
    """One topic-partition in one slot."""

    attempted: int = 0
    acked: int = 0
    failed: int = 0
    unknown: int = 0
    ack_us_max: int = 0
    attempted_by: dict[int, int] = field(default_factory=dict)
    """incarnation → how many of `attempted`"""
    failed_by: dict[str, int] = field(default_factory=dict)
    unknown_by: dict[str, int] = field(default_factory=dict)
    """reason → how many of `failed`, of `unknown`"""


class Slots:
    """Counts by slot and topic-partition, shared by all producers of a load process."""

    def __init__(self, run_dir: RunDir, info: RunInfo) -> None:
        self._run_dir = run_dir
        self._topics = info.topics
        self._profiles = [info.profile_of(i).profile for i in range(len(info.topics))]
        self._open: dict[tuple[int, int, int], Slot] = {}
        self._lag_us: dict[int, int] = {}
        self._errors: Counter[tuple[str, int, str, str, bool]] = Counter()

    def _slot(self, topic: int, partition: int, at_us: int) -> Slot:
        key = (at_us // SLOT_US, topic, partition)
        slot = self._open.get(key)
        if slot is None:
            slot = self._open[key] = Slot()
        return slot

    def attempted(
        self, topic: int, partition: int, at_us: int, count: int, incarnation: int
    ) -> None:
        """`count` attempts were handed to the client of an incarnation."""
        slot = self._slot(topic, partition, at_us)
        slot.attempted += count
        slot.attempted_by[incarnation] = slot.attempted_by.get(incarnation, 0) + count

    def acked(self, topic: int, partition: int, at_us: int, count: int, ack_us_max: int) -> None:
        """`count` attempts were acknowledged, the slowest this long after it was intended."""
        slot = self._slot(topic, partition, at_us)
        slot.acked += count
        slot.ack_us_max = max(slot.ack_us_max, ack_us_max)

    def failed(self, topic: int, partition: int, at_us: int, count: int, why: str) -> None:
        """`count` attempts are certainly absent; why: an error code or a word of load_events.py."""
        slot = self._slot(topic, partition, at_us)
        slot.failed += count
        slot.failed_by[why] = slot.failed_by.get(why, 0) + count

    def unknown(self, topic: int, partition: int, at_us: int, count: int, why: str) -> None:
        """What became of `count` attempts cannot be said; why: as in `failed`."""
        slot = self._slot(topic, partition, at_us)
        slot.unknown += count
        slot.unknown_by[why] = slot.unknown_by.get(why, 0) + count

    def lag(self, at_us: int, lag_us: int) -> None:
        """The generator woke this late."""
        number = at_us // SLOT_US
        self._lag_us[number] = max(self._lag_us.get(number, 0), lag_us)

    def error(
        self,
        profile: str,
        incarnation: int,
        code: str,
        reason: str,
        fatal: bool,
        count: int = 1,
    ) -> None:
        """A client error; equal ones of one slot become one event with their count."""
        self._errors[(profile, incarnation, code, reason, fatal)] += count

    def flush(self, now_us: int, *, everything: bool = False) -> None:
        """Write the events of every slot that is over, or of all."""
        over = (now_us - _GRACE_US) // SLOT_US
        slots = [
            self._event(key, self._open.pop(key))
            for key in sorted(key for key in self._open if everything or key[0] < over)
        ]
        lags = [
            GeneratorEvent(
                at=from_us((number + 1) * SLOT_US),
                source="load",
                lag_ms_max=round(self._lag_us.pop(number) / 1000, 3),
            )
            for number in sorted(n for n in self._lag_us if everything or n < over)
        ]
        errors, self._errors = self._errors, Counter()
        reported = [
            ClientErrorEvent(
                at=from_us(now_us),
                source="load",
                profile=profile,
                incarnation=incarnation,
                code=code,
                reason=reason,
                fatal=fatal,
                count=count,
            )
            for (profile, incarnation, code, reason, fatal), count in errors.items()
        ]
        self._run_dir.append(*slots, *lags, *reported)

    def _event(self, key: tuple[int, int, int], slot: Slot) -> LoadEvent:
        number, topic, partition = key
        return LoadEvent(
            at=from_us((number + 1) * SLOT_US),
            source="load",
            profile=self._profiles[topic],
            topic=self._topics[topic],
            partition=partition,
            from_us=number * SLOT_US,
            to_us=(number + 1) * SLOT_US,
            attempted=slot.attempted,
            acked=slot.acked,
            failed=slot.failed,
            unknown=slot.unknown,
            ack_ms_max=round(slot.ack_us_max / 1000, 3),
            attempted_by=slot.attempted_by or None,
            failed_by=slot.failed_by or None,
            unknown_by=slot.unknown_by or None,
        )
