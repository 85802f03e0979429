"""A producer incarnation's transactions: what was begun, committed, aborted, and by which records.

Source: ledger/<incarnation>.txn.ndjson, one line a step, each written before the call that it
names and each result after it. A transaction's state follows from what stands there last:

    COMMITTED   commit_transaction returned success
    ABORTED     abort_transaction returned success
    UNDECIDED   commit was called, and its outcome is unknown or the process died
    UNCALLED    commit was never called: what is visible of it was visible too early
    UNRECORDED  nothing says, or steps contradict each other: nothing is concluded

A log of a run can be damaged. Its writer puts every step on record before the deed, on a clock that
never steps back, one transaction after the other. So a line that is no step, a step after the end
of its transaction, a transaction or an instant that goes back and ranges that overlap are damage.
Then no step is known to be missing, and `the commit was never called` is not concluded.

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
from typing import Final

import numpy as np

from harness.arrays import I32, I64, U8, Bools

UNCALLED: Final = 0
UNDECIDED: Final = 1
COMMITTED: Final = 2
ABORTED: Final = 3
UNRECORDED: Final = 4

NEVER_US: Final = int(np.iinfo(np.int64).max)
"""The instant of a commit that was never called: later than every other."""
NOT_KNOWN_US: Final = int(np.iinfo(np.int64).min)
"""The instant of a commit of which it is not known when, or whether, it was called."""


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
    called, NOT_KNOWN_US where that is not known. `torn` is set when the file ends within a line:
    its writer died there.
    """

    numbers: I64
    states: U8
    commit_called_us: I64
    ranges: dict[tuple[int, int], Ranges]
    last_step_us: int | None = None
    torn: bool = False
    damage: str = ""
    """What is wrong with the log itself, so that steps of it may be missing; empty when nothing."""
    open_at_end: bool = False
    """Was a transaction open when the log ended? Its attempts are in no range, since ranges are
    written when an end is called."""
    begun_us: I64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    ended_us: I64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """When each began and when its outcome was known, 0 where the log does not say."""

    def moments(self, position: int) -> tuple[int | None, int | None, int | None]:
        """When a transaction began, when its commit was called, when its outcome was known."""
        called = int(self.commit_called_us[position])
        return (
            _known(self.begun_us, position),
            None if called in (NEVER_US, NOT_KNOWN_US) else called,
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
    drained, live: how many of them each observation set holds; absent: how many of them the drain
    is proven not to hold. All (n,) int32.
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
        self.uncommitted: Counter[int] = Counter()
        """topic → acknowledged attempts that the log does not show in a committed transaction"""
        self.outside: Counter[int] = Counter()
        """topic → attempts in no range of the log"""
        self.uncalled: list[tuple[tuple[int, int], I64, I64]] = []
        """(topic and partition, sequences, offsets) of those among them that can be read"""
        self.cut = False
        """Are lines of the log missing, by what the ledger holds?"""

    @property
    def topics(self) -> set[int]:
        """The topics that the producer wrote to, by its log and by its ledger."""
        return {key[0] for key in self.log.ranges} | set(self.uncommitted) | set(self.outside)

    def compare(self, key: tuple[int, int], attempts: I64, acknowledged: I64) -> None:
        """Compare sequences that the ledger holds with what the log says of them."""
        transactions = self.log.ranges_of(*key).of_sequences(acknowledged)
        inside = transactions >= 0
        committed = inside.copy()
        committed[inside] = self.log.states[transactions[inside]] == COMMITTED
        outside = self.log.ranges_of(*key).of_sequences(attempts) < 0
        for counter, chosen in ((self.uncommitted, ~committed), (self.outside, outside)):
            if chosen.any():
                counter[key[0]] += int(np.count_nonzero(chosen))

    def add(
        self, key: tuple[int, int], first: int, member: Bools, drained: Bools, live: Bools,
        absent: Bools,
    ) -> None:  # fmt: skip
        """Count the cells of a topic-partition from `first` on. `absent`: proven so."""
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
        _, gone = ranges.counts(first, absent)
        self.absent[transactions] += gone.astype(np.int32)
        judged = np.isin(self.log.states[transactions], (UNDECIDED, COMMITTED))
        for index in np.flatnonzero((gone > 0) & judged).tolist():
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
        self.damage = ""
        self.steady = True

    def take(self, line: bytes | str) -> None:
        """One step. Raises ValueError, KeyError, TypeError, AttributeError or OverflowError when
        it is none, or cannot follow on those before it."""
        step = json.loads(line)
        at_us, name = _whole(step["at_us"]), step["step"]
        if name not in _STEPS:
            raise ValueError(name)
        number = _whole(step["txn"])
        ranges = [
            (*_key(key), _whole(first), _whole(last))
            for key, (first, last) in (step.get("ranges") or {}).items()
        ]
        position = self._position(number)
        if at_us < (self.last_step_us or 0):
            self.note(f"its instants go back at transaction {number}")
            self.steady = False
        self._settle(position, name, at_us)
        for topic, partition, first, last in ranges:
            self._range((topic, partition), first, last, position)
        self.last_step_us = max(at_us, self.last_step_us or at_us)

    def _settle(self, position: int, name: str, at_us: int) -> None:
        state = self.states[position]
        if state in (COMMITTED, ABORTED, UNRECORDED) or (
            name == "begin" and self.begun_us[position]
        ):
            number = self.numbers[position]
            self.note(f"transaction {number} goes on with {name} after its end, or begins twice")
            self.states[position] = UNRECORDED
            return
        if name == "commit_called":
            self.commit_called_us[position] = min(self.commit_called_us[position], at_us)
            self.states[position] = UNDECIDED
        elif name in _END_STATES:
            self.states[position] = _END_STATES[name]
        if name == "begin":
            self.begun_us[position] = at_us
        elif name in ("committed", "aborted", "unknown"):
            self.ended_us[position] = at_us

    def note(self, damage: str) -> None:
        """Keep the first damage that was found."""
        self.damage = self.damage or damage

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

    def _range(self, key: tuple[int, int], first: int, last: int, position: int) -> None:
        columns = self.ranges.setdefault(key, (array("q"), array("q"), array("i")))
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
        for key, columns in self.ranges.items():
            firsts, lasts = (np.frombuffer(each, dtype=np.int64) for each in columns[:2])
            order = np.argsort(firsts, kind="stable")
            firsts, lasts = firsts[order], lasts[order]
            if (firsts[1:] <= lasts[:-1]).any():
                self.note("ranges of its transactions overlap")
                continue
            transactions = np.frombuffer(columns[2], dtype=np.int32)[order]
            ranges[key] = Ranges(firsts, lasts, transactions)
        states = np.frombuffer(self.states, dtype=np.uint8)
        return TransactionLog(
            numbers=np.frombuffer(self.numbers, dtype=np.int64),
            states=states,
            commit_called_us=self._called_us(states, torn=torn),
            ranges=ranges,
            last_step_us=self.last_step_us,
            torn=torn,
            damage=self.damage,
            open_at_end=self._open and not torn and not self.damage,
            begun_us=np.frombuffer(self.begun_us, dtype=np.int64),
            ended_us=np.frombuffer(self.ended_us, dtype=np.int64),
        )

    @property
    def _open(self) -> bool:
        """Whether the last transaction was begun, and no end of it was called."""
        held = {columns[2][-1] for columns in self.ranges.values() if columns[2]}
        last = len(self.numbers) - 1
        return last >= 0 and self.states[last] == UNCALLED and last not in held

    def _called_us(self, states: U8, *, torn: bool) -> I64:
        """When each commit was called, as far as the log as it is can say so."""
        called_us = np.array(self.commit_called_us, dtype=np.int64)
        unknown = states == UNRECORDED
        if self.damage:
            unknown |= called_us == NEVER_US
        elif torn and len(called_us):
            # The line that is torn may have been the one that calls its commit.
            unknown[-1] |= called_us[-1] == NEVER_US
        if not self.steady:
            unknown[:] = True
        called_us[unknown] = NOT_KNOWN_US
        return called_us


_STEPS: Final = frozenset(
    ("begin", "commit_called", "committed", "abort_called", "aborted", "unknown")
)
_END_STATES: Final = {"committed": COMMITTED, "aborted": ABORTED}


def _whole(value: object) -> int:
    """A number that a step holds. Raises TypeError for anything else, and for what is below 0."""
    if type(value) is not int or value < 0:
        raise TypeError(value)
    return value


def _key(key: str) -> tuple[int, int]:
    topic, _, partition = key.partition(":")
    return int(topic), int(partition)


def read_transactions(lines: Iterable[bytes]) -> TransactionLog:
    """Read the lines of a txn.ndjson, as far as they can be read.

    A last line that breaks off is torn; any other line that is no step is damage, which the log
    names.
    """
    reader = _Reader()
    bad: list[int] = []
    torn = False
    for number, line in enumerate(lines, 1):
        torn = not line.endswith(b"\n")
        try:
            reader.take(line)
            torn = False
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            if not torn:
                bad.append(number)
    if bad:
        count = "1 line of it is no step" if len(bad) == 1 else f"{len(bad)} lines are no steps"
        reader.note(f"{count} that can follow on those before, such as line {bad[0]}")
    return reader.log(torn=torn)
