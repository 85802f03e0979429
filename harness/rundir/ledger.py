"""The ledger of one producer incarnation: what became of every attempt.

    never → OPEN → ACKED (offset) | ACKED_NO_OFFSET | SENT | FAILED | UNKNOWN

An attempt is OPEN in the file before it is handed to the client, so that whatever kills the
process, no record can be in a topic without its attempt in the ledger. What is still OPEN when a
process has died is unknown; a ledger that is closed in order says so itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from harness.arrays import I64, U64
from harness.errors import HarnessError
from harness.record.codec import ANY_PARTITION
from harness.rundir.anywhere import pack_positions
from harness.rundir.columns import (
    ACKED_NO_OFFSET,
    FAILED,
    OPEN,
    SENT,
    UNKNOWN,
    ColumnFile,
    pack_offsets,
)

NUMBERS: Final = range(1, 1 << 32)
"""What an incarnation may be called where no numbers were handed out; 0 is no incarnation."""


class Ledger:
    """Every attempt of one incarnation, keyed by topic index, partition and sequence.

    An attempt whose partition is not known when it is made has partition ANY_PARTITION.
    """

    def __init__(self, cells: ColumnFile) -> None:
        self._cells = cells
        self._next: dict[tuple[int, int], int] = {}
        self._settled: dict[tuple[int, int], int] = {}

    @classmethod
    def create(cls, folder: Path, *, run: int, profile: str, numbers: range = NUMBERS) -> Ledger:
        """Take the smallest free incarnation number of `numbers` in `folder` and make its ledger.

        The number is taken by creating the file, which fails for all processes but one. Raises
        HarnessError where none is free.
        """
        for incarnation in numbers:
            try:
                return cls(
                    ColumnFile.create(
                        folder / f"{incarnation}.ledger",
                        run=run,
                        incarnation=incarnation,
                        kind="ledger",
                        profile=profile,
                    )
                )
            except FileExistsError:
                continue
        raise HarnessError(
            f"{folder}: no incarnation number of {numbers.start} to {numbers.stop - 1} is free: "
            "so many producers met a fatal error. Lower --rate, or correct what they report."
        )

    @property
    def incarnation(self) -> int:
        """The number that the records of this producer carry."""
        return self._cells.incarnation

    @property
    def path(self) -> Path:
        return self._cells.path

    def open(self, topic: int, partition: int, count: int) -> int:
        """Put `count` further attempts on record; the sequence of the first."""
        key = (topic, partition)
        first = self._next.get(key, 0)
        self._cells.mark(topic, partition, first, count, OPEN)
        self._next[key] = first + count
        return first

    def acked(self, topic: int, partition: int, sequences: U64, offsets: I64) -> None:
        """Acknowledged at these offsets; -1 where the acknowledgement came without one."""
        without = offsets < 0
        if without.any():
            self._scatter(topic, partition, sequences[without], ACKED_NO_OFFSET)
            sequences, offsets = sequences[~without], offsets[~without]
        if len(sequences):
            low, high = pack_offsets(offsets)
            self._cells.scatter(topic, partition, sequences, low, high)

    def acked_anywhere(self, topic: int, sequences: U64, partitions: I64, offsets: I64) -> None:
        """As `acked`, of attempts that were opened with ANY_PARTITION: each at this partition."""
        without = offsets < 0
        self._scatter(topic, ANY_PARTITION, sequences[without], ACKED_NO_OFFSET)
        low, high = pack_positions(partitions[~without], offsets[~without])
        self._cells.scatter(topic, ANY_PARTITION, sequences[~without], low, high)

    def sent(self, topic: int, partition: int, sequences: U64) -> None:
        """acks=0: the client reported no error, and no broker confirmed anything."""
        self._scatter(topic, partition, sequences, SENT)

    def failed(self, topic: int, partition: int, sequences: U64) -> None:
        """Certainly absent: refused before it was enqueued."""
        self._scatter(topic, partition, sequences, FAILED)

    def unknown(self, topic: int, partition: int, sequences: U64) -> None:
        """May or may not be in the topic."""
        self._scatter(topic, partition, sequences, UNKNOWN)

    def _scatter(self, topic: int, partition: int, sequences: U64, state: int) -> None:
        low = np.zeros(len(sequences), dtype=np.uint32)
        high = np.full(len(sequences), state, dtype=np.uint8)
        self._cells.scatter(topic, partition, sequences, low, high)

    def settle_range(self, topic: int, partition: int, first: int, last: int, state: int) -> int:
        """Give every attempt of first…last that is still OPEN this state; how many there were."""
        settled = 0
        for extent, cells, _ in self._cells.spans(topic, partition, first, last - first + 1):
            still_open = extent.high[cells] == OPEN
            settled += int(np.count_nonzero(still_open))
            extent.high[cells][still_open] = state
        return settled

    def close(self) -> dict[tuple[int, int], int]:
        """Everything still OPEN becomes UNKNOWN, and the file says that its writer has finished.

        Returns how many attempts of each (topic index, partition) became unknown by this.
        """
        left: dict[tuple[int, int], int] = {}
        for (topic, partition), end in self._next.items():
            count = self.settle_range(topic, partition, 0, end - 1, UNKNOWN) if end else 0
            if count:
                left[(topic, partition)] = count
        self._cells.close()
        return left
