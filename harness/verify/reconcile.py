"""Sets what was read against what was sent: one pass over the packed columns.

The account of every anomaly, numbered, is docs/verification.md. In short: an incarnation's ledger
column, its live column and its drained column of the same topic-partition are walked in step, 64 Ki
cells at a time, and every rule is an array expression over those cells. What carries over from
chunk to chunk is a handful of numbers (the highest first offset so far, attempts that wait for a
later acknowledgement), so memory does not grow with the number of records. Only what is rare is
held: further copies of an attempt, transactions, and samples.

Vocabulary of the code: a *cell* is one attempt; `at` arrays hold its offset, −1 for none; a cell is
*acknowledged* when it is acked or, with acks=0, sent.

Pure: plain data in, findings out. No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.columns import (
    ACKED,
    ACKED_NO_OFFSET,
    FAILED,
    NEVER,
    OPEN,
    SENT,
    UNKNOWN,
    Extent,
    unpack_offsets,
)
from harness.errors import HarnessError
from harness.rundir import ProfileRun
from harness.verify.blind import blind_spots
from harness.verify.commits import hung_transactions, judge_transactions, profile_topics
from harness.verify.copies import Copies, Extras
from harness.verify.evidence import DrainedPartition, Evidence
from harness.verify.findings import Occurrence, ProfileFindings
from harness.verify.instants import ReadInstants
from harness.verify.transactions import COMMITTED, NEVER_US, UNDECIDED, Tally

CHUNK: Final = 65_536

I64: TypeAlias = npt.NDArray[np.int64]
U32: TypeAlias = npt.NDArray[np.uint32]
U8: TypeAlias = npt.NDArray[np.uint8]
Bools: TypeAlias = npt.NDArray[np.bool_]


class Columns(Protocol):
    """What reconciling needs of a column file."""

    @property
    def partitions(self) -> list[tuple[int, int]]: ...

    def extents(self, topic: int, partition: int) -> list[Extent]: ...

    def allocated(self, topic: int, partition: int) -> int: ...


def reconcile(evidence: Evidence) -> list[ProfileFindings]:
    """Everything that was attempted against everything that was read, by profile.

    Raises HarnessError when the sums do not close: then the harness itself is wrong, and no
    verdict may rest on it.
    """
    tallies = {incarnation: Tally(log) for incarnation, log in evidence.transactions.items()}
    findings = [ProfileFindings(profile) for profile in evidence.info.profiles]
    of_topic = [found for found in findings for _ in found.profile.topics]
    drained = Extras(evidence.drained.extras)
    live = Extras(evidence.live.extras)
    for topic, partition in _partitions(evidence, drained, live, len(of_topic)):
        where = _Partition(evidence, topic, partition, of_topic[topic], drained, live)
        where.reconcile(tallies)
    for found in findings:
        found.unclosed = _unclosed(evidence, found)
        if found.profile.transactional:
            judge_transactions(evidence, found, tallies)
            hung_transactions(evidence, found)
        blind_spots(evidence, found)
        assert_accounted(evidence, found)
    return findings


def _unclosed(evidence: Evidence, found: ProfileFindings) -> list[int]:
    """Incarnations of a profile that never closed their ledger: their process died."""
    topics = profile_topics(evidence, found.profile)
    return sorted(
        incarnation
        for incarnation, ledger in evidence.ledgers.items()
        if not ledger.closed_cleanly and any(key[0] in topics for key in ledger.partitions)
    )


def _partitions(
    evidence: Evidence, drained: Extras, live: Extras, topics: int
) -> list[tuple[int, int]]:
    """Every topic-partition of which there is any trace, sorted."""
    keys = set(drained.partitions) | set(live.partitions)
    for columns in (evidence.ledgers, evidence.live.columns, evidence.drained.columns):
        for file in columns.values():
            keys.update(file.partitions)
    if evidence.drain is not None:
        keys.update(evidence.drain.partitions)
    unknown = sorted(topic for topic, _ in keys if topic >= topics)
    if unknown:
        raise HarnessError(
            f"the run directory holds records of topic number {unknown[-1]}, but run.json names "
            f"only {topics} topics (numbers 0…{topics - 1}): its files do not belong together."
        )
    return sorted(keys)


def cells(
    columns: Columns | None, topic: int, partition: int, first: int, count: int
) -> tuple[U32, U8]:
    """(low, high) of `count` cells from `first` on: views where one extent has them, else copies.

    Cells that do not exist are 0: never attempted, not read.
    """
    low = np.zeros(count, dtype=np.uint32)
    high = np.zeros(count, dtype=np.uint8)
    if columns is None:
        return low, high
    for extent in columns.extents(topic, partition):
        begin = extent.first_sequence - first
        if begin >= count:
            break
        end = begin + len(extent)
        if end <= 0:
            continue
        if begin <= 0 and end >= count:
            return extent.low[-begin : count - begin], extent.high[-begin : count - begin]
        lo, hi = max(begin, 0), min(end, count)
        low[lo:hi] = extent.low[lo - begin : hi - begin]
        high[lo:hi] = extent.high[lo - begin : hi - begin]
    return low, high


@dataclass(slots=True)
class _Carry:
    """What a lane remembers from chunk to chunk."""

    first_offset_max: int = -1
    """The highest first offset of an acknowledged attempt so far."""
    acknowledged: bool = False
    """Was any attempt acknowledged yet?"""
    pending: int = 0
    """Absent attempts since then that become a gap with the next acknowledgement."""
    pending_samples: list[int] | None = None


class _Partition:
    """One topic-partition: a lane for each incarnation, and what concerns all of them."""

    def __init__(
        self,
        evidence: Evidence,
        topic: int,
        partition: int,
        found: ProfileFindings,
        drained: Extras,
        live: Extras,
    ) -> None:
        self.evidence = evidence
        self.topic = topic
        self.partition = partition
        self.found = found
        self.profile: ProfileRun = found.profile
        self.proof: DrainedPartition = evidence.drained_partition(topic, partition)
        self.drained = drained.of(topic, partition)
        self.live = live.of(topic, partition)
        self.instants = (
            ReadInstants.of(evidence.live.batches, topic, partition)
            if self.profile.transactional
            else None
        )
        self.drain_reach = -1
        self.suspects: list[tuple[int, I64, I64]] = []

    def reconcile(self, tallies: dict[int, Tally]) -> None:
        """Count everything about this topic-partition into the profile's findings."""
        incarnations = set(self.drained.incarnations) | set(self.live.incarnations)
        key = (self.topic, self.partition)
        for columns in (
            self.evidence.ledgers,
            self.evidence.live.columns,
            self.evidence.drained.columns,
        ):
            incarnations.update(
                incarnation for incarnation, file in columns.items() if file.extents(*key)
            )
        if not self.proof.proven:
            self.drain_reach = self._drain_reach(incarnations)
        for incarnation in sorted(incarnations):
            tally = tallies.get(incarnation) if self.profile.transactional else None
            _Lane(self, incarnation, tally).walk()
        self._odd_records()
        self._two_contents(incarnations)

    def _drain_reach(self, incarnations: set[int]) -> int:
        """The highest offset that an unproven drain read here."""
        reach = self.drained.offset_max
        for incarnation in incarnations:
            for _, at in self._drained_offsets(incarnation):
                reach = max(reach, int(at.max()))
        return reach

    def _drained_offsets(self, incarnation: int) -> Iterator[tuple[int, I64]]:
        file = self.evidence.drained.columns.get(incarnation)
        if file is None:
            return
        for extent in file.extents(self.topic, self.partition):
            for begin in range(0, len(extent), CHUNK):
                chosen = slice(begin, begin + CHUNK)
                yield (
                    extent.first_sequence + begin,
                    unpack_offsets(extent.low[chosen], extent.high[chosen]),
                )

    def occurrence(
        self, anomaly: str, incarnation: int | None, sequence: int | None, offset: int | None
    ) -> None:
        """Keep a sample of an anomaly of this topic-partition."""
        epoch = None if offset is None else self.drained.leader_epoch(offset)
        self.found.sample(
            Occurrence(anomaly, self.topic, self.partition, incarnation, sequence, offset, epoch)
        )

    def _odd_records(self) -> None:
        """Corrupt, misrouted and foreign records that the drain returned."""
        counts = self.found.counts
        for anomaly, rows in (
            ("corrupt", self.drained.corrupt),
            ("misrouted", self.drained.misrouted),
        ):
            counts[anomaly] += len(rows)
            for row in rows[: self.found.room(anomaly)]:
                known = anomaly == "misrouted"
                self.occurrence(
                    anomaly,
                    int(row["incarnation"]) if known else None,
                    int(row["sequence"]) if known else None,
                    int(row["offset"]),
                )
        foreign = self.drained.foreign
        counts["foreign"] += len(foreign)
        runs, numbers = np.unique(foreign["run"], return_counts=True)
        for run, number in zip(runs.tolist(), numbers.tolist(), strict=True):
            self.found.foreign_runs[int(run)] += int(number)

    def _two_contents(self, incarnations: set[int]) -> None:
        """What was read live and is not what the drain holds at that offset: `vanished`.

        Offsets whose drain is proven were settled in the lanes; here is what an unproven drain
        can still show (another content at the very offset), and odd records of the live set.
        """
        for kind in ("corrupt", "misrouted"):
            offsets = np.unique(getattr(self.live, kind)["offset"]).astype(np.int64)
            gone = offsets[~np.isin(offsets, getattr(self.drained, kind)["offset"])]
            if self.proof.proven:
                gone = gone[gone >= self.proof.floor]
                self.found.counts["vanished"] += len(gone)
                for offset in gone[: self.found.room("vanished")].tolist():
                    self.occurrence("vanished", None, None, offset)
            elif len(gone):
                self.suspects.append((-1, np.full(len(gone), -1, dtype=np.int64), gone))
        if not self.suspects:
            return
        offsets = np.unique(np.concatenate([at for _, _, at in self.suspects]))
        taken = np.isin(offsets, self.drained.offsets)
        for incarnation in incarnations:
            for _, at in self._drained_offsets(incarnation):
                taken |= np.isin(offsets, at)
        for incarnation, sequences, at in self.suspects:
            hit = np.flatnonzero(taken[np.searchsorted(offsets, at)])
            self.found.counts["vanished"] += len(hit)
            for index in hit[: self.found.room("vanished")].tolist():
                known = incarnation >= 0
                self.occurrence(
                    "vanished",
                    incarnation if known else None,
                    int(sequences[index]) if known else None,
                    int(at[index]),
                )


