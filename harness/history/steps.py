"""Whether the steps of a history's transactions can be so: in their order, and by their instants.

The steps of one transaction are in the order in which they were made. What cannot follow on what
comes before it contradicts it, and is refused. Instants that run backward contradict nothing but
the clock: it was set, or there were several, and nothing is concluded from any instant then.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from harness.anomalies import needing
from harness.anomaly_record import Needs
from harness.arrays import I64, Bools
from harness.history.event_tables import History
from harness.history.events import (
    ABORT_CALLED,
    ABORTED,
    BEGIN,
    COMMIT_CALLED,
    COMMITTED,
    STEPS,
)
from harness.history.lines import LineProblem, Refusals

_NAMES: Final = {code: name for name, code in STEPS.items()}


def check_steps(history: History, refusals: Refusals) -> Bools:
    """Which steps are taken; notes in the history when its clock cannot have been one.

    Raises UsageError, naming the line, for a step that contradicts those before it, unless such
    lines are left out.
    """
    producer, transaction, step, at_us = history.steps.take(
        "producer", "transaction", "step", "at_us"
    )
    taken = np.ones(len(step), dtype=np.bool_)
    if not len(step):
        return taken
    order = np.lexsort((np.arange(len(step)), transaction, producer))
    producer, transaction = producer[order], transaction[order]
    step, at_us = step[order], at_us[order]
    first = np.ones(len(step), dtype=np.bool_)
    first[1:] = (producer[1:] != producer[:-1]) | (transaction[1:] != transaction[:-1])
    starts = np.flatnonzero(first)[np.cumsum(first) - 1]
    ended = _before((step == COMMITTED) | (step == ABORTED), starts)
    aborting = _before(step == ABORT_CALLED, starts) & ~_before(step == COMMIT_CALLED, starts)
    bad = ended | ((step == BEGIN) & ~first) | ((step == COMMITTED) & aborting)
    for index in np.flatnonzero(bad).tolist():
        row = int(order[index])
        said = _NAMES[int(step[index])]
        name = f"transaction {int(transaction[index])} of producer {int(producer[index])}"
        if ended[index]:
            before = "it had been committed or aborted"
            expected = "no step after the end; a later transaction has another number"
        elif step[index] == BEGIN:
            before = "other steps of it stand before"
            expected = "begin first and once; a later transaction has another number"
        else:
            before = "only an abort of it had been called"
            expected = "commit_called before committed"
        where = history.where(
            int(history.steps.column("file")[row]), int(history.steps.column("line")[row])
        )
        refusals.refuse(where, LineProblem("step", f"{said}, but {before} ({name})", expected))
        taken[row] = False
    backward = ~first[1:] & (at_us[1:] < at_us[:-1]) & ~bad[1:] & ~bad[:-1]
    if backward.any():
        index = int(np.flatnonzero(backward)[0]) + 1
        row = int(order[index])
        where = history.where(
            int(history.steps.column("file")[row]), int(history.steps.column("line")[row])
        )
        distrust(
            history,
            f"{_NAMES[int(step[index])]} of transaction {int(transaction[index])} of producer "
            f"{int(producer[index])} has an earlier instant than the step before it ({where})",
        )
    return taken


def distrust(history: History, found: str) -> None:
    """Note that instants of this history are not of one steady clock."""
    history.unsteady = True
    reason = f"its instants are of no steady clock: {found}"
    for anomaly in needing(Needs.CLOCK):
        history.blind.setdefault(anomaly, reason)


def _before(marked: Bools, starts: I64) -> Bools:
    """Whether a marked row comes before each row, at or after the start of its group."""
    counted = np.concatenate([[0], np.cumsum(marked)])
    return np.asarray(counted[np.arange(len(marked))] > counted[starts], dtype=np.bool_)
