"""In which order one member was handed the records of one partition, and what it committed.

A *stint* begins with ASSIGNED and ends with REVOKED, LOST or the next ASSIGNED of the same
partition. Rules are array expressions over the member's entries of one partition, in the order
written, which inside one journal is the order of events.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from harness.arrays import I64, U8, Bools
from harness.reconcile.consumers.input_partition import InputPartition
from harness.reconcile.findings import Occurrence, ProfileFindings
from harness.rundir.member_journal import SYNCHRONOUS, Entries, Step

_OF_PARTITIONS: Final = (
    Step.ASSIGNED,
    Step.REVOKED,
    Step.LOST,
    Step.POLLED,
    Step.BEGIN,
    Step.EFFECT,
    Step.COMMIT_CALLED,
    Step.COMMITTED,
    Step.COMMIT_FAILED,
    Step.COMMIT_UNKNOWN,
    Step.STORED,
    Step.ACKNOWLEDGED,
)
TURNS: Final = (Step.ASSIGNED, Step.REVOKED, Step.LOST)
"""The steps that begin or end a stint."""
_NOTHING: Final = -1
_UNKNOWN: Final = -2


def of_step(steps: U8, *chosen: Step) -> Bools:
    """Which of (n,) steps are one of those chosen."""
    table = np.zeros(256, dtype=np.bool_)
    table[list(chosen)] = True
    return np.asarray(table[steps])


def known_us(at_us: int | np.int64) -> int | None:
    """An instant; None where an entry does not say when it was."""
    return int(at_us) if at_us >= 0 else None


def by_partition(entries: Entries, topic: int) -> Iterator[tuple[int, I64]]:
    """Each partition of a topic with the indices of its entries, in the order written."""
    indices = np.flatnonzero(
        of_step(np.asarray(entries["step"]), *_OF_PARTITIONS) & (entries["topic"] == topic)
    )
    if not len(indices):
        return
    partitions = entries["partition"][indices]
    order = np.argsort(partitions, kind="stable")
    indices, partitions = indices[order], partitions[order]
    for part in np.split(indices, np.flatnonzero(np.diff(partitions)) + 1):
        yield int(entries["partition"][part[0]]), part.astype(np.int64)


class MemberReading:
    """One member's entries of one partition: (n,) steps, offsets and instants in µs."""

    def __init__(self, member: int, entries: Entries, indices: I64, answered: int) -> None:
        """entries: those of one partition; indices: theirs in the journal; answered: the
        last entry at which a call that hands records over is known to have come to its end."""
        self.member = member
        self._indices = indices
        self._answered = answered
        self.steps: U8 = np.ascontiguousarray(entries["step"])
        self.offsets: I64 = np.ascontiguousarray(entries["offset"], dtype=np.int64)
        self.at_us: I64 = np.ascontiguousarray(entries["at_us"], dtype=np.int64)
        self._flags: U8 = np.ascontiguousarray(entries["flags"])
        self.polled = self.steps == Step.POLLED
        turns = of_step(self.steps, *TURNS)
        indices = np.arange(len(self.steps))
        self._turn = np.maximum.accumulate(np.where(turns, indices, _NOTHING))
        """Place of the latest turn at or before each entry; −1 before the first."""
        self._assigned = np.zeros(len(self.steps), dtype=np.bool_)
        inside = self._turn >= 0
        self._assigned[inside] = self.steps[self._turn[inside]] == Step.ASSIGNED

    def judge(self, found: ProfileFindings, records: InputPartition, *, stints_known: bool) -> None:
        """Count every anomaly of reading and committing.

        stints_known: whether assignments of the group are on record; without any, it was assigned
        by hand for all that is known, and nothing was read outside a stint.
        """
        indices = np.flatnonzero(self.polled)
        unassigned = indices[~self._assigned[indices]]
        if stints_known:
            self._count(found, records, "unassigned_read", unassigned)
        self._order(found, records, indices[self._assigned[indices]])
        self._commits(found, records)

    def _order(self, found: ProfileFindings, records: InputPartition, indices: I64) -> None:
        """Skips and steps back between what was handed over within a stint."""
        if not len(indices):
            return
        offsets, turns = self.offsets[indices], self._turn[indices]
        first = np.ones(len(indices), dtype=np.bool_)
        first[1:] = turns[1:] != turns[:-1]
        starts = self.offsets[turns]
        # What was expected next: the start of the stint, then one more than the record before.
        expected = np.empty_like(offsets)
        expected[1:] = offsets[:-1] + 1
        expected[first] = np.where(starts[first] >= 0, starts[first], _UNKNOWN)
        back = (expected != _UNKNOWN) & (offsets < expected)
        self._count(found, records, "backward_poll", indices[back])
        reached = _highest_before(offsets, starts, first)
        ahead = np.flatnonzero((reached != _UNKNOWN) & (offsets > reached))
        skipped = records.records_between(reached[ahead], offsets[ahead])
        found.counts["poll_skip"] += int(skipped.sum())
        for index in np.flatnonzero(skipped)[: found.room("poll_skip")].tolist():
            entry = ahead[index]
            offset = records.first_record(int(reached[entry]), int(offsets[entry]))
            self._sample(found, records, "poll_skip", offset, int(indices[entry]))

    def _commits(self, found: ProfileFindings, records: InputPartition) -> None:
        """Commits beyond everything that the member was handed, or assigned beyond of.

        A commit may be confirmed in a later stint than it was made in, so what counts is
        everything so far, known from the latest assignment on. One that the client makes in the
        background can be confirmed while the call that hands its records over is under way, so
        there the records handed over next count too, and where they are not on record because the
        member died in that call, nothing is certain.
        """
        committed = np.flatnonzero(self.steps == Step.COMMITTED)
        if not len(committed):
            return
        started = (self.steps == Step.ASSIGNED) & (self.offsets >= 0)
        reach = np.where(self.polled, self.offsets + 1, np.where(started, self.offsets, _NOTHING))
        position = np.maximum.accumulate(reach)
        indices = np.arange(len(reach))
        known = np.maximum.accumulate(np.where(reach >= 0, indices, _NOTHING))
        assigned = np.maximum.accumulate(np.where(self.steps == Step.ASSIGNED, indices, _NOTHING))
        background = (self._flags[committed] & SYNCHRONOUS) == 0
        upto = np.where(background, self._batch_after(committed), committed)
        sure = ~background | (self._indices[committed] < self._answered)
        chosen = sure & (known[upto] >= assigned[committed]) & (known[upto] >= 0)
        committed, upto = committed[chosen], upto[chosen]
        next_offset, at = self.offsets[committed], position[upto]
        beyond = (next_offset > at) & (records.records_between(at, next_offset) > 0)
        if records.end is not None:
            beyond |= (next_offset > at) & (next_offset > records.end)
        self._count(found, records, "commit_beyond_position", committed[beyond])

    def _batch_after(self, indices: I64) -> I64:
        """The last record of the first batch handed over after each entry; the entry itself when
        none follows."""
        firsts = self.polled & ~np.concatenate([[False], self.polled[:-1]])
        lasts = self.polled & ~np.concatenate([self.polled[1:], [False]])
        begins, ends = np.flatnonzero(firsts), np.flatnonzero(lasts)
        following = np.searchsorted(begins, indices, side="right")
        there = following < len(begins)
        found = indices.copy()
        found[there] = ends[following[there]]
        return found

    def _count(
        self, found: ProfileFindings, records: InputPartition, anomaly: str, indices: I64
    ) -> None:
        found.counts[anomaly] += len(indices)
        for entry in indices[: found.room(anomaly)].tolist():
            self._sample(found, records, anomaly, int(self.offsets[entry]), entry)

    def _sample(
        self,
        found: ProfileFindings,
        records: InputPartition,
        anomaly: str,
        offset: int,
        entry: int,
    ) -> None:
        found.sample(
            Occurrence(
                anomaly,
                records.topic,
                records.partition,
                offset=offset,
                member=self.member,
                at_us=known_us(self.at_us[entry]),
            )
        )


def _highest_before(offsets: I64, starts: I64, first: Bools) -> I64:
    """Before each record, one more than the highest offset of its stint so far; `_UNKNOWN` at the
    beginning of a stint that does not say where it starts.

    starts: (n,) where each record's stint starts, below 0 for unknown; first: whether it is the
    first of its stint.
    """
    # One key that grows from stint to stint, so that a single running maximum serves all of them.
    stints = np.cumsum(first, dtype=np.int64)
    begins = np.maximum(starts, 0)
    span = int(max(offsets.max(), begins.max())) + 2
    keys = stints * span
    reached = np.empty(len(offsets), dtype=np.int64)
    running = np.maximum.accumulate(np.maximum(keys + offsets + 1, keys + begins))
    reached[1:] = running[:-1] - keys[:-1]
    reached[first] = np.where(starts[first] >= 0, starts[first], _UNKNOWN)
    return reached
