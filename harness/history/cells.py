"""Cells in memory: what a ledger or an observation file holds, for attempts that had none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from harness.arrays import I64, U8, U32
from harness.rundir.extents import Extent

Key: TypeAlias = tuple[int, int]


class MemoryColumns:
    """The columns of one producer, as `harness.rundir.cells.Columns` wants them."""

    def __init__(self) -> None:
        self._extents: dict[Key, list[Extent]] = {}

    def put(self, topic: int, partition: int, low: U32, high: U8) -> None:
        """Cells 0…n-1 of a topic-partition."""
        self._extents[topic, partition] = [Extent.of(topic, partition, low, high)]

    @property
    def partitions(self) -> list[Key]:
        """(topic index, partition) pairs that have cells, sorted."""
        return sorted(self._extents)

    def extents(self, topic: int, partition: int) -> list[Extent]:
        """The one extent of a topic-partition; none where there are no cells."""
        return self._extents.get((topic, partition), [])

    def allocated(self, topic: int, partition: int) -> int:
        """One past the last sequence that has a cell."""
        return sum(map(len, self.extents(topic, partition)))

    @property
    def closed_cleanly(self) -> bool:
        """Always: a history says what it says."""
        return True

    def close(self) -> None:
        """Let go of the cells."""
        self._extents.clear()


@dataclass(slots=True)
class Groups:
    """Rows of tables by producer and topic-partition; rows keep their order in each group."""

    keys: list[tuple[int, int, int]]
    """(producer, topic, partition), sorted"""
    _orders: list[I64]
    _bounds: list[I64]

    @classmethod
    def of(cls, *tables: tuple[I64, I64, I64]) -> Groups:
        """tables: (producer, topic, partition) columns of each table."""
        producers = _codes([table[0] for table in tables])
        pairs = [(table[1] << 32) | table[2] for table in tables]
        topic_partitions = _codes(pairs)
        width = len(topic_partitions.values) or 1
        codes = [
            producer * width + pair
            for producer, pair in zip(producers.codes, topic_partitions.codes, strict=True)
        ]
        groups = np.unique(np.concatenate([_distinct(each) for each in codes]))
        keys = []
        for code in groups.tolist():
            pair = int(topic_partitions.values[code % width])
            keys.append((int(producers.values[code // width]), pair >> 32, pair & 0xFFFFFFFF))
        orders, bounds = [], []
        for each in codes:
            sorted_already = bool((each[1:] >= each[:-1]).all())
            order = np.arange(len(each)) if sorted_already else np.argsort(each, kind="stable")
            orders.append(order)
            bounds.append(np.searchsorted(each[order], np.append(groups, np.iinfo(np.int64).max)))
        return cls(keys, orders, bounds)

    def rows(self, table: int, group: int) -> I64:
        """The indices of a group's rows in a table."""
        bounds = self._bounds[table]
        return self._orders[table][bounds[group] : bounds[group + 1]]

    def __iter__(self) -> Iterator[tuple[int, tuple[int, int, int]]]:
        return iter(enumerate(self.keys))


@dataclass(slots=True)
class _Codes:
    values: I64
    codes: list[I64]


def _codes(columns: list[I64]) -> _Codes:
    """Each column's values as their places among all values, sorted."""
    values = np.unique(np.concatenate([_distinct(column) for column in columns]))
    return _Codes(values, [np.searchsorted(values, column) for column in columns])


def _distinct(column: Any) -> I64:
    """The distinct values of a column that has long runs, or few values."""
    if not len(column):
        return np.zeros(0, dtype=np.int64)
    changes = np.flatnonzero(column[1:] != column[:-1]) + 1
    return np.unique(column[np.concatenate([[0], changes])])
