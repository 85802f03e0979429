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

from dataclasses import dataclass, replace

import numpy as np

from harness.arrays import I64
from harness.history.event_tables import DrainClaim, History
from harness.history.reads import Reads
from harness.rundir.drained import DrainedPartition
from harness.rundir.run_info import RunInfo


def proofs_of(
    history: History,
    reads: Reads,
    unseen: dict[tuple[int, int], I64],
    acked: dict[tuple[int, int], int],
    info: RunInfo,
    written: set[int],
    aside: Reads,
    *,
    hides: bool,
) -> dict[tuple[int, int], DrainedPartition]:
    """The proof of every topic-partition that the history has.

    unseen: by topic-partition, the acknowledged offsets (-1: without one) that nothing read.
    acked: by topic-partition, the highest offset that a delivery report names, whatever became of
    its transaction and wherever that record was read.
    written: topics that were written in transactions. aside: records that are set aside. hides: did
    the very reading that is judged return them?
    """
    profile = info.profiles[0]
    read = reads.per_partition()
    watched_rows = history.watched.take("topic", "partition", "high_watermark")
    watched = _highest_of(watched_rows[0], watched_rows[1], watched_rows[2] - 1)
    live_rows = np.flatnonzero(reads.live)
    live = _highest_of(*(each[live_rows] for each in (reads.topic, reads.partition, reads.offset)))
    others = _highest_of(aside.topic, aside.partition, aside.offset)
    hidden = _hidden(reads, aside) if hides else {}
    found: dict[tuple[int, int], DrainedPartition] = {}
    for key in sorted(_said_of(history) | read.keys()):
        count, lowest, highest = read.get(key, (0, None, -1))
        counted = history.delivered_from.get(key)
        if counted is not None:
            lowest = counted if lowest is None else min(lowest, counted)
        highest = max(highest, history.reached.get(key, -1))
        reading = _Reading(key, count, lowest, highest, history.began.get(key))
        if key in hidden:
            reading = reading.with_hidden(*hidden[key])
        claim = history.drains.get(key)
        compacted = history.compacted.get(key[0], profile.compacted)
        holes_allowed = profile.transactional or compacted
        if key[0] in history.nowhere:
            found[key] = reading.of_nothing(unseen.get(key))
        elif claim is None:
            found[key] = reading.by_itself(unseen.get(key))
        else:
            strict = profile.transactional and key[0] in written
            other = history.drains_aside.get(key)
            highest = max(
                acked.get(key, -1),
                watched.get(key, -1),
                others.get(key, -1),
                -1 if other is None or other.end is None else other.end - 1,
            )
            reached = _Reached(highest, live.get(key, -1), strict, strict and not hides)
            found[key] = _claimed(reading, claim, unseen.get(key), reached, holes_allowed)
    return found


@dataclass(frozen=True, slots=True)
class _Reached:
    """How far the log of a topic-partition went, by what else the history says; -1 for nothing."""

    held: int
    """The highest offset that it held at any time, as far as somebody says so: a delivery report,
    a high watermark, or a reading at read_uncommitted."""
    live: int
    """The highest offset that was read live."""
    transactional: bool
    """Was it written to by transactional producers?"""
    committed: bool
    """Was it read at read_committed?"""

    def open_end(self, claim: DrainClaim) -> str:
        """Why a drain line does not say where the log ends; empty when it does.

        A read_committed reader reads up to the last stable offset, and asked for the end it names
        that one. So an end is one only if it is known to be the last stable offset as well, and
        if nothing is known to be at it or above. What a read_committed reader got there was
        below the last stable offset once, which never goes back: then the log has lost its end.
        """
        if not self.transactional or (claim.end is None and claim.last_stable is None):
            return "nothing says where it ends" if self.transactional else ""
        if claim.last_stable is None or claim.end is None:
            missing = "end" if claim.end is None else "last_stable"
            return f"nothing says that its end was its last stable offset ({missing} is missing)"
        if claim.last_stable != claim.end:
            return (
                f"its last stable offset is {claim.last_stable}, its end {claim.end}: a "
                "transaction is open"
            )
        if self.held >= claim.end > self.live:
            return (
                f"it held offset {self.held}, and is said to end at {claim.end}: that can be its "
                "last stable offset, below a transaction that is open"
            )
        return ""


def _highest_of(topic: I64, partition: I64, offset: I64) -> dict[tuple[int, int], int]:
    """(topic, partition) → the highest offset of these rows."""
    found: dict[tuple[int, int], int] = {}
    codes, inverse = np.unique((topic << 32) | partition, return_inverse=True)
    highest = np.full(len(codes), -1, dtype=np.int64)
    np.maximum.at(highest, inverse, offset)
    for code, last in zip(codes.tolist(), highest.tolist(), strict=True):
        found[code >> 32, code & 0xFFFFFFFF] = last
    return found


