"""The attempts of a topic whose partition was not known when they were made.

Their lanes are walked as others are, over all partitions of the topic together. What other lanes
call an offset is a position here (`harness.rundir.anywhere`): a partition and an offset of it. Two
rules do not apply. Nothing can be misrouted, since no partition is the wrong one. And nothing is
out of order, since partitions have none among each other.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from harness.arrays import I64
from harness.errors import RunDirError
from harness.reconcile.findings import ProfileFindings
from harness.reconcile.lane import Lane, Reading
from harness.reconcile.partition_walk import PartitionWalk
from harness.reconcile.send_times import SendTimes
from harness.record.codec import ANY_PARTITION
from harness.rundir import cells
from harness.rundir.anywhere import READ_ANYWHERE, positions
from harness.rundir.cells import Columns
from harness.rundir.columns import unpack_offsets
from harness.rundir.copies import Copies, Extras, LaneCopies
from harness.rundir.drained import DrainedAnywhere
from harness.rundir.run_record import RunRecord

_UNKNOWN: Final = "no partition was known when its attempts were made: "
NOT_APPLICABLE: Final = {
    "inversion": _UNKNOWN + "partitions have no order among each other",
    "misrouted": _UNKNOWN + "none is the wrong one",
}
"""anomaly → why it is not judged, where no attempt of a profile had a partition"""


def topics_anywhere(run: RunRecord, drained: Extras, live: Extras) -> list[int]:
    """The topics that have such attempts, or records that say that they are of such ones."""
    found = drained.topics_anywhere | live.topics_anywhere
    for columns in (run.ledgers, run.live.columns, run.drained.columns):
        for file in columns.values():
            found.update(topic for topic, partition in file.partitions if _is_anywhere(partition))
    return sorted(found)


def _is_anywhere(partition: int) -> bool:
    return partition >= READ_ANYWHERE


class LaneAnywhere(Lane):
    """One incarnation on all partitions of a topic."""

    def __init__(
        self, run: RunRecord, walk: PartitionWalk, incarnation: int, partitions: Iterable[int]
    ) -> None:
        super().__init__(run, walk, incarnation, None)
        self._partitions = list(partitions)

    def _end(self) -> int:
        topic = self.partition_walk.topic
        ends = [0 if self.ledger is None else self.ledger.allocated(topic, ANY_PARTITION)]
        for columns in (self.live, self.drained):
            if columns is not None:
                ends += [
                    columns.allocated(topic, number | READ_ANYWHERE) for number in self._partitions
                ]
        return max(ends)

    def _chunk(self, first: int, count: int) -> None:
        low, state = cells.cells(self.ledger, *self.partition_walk.key, first, count)
        drained = self._read(self.drained, first, count, self.drained_copies)
        live = self._read(self.live, first, count, self.live_copies)
        self._apply_rules(first, state, unpack_offsets(low, state), drained, live)

    def _inversions(self, *_: object) -> None:
        """None: partitions have no order among each other."""

    def _read(
        self, columns: Columns | None, first: int, count: int, further: LaneCopies
    ) -> Reading:
        """The first position at which each attempt was read, −1 for none, and all further ones."""
        at = np.full(count, -1, dtype=np.int64)
        sequences: list[I64] = []
        places: list[I64] = []
        for number in self._partitions:
            low, high = cells.cells(
                columns, self.partition_walk.topic, number | READ_ANYWHERE, first, count
            )
            here = positions(number, unpack_offsets(low, high))
            again = np.flatnonzero((at >= 0) & (here >= 0))
            sequences.append(again)
            places.append(here[again])
            at = np.where(at >= 0, at, here)
        copies = further.within(first, count)
        pairs = Copies(
            np.concatenate([*sequences, copies.sequences]),
            np.concatenate([*places, copies.offsets]),
        )
        return pairs.merged(at)


class Anywhere:
    """Reconciles such attempts of one topic into its profile's findings."""

    def __init__(
        self, run: RunRecord, topic: int, found: ProfileFindings, drained: Extras, live: Extras
    ) -> None:
        """Raises RunDirError for a transactional profile, whose rules need partitions."""
        if found.profile.transactional:
            raise RunDirError(
                f"{run.info.topics[topic]}: holds attempts without a partition, and its profile "
                f"{found.profile.profile} is transactional; transactions are judged by partition."
            )
        self._run, self._topic, self._found = run, topic, found
        self._partitions = list(run.partitions_of(topic))
        self._extras = (drained, live)
        parts = {number: run.drained_partition(topic, number) for number in self._partitions}
        self._walk = PartitionWalk(
            topic=topic,
            partition=ANY_PARTITION,
            found=found,
            proof=DrainedAnywhere(parts),
            drained=drained.anywhere(topic),
            live=live.anywhere(topic),
            instants=None,
            no_copies="no_duplicate" in found.profile.promises,
            compacted=run.compacted(topic),
            times=SendTimes(run, topic, ANY_PARTITION) if run.timeline.loads else None,
        )

    def reconcile(self) -> None:
        """Count everything about these attempts."""
        run, walk = self._run, self._walk
        incarnations = set(walk.drained.incarnations) | set(walk.live.incarnations)
        for columns in (run.ledgers, run.live.columns, run.drained.columns):
            for incarnation, file in columns.items():
                if any(
                    topic == self._topic and _is_anywhere(partition)
                    for topic, partition in file.partitions
                ):
                    incarnations.add(incarnation)
        for incarnation in sorted(incarnations):
            LaneAnywhere(run, walk, incarnation, self._partitions).walk()
        drained, live = self._extras
        self._accuse("vanished", walk.suspects.contradicted(self._at(False, drained, True)))
        others = (*self._at(False, drained, False), *self._at(True, live, False))
        self._accuse("inconsistent_offset", walk.claims.contradicted(others))
        self._found.coverage[walk.key] = walk.coverage
        if all(partition == ANY_PARTITION for _, partition in self._found.attempted_by):
            self._found.not_shown |= NOT_APPLICABLE

    def _at(self, live: bool, extras: Extras, corrupt: bool) -> Iterator[I64]:
        """The positions at which a set holds anything; `corrupt`: also what may be any record."""
        columns = self._run.live.columns if live else self._run.drained.columns
        for number in self._partitions:
            rows = extras.of(self._topic, number)
            yield positions(number, rows.offsets if corrupt else rows.offsets_but_corrupt)
            for file in columns.values():
                for partition in (number, number | READ_ANYWHERE):
                    for at in cells.offsets(file, self._topic, partition):
                        yield positions(number, at[at >= 0])

    def _accuse(self, anomaly: str, pairs: Iterable[tuple[int | None, I64 | None, I64]]) -> None:
        for incarnation, sequences, at in pairs:
            if incarnation is not None and sequences is not None:
                self._walk.count(anomaly, incarnation, sequences, at)
