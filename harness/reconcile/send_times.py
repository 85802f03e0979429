"""When attempts were made, by the load's slots of 250 ms.

The slots count how many attempts an incarnation made on a topic-partition, and attempts are
numbered in the order in which they are made. So the n-th attempt lies in the slot in which the sum
passes n. That holds only where the slots add up to what the ledger holds; where a load process died
before it wrote its last slots, or a line of the timeline is gone, no time is concluded.

No client library is imported here.
"""

from __future__ import annotations

import numpy as np

from harness.arrays import I64
from harness.rundir import cells
from harness.rundir.load_events import SentSlots
from harness.rundir.run_record import RunRecord


class SendTimes:
    """Of one topic-partition; the ledger is counted only once something is asked of it."""

    def __init__(self, run: RunRecord, topic: int, partition: int) -> None:
        self._run = run
        self._key = (topic, partition)
        self._slots: dict[int, SentSlots | None] = {}

    def of(self, incarnation: int, sequences: I64) -> I64:
        """The instant of each attempt in µs, to its slot; −1 where it is not known."""
        if incarnation not in self._slots:
            self._slots[incarnation] = self._complete(incarnation)
        slots = self._slots[incarnation]
        if slots is None:
            return np.full(len(sequences), -1, dtype=np.int64)
        return slots.sent_us(np.asarray(sequences, dtype=np.int64))

    def _complete(self, incarnation: int) -> SentSlots | None:
        """The incarnation's slots, if they add up to its ledger."""
        slots = self._recorded(incarnation)
        if slots is None or slots.total != self._attempted(incarnation):
            return None
        return slots

    def _recorded(self, incarnation: int) -> SentSlots | None:
        timeline, (topic, partition) = self._run.timeline, self._key
        topic_partition = (self._run.info.topics[topic], partition)
        if any(key[:2] == topic_partition for key in timeline.sent):
            return timeline.sent.get((*topic_partition, incarnation))
        # Before slots named incarnations they were of a single one only.
        series = timeline.loads.get(topic_partition)
        ledgers = self._run.ledgers
        writers = [each for each, file in ledgers.items() if self._key in file.partitions]
        if series is None or writers != [incarnation]:
            return None
        return SentSlots(series.from_us, series.to_us, series.attempted)

    def _attempted(self, incarnation: int) -> int:
        ledger = self._run.ledgers.get(incarnation)
        if ledger is None:
            return 0
        total = 0
        for begin in range(0, ledger.allocated(*self._key), cells.CHUNK):
            _, state = cells.cells(ledger, *self._key, begin, cells.CHUNK)
            total += int(np.count_nonzero(state))
        return total
