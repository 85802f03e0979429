"""Attempts whose partition was not known when they were sent: where they belong.

what the history says                       the partition of the attempt
its outcome names one                       that one
its outcome names none, and it was read     the one that the first line of a reading says: what its
                                            identity names, else where it was read on its topic
neither                                     not known: it is put into a stand-in topic, of which
                                            nothing is proven
"""

from __future__ import annotations

import numpy as np

from harness.arrays import I64, Bools
from harness.history.event_tables import INTACT, History

NOT_KNOWN = "{} (partition not known)"
"""The stand-in for a topic where no line says the partition."""


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
    decided = np.stack([outcomes.column(name) for name in names], axis=1)
    read_topic, read_from = reads.column("topic"), reads.column("partition")
    sent_topic, sent_partition = reads.column("sent_topic"), reads.column("sent_partition")
    sent_topic = np.where(sent_topic >= 0, sent_topic, read_topic)
    read = np.stack([reads.column("producer"), sent_topic, reads.column("sequence")], axis=1)
    identities = np.concatenate([sent, decided, read])
    _, codes = np.unique(identities, axis=0, return_inverse=True)
    codes = codes.reshape(-1)
    of_sent, of_outcomes, of_read = np.split(codes, [len(sent), len(sent) + len(decided)])
    home = np.full(int(codes.max()) + 1, -1, dtype=np.int64)
    is_loose = np.zeros(len(home), dtype=np.bool_)
    is_loose[of_sent] = True
    mine = (reads.column("content") == INTACT) & is_loose[of_read]
    # On another topic than its own a record says nothing of its partition but by its identity.
    says = np.where(sent_topic == read_topic, read_from, -1)
    says = np.where(sent_partition >= 0, sent_partition, says)
    rows = np.flatnonzero(mine & (says >= 0))[::-1]
    home[of_read[rows]] = says[rows]
    acked_in = outcomes.column("partition")
    says = np.flatnonzero(acked_in >= 0)
    home[of_outcomes[says]] = acked_in[says]
    unknown = home < 0
    _move(history, "attempts", loose, home[of_sent], unknown[of_sent])
    outcome_of = np.flatnonzero(is_loose[of_outcomes])
    _move(
        history,
        "outcomes",
        outcome_of,
        home[of_outcomes[outcome_of]],
        unknown[of_outcomes[outcome_of]],
    )
    rest = np.maximum(outcomes.column("partition"), 0)
    outcomes.put("partition", rest)
    # An identity that names where the record was read says no more than that it was read there.
    mine &= (sent_partition < 0) | (sent_partition == read_from)
    known = mine & (home[of_read] >= 0)
    reads.put("sent_partition", np.where(known, home[of_read], sent_partition))
    nowhere = np.flatnonzero(mine & (home[of_read] < 0))
    if len(nowhere):
        _move_identities(history, nowhere, sent_topic)


def _nowhere(history: History, topic: int) -> int:
    """The index of the stand-in for a topic where no line says the partition."""
    found = history.topic(NOT_KNOWN.format(history.topics[topic]))
    history.nowhere[found] = topic
    return found


def _move_identities(history: History, rows: I64, sent_topic: I64) -> None:
    """Let readings on another topic name the stand-ins of what is not known."""
    reads = history.reads
    topic, partition = reads.column("sent_topic").copy(), reads.column("sent_partition").copy()
    for each in np.unique(sent_topic[rows]).tolist():
        chosen = rows[sent_topic[rows] == each]
        topic[chosen] = _nowhere(history, each)
        partition[chosen] = 0
    reads.put("sent_topic", topic)
    reads.put("sent_partition", partition)


def _move(history: History, table: str, rows: I64, home: I64, unknown: Bools) -> None:
    """Write the partitions of rows; those of which none is known go to the stand-in."""
    where = getattr(history, table)
    partition, topic = where.column("partition").copy(), where.column("topic").copy()
    partition[rows] = np.maximum(home, 0)
    for each in np.unique(topic[rows[unknown]]).tolist():
        chosen = rows[unknown]
        topic[chosen[topic[chosen] == each]] = _nowhere(history, each)
    where.put("partition", partition)
    where.put("topic", topic)