class _Lane:
    """One incarnation on one topic-partition, walked from its first sequence to its last."""

    def __init__(self, where: _Partition, incarnation: int, tally: Tally | None) -> None:
        evidence = where.evidence
        self.where = where
        self.found = where.found
        self.counts = where.found.counts
        self.incarnation = incarnation
        self.ledger = evidence.ledgers.get(incarnation)
        self.live = evidence.live.columns.get(incarnation)
        self.drained = evidence.drained.columns.get(incarnation)
        self.proof = where.proof
        self.drained_copies = where.drained.copies(incarnation)
        self.live_copies = where.live.copies(incarnation)
        self.tally = tally
        self.carry = _Carry()
        self.pending_in_commits: list[I64] = []
        self.attempted = 0

    def walk(self) -> None:
        """Count every cell, and the strays that lie beyond all of them."""
        key = (self.where.topic, self.where.partition)
        end = max(
            (file.allocated(*key) for file in (self.ledger, self.live, self.drained) if file),
            default=0,
        )
        for first in range(0, end, CHUNK):
            self._chunk(first, min(CHUNK, end - first))
        self._beyond(end)
        if self.attempted:
            self.found.attempted_by.setdefault(key, {})[self.incarnation] = self.attempted

    def _chunk(self, first: int, count: int) -> None:
        key = (self.where.topic, self.where.partition)
        low, state = cells(self.ledger, *key, first, count)
        drained_low, drained_high = cells(self.drained, *key, first, count)
        live_low, live_high = cells(self.live, *key, first, count)
        drained_copies = self.drained_copies.within(first, count)
        live_copies = self.live_copies.within(first, count)
        anything = state.any() or drained_high.any() or live_high.any()
        if not (anything or len(drained_copies) or len(live_copies)):
            return
        acked_at = unpack_offsets(low, state)
        drained_at, copies = drained_copies.merged(unpack_offsets(drained_low, drained_high))
        live_at, more_live = live_copies.merged(unpack_offsets(live_low, live_high))
        present = drained_at >= 0
        attempted = state != NEVER
        self._outcomes(state, attempted, present)
        self._lost(first, state, acked_at, present)
        self._copies(first, attempted, copies)
        self._phantoms(first, attempted, drained_at)
        self._failed_visible(first, state, drained_at, live_at)
        self._inversions(first, state, drained_at)
        self._gaps(first, state, present)
        self._inconsistent(first, acked_at, drained_at, copies)
        self._vanished(first, live_at, more_live, drained_at, copies)
        if self.tally is not None:
            member = attempted & (state != FAILED)
            self.tally.add(key, first, member, present, live_at >= 0, whole=self.proof.whole)
            self._precommitted(self.tally, first, state, drained_at, live_at)

    # -- rules, in the order of docs/verification.md ---------------------------------------

    def _outcomes(self, state: U8, attempted: Bools, present: Bools) -> None:
        by_state = np.bincount(state, minlength=256)
        unknown = (state == UNKNOWN) | (state == OPEN)
        number = int(np.count_nonzero(attempted))
        self.attempted += number
        self.counts["attempted"] += number
        self.counts["acked"] += int(by_state[ACKED:].sum() + by_state[ACKED_NO_OFFSET])
        self.counts["failed"] += int(by_state[FAILED])
        self.counts["unknown"] += int(by_state[UNKNOWN] + by_state[OPEN])
        self.counts["sent"] += int(by_state[SENT])
        self.counts["unknown_present"] += int(np.count_nonzero(unknown & present))
        self.counts["seen"] += int(np.count_nonzero(attempted & present))

    def _lost(self, first: int, state: U8, acked_at: I64, present: Bools) -> None:
        """Acknowledged and absent: lost where the drain proves it, otherwise unseen."""
        absent = (state >= SENT) & ~present
        if not absent.any():
            return
        if self.proof.whole:
            self._found("lost", first, absent, acked_at)
        elif self.proof.proven:
            # What lay below the log's start cannot be told from what was never there.
            reachable = acked_at >= self.proof.floor
            self._found("lost", first, absent & reachable, acked_at)
            self._found("unseen", first, absent & ~reachable, acked_at)
        else:
            self._found("unseen", first, absent, acked_at)

    def _copies(self, first: int, attempted: Bools, copies: Copies) -> None:
        """Further copies in the drain: duplicates of attempts, phantoms of what was none."""
        if not len(copies):
            return
        ours = attempted[copies.sequences]
        for anomaly, chosen in (("duplicate", ours), ("phantom", ~ours)):
            self._found_at(anomaly, first + copies.sequences[chosen], copies.offsets[chosen])

    def _phantoms(self, first: int, attempted: Bools, drained_at: I64) -> None:
        self._found("phantom", first, ~attempted & (drained_at >= 0), drained_at)

    def _failed_visible(self, first: int, state: U8, drained_at: I64, live_at: I64) -> None:
        at = np.where(drained_at >= 0, drained_at, live_at)
        self._found("failed_visible", first, (state == FAILED) & (at >= 0), at)

    def _inversions(self, first: int, state: U8, drained_at: I64) -> None:
        """First offsets that lie below that of an earlier acknowledged attempt."""
        if self.proof.floor:
            return  # the first copies may lie below the log's start
        firsts = np.where(state >= SENT, drained_at, np.int64(-1))
        highest = np.maximum.accumulate(firsts)
        before = np.empty_like(highest)
        before[0] = self.carry.first_offset_max
        np.maximum(highest[:-1], self.carry.first_offset_max, out=before[1:])
        self._found("inversion", first, (firsts >= 0) & (firsts < before), firsts)
        self.carry.first_offset_max = max(self.carry.first_offset_max, int(highest[-1]))

    def _gaps(self, first: int, state: U8, present: Bools) -> None:
        """Absent attempts without acknowledgement, between acknowledged ones."""
        if not self.proof.whole or (self.where.profile.transactional and self.tally is None):
            return
        missing = (state >= OPEN) & (state <= UNKNOWN) & ~present
        acknowledged = np.flatnonzero(state >= SENT)
        carry = self.carry
        if len(acknowledged):
            begin = 0 if carry.acknowledged else int(acknowledged[0])
            end = int(acknowledged[-1])
            self._settle_pending()
            self._gap(first + begin + np.flatnonzero(missing[begin:end]))
            carry.acknowledged = True
            self._wait(first + end + np.flatnonzero(missing[end:]))
        elif carry.acknowledged:
            self._wait(first + np.flatnonzero(missing))

    def _wait(self, sequences: I64) -> None:
        """Hold attempts back until something after them is acknowledged."""
        if not len(sequences):
            return
        if self.tally is not None:
            self.pending_in_commits.append(self._in_commits(self.tally, sequences)[0])
            return
        self.carry.pending += len(sequences)
        samples = self.carry.pending_samples or []
        samples += sequences[: self.found.room("gap") - len(samples)].tolist()
        self.carry.pending_samples = samples

    def _settle_pending(self) -> None:
        for sequences in self.pending_in_commits:
            self._gap(sequences)
        self.pending_in_commits.clear()
        self.counts["gap"] += self.carry.pending
        for sequence in self.carry.pending_samples or ():
            self.where.occurrence("gap", self.incarnation, sequence, None)
        self.carry.pending, self.carry.pending_samples = 0, None

    def _gap(self, sequences: I64) -> None:
        if not len(sequences):
            return
        if self.tally is None:
            self._found_at("gap", sequences, None)
            return
        # Whether an undecided transaction was committed is known once all of it has been walked.
        sequences, transactions = self._in_commits(self.tally, sequences)
        self.tally.gaps.update(transactions.tolist())
        for index in range(min(len(sequences), self.found.room("gap"))):
            self.tally.gap_samples.append(
                (
                    int(transactions[index]),
                    self.where.topic,
                    self.where.partition,
                    int(sequences[index]),
                )
            )

    def _in_commits(self, tally: Tally, sequences: I64) -> tuple[I64, I64]:
        """Those of transactions that were or may have been committed, and these transactions."""
        ranges = tally.log.ranges_of(self.where.topic, self.where.partition)
        transactions = ranges.of_sequences(sequences)
        inside = transactions >= 0
        states = tally.log.states[transactions[inside]]
        inside[inside] = (states == COMMITTED) | (states == UNDECIDED)
        return sequences[inside], transactions[inside]

    def _inconsistent(self, first: int, acked_at: I64, drained_at: I64, copies: Copies) -> None:
        if not self.proof.proven:
            return
        elsewhere = (drained_at >= 0) & (acked_at >= self.proof.floor) & (acked_at != drained_at)
        where = np.flatnonzero(elsewhere)
        if len(where) and len(copies):
            where = where[~copies.holds(where, acked_at[where])]
        self._found_at("inconsistent_offset", first + where, acked_at[where])

    def _vanished(
        self, first: int, live_at: I64, more: Copies, drained_at: I64, copies: Copies
    ) -> None:
        """Pairs of attempt and offset that the live reader saw and the drain does not hold."""
        where = np.flatnonzero((live_at >= 0) & (live_at != drained_at))
        at = live_at[where]
        if len(more):
            where = np.concatenate([where, more.sequences])
            at = np.concatenate([at, more.offsets])
            differs = at != drained_at[where]
            where, at = where[differs], at[differs]
        if not len(where):
            return
        reachable = at >= self.proof.floor if self.proof.proven else at <= self.where.drain_reach
        where, at = where[reachable], at[reachable]
        if len(where) and len(copies):
            gone = ~copies.holds(where, at)
            where, at = where[gone], at[gone]
        if self.proof.proven:
            self._found_at("vanished", first + where, at)
        elif len(where):
            self.where.suspects.append((self.incarnation, first + where, at))

    def _precommitted(
        self, tally: Tally, first: int, state: U8, drained_at: I64, live_at: I64
    ) -> None:
        """Visible to read_committed before its commit was called, or without any call of it."""
        visible = np.flatnonzero(
            ((live_at >= 0) | (drained_at >= 0)) & (state != FAILED) & (state != NEVER)
        )
        if not len(visible):
            return
        log = tally.log
        ranges = log.ranges_of(self.where.topic, self.where.partition)
        transactions = ranges.of_sequences(first + visible)
        inside = transactions >= 0
        called_us = np.full(len(visible), NEVER_US)
        called_us[inside] = log.commit_called_us[transactions[inside]]
        if log.torn:
            # The line that is torn may have been the one that calls their commit.
            called_us[~inside] = np.iinfo(np.int64).min
        early = called_us == NEVER_US
        if self.where.instants is not None:
            read_us = self.where.instants.of_offsets(live_at[visible])
            early |= (read_us >= 0) & (read_us < called_us)
        if early.any():
            at = np.where(live_at >= 0, live_at, drained_at)[visible[early]]
            self._found_at("precommitted_read", first + visible[early], at)

    def _beyond(self, end: int) -> None:
        """Identities beyond every cell: never attempted, whatever their sequence."""
        strays = self.drained_copies.beyond(end)
        self.counts["phantom"] += len(strays)
        for sequence, offset in strays[: self.found.room("phantom")]:
            self.where.occurrence("phantom", self.incarnation, sequence, offset)
        gone = sorted(set(self.live_copies.beyond(end)) - set(strays))
        for sequence, offset in gone:
            if self.proof.proven and offset >= self.proof.floor:
                self.counts["vanished"] += 1
                self.where.occurrence("vanished", self.incarnation, sequence, offset)
            elif not self.proof.proven and offset <= self.where.drain_reach:
                self.where.suspects.append(
                    (
                        self.incarnation,
                        np.array([min(sequence, np.iinfo(np.int64).max)], dtype=np.int64),
                        np.array([offset], dtype=np.int64),
                    )
                )

    # -- counting --------------------------------------------------------------------------

    def _found(self, anomaly: str, first: int, mask: Bools, at: I64) -> None:
        """Count the cells of a mask, and sample them with their offsets."""
        number = int(np.count_nonzero(mask))
        if not number:
            return
        self.counts[anomaly] += number
        room = self.found.room(anomaly)
        if room:
            for index in np.flatnonzero(mask)[:room].tolist():
                offset = int(at[index])
                self.where.occurrence(
                    anomaly, self.incarnation, first + index, offset if offset >= 0 else None
                )

    def _found_at(self, anomaly: str, sequences: I64, offsets: I64 | None) -> None:
        """Count attempts by sequence, and sample them."""
        self.counts[anomaly] += len(sequences)
        for index in range(min(len(sequences), self.found.room(anomaly))):
            offset = None if offsets is None else int(offsets[index])
            self.where.occurrence(anomaly, self.incarnation, int(sequences[index]), offset)


