"""How far a history's reading reaches, by topic-partition.

what the history says                          what absence means
a drain line, complete                         lost, from `start` on
a drain line that is not complete              unseen
no drain line, or one that what was read       lost below the highest offset that was read, unseen
contradicts                                    from there on

Where nothing says where the log or the reading began, that is the lowest offset that was read:
absence below it proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from harness.history.reads import Reads
from harness.history.tables import DrainClaim, History
from harness.rundir import RunInfo
from harness.verify.evidence import DrainedPartition

I64: TypeAlias = npt.NDArray[np.int64]


def proofs_of(
    history: History, reads: Reads, unseen: dict[tuple[int, int], I64], info: RunInfo
) -> dict[tuple[int, int], DrainedPartition]:
    """The proof of every topic-partition that the history has.

    unseen: by topic-partition, the acknowledged offsets (-1: without one) that nothing read.
    """
    profile = info.profiles[0]
    holes_allowed = profile.transactional or profile.compacted
    read = reads.per_partition()
    found: dict[tuple[int, int], DrainedPartition] = {}
    for key in sorted(_told_of(history) | read.keys()):
        count, lowest, highest = read.get(key, (0, None, -1))
        counted = history.delivered_from.get(key)
        if counted is not None:
            lowest = counted if lowest is None else min(lowest, counted)
        reading = _Reading(
            key, count, lowest, max(highest, history.reached.get(key, -1)), history.began.get(key)
        )
        claim = history.drains.get(key)
        if claim is None:
            found[key] = reading.by_itself(unseen.get(key))
        else:
            found[key] = _claimed(
                reading, claim, unseen.get(key), profile.transactional, holes_allowed
            )
    return found


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was read of one topic-partition at the end."""

    key: tuple[int, int]
    count: int
    lowest: int | None
    """None where nothing was read."""
    highest: int
    """-1 where nothing was read."""
    began: int | None
    """Where a `reading` line says that it began."""

    def floor(self, start: int | None) -> int:
        """From which offset on absence means something. start: where a drain line says so."""
        if start is not None:
            return start
        lowest = 0 if self.lowest is None else self.lowest
        return lowest if self.began is None else min(self.began, lowest)

    def by_itself(
        self, unseen: I64 | None, *, start: int | None = None, contradicted: str = ""
    ) -> DrainedPartition:
        """Proven below what was read, and short if something lies beyond."""
        ceiling = self.highest + 1
        beyond = 0 if unseen is None else int(np.count_nonzero((unseen < 0) | (unseen >= ceiling)))
        reasons = [contradicted] if contradicted else []
        if beyond:
            records = "1 record" if beyond == 1 else f"{beyond} records"
            reasons.append(f"reading ends below offset {ceiling}, {records} may lie beyond")
        return DrainedPartition(
            *self.key,
            proven=True,
            floor=self.floor(start),
            read=self.count,
            end=None,
            last_stable=None,
            reason="; ".join(reasons),
            ceiling=ceiling,
            floor_said=start is not None or self.began is not None,
        )


def _told_of(history: History) -> set[tuple[int, int]]:
    """The topic-partitions that the history says anything about."""
    keys = {*history.drains, *history.reached, *history.began, *history.places_of_groups}
    members = history.members
    placed = members.column("offset") >= 0
    tables = [
        (table.column("topic"), table.column("partition"))
        for table in (history.attempts, history.watched, history.reads)
    ]
    tables.append((members.column("topic")[placed], members.column("partition")[placed]))
    for topic, partition in tables:
        places = (topic << 32) | partition
        # Long runs of one place are the rule; what is left is small.
        distinct = np.unique(places[np.flatnonzero(np.diff(places, prepend=-1))])
        keys |= {(each >> 32, each & 0xFFFFFFFF) for each in distinct.tolist()}
    return keys


def _claimed(
    reading: _Reading,
    claim: DrainClaim,
    unseen: I64 | None,
    transactional: bool,
    holes_allowed: bool,
) -> DrainedPartition:
    """What a drain line says, unless what was read contradicts it: then what the reading shows."""
    reason = "" if claim.complete else claim.reason or "the history says so"
    floor = reading.floor(claim.start)
    if claim.complete and claim.end is not None:
        missing = claim.end - floor - reading.count
        contradicted = ""
        if reading.highest >= claim.end:
            contradicted = (
                f"offset {reading.highest} was read, and the log is said to end at {claim.end}"
            )
        elif missing > 0 and not holes_allowed:
            contradicted = f"{missing} offsets below the end {claim.end} were not read"
        elif transactional and claim.last_stable not in (None, claim.end):
            reason = (
                f"its last stable offset is {claim.last_stable}, its end {claim.end}: a "
                "transaction is open"
            )
        if contradicted:
            return reading.by_itself(unseen, start=claim.start, contradicted=contradicted)
    return DrainedPartition(
        *reading.key,
        proven=not reason,
        floor=floor,
        read=reading.count,
        end=claim.end,
        last_stable=claim.last_stable,
        reason=reason,
        floor_said=claim.start is not None or reading.began is not None,
    )
