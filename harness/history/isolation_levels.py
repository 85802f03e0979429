"""The isolation level of each reading, and the readings that are set aside because of it.

A read_uncommitted reader is handed the records of transactions that are open or aborted. So such
a record is no anomaly, and what such a reader got shows nothing that a read_committed one would
get. What is set aside is in neither set of observations: it accounts for its offset, and it
contradicts what else is said of that offset.
"""

from __future__ import annotations

from typing import Final, TypeAlias, TypeVar

import numpy as np

from harness.arrays import I64, Bools
from harness.errors import UsageError
from harness.history.event_tables import History
from harness.history.events import COMMITTED, ISOLATIONS
from harness.profiles import DeliveryProfile
from harness.rundir.columns import FAILED

Key: TypeAlias = tuple[int, int]
Said = TypeVar("Said")

UNSAID: Final = -1
READ_UNCOMMITTED: Final = ISOLATIONS["read_uncommitted"]
READ_COMMITTED: Final = ISOLATIONS["read_committed"]
_IDENTITY: Final = ("producer", "topic", "partition", "sequence")


def level_of(profile: DeliveryProfile) -> int:
    """The level at which the profile's consumer reads; read_committed where it says none."""
    said = profile.consumer.get("isolation.level")
    return READ_UNCOMMITTED if said == "read_uncommitted" else READ_COMMITTED


def written_in_transactions(history: History, profile: DeliveryProfile) -> set[int]:
    """The topics of which offsets may be taken by markers and aborted records."""
    within = history.attempts.column("transaction") >= 0
    topics = set(np.unique(history.attempts.column("topic")[within]).tolist())
    if profile.producer.get("transactional.id") and profile.consume is None:
        topics |= set(range(len(history.topics)))
    return topics


def set_aside(history: History, profile: DeliveryProfile) -> Bools:
    """Which observations are set aside; (n,) in the order of the lines.

    Puts each `drain` and `reading` line where its level belongs. Raises UsageError where two drain
    lines of one level contradict each other.
    """
    level, written = level_of(profile), written_in_transactions(history, profile)
    _settle_lines(history, level, written)
    reads = history.reads
    said = reads.column("isolation")
    said = np.where(said == UNSAID, level, said)
    reads.put("isolation", said)
    chosen: Bools = said == READ_UNCOMMITTED
    chosen &= np.isin(reads.column("topic"), np.array(sorted(written), dtype=np.int64))
    rows = np.flatnonzero(chosen)
    if len(rows):
        uncommitted, refused = _by_attempt(history, rows)
        # What its client never sent is in no transaction of which the level could speak.
        chosen[rows[refused]] = False
        if level == READ_UNCOMMITTED:
            # What a read_committed reader was handed there too is of no open or aborted one.
            records = _records(history)
            shown = np.isin(records, records[~chosen])
            chosen[rows[~uncommitted]] = False
            chosen[shown] = False
    return chosen


def _records(history: History) -> I64:
    """A number for each record at its offset: equal where two lines are about the same one."""
    reads = history.reads
    columns = [reads.column(name) for name in ("topic", "partition", "offset")]
    columns += [_home(history, name) for name in _IDENTITY]
    _, codes = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    return np.asarray(codes.reshape(-1), dtype=np.int64)


def _by_attempt(history: History, rows: I64) -> tuple[Bools, Bools]:
    """Of each reading: whether its attempt is in a transaction that is not known to be committed;
    whether the attempt's own outcome is `failed`."""
    attempts, outcomes, reads = history.attempts, history.outcomes, history.reads
    sent = np.stack(attempts.take(*_IDENTITY), axis=1)
    settled = np.flatnonzero(outcomes.column("state") == FAILED)
    decided = np.stack(outcomes.take(*_IDENTITY), axis=1)[settled]
    read = np.stack([_home(history, name)[rows] for name in _IDENTITY], axis=1)
    _, codes = np.unique(np.concatenate([sent, decided, read]), axis=0, return_inverse=True)
    of_sent, of_outcomes, of_read = np.split(
        codes.reshape(-1), [len(sent), len(sent) + len(decided)]
    )
    uncommitted = np.zeros(len(codes), dtype=np.bool_)
    refused = np.zeros(len(codes), dtype=np.bool_)
    steps = history.steps
    ended = np.flatnonzero(steps.column("step") == COMMITTED)
    pairs = zip(*(column[ended].tolist() for column in steps.take("producer", "transaction")),
                strict=True)  # fmt: skip
    committed = set(pairs)
    within = np.flatnonzero(attempts.column("transaction") >= 0)
    names = (column[within].tolist() for column in attempts.take("producer", "transaction"))
    open_ = [pair not in committed for pair in zip(*names, strict=True)]
    uncommitted[of_sent[within]] = open_
    refused[of_sent[attempts.column("state") == FAILED]] = True
    refused[of_outcomes] = True
    intact = reads.column("producer")[rows] >= 0
    return uncommitted[of_read] & intact, refused[of_read] & intact


def _home(history: History, name: str) -> I64:
    """Where an observation's identity says that it belongs."""
    column = history.reads.column(name)
    if name not in ("topic", "partition"):
        return column
    sent = history.reads.column(f"sent_{name}")
    return np.where(sent >= 0, sent, column)


def _settle_lines(history: History, level: int, written: set[int]) -> None:
    """`drain` and `reading` lines: those of the level that is judged, and those set aside."""
    for key in sorted({key for found in history.drains_at.values() for key in found}):
        drains, other = _by_level(history.drains_at, key, level)
        if len(drains) == 2 and drains[0] != drains[1]:
            raise UsageError(
                f"--history: two drain lines say different things about "
                f"{history.topics[key[0]]}-{key[1]}, one with `isolation` and one without, which "
                "is the same level in this profile; expected one drain line a topic-partition and "
                "level."
            )
        if other is not None and level == READ_COMMITTED and key[0] in written:
            history.drains_aside[key], other = other, None
        if not drains and other is not None:
            drains = [other]
        if drains:
            history.drains[key] = drains[0]
    for key in sorted({key for found in history.began_at.values() for key in found}):
        starts, start = _by_level(history.began_at, key, level)
        if start is not None and level == READ_COMMITTED and key[0] in written:
            history.began_aside[key], start = start, None
        if not starts and start is not None:
            starts = [start]
        if starts:
            history.began[key] = min(starts)


def _by_level(
    said: dict[int, dict[Key, Said]], key: Key, level: int
) -> tuple[list[Said], Said | None]:
    """What lines say of a topic-partition at a level or at none, and at the other level."""
    mine = [found[key] for each in (UNSAID, level) if key in (found := said.get(each, {}))]
    return mine, said.get(READ_COMMITTED + READ_UNCOMMITTED - level, {}).get(key)
