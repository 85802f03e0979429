"""The keys that a history says: by lane and cell, for the rules about order and compaction."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from harness.arrays import I64
from harness.history.event_tables import History
from harness.history.reads import Reads
from harness.record.keys import KeyTable
from harness.rundir.columns import FAILED


class Keys:
    """Numbers the keys of each topic-partition, and gives each lane its own."""

    def __init__(self, history: History, reads: Reads) -> None:
        self._attempt = dict(
            zip(("key", "tombstone"), history.attempts.take("key", "tombstone"), strict=True)
        )
        self._read = reads.key
        self._deletes = bool(self._attempt["tombstone"].any())
        self.said = self._deletes or bool(
            (self._attempt["key"] >= 0).any() or (self._read >= 0).any()
        )
        """Does any line say a key, or that it deletes one?"""
        self._of_pair: dict[tuple[int, int], I64] = {}
        if self.said:
            self._number(history, reads)
        self._nowhere = _deleted_nowhere(history) if self._deletes else {}

    def _number(self, history: History, reads: Reads) -> None:
        """The distinct keys of every topic-partition."""
        attempts = history.attempts
        columns = [
            np.concatenate([sent, read])
            for sent, read in (
                (attempts.column("topic"), reads.topic),
                (attempts.column("partition"), reads.partition),
                (self._attempt["key"], self._read),
            )
        ]
        known = columns[2] >= 0
        topic, partition, key = (column[known] for column in columns)
        pairs, of_pair = np.unique((topic << 32) | partition, return_inverse=True)
        order = np.lexsort((key, of_pair))
        bounds = np.searchsorted(of_pair[order], np.arange(len(pairs) + 1))
        for number, pair in enumerate(pairs.tolist()):
            mine = key[order[bounds[number] : bounds[number + 1]]]
            self._of_pair[pair >> 32, pair & 0xFFFFFFFF] = np.unique(mine)

    def of(
        self,
        where: tuple[int, int],
        cells: int,
        attempted: tuple[I64, I64],
        observed: tuple[I64, I64],
    ) -> KeyTable:
        """The keys of a lane's cells, where `said`.

        attempted, observed: rows of attempts and readings, and their cells. An attempt's own line
        says its key, else the first line of a reading.
        """
        codes = self._of_pair.get(where, np.zeros(0, dtype=np.int64))
        of_cells = np.full(cells, -1, dtype=np.int64)
        deleting = np.zeros(cells, dtype=np.bool_) if self._deletes else None
        for column, (rows, at) in ((self._read, observed), (self._attempt["key"], attempted)):
            # From the last line to the first, which is the one that counts.
            said, cell = column[rows[::-1]], at[::-1]
            of_cells[cell[said >= 0]] = np.searchsorted(codes, said[said >= 0])
        if deleting is not None:
            rows, at = attempted
            deleting[at[::-1]] = self._attempt["tombstone"][rows[::-1]] > 0
        anywhere = self._nowhere.get(where[0], np.zeros(0, dtype=np.int64))
        pairs = np.flatnonzero(np.isin(codes, anywhere))
        unknown = np.full(int((anywhere < 0).any()), -1)
        return KeyTable(len(codes), of_cells, deleting, np.append(pairs, unknown))


def _deleted_nowhere(history: History) -> Mapping[int, I64]:
    """topic → keys (−1: not known) of tombstones of which no line says the partition."""
    attempts = history.attempts
    found: dict[int, I64] = {}
    deletes = (attempts.column("tombstone") > 0) & (attempts.column("state") != FAILED)
    for nowhere, topic in history.nowhere.items():
        rows = np.flatnonzero(deletes & (attempts.column("topic") == nowhere))
        if len(rows):
            found[topic] = np.unique(attempts.column("key")[rows])
    return found
