"""How far a history's reading reaches, by topic-partition.

what the history says                          what absence means
a drain line, complete                         lost, from `start` on
a drain line that is not complete              unseen
no drain line                                  lost below the highest offset that was read,
                                               unseen from there on
"""

from __future__ import annotations

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
        count, highest = read.get(key, (0, -1))
        claim = history.drains.get(key)
        if claim is not None:
            found[key] = _claimed(key, claim, count, highest, profile.transactional, holes_allowed)
        else:
            found[key] = _reached(history, key, count, highest, unseen.get(key))
    return found


def _told_of(history: History) -> set[tuple[int, int]]:
    """The topic-partitions that the history says anything about."""
    keys = {*history.drains, *history.reached, *history.places_of_groups}
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
    key: tuple[int, int],
    claim: DrainClaim,
    count: int,
    highest: int,
    transactional: bool,
    holes_allowed: bool,
) -> DrainedPartition:
    """A drain line, unless what was read contradicts it."""
    reason = "" if claim.complete else claim.reason or "the history says so"
    if claim.complete and claim.end is not None:
        missing = claim.end - claim.start - count
        if highest >= claim.end:
            reason = f"offset {highest} was read, and the log is said to end at {claim.end}"
        elif missing > 0 and not holes_allowed:
            reason = f"{missing} offsets below the end {claim.end} were not read"
        elif transactional and claim.last_stable not in (None, claim.end):
            reason = (
                f"its last stable offset is {claim.last_stable}, its end {claim.end}: a "
                "transaction is open"
            )
    return DrainedPartition(
        *key,
        proven=not reason,
        floor=claim.start,
        read=count,
        end=claim.end,
        last_stable=claim.last_stable,
        reason=reason,
    )


def _reached(
    history: History, key: tuple[int, int], count: int, highest: int, unseen: I64 | None
) -> DrainedPartition:
    """Without a drain line: proven below what was read, and short if something lies beyond."""
    highest = max(highest, history.reached.get(key, -1))
    ceiling = highest + 1
    beyond = 0 if unseen is None else int(np.count_nonzero((unseen < 0) | (unseen >= ceiling)))
    reason = ""
    if beyond:
        records = "1 record" if beyond == 1 else f"{beyond} records"
        reason = f"reading ends below offset {ceiling}, {records} may lie beyond"
    return DrainedPartition(*key, True, 0, count, None, None, reason, ceiling=ceiling)
