"""What reconciling finds: counts, samples, and where it could not look. Data only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from harness.arrays import I64
from harness.reconcile.consumers.consumed import Consumed
from harness.rundir.run_info import ProfileRun
from harness.rundir.verdict_fields import COUNTS

OffsetRange: TypeAlias = tuple[int, int, int]
"""(first offset, last offset, how many of an anomaly are there)"""
STRETCH_US: Final = 250_000
"""Times of anomalies are known to this length, which is that of the load's slots."""
OFFSETS_APART: Final = 100
"""Occurrences at most so far from one another are noted as one range of offsets."""
SAMPLES_MAX: Final = 20
"""Samples kept of each anomaly of a profile."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One occurrence of an anomaly; None where it has no such coordinate.

    topic: index into the run's topics; producer: incarnation; transaction: its number, for the
    anomalies of transactions; member: the group member, for those of consumers, and at_us: when
    that member did it.
    """

    anomaly: str
    topic: int
    partition: int
    producer: int | None = None
    sequence: int | None = None
    offset: int | None = None
    leader_epoch: int | None = None
    transaction: int | None = None
    member: int | None = None
    at_us: int | None = None
    anywhere: bool = False
    """Of an attempt whose partition was not known when it was made: `partition` is then that of
    `offset`, and ANY_PARTITION without one."""


@dataclass(slots=True)
class Coverage:
    """How much of a topic-partition was read twice: what is gone can only be missed by then."""

    returned: int = 0
    """Attempts that the drain returned."""
    again: int = 0
    """Those of them that were read live at the same offset."""
    timed: int = 0
    """Those of them of which it is known when the live reader got them; at read_committed."""


@dataclass(slots=True)
class Keyed:
    """What was found key by key; keys of different topics are different ones."""

    keys: int = 0
    """Keys that went to partitions of which anything was recorded."""
    inversions: int = 0
    """Acknowledged records that come before an earlier one of their producer and key."""
    keys_inverted: int = 0
    keys_duplicated: int = 0
    """Keys with a record that is at several offsets."""
    superseded: int = 0
    """Acknowledged records of a compacted topic that are gone, as compaction does: a later record
    has their key, or they were tombstones."""


@dataclass(slots=True)
class ProfileFindings:
    """Everything reconciled about one profile."""

    profile: ProfileRun
    counts: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[Occurrence]] = field(default_factory=dict)
    foreign_runs: Counter[int] = field(default_factory=Counter)
    """How many records of each other run, by the run's hash."""
    blind: dict[str, list[str]] = field(default_factory=dict)
    """anomaly → sentences that say why finding none of it proves nothing"""
    not_shown: dict[str, str] = field(default_factory=dict)
    """anomaly → why a recording of this kind can show none of it"""
    unclosed: list[int] = field(default_factory=list)
    """Incarnations whose process ended without closing its ledger."""

    attempted_by: dict[tuple[int, int], dict[int, int]] = field(default_factory=dict)
    """(topic, partition) → incarnation → how many attempts its ledger holds there"""

    times: dict[str, Counter[tuple[int, int]]] = field(default_factory=dict)
    """anomaly → (from_us, to_us) → how many happened in that stretch of time, to 250 ms; what is
    counted and not here happened at a time that is not on record"""

    offsets: dict[str, dict[tuple[int, int], list[OffsetRange]]] = field(default_factory=dict)
    """anomaly → (topic, partition) → at which offsets they are, where that is known"""

    phantoms_without_ledger: int = 0
    """Those of the phantoms whose producer has no ledger, as far as is known rightly so."""

    coverage: dict[tuple[int, int], Coverage] = field(default_factory=dict)
    """(topic, partition) → how much of it was read twice"""
    keyed: Keyed = field(default_factory=Keyed)
    keyless: int = 0
    """Unseen records of compacted topics whose key is not on record."""
    perhaps_compacted: int = 0
    """Records that were read live and are gone, of which compaction may have removed each."""
    consumed: Consumed | None = None
    """What its consumers did; None for a profile without any."""

    def room(self, anomaly: str) -> int:
        """How many more samples of an anomaly are kept."""
        return SAMPLES_MAX - len(self.samples.get(anomaly, ()))

    def sample(self, occurrence: Occurrence) -> None:
        """Keep a sample, unless there are enough."""
        if self.room(occurrence.anomaly) > 0:
            self.samples.setdefault(occurrence.anomaly, []).append(occurrence)

    def note_times(self, anomaly: str, from_us: I64, to_us: I64) -> None:
        """Note in which stretches of time these happened, (n,) µs each; −1 is not known."""
        known = (from_us >= 0) & (to_us >= 0)
        if not known.any():
            return
        begin, end = from_us[known] // STRETCH_US, to_us[known] // STRETCH_US + 1
        stretches, counts = np.unique(np.stack([begin, end]), axis=1, return_counts=True)
        times = self.times.setdefault(anomaly, Counter())
        for first, last, count in zip(*stretches.tolist(), counts.tolist(), strict=True):
            times[first * STRETCH_US, last * STRETCH_US] += count

    def note_offsets(self, anomaly: str, topic: int, partition: int, offsets: I64) -> None:
        """Note at which offsets these are, (n,); below zero is not known."""
        known = np.sort(offsets[offsets >= 0])
        if not len(known):
            return
        ranges = self.offsets.setdefault(anomaly, {}).setdefault((topic, partition), [])
        for part in np.split(known, np.flatnonzero(np.diff(known) > OFFSETS_APART) + 1):
            ranges.append((int(part[0]), int(part[-1]), len(part)))

    def cannot_see(self, reason: str, *anomalies: str) -> None:
        """Note why an absence of these anomalies proves nothing."""
        for anomaly in anomalies:
            reasons = self.blind.setdefault(anomaly, [])
            if reason not in reasons:
                reasons.append(reason)

    def table(self) -> dict[str, int]:
        """All counts in the order of verdict.json."""
        return {name: int(self.counts[name]) for name in COUNTS}
