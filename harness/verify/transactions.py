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
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

I64: TypeAlias = npt.NDArray[np.int64]
U8: TypeAlias = npt.NDArray[np.uint8]
Bools: TypeAlias = npt.NDArray[np.bool_]

UNCALLED: Final = 0
UNDECIDED: Final = 1
COMMITTED: Final = 2
ABORTED: Final = 3

NEVER_US: Final = np.iinfo(np.int64).max
"""The instant of a commit that was never called: later than every other."""


@dataclass(slots=True)
class Ranges:
    """The ranges of one topic-partition, sorted, and what reconciling finds in them.

    firsts, lasts: (n,) int64 sequences, inclusive; transactions: (n,) int64 positions in the log.
    members: how many attempts of each range were not refused; drained, live: how many of those
    each observation set holds; gaps: how many of the range are a gap if it was committed. All
    (n,) int64.
    """

    firsts: I64
    lasts: I64
    transactions: I64
    members: I64 = field(init=False)
    drained: I64 = field(init=False)
    live: I64 = field(init=False)
    gaps: I64 = field(init=False)
    gap_samples: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("members", "drained", "live", "gaps"):
            setattr(self, name, np.zeros(len(self.firsts), dtype=np.int64))

    def tally(self, into: I64, first: int, present: Bools) -> None:
        """Add to `into` how many cells of each range are present, of those from `first` on."""
        count = len(present)
        lo = int(np.searchsorted(self.lasts, first, side="left"))
        hi = int(np.searchsorted(self.firsts, first + count, side="left"))
        if lo >= hi:
            return
        begin = np.clip(self.firsts[lo:hi] - first, 0, count)
        end = np.clip(self.lasts[lo:hi] + 1 - first, 0, count)
        summed = np.zeros(count + 1, dtype=np.int64)
        np.cumsum(present, out=summed[1:])
        into[lo:hi] += summed[end] - summed[begin]

    def of_sequences(self, sequences: I64) -> I64:
        """Which range each sequence lies in; -1 for none."""
        if not len(self.firsts):
            return np.full(len(sequences), -1, dtype=np.int64)
        found = np.searchsorted(self.firsts, sequences, side="right") - 1
        inside = (found >= 0) & (sequences <= self.lasts[found])
        return np.where(inside, found, np.int64(-1))


@dataclass(slots=True)
class TransactionLog:
    """One incarnation's transactions in the order they began.

    numbers, states, commit_called_us: one element a transaction; NEVER_US where commit was never
    called. `torn` is set when the file ends within a line: its writer died there.
    """

    numbers: I64
    states: U8
    commit_called_us: I64
    ranges: dict[tuple[int, int], Ranges]
    last_step_us: int | None = None
    torn: bool = False

    def __len__(self) -> int:
        return len(self.numbers)

    def untallied(self) -> TransactionLog:
        """The same log with nothing counted into its ranges yet."""
        ranges = {
            key: Ranges(each.firsts, each.lasts, each.transactions)
            for key, each in self.ranges.items()
        }
        return replace(self, ranges=ranges)

    def ranges_of(self, topic: int, partition: int) -> Ranges:
        """The ranges of a topic-partition; empty where no transaction touched it."""
        key = (topic, partition)
        if key not in self.ranges:
            none = np.zeros(0, dtype=np.int64)
            self.ranges[key] = Ranges(none, none, none)
        return self.ranges[key]


class _Transaction:
    __slots__ = ("commit_called_us", "ranges", "state")

    def __init__(self) -> None:
        self.state = UNCALLED
        self.commit_called_us = int(NEVER_US)
        self.ranges: dict[str, Any] = {}


def read_transactions(lines: Iterable[bytes | str]) -> TransactionLog:
    """Read the lines of a txn.ndjson.

    Raises ValueError naming the line when a line other than a torn last one is no such step.
    """
    known: dict[int, _Transaction] = {}
    last_step_us: int | None = None
    torn_at: int | None = None
    for number, line in enumerate(lines, 1):
        if torn_at is not None:
            raise ValueError(f"line {torn_at} is no JSON object with txn, step and at_us")
        try:
            step = json.loads(line)
            transaction = known.setdefault(int(step["txn"]), _Transaction())
            at_us = int(step["at_us"])
            _take(transaction, str(step["step"]), at_us, step.get("ranges"))
        except (ValueError, KeyError, TypeError, AttributeError):
            torn_at = number
            continue
        last_step_us = at_us if last_step_us is None else max(last_step_us, at_us)
    return _assemble(known, last_step_us, torn=torn_at is not None)


def _take(transaction: _Transaction, step: str, at_us: int, ranges: Any) -> None:
    if ranges:
        transaction.ranges = dict(ranges)
    if step == "commit_called":
        transaction.commit_called_us = min(transaction.commit_called_us, at_us)
        transaction.state = UNDECIDED
    elif step == "committed":
        transaction.state = COMMITTED
    elif step == "aborted":
        transaction.state = ABORTED
    elif step not in ("begin", "abort_called", "unknown"):
        raise ValueError(step)


def _assemble(
    known: dict[int, _Transaction], last_step_us: int | None, *, torn: bool
) -> TransactionLog:
    rows: defaultdict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
    for position, transaction in enumerate(known.values()):
        for key, (first, last) in transaction.ranges.items():
            topic, _, partition = key.partition(":")
            if int(last) >= int(first):
                rows[int(topic), int(partition)].append((int(first), int(last), position))
    ranges: dict[tuple[int, int], Ranges] = {}
    for where, found in rows.items():
        table = np.array(sorted(found), dtype=np.int64)
        ranges[where] = Ranges(table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy())
    transactions = known.values()
    return TransactionLog(
        numbers=np.array(list(known), dtype=np.int64),
        states=np.array([each.state for each in transactions], dtype=np.uint8),
        commit_called_us=np.array([each.commit_called_us for each in transactions], dtype=np.int64),
        ranges=ranges,
        last_step_us=last_step_us,
        torn=torn,
    )
