"""Every attempt of a group's member to commit an offset of one partition, and when it took place.

An attempt that was confirmed was carried out between its call and its confirmation. Any other one,
refused or not, may have been carried out at any time after its call: a refusal may answer a retry
whose first copy was carried out. What a client commits in the background is not on record as a
call, so every position of such a member may have been committed at any time.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from harness.arrays import I64, Rows
from harness.reconcile.consumers.entry_times import BEFORE_ALL, NEVER, Span
from harness.reconcile.consumers.member_reading import TURNS, of_step
from harness.rundir.member_journal import SYNCHRONOUS, Entries, Step

ATTEMPT: Final = np.dtype(
    [
        ("offset", "<i8"),
        ("begun", "<i8"),
        ("ended", "<i8"),
        ("earliest_us", "<i8"),
        ("latest_us", "<i8"),
        ("confirmed", "?"),
        ("called", "?"),
        ("position", "?"),
    ]
)
"""begun, ended: entry numbers in the journal of the call, where one is on record, else of the
answer, and of the answer; earliest_us, latest_us: between which instants it was carried out;
confirmed: it certainly was; called: it is known when it was called at the earliest; position:
nothing says that it was made, but the client may have made it in the background."""
_ANSWERS: Final = (Step.COMMITTED, Step.COMMIT_FAILED, Step.COMMIT_UNKNOWN)


def attempts_of(
    entries: Entries, indices: I64, span: Span, *, background: bool | None = None
) -> Rows:
    """(n,) rows of dtype ATTEMPT, in the order of the journal.

    entries, span: of the whole journal; indices: of the entries of the partition;
    background: whether the client commits by itself, None where only the entries can tell.
    """
    mine = entries[indices]
    steps = np.asarray(mine["step"])
    offsets = np.asarray(mine["offset"], dtype=np.int64)
    answers = np.flatnonzero(of_step(steps, *_ANSWERS))
    calls = np.flatnonzero(steps == Step.COMMIT_CALLED)
    call = _calls_of(calls, answers, offsets)
    known = call >= 0
    waited = (np.asarray(mine["flags"])[answers] & SYNCHRONOUS) != 0
    begun = np.where(known, call, answers)
    made = _rows(offsets, indices, answers)
    made["begun"] = indices[begun]
    made["confirmed"] = steps[answers] == Step.COMMITTED
    made["called"] = known | waited
    made["earliest_us"] = np.where(
        known,
        span.earliest[indices[begun]],
        np.where(waited, _turned_us(entries, span, indices[answers]), BEFORE_ALL),
    )
    made["latest_us"] = np.where(made["confirmed"], span.latest[indices[answers]], NEVER)
    open_ = _rows(offsets, indices, calls[~np.isin(calls, call)])
    open_["called"] = True
    open_["earliest_us"] = span.earliest[open_["begun"]]
    found = [made, open_]
    if background is None:
        background = bool((~waited & ~known).any() or (steps == Step.STORED).any())
    if background:
        reached = np.flatnonzero(of_step(steps, Step.POLLED, Step.STORED))
        positions = _rows(offsets + (steps == Step.POLLED), indices, reached)
        positions["position"] = True
        found.append(positions)
    rows = np.concatenate(found)
    return np.asarray(rows[np.argsort(rows["ended"], kind="stable")])


def _rows(offsets: I64, indices: I64, chosen: I64) -> Rows:
    """Attempts that nothing is known of but their entries: they may be carried out at any time."""
    rows = np.zeros(len(chosen), dtype=ATTEMPT)
    rows["offset"] = offsets[chosen]
    rows["begun"] = rows["ended"] = indices[chosen]
    rows["earliest_us"], rows["latest_us"] = BEFORE_ALL, NEVER
    return rows


def _calls_of(calls: I64, answers: I64, offsets: I64) -> I64:
    """The entry of the call that each answer answers: the last one before it, when it is of the
    same offset; -1 for none."""
    if not len(calls):
        return np.full(len(answers), -1, dtype=np.int64)
    at = np.searchsorted(calls, answers) - 1
    call = np.where(at >= 0, calls[np.maximum(at, 0)], -1)
    same = offsets[np.maximum(call, 0)] == offsets[answers]
    return np.where((call >= 0) & same, call, -1)


def _turned_us(entries: Entries, span: Span, indices: I64) -> I64:
    """When a call without its own entry was made at the earliest.

    A member that waits for the answer is handed nothing meanwhile and takes part in no rebalance,
    so the last hand-over or rebalance before the answer was before the call.
    """
    turns = np.flatnonzero(of_step(np.asarray(entries["step"]), Step.POLLED, *TURNS))
    if not len(turns):
        return np.full(len(indices), BEFORE_ALL, dtype=np.int64)
    at = np.searchsorted(turns, indices) - 1
    since = span.earliest[turns[np.maximum(at, 0)]]
    return np.where(at >= 0, since, BEFORE_ALL)
