"""Where a walk is, and what it has found so far of a topic-partition.

No client library is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from harness.arrays import I64, Bools
from harness.reconcile.findings import Coverage, Occurrence, ProfileFindings
from harness.reconcile.send_times import SendTimes
from harness.reconcile.unconfirmed import UnconfirmedRanges
from harness.record.codec import ANY_PARTITION
from harness.rundir.anywhere import of_position
from harness.rundir.copies import NO_ROWS, PartitionExtras
from harness.rundir.drained import DrainedAnywhere, DrainedPartition
from harness.rundir.read_times import ReadInstants


@dataclass(slots=True)
class KeyMarks:
    """For each key of the partition, (n,) bool: out of order for any producer; duplicated."""

    inverted: Bools
    duplicated: Bools


@dataclass(slots=True)
class PartitionWalk:
    """One topic-partition of one profile."""

    topic: int
    partition: int
    found: ProfileFindings
    proof: DrainedPartition | DrainedAnywhere
    drained: PartitionExtras
    live: PartitionExtras
    instants: ReadInstants | None
    """When offsets were read live; only of transactional profiles."""
    aside: PartitionExtras = NO_ROWS
    """What only readings returned that are set aside by their isolation level."""
    claims: UnconfirmedRanges = field(default_factory=UnconfirmedRanges)
    """Offsets that were acknowledged to records which no reading returned there."""
    suspects: UnconfirmedRanges = field(default_factory=UnconfirmedRanges)
    """What was read live at offsets at which the drain, as far as is known, did not look."""
    coverage: Coverage = field(default_factory=Coverage)
    no_copies: bool = False
    """Does the profile promise that no record is written twice?"""
    compacted: bool = False
    """Does the topic keep only the last record of each key?"""
    key_marks: KeyMarks | None = None
    """None without keys."""
    times: SendTimes | None = None
    """When attempts were made; None where no load of ours is on record."""

    @property
    def odd_reach(self) -> int:
        """The highest offset at which a corrupt, misrouted or foreign record was read."""
        odd = [
            rows
            for each in (self.drained, self.live, self.aside)
            for rows in (each.corrupt, each.misrouted, each.foreign)
        ]
        return max((int(rows["offset"].max()) for rows in odd if len(rows)), default=-1)

    @property
    def key(self) -> tuple[int, int]:
        """(topic, partition)"""
        return self.topic, self.partition

    def occurrence(
        self, anomaly: str, incarnation: int | None, sequence: int | None, offset: int | None
    ) -> None:
        """Keep a sample; its leader epoch is that of the record at that offset, if one is known."""
        epoch = None if offset is None else self.drained.leader_epoch(offset)
        partition, anywhere = self.partition, self.partition == ANY_PARTITION
        if anywhere and offset is not None:
            partition, offset = of_position(offset)
        sample = Occurrence(anomaly, self.topic, partition, incarnation, sequence, offset, epoch)
        self.found.sample(replace(sample, anywhere=True) if anywhere else sample)

    def count(
        self, anomaly: str, incarnation: int, sequences: I64, offsets: I64 | None = None
    ) -> None:
        """Count attempts by sequence, and keep samples of the first ones."""
        self.found.counts[anomaly] += len(sequences)
        if self.times is not None and len(sequences):
            sent_us = self.times.of(incarnation, sequences)
            self.found.note_times(anomaly, sent_us, sent_us)
        if offsets is not None:
            self.found.note_offsets(anomaly, self.topic, self.partition, offsets)
        for index in range(min(len(sequences), self.found.room(anomaly))):
            offset = None if offsets is None else int(offsets[index])
            known = None if offset is None or offset < 0 else offset
            self.occurrence(anomaly, incarnation, int(sequences[index]), known)
