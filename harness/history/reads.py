"""What a history says was read: one content an offset and set, and what became of the others.

A record that was read twice at the same offset is one observation. Where one offset was read with
two contents, the later one is what the log holds, and the earlier one was read and is gone: it
goes with what was read live, so that reconciling finds it vanished.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from harness.history.tables import CORRUPT, FOREIGN, INTACT, READ, Table
from harness.verify import observations

I64: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Rows: TypeAlias = npt.NDArray[np.void]

_CONTENT: tuple[str, ...] = (
    "content", "producer", "sequence", "sent_topic", "sent_partition", "run",
)  # fmt: skip


@dataclass(slots=True)
class Reads:
    """Observations, each offset once in the drained set; columns of n rows each."""

    topic: I64
    partition: I64
    offset: I64
    content: I64
    producer: I64
    sequence: I64
    sent_topic: I64
    sent_partition: I64
    live: Bools
    read_us: I64
    leader_epoch: I64
    run: I64
    input_topic: I64
    input_offset: I64
    input_partition: I64

    @classmethod
    def of(cls, table: Table) -> Reads:
        """From the lines in the order in which they were read, as far as it is known."""
        columns = {name: table.column(name) for name in READ}
        # Where it is not said, a record was sent to where it was read.
        for sent, read in (("sent_topic", "topic"), ("sent_partition", "partition")):
            unsaid = columns[sent] < 0
            columns[sent] = (
                columns[read] if unsaid.all() else np.where(unsaid, columns[read], columns[sent])
            )
        live = columns.pop("live").astype(np.bool_)
        kept, gone = _settled(columns, live)
        live[gone] = True
        chosen = slice(None) if kept is None else kept
        return cls(**{name: column[chosen] for name, column in columns.items()}, live=live[chosen])

    def __len__(self) -> int:
        return len(self.offset)

    @property
    def at_home(self) -> I64:
        """Rows of intact records where their identity says they should be."""
        return np.flatnonzero((self.content == INTACT) & ~self._misrouted)

    @property
    def _misrouted(self) -> Bools:
        return np.asarray(
            (self.sent_topic != self.topic) | (self.sent_partition != self.partition), np.bool_
        )

    def odd(self, *, live: bool) -> tuple[Reads, I64, I64]:
        """(these, rows, kinds) of corrupt, misrouted and foreign records in a set."""
        intact = self.content == INTACT
        rows = np.flatnonzero((self.live == live) & (~intact | self._misrouted))
        kinds = np.select(
            [self.content[rows] == CORRUPT, self.content[rows] == FOREIGN],
            [observations.CORRUPT, observations.FOREIGN],
            observations.MISROUTED,
        )
        return self, rows, kinds

    def copies(self, rows: I64) -> tuple[Reads, I64, I64]:
        """(these, rows, kinds) of further copies of attempts."""
        return self, rows, np.full(len(rows), observations.COPY)

    def per_partition(self) -> dict[tuple[int, int], tuple[int, int]]:
        """(topic, partition) → how many offsets the drained set holds, and the highest."""
        rows = np.flatnonzero(~self.live)
        if not len(rows):
            return {}
        code = (self.topic[rows] << 32) | self.partition[rows]
        codes, inverse = np.unique(code, return_inverse=True)
        counts = np.bincount(inverse, minlength=len(codes))
        highest = np.full(len(codes), -1, dtype=np.int64)
        np.maximum.at(highest, inverse, self.offset[rows])
        return {
            (each >> 32, each & 0xFFFFFFFF): (count, last)
            for each, count, last in zip(
                codes.tolist(), counts.tolist(), highest.tolist(), strict=True
            )
        }


def _settled(columns: dict[str, I64], live: Bools) -> tuple[I64 | None, I64]:
    """(rows that stay, in order; None for all), and those of them that a later reading replaced."""
    count = len(live)
    none = np.zeros(0, dtype=np.int64)
    where = (columns["topic"] << 32) | columns["partition"]
    offset = columns["offset"]
    if count < 2 or _ascending(where, offset, live):
        return None, none
    # By set and place, what was read first comes first.
    order = np.lexsort((columns["read_us"], offset, where, live))
    same = np.concatenate(
        [
            [False],
            (offset[order][1:] == offset[order][:-1])
            & (where[order][1:] == where[order][:-1])
            & (live[order][1:] == live[order][:-1]),
        ]
    )
    if not same.any():
        return None, none
    stays = np.ones(count, dtype=np.bool_)
    replaced: list[int] = []
    starts = np.flatnonzero(~same)
    ends = np.append(starts[1:], count)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if end - start > 1:
            _settle(columns, live, order[start:end].tolist(), stays, replaced)
    kept = np.flatnonzero(stays)
    return kept, np.array(sorted(replaced), dtype=np.int64)


def _settle(
    columns: dict[str, I64], live: Bools, rows: list[int], stays: Bools, replaced: list[int]
) -> None:
    """One offset that was read more than once, by the same set; `rows` by their instants."""
    if any(columns["read_us"][row] < 0 for row in rows):
        rows = sorted(rows)
    contents = {row: tuple(int(columns[name][row]) for name in _CONTENT) for row in rows}
    last = contents[rows[-1]]
    seen: set[tuple[int, ...]] = set()
    for row in rows:
        content = contents[row]
        stays[row] = content not in seen
        seen.add(content)
        if stays[row] and content != last and not live[row]:
            replaced.append(row)


def _ascending(where: I64, offset: I64, live: Bools) -> bool:
    """Whether every place is read once, upwards, and by one set: then nothing is read twice."""
    if live.any() or not bool((where[1:] >= where[:-1]).all()):
        return False
    return bool(((offset[1:] > offset[:-1]) | (where[1:] != where[:-1])).all())


def rows_of(chosen: tuple[Reads, I64, I64], cells: I64 | None = None) -> Rows:
    """Rows of extras.bin for some reads. `cells`: the cells of their sequences."""
    reads, places, kinds = chosen
    rows = np.zeros(len(places), dtype=observations.EXTRA)
    rows["kind"] = kinds
    rows["topic"], rows["partition"] = reads.topic[places], reads.partition[places]
    rows["offset"], rows["leader_epoch"] = reads.offset[places], reads.leader_epoch[places]
    known = reads.content[places] == INTACT
    rows["incarnation"][known] = reads.producer[places][known]
    rows["sequence"][known] = (reads.sequence[places] if cells is None else cells)[known]
    rows["identity_topic"][known] = reads.sent_topic[places][known]
    rows["identity_partition"][known] = reads.sent_partition[places][known]
    rows["run"] = reads.run[places].astype(np.uint64)
    return rows
