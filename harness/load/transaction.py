"""One transaction of a client: which records it holds, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from harness.arrays import I64
from harness.load.outcomes import Delivered
from harness.rundir.transaction_steps import SentRanges


@dataclass(slots=True)
class Transaction:
    """The transaction that is open or ending."""

    number: int
    refused_before: int
    began_us: int = 0
    """When its first records were handed over."""
    ranges: SentRanges = field(default_factory=dict)
    records: int = 0
    sent_us: dict[tuple[int, int], list[tuple[int, int]]] = field(default_factory=dict)
    """(last sequence, when it was handed over) of each batch, by topic-partition"""
    end_called: bool = False
    must_abort: bool = False
    """One of its records was reported with an error: only an abort is left."""
    on_purpose: bool = False
    """It is aborted because the profile aborts a share of its transactions."""
    reported: int = 0

    def add(self, ranges: SentRanges, at_us: int) -> None:
        """Further records belong to it."""
        self.began_us = self.began_us or at_us
        for key, (first, last) in ranges.items():
            have = self.ranges.get(key)
            self.ranges[key] = (first if have is None else have[0], last)
            self.sent_us.setdefault(key, []).append((last, at_us))
            self.records += last - first + 1

    def service_us(self, part: Delivered, ended_us: int) -> I64:
        """From produce() of each record to the end of the transaction."""
        batches = self.sent_us[(part.topic, part.partition)]
        lasts = np.array([last for last, _ in batches], dtype=np.uint64)
        times = np.array([at_us for _, at_us in batches], dtype=np.int64)
        return ended_us - times[np.searchsorted(lasts, part.sequences)]
