"""ledger/<incarnation>.txn.ndjson: the steps of a producer's transactions, one a line.

    {"txn": number, "step": STEP, "at_us": µs, "ranges": {"<topic>:<partition>": [first, last]}}

A step is begin, commit_called, committed, abort_called, aborted or unknown. It is written before
the call that it names, a result after it. `ranges` are the sequences that the transaction holds, by
topic index and partition; they are there from the call of its end on.

No client library is imported here.
"""

from __future__ import annotations

import json
import os
from array import array
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from harness.arrays import I64, U8
from harness.rundir.clock import NEVER_US
from harness.rundir.transactions import (
    ABORTED,
    COMMITTED,
    NOT_KNOWN_US,
    UNCALLED,
    UNDECIDED,
    UNRECORDED,
    Ranges,
    TransactionLog,
)
from harness.system.disk import Appender

SentRanges: TypeAlias = dict[tuple[int, int], tuple[int, int]]
"""(topic index, partition) → first and last sequence"""


class TransactionLogWriter:
    """ledger/<incarnation>.txn.ndjson: one line a step, before the call or after its result.

    A step that cannot be written raises EnvironmentFailure, so that its call is not made; no line
    is written in part, and none after it.
    """

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._file = Appender(
            descriptor, f"{path}: the disk is full, and a step of a transaction is not on record."
        )

    def write(self, txn: int, step: str, at_us: int, ranges: SentRanges | None = None) -> None:
        """One step of transaction `txn`; `ranges`: first and last sequence by topic-partition."""
        line: dict[str, Any] = {"txn": txn, "step": step, "at_us": at_us}
        if ranges is not None:
            line["ranges"] = {
                f"{topic}:{partition}": list(both) for (topic, partition), both in ranges.items()
            }
        self._file.append(json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        os.close(self._file.descriptor)


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
