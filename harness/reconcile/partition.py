"""One topic-partition: a lane for each incarnation, and what concerns all of them.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np

from harness.arrays import I64
from harness.reconcile.compaction import LastValues, last_values
from harness.reconcile.findings import ProfileFindings
from harness.reconcile.key_order import lane_keys
from harness.reconcile.lane import Lane
from harness.reconcile.partition_walk import KeyMarks, PartitionWalk
from harness.reconcile.send_times import SendTimes
from harness.reconcile.transaction_tally import Tally
from harness.record.keys import LaneKeys
from harness.rundir import cells
from harness.rundir.anywhere import READ_ANYWHERE
from harness.rundir.copies import Extras
from harness.rundir.read_times import ReadInstants
from harness.rundir.run_record import RunRecord


class Partition:
    """Reconciles one topic-partition into its profile's findings."""

    def __init__(
        self,
        run: RunRecord,
        topic: int,
        partition: int,
        found: ProfileFindings,
        drained: Extras,
        live: Extras,
        aside: Extras,
    ) -> None:
        self.run = run
        self.found = found
        self.drained = drained.of(topic, partition)
        self.live = live.of(topic, partition)
        self.aside = aside.of(topic, partition)
        self.walk = PartitionWalk(
            topic=topic,
            partition=partition,
            found=found,
            proof=run.drained_partition(topic, partition),
            drained=self.drained,
            live=self.live,
            aside=self.aside,
            instants=ReadInstants.of(
                run.live.batches,
                topic,
                partition,
                run.live.contested.get((topic, partition)),
            )
            if found.profile.transactional
            else None,
            no_copies="no_duplicate" in found.profile.promises,
            compacted=run.compacted(topic),
            times=SendTimes(run, topic, partition) if run.timeline.loads else None,
        )

    def reconcile(self, tallies: dict[int, Tally]) -> None:
        """Count everything about this topic-partition."""
        incarnations = set(self.drained.incarnations) | set(self.live.incarnations)
        run, walk = self.run, self.walk
        for columns in (run.ledgers, run.live.columns, run.drained.columns):
            incarnations.update(
                incarnation for incarnation, file in columns.items() if file.extents(*walk.key)
            )
        keys, values = self._keys_of(incarnations)
        for incarnation in sorted(incarnations):
            tally = tallies.get(incarnation) if self.found.profile.transactional else None
            Lane(run, walk, incarnation, tally, keys.get(incarnation), values).walk()
        self._count_keys()
        self._odd_records()
        self._odd_records_gone()
        readers = incarnations | {
            incarnation
            for columns in (run.live.columns, run.drained.columns)
            for incarnation, file in columns.items()
            if file.extents(walk.topic, walk.partition | READ_ANYWHERE)
        }
        self._two_contents(readers)
        self._two_acknowledgements(readers)
        self.found.coverage[walk.key] = walk.coverage

    def _keys_of(
        self, incarnations: set[int]
    ) -> tuple[dict[int, LaneKeys | None], LastValues | None]:
        """The keys of each incarnation that wrote here; of a compacted topic their last records."""
        run, walk = self.run, self.walk
        keys = {
            incarnation: lane_keys(run, self.found, *walk.key, incarnation)
            for incarnation in sorted(incarnations)
        }
        count = next((each.count for each in keys.values() if each is not None), 0)
        if count:
            walk.key_marks = KeyMarks(np.zeros(count, np.bool_), np.zeros(count, np.bool_))
        return keys, last_values(run, walk, keys) if walk.compacted else None

    def _count_keys(self) -> None:
        """Add what was found of this partition's keys to its profile's."""
        marks, keyed = self.walk.key_marks, self.found.keyed
        if marks is not None:
            keyed.keys += len(marks.inverted)
            keyed.keys_inverted += int(np.count_nonzero(marks.inverted))
            keyed.keys_duplicated += int(np.count_nonzero(marks.duplicated))

    def _read(self, live: bool, incarnations: set[int]) -> Iterator[I64]:
        """The offsets of all cells of one set, a chunk at a time."""
        columns = self.run.live.columns if live else self.run.drained.columns
        for incarnation in incarnations:
            for partition in (self.walk.partition, self.walk.partition | READ_ANYWHERE):
                for at in cells.offsets(columns.get(incarnation), self.walk.topic, partition):
                    yield at[at >= 0]

    def _odd_records(self) -> None:
        """Corrupt, misrouted and foreign records that the drain returned."""
        counts = self.found.counts
        corrupt, misrouted = self.drained.corrupt, self.drained.misrouted
        counts["corrupt"] += len(corrupt)
        for row in corrupt[: self.found.room("corrupt")]:
            self.walk.occurrence("corrupt", None, None, int(row["offset"]))
        counts["misrouted"] += len(misrouted)
        for row in misrouted[: self.found.room("misrouted")]:
            identity = int(row["incarnation"]), int(row["sequence"])
            self.walk.occurrence("misrouted", *identity, int(row["offset"]))
        foreign = self.drained.foreign
        counts["foreign"] += len(foreign)
        runs, numbers = np.unique(foreign["run"], return_counts=True)
        for of_run, number in zip(runs.tolist(), numbers.tolist(), strict=True):
            self.found.foreign_runs[int(of_run)] += int(number)

    def _odd_records_gone(self) -> None:
        """Corrupt and misrouted records that the live reader saw and the drain does not hold."""
        proof = self.walk.proof
        for seen, held in (
            (self.live.corrupt, self.drained.corrupt),
            (self.live.misrouted, self.drained.misrouted),
        ):
            here = {_record(row) for row in held}
            offsets = sorted(offset for offset, *_ in {_record(row) for row in seen} - here)
            gone = np.array(offsets, dtype=np.int64)
            reached = proof.reaches(gone) if proof.proven else np.zeros(len(gone), dtype=np.bool_)
            if self.walk.compacted:
                # Whose keys they had is not known, so neither whether they were compacted away.
                self.found.perhaps_compacted += int(np.count_nonzero(reached))
                reached[:] = False
            self.walk.suspects.add(None, None, gone[~reached])
            gone = gone[reached]
            self.found.counts["vanished"] += len(gone)
            for offset in gone[: self.found.room("vanished")].tolist():
                self.walk.occurrence("vanished", None, None, offset)

    def _two_contents(self, incarnations: set[int]) -> None:
        """What was read live, or was set aside, at an offset at which something else was read too.

        Offsets that a proven drain reached were settled in the lanes: there, gone is gone.
        """
        for incarnation in self.aside.incarnations:
            copies = self.aside.copies(incarnation)
            sequences = copies.sequences.astype(np.int64)
            self.walk.suspects.add(incarnation, sequences, copies.offsets)
        for rows in (self.aside.corrupt, self.aside.misrouted):
            # Each row is another record, also where several are at one offset.
            self.walk.suspects.add(None, None, np.sort(rows["offset"].astype(np.int64)))
        suspects, foreign = self.walk.suspects, self.live.foreign["offset"].astype(np.int64)
        gone = list(suspects.contradicted(self._drained_at(incarnations)))
        self._accuse("vanished", gone)
        if not len(foreign):
            return
        beside = suspects.contradicted(chain(self._drained_at(incarnations), [foreign]))
        if sum(len(at) for *_, at in beside) > sum(len(at) for *_, at in gone):
            self.found.cannot_see(
                "a record and a foreign one were read live at one offset that the drain did not "
                "return, and which of them is gone is not known",
                "vanished",
            )

    def _drained_at(self, incarnations: set[int]) -> Iterator[I64]:
        """Offsets that the drain returned; files are read only as far as these are asked for."""
        yield self.drained.offsets
        yield from self._read(False, incarnations)

    def _two_acknowledgements(self, incarnations: set[int]) -> None:
        """Acknowledged offsets at which another record was read, or acknowledged as well."""
        readings = self._others(incarnations)
        self._accuse("inconsistent_offset", self.walk.claims.contradicted(readings))

    def _others(self, incarnations: set[int]) -> Iterator[I64]:
        """Offsets at which anything was read; a corrupt record may be any record."""
        for live, extras in ((False, self.drained), (True, self.live)):
            yield extras.offsets_but_corrupt
            yield from self._read(live, incarnations)
        yield self.aside.offsets_but_corrupt

    def _accuse(self, anomaly: str, pairs: Iterable[tuple[int | None, I64 | None, I64]]) -> None:
        for incarnation, sequences, at in pairs:
            self.found.counts[anomaly] += len(at)
            for index in range(min(len(at), self.found.room(anomaly))):
                sequence = None if sequences is None else int(sequences[index])
                self.walk.occurrence(anomaly, incarnation, sequence, int(at[index]))


def _record(row: np.void) -> tuple[int, ...]:
    """An odd record: its offset and, of a misrouted one, the identity that it has."""
    identity = ("incarnation", "sequence", "identity_topic", "identity_partition")
    return int(row["offset"]), *(int(row[name]) for name in identity)