def _hidden(reads: Reads, aside: Reads) -> dict[tuple[int, int], tuple[int, int, int]]:
    """(topic, partition) → count, lowest and highest of the offsets that only set-aside records
    of the final reading are at."""
    found = {}
    for key in aside.per_partition():
        at = [
            np.unique(each.offset[~each.live & (each.topic == key[0]) & (each.partition == key[1])])
            for each in (aside, reads)
        ]
        alone = at[0][~np.isin(at[0], at[1])]
        if len(alone):
            found[key] = len(alone), int(alone[0]), int(alone[-1])
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
    hidden: int = 0
    """How many further offsets it returned whose records are set aside."""

    def with_hidden(self, count: int, lowest: int, highest: int) -> _Reading:
        """Together with further offsets."""
        first = lowest if self.lowest is None else min(lowest, self.lowest)
        return replace(self, lowest=first, highest=max(highest, self.highest), hidden=count)

    @property
    def first(self) -> int:
        """The lowest offset that was read; -1 where nothing was."""
        return -1 if self.lowest is None else self.lowest

    def floor(self, start: int | None) -> int:
        """From which offset on absence means something. start: where a drain line says so."""
        if start is not None:
            return start
        known = [each for each in (self.began, self.lowest) if each is not None]
        return min(known, default=0)

    def contradicts(self, start: int | None) -> bool:
        """Whether a record was read below the offset at which the log is said to begin."""
        return start is not None and 0 <= self.first < start

    def of_nothing(self, unseen: I64 | None) -> DrainedPartition:
        """Of attempts whose partition no line says: they cannot have been looked for."""
        count = 0 if unseen is None else len(unseen)
        records = "1 acknowledged record belongs" if count == 1 else (
            f"{count} acknowledged records belong"
        )  # fmt: skip
        reason = f"no line says where {records}" if count else ""
        return replace(self.by_itself(None), reason=reason)

    def by_itself(
        self,
        unseen: I64 | None,
        *,
        start: int | None = None,
        contradicted: str = "",
        stable: int = 0,
    ) -> DrainedPartition:
        """Proven below what was read, and short if something lies beyond. stable: proven up to
        there at least."""
        ceiling = max(self.highest + 1, stable)
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
            floor_contradicted=self.contradicts(start),
        )


def _said_of(history: History) -> set[tuple[int, int]]:
    """The topic-partitions that the history says anything about."""
    keys = {*history.drains, *history.reached, *history.began, *history.partitions_of_groups}
    keys |= {*history.drains_aside, *history.began_aside}
    members = history.members
    placed = members.column("offset") >= 0
    tables = [
        (table.column("topic"), table.column("partition"))
        for table in (history.attempts, history.watched, history.reads)
    ]
    tables.append((members.column("topic")[placed], members.column("partition")[placed]))
    for topic, partition in tables:
        topic_partitions = (topic << 32) | partition
        # Long runs of one partition are the rule; what is left is small.
        distinct = np.unique(
            topic_partitions[np.flatnonzero(np.diff(topic_partitions, prepend=-1))]
        )
        keys |= {(each >> 32, each & 0xFFFFFFFF) for each in distinct.tolist()}
    return keys


def _contradiction(
    reading: _Reading, claim: DrainClaim, reached: _Reached, holes_allowed: bool
) -> str:
    """What was read and a complete drain line says otherwise; empty where nothing was."""
    if reading.contradicts(claim.start):
        return f"offset {reading.first} was read, and the log is said to begin at {claim.start}"
    if claim.end is not None and reading.highest >= claim.end:
        return f"offset {reading.highest} was read, and the log is said to end at {claim.end}"
    if claim.end is not None and not holes_allowed:
        missing = claim.end - reading.floor(claim.start) - reading.count - reading.hidden
        if missing > 0:
            return f"{missing} offsets below the end {claim.end} were not read"
    stable = claim.last_stable
    if reached.committed and stable is not None and reading.highest >= stable:
        return (
            f"offset {reading.highest} was read at read_committed, and the last stable offset is "
            f"said to be {stable}"
        )
    return ""


def _claimed(
    reading: _Reading,
    claim: DrainClaim,
    unseen: I64 | None,
    reached: _Reached,
    holes_allowed: bool,
) -> DrainedPartition:
    """What a drain line says, unless what was read contradicts it: then what the reading shows."""
    reason = "" if claim.complete else claim.reason or "the history says so"
    floor = reading.floor(claim.start)
    wrong = _contradiction(reading, claim, reached, holes_allowed or not claim.complete)
    if wrong:
        # A line that is wrong in one thing is believed in none, but in where the log began.
        claim = replace(claim, end=None, last_stable=None, ended_us=None)
    if claim.complete:
        if wrong:
            return reading.by_itself(unseen, start=claim.start, contradicted=wrong)
        open_end = reached.open_end(claim)
        if open_end:
            # What a read_committed reader did not get below the last stable offset is not there.
            known = [each for each in (claim.end, claim.last_stable) if each is not None]
            stable = min(known) if claim.last_stable is not None else 0
            found = reading.by_itself(
                unseen, start=claim.start, contradicted=open_end, stable=stable
            )
            return replace(
                found, end=claim.end, last_stable=claim.last_stable, ended_us=claim.ended_us
            )
    return DrainedPartition(
        *reading.key,
        proven=not reason,
        floor=floor,
        read=reading.count,
        end=claim.end,
        last_stable=claim.last_stable,
        reason=reason,
        floor_said=claim.start is not None or reading.began is not None,
        ended_us=claim.ended_us,
    )
