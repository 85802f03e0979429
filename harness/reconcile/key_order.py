"""What is judged key by key: order within a key.

Keys of a run are the lanes' arithmetic (`harness.record.keys`), and nothing is stored for them;
those of a history are said record by record. A partition's arrays have one element a key of that
partition, however many records there are.

No client library is imported here.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from harness.arrays import I64
from harness.reconcile.findings import ProfileFindings
from harness.record.keys import KeyCycle, KeyTable, LaneKeys
from harness.rundir.columns import OFFSET_MAX
from harness.rundir.run_record import RunRecord

_SPAN: Final = np.int64(OFFSET_MAX + 2)
"""Wider than all offsets and −1."""


def lane_keys(
    run: RunRecord, found: ProfileFindings, topic: int, partition: int, incarnation: int
) -> LaneKeys | None:
    """The keys of one incarnation on one topic-partition; None without keys, or where its client
    did not say which record was its first."""
    if run.elsewhere is not None:
        return run.elsewhere.keys.get((incarnation, topic, partition))
    load = run.info.load
    first_record = run.timeline.first_records.get(incarnation)
    topics = run.info.input_topics_of(found.profile)
    if not load.keys or first_record is None or topic not in topics or partition >= load.keys:
        return None
    return KeyCycle.of(
        topics=len(topics),
        topic=topic - topics.start,
        partitions=load.partitions,
        partition=partition,
        keys=load.keys,
        first_record=first_record,
    )


class KeyOrder(Protocol):
    """Finds inversions within one key, along one lane."""

    @property
    def keys(self) -> LaneKeys:
        """Which key each record has."""
        ...

    def rising(self, first: int, at: I64) -> None:
        """Take cells from sequence `first` on that are at offsets `at`, of which each lies above
        all before it."""
        ...

    def add(self, first: int, places: I64, bounds: I64) -> I64:
        """The positions (from 0) of those of the next cells that come before an earlier one of
        their key. (n,) from sequence `first` on, −1 for none: `places`, where each is, and
        `bounds`, below which nothing later of its key may stand."""
        ...


def key_order(keys: LaneKeys) -> KeyOrder:
    """For keys as a run or a history has them."""
    if isinstance(keys, KeyCycle):
        return CycleOrder(keys)
    assert isinstance(keys, KeyTable)
    return TableOrder(keys)


class CycleOrder:
    """A `KeyOrder` where keys take turns."""

    def __init__(self, cycle: KeyCycle) -> None:
        self.cycle = cycle
        self._highest = np.full(cycle.count, -1, dtype=np.int64)
        """The highest bound of each key so far."""

    @property
    def keys(self) -> LaneKeys:
        return self.cycle

    def rising(self, first: int, at: I64) -> None:
        """Only the last one of each key matters."""
        count = min(len(at), self.cycle.count)
        last = first + len(at)
        self._highest[self.cycle.key_indices(np.arange(last - count, last))] = at[-count:]

    def add(self, first: int, places: I64, bounds: I64) -> I64:
        """See `KeyOrder.add`."""
        count, keys = len(places), self.cycle.count
        if count <= keys:
            at = self.cycle.key_indices(np.arange(first, first + count))
            before = self._highest[at]
            self._highest[at] = np.maximum(before, bounds)
            return np.flatnonzero((places >= 0) & (places < before))
        # A row a round of all keys; above the first one, what went before.
        lead = int(self.cycle.key_indices(np.array([first]))[0])
        rows = -(-(lead + count) // keys)
        rounds = np.full((rows + 1, keys), -1, dtype=np.int64)
        rounds[0] = self._highest
        rounds[1:].reshape(-1)[lead : lead + count] = bounds
        highest = np.maximum.accumulate(rounds, axis=0)
        self._highest = highest[-1].copy()
        before = highest[:-1].reshape(-1)[lead : lead + count]
        return np.flatnonzero((places >= 0) & (places < before))


class TableOrder:
    """A `KeyOrder` where any record may have any key, and of some it is not known."""

    def __init__(self, table: KeyTable) -> None:
        self.table = table
        self._highest = np.full(table.count, -1, dtype=np.int64)
        """The highest bound of each key so far."""

    @property
    def keys(self) -> LaneKeys:
        return self.table

    def rising(self, first: int, at: I64) -> None:
        """Take cells in order; only the last one of each key matters."""
        of_key = self.table.key_indices(np.arange(first, first + len(at)))
        known = of_key >= 0
        np.maximum.at(self._highest, of_key[known], at[known])

    def add(self, first: int, places: I64, bounds: I64) -> I64:
        """See `KeyOrder.add`. A record whose key is not known is compared with none."""
        of_key = self.table.key_indices(np.arange(first, first + len(places)))
        order = np.argsort(of_key, kind="stable")
        order = order[of_key[order] >= 0]
        if not len(order):
            return order
        mine = of_key[order]
        starts = np.ones(len(mine), dtype=np.bool_)
        starts[1:] = mine[1:] != mine[:-1]
        # Each key's bounds lie in their own span, above those of the keys before it. The
        # highest one up to a record is then never one of another key.
        base = (np.cumsum(starts) - 1) * _SPAN
        reached = bounds[order] + base
        reached[starts] = np.maximum(reached[starts], self._highest[mine[starts]] + base[starts])
        highest = np.maximum.accumulate(reached) - base
        before = np.empty_like(highest)
        before[1:] = highest[:-1]
        before[starts] = self._highest[mine[starts]]
        ends = np.append(starts[1:], True)
        self._highest[mine[ends]] = highest[ends]
        at = places[order]
        return np.sort(order[(at >= 0) & (at < before)])
