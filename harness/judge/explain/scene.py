"""What explanations are made from: the evidence of a run, asked about one attempt or one offset."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np

from harness.judge.disturbances import Disturbance, disturbances
from harness.judge.exposure import hit_partitions
from harness.judge.samples import sent_us
from harness.reconcile.findings import Occurrence, ProfileFindings
from harness.rundir import cells
from harness.rundir.clock import from_us
from harness.rundir.columns import (
    ACKED,
    ACKED_NO_OFFSET,
    FAILED,
    NEVER,
    OPEN,
    SENT,
    pack_offsets,
    unpack_offsets,
)
from harness.rundir.copies import Extras
from harness.rundir.read_times import ReadInstants
from harness.rundir.recorded_faults import RecordedFault
from harness.rundir.run_record import RecordedObservations, RunRecord

NEAR_US: Final = 30_000_000
"""A fault further away from an instant than this is not called nearby."""

Key = tuple[int, int]
Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Event:
    """One step of a story: what happened, where, and the line that tells it.

    `at_us` is None where the record does not say when. `closing`: it is about the end of the run,
    such as what the drain read, so without a time it comes last. `proves`: the anomaly follows
    from it, so that it is never left out.
    """

    what: str
    text: str
    at_us: int | None = None
    fields: dict[str, int | str] = field(default_factory=dict)
    closing: bool = False
    proves: bool = False

    def line(self) -> str:
        """The line of the story: the time of day in UTC, then what happened."""
        clock = "" if self.at_us is None else f"{_clock(self.at_us)}  "
        return f"{clock:14}{self.text}"

    def to_json(self) -> dict[str, int | str | None]:
        """As verdict.json shows it."""
        at = None if self.at_us is None else from_us(self.at_us)
        return {"at": at, "what": self.what, **self.fields}


class Scene:
    """The evidence about one profile."""

    def __init__(self, run: RunRecord, found: ProfileFindings) -> None:
        self.run = run
        self.found = found
        self.disturbances = disturbances(run.timeline)
        self._drained, self._live = Extras(run.drained.extras), Extras(run.live.extras)

    def nowhere(self, topic: int) -> bool:
        """Whether it replaces a topic since nothing says the partition of an attempt."""
        elsewhere = self.run.elsewhere
        return elsewhere is not None and topic in elsewhere.nowhere

    def renewed(self, topic: int) -> bool:
        """Whether it was deleted and created again, so that only readings that say an id count."""
        elsewhere = self.run.elsewhere
        return elsewhere is not None and topic in elsewhere.renewed

    def outcome(self, topic: int, state: int, offset: int) -> str:
        """What became of an attempt, as its ledger cell says."""
        if state == ACKED_NO_OFFSET and self.renewed(topic):
            return "was acknowledged; at which offset of this topic is not known"
        return outcome(state, offset)

    def topic(self, index: int) -> str:
        """A topic's name by its index."""
        return self.run.info.topics[index]

    def number(self, key: Key, producer: int | None, sequence: int) -> int:
        """The number of an attempt as its recorder gave it, which is how a story names it."""
        own = self.run.own_sequence(producer, *key, sequence)
        return sequence if own is None else own

    # -- attempts ----------------------------------------------------------------------------

    def ledger_cell(self, key: Key, producer: int, sequence: int) -> tuple[int, int]:
        """(state, acknowledged offset or −1) of an attempt; NEVER where there is none."""
        low, high = cells.cells(self.run.ledgers.get(producer), *key, sequence, 1)
        return int(high[0]), int(unpack_offsets(low, high)[0])

    def observed(self, which: str, key: Key, producer: int, sequence: int) -> list[int]:
        """The offsets at which a set holds an attempt, ascending."""
        observations, extras = self._set(which)
        low, high = cells.cells(observations.columns.get(producer), *key, sequence, 1)
        at = int(unpack_offsets(low, high)[0])
        copies = extras.of(*key).copies(producer).within(sequence, 1)
        return sorted({*([at] if at >= 0 else []), *copies.offsets.tolist()})

    def _set(self, which: str) -> tuple[RecordedObservations, Extras]:
        if which == "live":
            return self.run.live, self._live
        return self.run.drained, self._drained

    def standing(
        self, key: Key, offsets: Iterable[int], which: str = "drained"
    ) -> dict[int, Identity | str]:
        """What a set holds at each offset: (producer, sequence), or what else it was."""
        observations, extras = self._set(which)
        wanted = np.array(sorted({offset for offset in offsets if offset >= 0}), dtype=np.int64)
        found: dict[int, Identity | str] = {}
        if not len(wanted):
            return found
        for producer, columns in observations.columns.items():
            for extent in columns.extents(*key):
                for offset, low, high in zip(wanted.tolist(), *pack_offsets(wanted), strict=True):
                    here = np.flatnonzero((extent.low == low) & (extent.high == high))
                    if len(here):
                        found[offset] = (producer, extent.first_sequence + int(here[0]))
        rows = extras.of(*key)
        for kind, part in (("a corrupt record", rows.corrupt), ("a foreign record", rows.foreign)):
            for offset in part["offset"].tolist():
                if offset in wanted:
                    found.setdefault(int(offset), kind)
        for producer in rows.incarnations:
            copies = rows.copies(producer)
            hits = np.flatnonzero(np.isin(copies.offsets, wanted)).tolist()
            for index in hits:
                found.setdefault(
                    int(copies.offsets[index]), (producer, int(copies.sequences[index]))
                )
        return found

    def acknowledged_at(self, key: Key, offset: int) -> list[Identity]:
        """The attempts that were acknowledged at an offset."""
        low, high = pack_offsets(np.array([offset]))
        return [
            (producer, extent.first_sequence + int(cell))
            for producer, ledger in sorted(self.run.ledgers.items())
            for extent in ledger.extents(*key)
            for cell in np.flatnonzero((extent.low == low[0]) & (extent.high == high[0])).tolist()
        ]

    def higher_before(self, key: Key, producer: int, sequence: int, offset: int) -> Identity | None:
        """An earlier acknowledged attempt whose place is higher: (sequence, offset)."""
        ledger = self.run.ledgers.get(producer)
        drained = self.run.drained.columns.get(producer)
        live = self.run.live.columns.get(producer)
        for end in range(sequence, 0, -cells.CHUNK):
            first = max(0, end - cells.CHUNK)
            acked_low, state = cells.cells(ledger, *key, first, end - first)
            at = unpack_offsets(*cells.cells(drained, *key, first, end - first))
            seen = unpack_offsets(*cells.cells(live, *key, first, end - first))
            at = np.where(at >= 0, at, np.where(seen >= 0, seen, unpack_offsets(acked_low, state)))
            at = np.where(state >= SENT, at, np.int64(-1))
            hits = np.flatnonzero(at > offset)
            if len(hits):
                return first + int(hits[-1]), int(at[hits[-1]])
        return None

    def neighbours(self, key: Key, producer: int, sequence: int) -> list[tuple[int, int, int]]:
        """The nearest acknowledged attempts before and after: (sequence, offset, −1 or +1)."""
        ledger = self.run.ledgers.get(producer)
        found: list[tuple[int, int, int]] = []
        if ledger is None:
            return found
        first = max(0, sequence - cells.CHUNK)
        count = sequence - first + 1 + cells.CHUNK
        low, state = cells.cells(ledger, *key, first, count)
        acked = np.flatnonzero(state >= SENT)
        here = sequence - first
        at = unpack_offsets(low, state)
        before, after = acked[acked < here], acked[acked > here]
        for part, side in ((before[-1:], -1), (after[:1], 1)):
            found += [(first + int(each), int(at[each]), side) for each in part]
        return found

    # -- time --------------------------------------------------------------------------------

    def sent_us(self, occurrence: Occurrence) -> int | None:
        """When an attempt was handed over, where the load's slots or its transaction tell it."""
        at_us = sent_us(self.run, self.found, occurrence, self.topic(occurrence.topic))
        if at_us is not None:
            return at_us
        position = self.transaction(occurrence)
        if position is None or occurrence.producer is None:
            return None
        return self.run.transactions[occurrence.producer].moments(position)[0]

    def transaction(self, occurrence: Occurrence) -> int | None:
        """The position of an occurrence's transaction in its producer's log."""
        log = self.run.transactions.get(-1 if occurrence.producer is None else occurrence.producer)
        if log is None:
            return None
        if occurrence.transaction is not None:
            position = int(np.searchsorted(log.numbers, occurrence.transaction))
            there = position < len(log) and int(log.numbers[position]) == occurrence.transaction
            return position if there else None
        if occurrence.sequence is None:
            return None
        ranges = log.ranges_of(occurrence.topic, occurrence.partition)
        position = int(ranges.of_sequences(np.array([occurrence.sequence]))[0])
        return None if position < 0 else position

    def read_live_us(self, key: Key, offset: int) -> int | None:
        """When the live reader read an offset, where its batches tell."""
        instants = ReadInstants.of(self.run.live.batches, *key)
        at_us = int(instants.of_offsets(np.array([offset], dtype=np.int64))[0])
        return None if at_us < 0 else at_us

    def leader_at(self, key: Key, at_us: int) -> tuple[int, int] | None:
        """(leader, leader epoch) of a partition at an instant, as the observer saw it."""
        changes = self.run.timeline.leaders.get((self.topic(key[0]), key[1]), [])
        before = [each for each in changes if each.at_us <= at_us]
        return (before[-1].leader, before[-1].leader_epoch) if before else None

    def leader_seen_us(self, key: Key, at_us: int) -> int:
        """When the leader of `leader_at` was first seen as such."""
        changes = self.run.timeline.leaders.get((self.topic(key[0]), key[1]), [])
        return max((each.at_us for each in changes if each.at_us <= at_us), default=0)

    # -- faults ------------------------------------------------------------------------------

    def fault_near(
        self, key: Key, at_us: int | None, fault_id: str | None = None
    ) -> RecordedFault | None:
        """The fault that an event belongs to: the one named, under way at that instant, or nearest.

        Faults that did not hit the partition are left out where another one did. Without an
        instant it is the only one there was, if there was only one.
        """
        timeline = self.run.timeline
        nearby = sorted(
            (each for each in timeline.faults if each.injected and not each.idle),
            key=lambda each: each.injected_us,
        )
        at = (self.topic(key[0]), key[1])
        hit = [
            each
            for each in nearby
            if at in hit_partitions([at[0]], timeline, each)
            or each.coordinated(self.found.profile.profile)
        ]
        nearby = hit or nearby
        for fault in nearby:
            if fault.fault_id == fault_id:
                return fault
        if at_us is None:
            return nearby[0] if len(nearby) == 1 else None
        near = [
            (distance, order, fault)
            for order, fault in enumerate(nearby)
            if (distance := _distance_us(fault, at_us)) <= NEAR_US
        ]
        return min(near)[2] if near else None

    def disturbance_near(
        self, key: Key, at_us: int | None, fault: RecordedFault | None
    ) -> Disturbance | None:
        """What shook a partition near an instant, nearer than `fault`, without a fault on record.

        Without an instant it is the only one there was, if there was nothing else.
        """
        at = (self.topic(key[0]), key[1])
        shook = [each for each in self.disturbances if any(at == s.key for s in each.signs)]
        if at_us is None:
            return shook[0] if len(shook) == 1 and fault is None else None
        near = [
            (max(each.from_us - at_us, at_us - each.to_us, 0), order, each)
            for order, each in enumerate(shook)
        ]
        if not near or min(near)[0] > NEAR_US:
            return None
        nearer = fault is None or min(near)[0] < _distance_us(fault, at_us)
        return min(near)[2] if nearer else None

    def move_of(self, fault: RecordedFault, key: Key) -> dict[str, int] | None:
        """Leader and epoch of a partition before and after a fault that was aimed at it."""
        topic = self.topic(key[0])
        for each in fault.partitions:
            if each.get("topic") == topic and each.get("partition") == key[1]:
                names = ("leader_before", "epoch_before", "leader_after", "epoch_after")
                return {name: int(each[name]) for name in names if each.get(name) is not None}
        return None


def _distance_us(fault: RecordedFault, at_us: int) -> int:
    """0 while a fault is under way, else how far it is away."""
    healed = fault.healed_us if fault.healed_us is not None else fault.injected_us
    return max(fault.injected_us - at_us, at_us - healed, 0)


def _clock(at_us: int) -> str:
    moment = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    return f"{moment:%H:%M:%S}.{at_us // 1000 % 1000:03d}"


OUTCOME_TEXT: Final = {
    NEVER: "was never attempted",
    OPEN: "has no outcome on record, so its outcome is unknown",
    FAILED: "failed",
    SENT: "was sent without an error (acks=0: no broker confirms)",
    ACKED_NO_OFFSET: "was acknowledged without an offset",
}


def outcome(state: int, offset: int) -> str:
    """What became of an attempt, as its ledger cell says."""
    if state >= ACKED:
        return f"was acknowledged at offset {offset}"
    return OUTCOME_TEXT.get(state, "has an unknown outcome")
