"""What is judged key by key: order within a key, and what a compacted log has to keep of it.

Keys are the lanes' arithmetic (`harness.keys`): nothing is stored for them. A partition's arrays
have one element a key of that partition, however many records there are.

No client library is imported here.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from harness.columns import unpack_offsets
from harness.keys import KeyCycle
from harness.verify import cells
from harness.verify.copies import Copies, LaneCopies
from harness.verify.evidence import Evidence
from harness.verify.findings import ProfileFindings

I64: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]


def key_cycle(
    evidence: Evidence, found: ProfileFindings, topic: int, partition: int, incarnation: int
) -> KeyCycle | None:
    """The keys of one incarnation on one topic-partition; None without keys, or where its client
    did not say which record was its first."""
    load = evidence.info.load
    first_record = evidence.timeline.first_records.get(incarnation)
    topics = evidence.info.input_topics_of(found.profile)
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


class KeyOrder:
    """Finds inversions within one key, along one lane."""

    def __init__(self, cycle: KeyCycle) -> None:
        self.cycle = cycle
        self._highest = np.full(cycle.count, -1, dtype=np.int64)
        """The highest bound of each key so far."""

    def rising(self, first: int, at: I64) -> None:
        """Take cells from sequence `first` on that stand at offsets `at`, of which each lies above
        all before it: only the last one of each key matters."""
        count = min(len(at), self.cycle.count)
        last = first + len(at)
        self._highest[self.cycle.places(np.arange(last - count, last))] = at[-count:]

    def add(self, first: int, places: I64, bounds: I64) -> I64:
        """The positions (from 0) of those of the next cells that stand before an earlier one of
        their key. (n,) from sequence `first` on, −1 for none: `places`, where each stands, and
        `bounds`, below which nothing later of its key may stand."""
        count, keys = len(places), self.cycle.count
        if count <= keys:
            at = self.cycle.places(np.arange(first, first + count))
            before = self._highest[at]
            self._highest[at] = np.maximum(before, bounds)
            return np.flatnonzero((places >= 0) & (places < before))
        # A row a round of all keys; above the first one, what went before.
        lead = int(self.cycle.places(np.array([first]))[0])
        rows = -(-(lead + count) // keys)
        rounds = np.full((rows + 1, keys), -1, dtype=np.int64)
        rounds[0] = self._highest
        rounds[1:].reshape(-1)[lead : lead + count] = bounds
        highest = np.maximum.accumulate(rounds, axis=0)
        self._highest = highest[-1].copy()
        before = highest[:-1].reshape(-1)[lead : lead + count]
        return np.flatnonzero((places >= 0) & (places < before))


class LastValues:
    """The last record of each key of a compacted topic-partition: acknowledged, and present.

    Compaction keeps the record with the highest offset of each key. So an absent record was
    compacted away, for all that can be known, when one of its key has a higher offset.
    """

    def __init__(self, keys: int) -> None:
        self.acked = np.full(keys, -1, dtype=np.int64)
        self.present = np.full(keys, -1, dtype=np.int64)
        self._bare = np.zeros(keys, dtype=np.bool_)

    def take(self, places: I64, acked_at: I64, drained_at: I64, copies: Copies) -> None:
        """Note (n,) cells: the place of each one's key, its offsets or −1, and further copies."""
        np.maximum.at(self.acked, places, acked_at)
        np.maximum.at(self.present, places, drained_at)
        if len(copies):
            np.maximum.at(self.present, places[copies.sequences], copies.offsets)

    def last(self, places: I64, at: I64) -> Bools:
        """Whether no record of its key is known to have a higher offset than `at`."""
        return np.asarray((at >= self.acked[places]) & (at >= self.present[places]))

    def nothing(self, places: I64) -> Bools:
        """Whether no record of the key has a known offset; each key is told only once."""
        found = (self.acked[places] < 0) & (self.present[places] < 0) & ~self._bare[places]
        _, firsts = np.unique(places, return_index=True)
        once = np.zeros(len(places), dtype=np.bool_)
        once[firsts] = True
        self._bare[places[found & once]] = True
        return np.asarray(found & once)


def last_values(
    evidence: Evidence, key: tuple[int, int], lanes: list[tuple[int, KeyCycle, LaneCopies]]
) -> LastValues | None:
    """Walk all lanes of a compacted topic-partition once; None without any.

    lanes: incarnation, its keys, and its further copies in the drain.
    """
    if not lanes:
        return None
    values = LastValues(lanes[0][1].count)
    for incarnation, cycle, further in lanes:
        ledger = evidence.ledgers.get(incarnation)
        drained = evidence.drained.columns.get(incarnation)
        end = max((file.allocated(*key) for file in (ledger, drained) if file), default=0)
        for first in range(0, end, cells.CHUNK):
            count = min(cells.CHUNK, end - first)
            acked_at = unpack_offsets(*cells.cells(ledger, *key, first, count))
            drained_at, copies = further.within(first, count).merged(
                unpack_offsets(*cells.cells(drained, *key, first, count))
            )
            places = cycle.places(np.arange(first, first + count))
            values.take(places, acked_at, drained_at, copies)
    return values
