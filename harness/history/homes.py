"""Attempts whose partition was not known when they were sent: where they belong.

what the history says                       the partition of the attempt
its outcome names one                       that one
its outcome names none, and it was read     the one at which the first line of a reading has it
neither                                     not known: it stands in a place of its own, of which
                                            nothing is proven
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from harness.history.tables import INTACT, History

I64: TypeAlias = npt.NDArray[np.int64]

NOT_KNOWN = "{} (partition not known)"
"""What stands in place of a topic where no line says the partition."""


def find_homes(history: History) -> None:
    """Give each attempt without a partition the one that later lines say, and these lines too."""
    attempts, outcomes, reads = history.attempts, history.outcomes, history.reads
    loose = np.flatnonzero(attempts.column("partition") < 0)
    if not len(loose):
        if len(outcomes):
            # An outcome without a partition is one of no attempt, and refused as such.
            outcomes.put("partition", np.maximum(outcomes.column("partition"), 0))
        return
    history.homes_found = True
    names = ("producer", "topic", "sequence")
    sent = np.stack([attempts.column(name)[loose] for name in names], axis=1)
    told = np.stack([outcomes.column(name) for name in names], axis=1)
    read = np.stack([reads.column(name) for name in names], axis=1)
    identities = np.concatenate([sent, told, read])
    _, codes = np.unique(identities, axis=0, return_inverse=True)
    codes = codes.reshape(-1)
    of_sent, of_told, of_read = np.split(codes, [len(sent), len(sent) + len(told)])
    home = np.full(int(codes.max()) + 1, -1, dtype=np.int64)
    is_loose = np.zeros(len(home), dtype=np.bool_)
    is_loose[of_sent] = True
    at_home = (reads.column("content") == INTACT) & (reads.column("sent_topic") < 0)
    at_home &= (reads.column("sent_partition") < 0) & is_loose[of_read]
    rows = np.flatnonzero(at_home)[::-1]
    home[of_read[rows]] = reads.column("partition")[rows]
    acked_in = outcomes.column("partition")
    says = np.flatnonzero(acked_in >= 0)
    home[of_told[says]] = acked_in[says]
    unknown = home < 0
    _move(history, "attempts", loose, home[of_sent], unknown[of_sent])
    mine = np.flatnonzero(is_loose[of_told])
    _move(history, "outcomes", mine, home[of_told[mine]], unknown[of_told[mine]])
    rest = np.maximum(outcomes.column("partition"), 0)
    outcomes.put("partition", rest)
    sent_to = reads.column("sent_partition").copy()
    sent_to[at_home] = home[of_read[at_home]]
    reads.put("sent_partition", sent_to)


def _move(
    history: History, table: str, rows: I64, home: I64, unknown: npt.NDArray[np.bool_]
) -> None:
    """Write the partitions of rows; those of which none is known go to a place of their own."""
    where = getattr(history, table)
    partition, topic = where.column("partition").copy(), where.column("topic").copy()
    partition[rows] = np.maximum(home, 0)
    for each in np.unique(topic[rows[unknown]]).tolist():
        nowhere = history.topic(NOT_KNOWN.format(history.topics[each]))
        chosen = rows[unknown]
        topic[chosen[topic[chosen] == each]] = nowhere
    where.put("partition", partition)
    where.put("topic", topic)
