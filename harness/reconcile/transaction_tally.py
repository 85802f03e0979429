"""What a walk over an incarnation's attempts counts for each of its transactions. Pure."""

from __future__ import annotations

from collections import Counter

import numpy as np

from harness.arrays import I64, Bools
from harness.rundir.transactions import COMMITTED, UNDECIDED, TransactionLog


class Tally:
    """What a walk over all lanes of an incarnation counts for each of its transactions.

    members: attempts that were not refused locally, so that they belong to the transaction;
    drained, live: how many of them each observation set holds; absent: how many of them the drain
    is proven not to hold. All (n,) int32.
    """

    def __init__(self, log: TransactionLog) -> None:
        self.log = log
        self.members, self.drained, self.live, self.absent = (
            np.zeros(len(log), dtype=np.int32) for _ in range(4)
        )
        self.first_absent: dict[int, tuple[int, int, int]] = {}
        """transaction → (topic, partition, first sequence of its range) where some is absent"""
        self.gaps: Counter[int] = Counter()
        """transaction → attempts that are a gap if it was committed"""
        self.gap_samples: list[tuple[int, int, int, int]] = []
        """(transaction, topic, partition, sequence)"""
        self.uncommitted: Counter[int] = Counter()
        """topic → acknowledged attempts that the log does not show in a committed transaction"""
        self.outside: Counter[int] = Counter()
        """topic → attempts in no range of the log"""
        self.uncalled: list[tuple[tuple[int, int], I64, I64]] = []
        """(topic and partition, sequences, offsets) of those among them that can be read"""
        self.cut = False
        """Are lines of the log missing, by what the ledger holds?"""

    @property
    def topics(self) -> set[int]:
        """The topics that the producer wrote to, by its log and by its ledger."""
        return {key[0] for key in self.log.ranges} | set(self.uncommitted) | set(self.outside)

    def compare(self, key: tuple[int, int], attempts: I64, acknowledged: I64) -> None:
        """Compare sequences that the ledger holds with what the log says of them."""
        transactions = self.log.ranges_of(*key).of_sequences(acknowledged)
        inside = transactions >= 0
        committed = inside.copy()
        committed[inside] = self.log.states[transactions[inside]] == COMMITTED
        outside = self.log.ranges_of(*key).of_sequences(attempts) < 0
        for counter, chosen in ((self.uncommitted, ~committed), (self.outside, outside)):
            if chosen.any():
                counter[key[0]] += int(np.count_nonzero(chosen))

    def add(
        self, key: tuple[int, int], first: int, member: Bools, drained: Bools, live: Bools,
        absent: Bools,
    ) -> None:  # fmt: skip
        """Count the cells of a topic-partition from `first` on. `absent`: proven so."""
        ranges = self.log.ranges_of(*key)
        if not len(ranges.firsts):
            return
        touched, members = ranges.counts(first, member)
        _, present = ranges.counts(first, member & drained)
        _, seen_live = ranges.counts(first, member & live)
        transactions = ranges.transactions[touched]
        self.members[transactions] += members.astype(np.int32)
        self.drained[transactions] += present.astype(np.int32)
        self.live[transactions] += seen_live.astype(np.int32)
        _, gone = ranges.counts(first, absent)
        self.absent[transactions] += gone.astype(np.int32)
        judged = np.isin(self.log.states[transactions], (UNDECIDED, COMMITTED))
        for index in np.flatnonzero((gone > 0) & judged).tolist():
            sequence = int(ranges.firsts[touched][index])
            self.first_absent.setdefault(int(transactions[index]), (*key, sequence))
