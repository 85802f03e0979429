"""A producer incarnation's transactions: what was begun, committed, aborted, and by which records.

Source: ledger/<incarnation>.txn.ndjson, one line a step, each written before the call that it
names and each result after it. A transaction's state follows from what stands there last:

    COMMITTED   commit_transaction returned success
    ABORTED     abort_transaction returned success
    UNDECIDED   commit was called, and its outcome is unknown or the process died
    UNCALLED    commit was never called: what is visible of it was visible too early

Sequences are dense per incarnation × topic-partition and transactions of one producer never
overlap, so a transaction is one range of sequences in each topic-partition it wrote to.

No client library is imported here.
"""

from __future__ import annotations

import json
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

I64: TypeAlias = npt.NDArray[np.int64]
I32: TypeAlias = npt.NDArray[np.int32]
U8: TypeAlias = npt.NDArray[np.uint8]
Bools: TypeAlias = npt.NDArray[np.bool_]

UNCALLED: Final = 0
UNDECIDED: Final = 1
COMMITTED: Final = 2
ABORTED: Final = 3

NEVER_US: Final = int(np.iinfo(np.int64).max)
"""The instant of a commit that was never called: later than every other."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """The ranges of one topic-partition, sorted by sequence and apart.

    firsts, lasts: (n,) int64 sequences, inclusive; transactions: (n,) int32 positions in the log,
    each at most once.
    """

    firsts: I64
    lasts: I64
    transactions: I32

    def counts(self, first: int, chosen: Bools) -> tuple[slice, I64]:
        """How many of the cells from `first` on are chosen, for the ranges that they touch."""
        count = len(chosen)
        lo = int(np.searchsorted(self.lasts, first, side="left"))
        hi = int(np.searchsorted(self.firsts, first + count, side="left"))
        begin = np.clip(self.firsts[lo:hi] - first, 0, count)
        end = np.clip(self.lasts[lo:hi] + 1 - first, 0, count)
        summed = np.zeros(count + 1, dtype=np.int64)
        np.cumsum(chosen, out=summed[1:])
        return slice(lo, hi), summed[end] - summed[begin]

    def of_sequences(self, sequences: I64) -> I64:
        """The transaction of each sequence, as its position in the log; -1 for none."""
        if not len(self.firsts):
            return np.full(len(sequences), -1, dtype=np.int64)
        found = np.searchsorted(self.firsts, sequences, side="right") - 1
        inside = (found >= 0) & (sequences <= self.lasts[found])
        return np.where(inside, self.transactions[found], np.int64(-1))


_NO_RANGES: Final = Ranges(
    np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int32)
)


@dataclass(frozen=True, slots=True)
class TransactionLog:
    """One incarnation's transactions in the order of their numbers.

    numbers, states, commit_called_us: one element a transaction; NEVER_US where commit was never
    called. `torn` is set when the file ends within a line: its writer died there.
    """

    numbers: I64
    states: U8
    commit_called_us: I64
    ranges: dict[tuple[int, int], Ranges]
    last_step_us: int | None = None
    torn: bool = False
    begun_us: I64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    ended_us: I64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """When each began and when its outcome was known, 0 where the log does not say."""

    def moments(self, position: int) -> tuple[int | None, int | None, int | None]:
        """When a transaction began, when its commit was called, when its outcome was known."""
        called = int(self.commit_called_us[position])
        return (
            _known(self.begun_us, position),
            None if called == NEVER_US else called,
            _known(self.ended_us, position),
        )

    def __len__(self) -> int:
        return len(self.numbers)

    def ranges_of(self, topic: int, partition: int) -> Ranges:
        """The ranges of a topic-partition; empty where no transaction touched it."""
        return self.ranges.get((topic, partition), _NO_RANGES)


def _known(column: I64, position: int) -> int | None:
    return int(column[position]) or None if position < len(column) else None


class Tally:
    """What a walk over all lanes of an incarnation counts for each of its transactions.

    members: attempts that were not refused locally, so that they belong to the transaction;
    drained, live: how many of them each observation set holds; absent: how many of them a drain
    from the first record on is proven not to hold. All (n,) int32.
    """

    def __init__(self, log: TransactionLog) -> None:
        self.log = log
        self.members, self.drained, self.live, self.absent = (
            np.zeros(len(log), dtype=np.int32) for _ in range(4)
        )
        self.first_absent: dict[int, tuple[int, int, int]] = {}
        """transaction → (topic, partition, first sequence of its range) where some is absent"""
        self.gaps: Counter[int] = Counter()
        """transaction → attempts that are a gap if it was committed"""
        self.gap_samples: list[tuple[int, int, int, int]] = []
        """(transaction, topic, partition, sequence)"""

    def add(
        self, key: tuple[int, int], first: int, member: Bools, drained: Bools, live: Bools,
        *, whole: bool,
    ) -> None:  # fmt: skip
        """Count the cells of a topic-partition from `first` on. `whole`: its drain is proven."""
        ranges = self.log.ranges_of(*key)
        if not len(ranges.firsts):
            return
        touched, members = ranges.counts(first, member)
        _, present = ranges.counts(first, member & drained)
        _, seen_live = ranges.counts(first, member & live)
        transactions = ranges.transactions[touched]
        self.members[transactions] += members.astype(np.int32)
        self.drained[transactions] += present.astype(np.int32)
        self.live[transactions] += seen_live.astype(np.int32)
        if whole:
            absent = members - present
            self.absent[transactions] += absent.astype(np.int32)
            judged = np.isin(self.log.states[transactions], (UNDECIDED, COMMITTED))
            for index in np.flatnonzero((absent > 0) & judged).tolist():
                sequence = int(ranges.firsts[touched][index])
                self.first_absent.setdefault(int(transactions[index]), (*key, sequence))


class _Reader:
    """Takes the steps of a log into columns: a log has many transactions, and is not held."""

    def __init__(self) -> None:
        self.numbers = array("q")
        self.states = array("B")
        self.commit_called_us = array("q")
        self.begun_us, self.ended_us = array("q"), array("q")
        self.ranges: dict[tuple[int, int], tuple[array[int], array[int], array[int]]] = {}
        self.last_step_us: int | None = None

    def take(self, line: bytes | str) -> None:
        """One step. Raises ValueError, KeyError, TypeError or AttributeError when it is none."""
        step = json.loads(line)
        at_us, name = int(step["at_us"]), str(step["step"])
        if name not in _STEPS:
            raise ValueError(name)
        position = self._position(int(step["txn"]))
        if name == "commit_called":
            self.commit_called_us[position] = min(self.commit_called_us[position], at_us)
            self.states[position] = UNDECIDED
        elif name == "committed":
            self.states[position] = COMMITTED
        elif name == "aborted":
            self.states[position] = ABORTED
        if name == "begin":
            self.begun_us[position] = at_us
        elif name in ("committed", "aborted", "unknown"):
            self.ended_us[position] = at_us
        for key, (first, last) in (step.get("ranges") or {}).items():
            self._range(key, int(first), int(last), position)
        self.last_step_us = max(at_us, self.last_step_us or at_us)

    def _position(self, number: int) -> int:
        if not self.numbers or number > self.numbers[-1]:
            self.numbers.append(number)
            self.states.append(UNCALLED)
            self.commit_called_us.append(NEVER_US)
            self.begun_us.append(0)
            self.ended_us.append(0)
        position = bisect_left(self.numbers, number)
        if self.numbers[position] != number:
            raise ValueError(f"transaction {number} begins after {self.numbers[-1]}")
        return position

    def _range(self, key: str, first: int, last: int, position: int) -> None:
        topic, _, partition = key.partition(":")
        columns = self.ranges.setdefault(
            (int(topic), int(partition)), (array("q"), array("q"), array("i"))
        )
        firsts, lasts, transactions = columns
        if last < first:
            return
        if transactions and transactions[-1] == position:
            # Told again, by the step that ended it after all.
            firsts[-1], lasts[-1] = first, last
            return
        firsts.append(first)
        lasts.append(last)
        transactions.append(position)

    def log(self, *, torn: bool) -> TransactionLog:
        """Everything that was taken; ranges sorted by sequence."""
        ranges: dict[tuple[int, int], Ranges] = {}
        for key, (firsts, lasts, transactions) in self.ranges.items():
            order = np.argsort(np.frombuffer(firsts, dtype=np.int64), kind="stable")
            ranges[key] = Ranges(
                np.frombuffer(firsts, dtype=np.int64)[order],
                np.frombuffer(lasts, dtype=np.int64)[order],
                np.frombuffer(transactions, dtype=np.int32)[order],
            )
        return TransactionLog(
            numbers=np.frombuffer(self.numbers, dtype=np.int64),
            states=np.frombuffer(self.states, dtype=np.uint8),
            commit_called_us=np.frombuffer(self.commit_called_us, dtype=np.int64),
            ranges=ranges,
            last_step_us=self.last_step_us,
            torn=torn,
            begun_us=np.frombuffer(self.begun_us, dtype=np.int64),
            ended_us=np.frombuffer(self.ended_us, dtype=np.int64),
        )


_STEPS: Final = frozenset(
    ("begin", "commit_called", "committed", "abort_called", "aborted", "unknown")
)


def read_transactions(lines: Iterable[bytes | str]) -> TransactionLog:
    """Read the lines of a txn.ndjson.

    Raises ValueError naming the line when a line other than a torn last one is no such step.
    """
    reader = _Reader()
    torn_at: int | None = None
    for number, line in enumerate(lines, 1):
        if torn_at is not None:
            raise ValueError(f"line {torn_at} is no step with txn, step and at_us")
        try:
            reader.take(line)
        except (ValueError, KeyError, TypeError, AttributeError):
            torn_at = number
    return reader.log(torn=torn_at is not None)
