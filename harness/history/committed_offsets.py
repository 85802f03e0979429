"""What a group had committed in the end, as far as the commits of its members show.

Where no coordinator was asked, it is the last confirmed commit. The order of one member's lines is
the order; between members only what is certainly later counts, as in
reconcile/consumers/entry_times.py. A commit of unknown outcome may be the last one as well.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from harness.arrays import U8
from harness.reconcile.consumers.entry_times import span_of
from harness.reconcile.consumers.member_reading import by_partition, of_step
from harness.rundir.member_journal import Journal, Step

Key: TypeAlias = tuple[int, int]
Candidates: TypeAlias = list[tuple[int, int, int, bool]]
"""(offset, earliest and latest instant, whether it was confirmed)"""


def last_commits(
    journals: list[Journal], topics: list[int]
) -> tuple[dict[Key, int], dict[Key, int]]:
    """(at least, at most): between which offsets each partition's last commit is.

    Where both are the same, it is certain.
    """
    found: dict[Key, Candidates] = {}
    for journal in journals:
        span = span_of(journal.entries)
        for topic in topics:
            for partition, indices in by_partition(journal.entries, topic):
                steps = np.asarray(journal.entries["step"])[indices]
                for index in _last(steps):
                    at = int(indices[index])
                    found.setdefault((topic, partition), []).append(
                        (
                            int(journal.entries["offset"][at]),
                            int(span.earliest[at]),
                            int(span.latest[at]),
                            bool(steps[index] == Step.COMMITTED),
                        )
                    )
    least, most = {}, {}
    for key, candidates in found.items():
        offsets = [each[0] for each in candidates if not _surpassed(each, candidates)]
        least[key], most[key] = min(offsets), max(offsets)
        if not any(each[3] for each in candidates):
            least[key] = 0
    return least, most


def _last(steps: U8) -> list[int]:
    """The indices of a member's last confirmed commit of a partition, and of what came after it
    and may have been carried out: commits of unknown outcome, and one that nothing answered."""
    confirmed = np.flatnonzero(steps == Step.COMMITTED)
    last = int(confirmed[-1]) if len(confirmed) else -1
    answered = np.flatnonzero(
        of_step(steps, Step.COMMITTED, Step.COMMIT_FAILED, Step.COMMIT_UNKNOWN)
    )
    unknown = np.flatnonzero(steps == Step.COMMIT_UNKNOWN)
    called = np.flatnonzero(steps == Step.COMMIT_CALLED)
    open_ = called[called > (answered[-1] if len(answered) else -1)]
    chosen = [last] if last >= 0 else []
    return [*chosen, *unknown[unknown > last].tolist(), *open_.tolist()]


def _surpassed(each: tuple[int, int, int, bool], candidates: Candidates) -> bool:
    """Whether a confirmed commit of another member is certainly later."""
    return any(other[3] and other[1] > each[2] for other in candidates)