def assert_accounted(evidence: Evidence, found: ProfileFindings) -> None:
    """Both sums of a profile, and the drain's own count of what it read.

    attempted = acked + failed + unknown + sent; read = distinct attempts seen + duplicate +
    phantom + corrupt + misrouted + foreign. Raises HarnessError with the numbers.
    """
    counts = found.counts
    outcomes = {name: counts[name] for name in ("acked", "failed", "unknown", "sent")}
    if counts["attempted"] != sum(outcomes.values()):
        raise HarnessError(
            f"{found.profile.profile}: the ledger does not add up: {counts['attempted']} attempts, "
            f"but {_sum(outcomes)}. This is a defect of the harness, not of Kafka; the run "
            "directory is left as it is."
        )
    names = ("seen", "duplicate", "phantom", "corrupt", "misrouted", "foreign")
    parts = {name: counts[name] for name in names}
    counts["read"] = sum(parts.values())
    if evidence.drain is None:
        return
    topics = profile_topics(evidence, found.profile)
    read = sum(each.read for key, each in evidence.drain.partitions.items() if key[0] in topics)
    if read != counts["read"]:
        raise HarnessError(
            f"{found.profile.profile}: the drain returned {read} records, but its observations "
            f"hold {_sum(parts)}. This is a defect of the harness, not of Kafka; the run "
            "directory is left as it is."
        )


def _sum(parts: dict[str, int]) -> str:
    terms = " + ".join(f"{number} {name}" for name, number in parts.items())
    return f"{terms} = {sum(parts.values())}"
