"""A producer incarnation's transactions: what was begun, committed, aborted, and by which records.

Source: ledger/<incarnation>.txn.ndjson, one line a step; transaction_steps.py writes and reads it.
A transaction's state follows from its last step:

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

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from harness.arrays import I32, I64, U8, Bools
from harness.rundir.clock import NEVER_US

UNCALLED: Final = 0
UNDECIDED: Final = 1
COMMITTED: Final = 2
ABORTED: Final = 3
UNRECORDED: Final = 4

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
