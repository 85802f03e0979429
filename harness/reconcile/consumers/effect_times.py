"""In which stretch of time an anomaly of consumers came about: what caused it lies inside.

A further effect came about between the effect before it and itself; a record that no member
processed between its being handed over and the last that is known of the member that had it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from harness.arrays import I64, Bools
from harness.reconcile.consumers.reprocessed import Work
from harness.rundir.member_journal import Journal, Step

_LATEST: Final = int(np.iinfo(np.int64).max)


def further_effects(works: Sequence[Work]) -> tuple[I64, I64]:
    """Of each effect beyond the first of its record: the instant of the one before, and its own."""
    offsets = np.concatenate([work.offsets for work in works])
    done_us = np.concatenate([work.done_us for work in works])
    order = np.lexsort((done_us, offsets))
    further = np.flatnonzero(np.diff(offsets[order], prepend=-1) == 0)
    return done_us[order][further - 1], done_us[order][further]


def effects_again(works: Sequence[Work], again: Iterable[Bools]) -> tuple[I64, I64]:
    """Of the effects that `again` chooses, member by member: the record's first one, and itself."""
    offsets = np.concatenate([work.offsets for work in works])
    done_us = np.concatenate([work.done_us for work in works])
    chosen = np.concatenate(list(again))
    order = np.lexsort((done_us, offsets))
    distinct, firsts = np.unique(offsets[order], return_index=True)
    first_us = done_us[order][firsts][np.searchsorted(distinct, offsets)]
    return first_us[chosen], done_us[chosen]


def handled(
    journals: Iterable[Journal], topic: int, partition: int, offsets: I64, step: Step
) -> tuple[I64, I64]:
    """Of each record (sorted offsets): when a member first came to this step with it, and when one
    last did; −1 where none did. Of a member that died with it, the last is its last sign of life.
    """
    first = np.full(len(offsets), _LATEST, dtype=np.int64)
    last = np.full(len(offsets), -1, dtype=np.int64)
    for journal in journals if len(offsets) else ():
        entries = journal.entries
        there = (entries["step"] == step) & (entries["topic"] == topic)
        there &= (entries["partition"] == partition) & np.isin(entries["offset"], offsets)
        if not there.any():
            continue
        at_us = np.asarray(entries["at_us"][there], dtype=np.int64)
        index = np.searchsorted(offsets, np.asarray(entries["offset"][there], dtype=np.int64))
        np.minimum.at(first, index, at_us)
        if not bool((entries["step"] == Step.CLOSED).any()):
            at_us = np.full(len(index), int(entries["at_us"][-1]), dtype=np.int64)
        np.maximum.at(last, index, at_us)
    return np.where(last < 0, np.int64(-1), first), last
