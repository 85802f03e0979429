"""What Kafka's VerifiableShareConsumer prints: hand-overs and acknowledgements of a share group.

    records_consumed        partitions, each with the offsets that were handed over
    offsets_acknowledged    partitions, each with the offsets that were acknowledged; success
    record_data             as a VerifiableConsumer prints it, with --verbose

A share group hands records to whichever member asks, in no order, and again when they were not
acknowledged in time. So a record that was not delivered is not lost because a higher one was: it
may be held by a member, or have been archived.

Source: org.apache.kafka.tools.VerifiableShareConsumer, Kafka 4.3.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np

from harness.history.event_tables import DrainClaim, History
from harness.history.events import PARTITION_MAX, is_name
from harness.history.lines import LineProblem, shown
from harness.history.verifiable_assembly import CountedRange
from harness.rundir.columns import OFFSET_MAX

Key: TypeAlias = tuple[int, int]

ACKNOWLEDGED: Final = "offsets_acknowledged"
STRATEGY: Final = "offset_reset_strategy_set"
_EXPECTED: Final = "topic, partition, count and offsets, a list"


class Sharing:
    """Takes what share consumers printed, file by file."""

    def __init__(self) -> None:
        self._files: set[int] = set()
        self._reached: defaultdict[int, dict[Key, int]] = defaultdict(dict)
        """file → (topic, partition) → the highest offset that was handed over"""
        self._acknowledged = 0
        self._refused = 0

    def reached(self, file: int, topics: Any, partitions: Any, offsets: Any) -> None:
        """Note what any consumer was handed; three arrays of one length."""
        found = self._reached[file]
        code = (topics << 32) | partitions
        codes, inverse = np.unique(code, return_inverse=True)
        highest = np.full(len(codes), -1, dtype=np.int64)
        np.maximum.at(highest, inverse, offsets)
        for each, last in zip(codes.tolist(), highest.tolist(), strict=True):
            key = each >> 32, each & 0xFFFFFFFF
            found[key] = max(last, found.get(key, -1))

    def begin(self, file: int) -> None:
        """A file is one of a share consumer."""
        self._files.add(file)

    def consumed(
        self, file: int, parts: list[Any], topic: Callable[[str], int]
    ) -> list[CountedRange] | LineProblem:
        """The offsets of records_consumed, as stretches without a hole."""
        self.begin(file)
        stretches: list[CountedRange] = []
        for part in parts:
            offsets = _offsets(part)
            if offsets is None:
                return LineProblem("partitions", shown(part), _EXPECTED)
            key = topic(part["topic"]), int(part["partition"])
            for run in np.split(offsets, np.flatnonzero(np.diff(offsets) != 1) + 1):
                if len(run):
                    stretches.append(CountedRange(*key, int(run[0]), int(run[-1]), len(run)))
                    reached = self._reached[file]
                    reached[key] = max(int(run[-1]), reached.get(key, -1))
        return stretches

    def acknowledged(self, file: int, line: Mapping[str, Any]) -> LineProblem | None:
        """One line of offsets_acknowledged."""
        self.begin(file)
        parts = line.get("partitions")
        if not isinstance(parts, list):
            return LineProblem("partitions", shown(parts), "a list")
        if type(line.get("success")) is not bool:
            return LineProblem("success", shown(line.get("success")), "true or false")
        for part in parts:
            offsets = _offsets(part)
            if offsets is None:
                return LineProblem("partitions", shown(part), _EXPECTED)
            if line["success"]:
                self._acknowledged += len(offsets)
            else:
                self._refused += len(offsets)
        return None

    def finish(self, history: History) -> None:
        """Say what cannot be concluded from deliveries in no order, and what is not judged."""
        if not self._files:
            return
        ordered: dict[Key, int] = {}
        shared: dict[Key, int] = {}
        for file, found in self._reached.items():
            of = shared if file in self._files else ordered
            for key, last in found.items():
                of[key] = max(last, of.get(key, -1))
        for key, last in shared.items():
            if last > ordered.get(key, -1):
                history.drains[key] = DrainClaim(
                    False, 0, None, None, None,
                    "a share group hands records over in no order, so one that it did not hand "
                    "over may still come",
                )  # fmt: skip
        refused = f", {self._refused} without success" if self._refused else ""
        history.notes.append(
            f"a share group acknowledged {self._acknowledged} records{refused}; that is not "
            "judged, since the tool processes nothing"
        )


def _offsets(part: Any) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    """The offsets of a partition in a line, sorted, each once; None where it is malformed."""
    if not isinstance(part, dict) or not is_name(str(part.get("topic") or "\0")):
        return None
    offsets, partition = part.get("offsets"), part.get("partition")
    if not isinstance(part["topic"], str):
        return None
    if type(partition) is not int or not 0 <= partition <= PARTITION_MAX:
        return None
    if not isinstance(offsets, list) or set(map(type, offsets)) - {int}:
        return None
    if part.get("count") != len(offsets):
        return None
    if not all(0 <= offset <= OFFSET_MAX for offset in offsets):
        return None
    return np.unique(np.array(offsets, dtype=np.int64))
