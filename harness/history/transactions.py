"""The transactions of a history: which records each holds, how it ended, and what that means.

how it ended                         its records
committed                            acked
aborted                              failed
commit called, or an unknown end     unknown
never ended                          unknown
no step is recorded                  unknown
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from harness.anomalies import needing
from harness.anomaly_record import Needs
from harness.arrays import I64, U8
from harness.errors import UsageError
from harness.history.event_tables import History
from harness.history.events import ABORT_CALLED as END_ABORT_CALLED
from harness.history.events import ABORTED as END_ABORTED
from harness.history.events import BEGIN, UNKNOWN_END
from harness.history.events import COMMIT_CALLED as CALLED
from harness.history.events import COMMITTED as END_COMMITTED
from harness.history.lines import Refusals
from harness.history.steps import check_steps
from harness.rundir.clock import NEVER_US
from harness.rundir.columns import ACKED_NO_OFFSET, FAILED, UNKNOWN
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

NOT_ATTEMPTED: Final = -2
"""Stands where a cell was read and never attempted."""
_ENDS: Final = np.zeros(5, dtype=np.uint8)
_ENDS[[UNCALLED, UNDECIDED, UNRECORDED]] = UNKNOWN
_ENDS[COMMITTED] = ACKED_NO_OFFSET
_ENDS[ABORTED] = FAILED
"""State of a transaction → state of its records."""


@dataclass(slots=True)
class _Producer:
    numbers: I64
    states: U8
    called_us: I64
    begun_us: I64
    ended_us: I64
    last_step_us: int | None
    ranges: dict[tuple[int, int], Ranges] = field(default_factory=dict)


class Transactions:
    """The transactions of every producer of a history."""

    def __init__(self, history: History, refusals: Refusals) -> None:
        """Raises UsageError for steps that contradict each other."""
        self._topics = history.topics
        self._of: dict[int, _Producer] = {}
        steps, attempts = history.steps, history.attempts
        taken = check_steps(history, refusals)
        producer, transaction, step, at_us = (
            column[taken] for column in steps.take("producer", "transaction", "step", "at_us")
        )
        within = attempts.column("transaction") >= 0
        attempted_by = attempts.column("producer")[within]
        attempted_in = attempts.column("transaction")[within]
        for each in np.union1d(producer, attempted_by).tolist():
            mine = producer == each
            numbers = np.union1d(transaction[mine], attempted_in[attempted_by == each])
            self._of[each] = _log(numbers, transaction[mine], step[mine], at_us[mine])
            if history.unsteady:
                log = self._of[each]
                log.called_us[log.called_us != NEVER_US] = NOT_KNOWN_US
        self._note_unrecorded(history)

    def _note_unrecorded(self, history: History) -> None:
        """Say what the steps of transactions leave open."""
        unrecorded = uncalled = 0
        for log in self._of.values():
            unrecorded += int(np.count_nonzero(log.states == UNRECORDED))
            unknown = (log.called_us == NOT_KNOWN_US) & (log.states != UNRECORDED)
            uncalled += 0 if history.unsteady else int(np.count_nonzero(unknown))
        if unrecorded:
            what = "1 transaction" if unrecorded == 1 else f"{unrecorded} transactions"
            reason = f"no step of {what} is on record that attempts name"
            history.blind |= dict.fromkeys(needing(Needs.TRANSACTION_LOG), reason)
        if uncalled:
            what = "1 commit" if uncalled == 1 else f"{uncalled} commits"
            history.blind.setdefault(
                "precommitted_read", f"the call of {what} is not on record, only the outcome"
            )

    def take(self, key: tuple[int, int, int], within: I64, sequences: I64) -> U8:
        """Note which cells of a producer's topic-partition belong to which transaction.

        within: (n,) number of each cell's transaction, -1 for an attempt outside of any, -2 where
        nothing was attempted; sequences: (n,) their own numbers. Returns (n,) the state that the
        end of its transaction gives to each cell.
        Raises UsageError when two transactions of the producer overlap.
        """
        mine = self._of[key[0]]
        # A cell that was only read lies between attempts, and belongs to what surrounds it.
        attempted = np.flatnonzero(within > NOT_ATTEMPTED)
        starts = np.flatnonzero(np.diff(within[attempted], prepend=NOT_ATTEMPTED))
        ends = np.append(starts[1:], len(attempted)) - 1
        order = within[attempted[starts]]
        firsts, lasts = attempted[starts][order >= 0], attempted[ends][order >= 0]
        order = order[order >= 0]
        if len(np.unique(order)) < len(order):
            seen: set[int] = set()
            for number, first in zip(order.tolist(), firsts.tolist(), strict=True):
                if number in seen:
                    name = f"{self._topics[key[1]]}-{key[2]}"
                    raise UsageError(
                        f"--history: transaction {number} of producer {key[0]} goes on at sequence "
                        f"{int(sequences[first])} of {name}, after records outside of it; "
                        "expected one transaction of a producer after the other."
                    )
                seen.add(number)
        positions = np.searchsorted(mine.numbers, order).astype(np.int32)
        mine.ranges[key[1:]] = Ranges(firsts, lasts, positions)
        states = np.zeros(len(within), dtype=np.uint8)
        inside = np.flatnonzero(within >= 0)
        states[inside] = _ENDS[mine.states[np.searchsorted(mine.numbers, within[inside])]]
        return states

    def logs(self) -> dict[int, TransactionLog]:
        """What reconciling takes, by producer."""
        return {
            producer: TransactionLog(
                numbers=each.numbers,
                states=each.states,
                commit_called_us=each.called_us,
                ranges=each.ranges,
                last_step_us=each.last_step_us,
                begun_us=each.begun_us,
                ended_us=each.ended_us,
            )
            for producer, each in self._of.items()
        }


def _log(numbers: I64, transaction: I64, step: I64, at_us: I64) -> _Producer:
    """States by the steps, of which a later one says more than an earlier one."""
    states = np.full(len(numbers), UNRECORDED, dtype=np.uint8)
    called_us = np.full(len(numbers), NEVER_US, dtype=np.int64)
    indices = np.searchsorted(numbers, transaction)
    states[indices] = UNCALLED
    called = step == CALLED
    np.minimum.at(called_us, indices[called], at_us[called])
    states[indices[called]] = UNDECIDED
    states[indices[step == END_COMMITTED]] = COMMITTED
    states[indices[step == END_ABORTED]] = ABORTED
    begun_us, ended_us = np.zeros(len(numbers), np.int64), np.zeros(len(numbers), np.int64)
    begun_us[indices[step == BEGIN]] = at_us[step == BEGIN]
    ended = (step == END_COMMITTED) | (step == END_ABORTED) | (step == UNKNOWN_END)
    ended_us[indices[ended]] = at_us[ended]
    # Of an end whose call is not on record, it is not known when the commit was called.
    end_called = np.zeros(len(numbers), dtype=np.bool_)
    end_called[indices[called | (step == END_ABORT_CALLED)]] = True
    silent = np.zeros(len(numbers), dtype=np.bool_)
    silent[indices[(step == END_COMMITTED) | (step == UNKNOWN_END)]] = True
    silent &= ~end_called
    states[silent & (states == UNCALLED)] = UNDECIDED
    called_us[silent | (states == UNRECORDED)] = NOT_KNOWN_US
    last_us = int(at_us.max()) if len(at_us) else None
    return _Producer(numbers, states, called_us, begun_us, ended_us, last_us)
