"""What a history says was read: one content an offset and set, and what became of the others.

A record that was read twice at the same offset is one observation. Where one offset was read with
two contents, by whichever set, the latest one is what the log holds, and the others were read and
are gone: they go with what was read live, so that reconciling finds them vanished. What the final
reading returned more than once was read before it was read last, and goes there too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.arrays import I64, Bools, Rows
from harness.history.event_tables import CORRUPT, FOREIGN, INTACT, READ, Table
from harness.history.isolation_levels import READ_COMMITTED
from harness.rundir import rows as row_files

CONTENT: tuple[str, ...] = (
    "content", "producer", "sequence", "sent_topic", "sent_partition", "run",
)  # fmt: skip


@dataclass
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
    isolation: I64
    key: I64
    topic_id: I64

    @classmethod
    def of(cls, table: Table, chosen: Bools) -> Reads:
        """From the chosen lines in the order in which they were read, as far as it is known."""
        columns = {name: table.column(name) for name in READ}
        if not chosen.all():
            columns = {name: column[chosen] for name, column in columns.items()}
        # Where it is not said, a record was sent to where it was read.
        for sent, read in (("sent_topic", "topic"), ("sent_partition", "partition")):
            unsaid = columns[sent] < 0
            columns[sent] = (
                columns[read] if unsaid.all() else np.where(unsaid, columns[read], columns[sent])
            )
        live = columns.pop("live").astype(np.bool_)
        settled = _settled(columns, live)
        if settled is None:
            return cls(**columns, live=live)
        columns = {name: column[settled.rows] for name, column in columns.items()}
        columns["read_us"] = np.where(settled.again, np.int64(-1), columns["read_us"])
        return cls(**columns, live=settled.live)

    def __len__(self) -> int:
        return len(self.offset)

    @property
    def at_home(self) -> I64:
        """Rows of intact records where their identity says they should be."""
        return np.flatnonzero((self.content == INTACT) & ~self._misrouted)

    @cached_property
    def contested(self) -> Bools:
        """Rows of records that were read live at an offset at which others were, too."""
        rows = self.at_home[self.live[self.at_home]]
        location = ((self.topic[rows] << 32) | self.partition[rows], self.offset[rows])
        order = np.lexsort(location)
        same = np.zeros(len(rows) + 1, dtype=np.bool_)
        same[1:-1] = np.diff(location[0][order]) == 0
        same[1:-1] &= np.diff(location[1][order]) == 0
        found = np.zeros(len(self), dtype=np.bool_)
        found[rows[order[same[1:] | same[:-1]]]] = True
        return found

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
            [row_files.CORRUPT, row_files.FOREIGN],
            row_files.MISROUTED,
        )
        return self, rows, kinds

    def copies(self, rows: I64) -> tuple[Reads, I64, I64]:
        """(these, rows, kinds) of further copies of attempts."""
        return self, rows, np.full(len(rows), row_files.COPY)

    def per_partition(self) -> dict[tuple[int, int], tuple[int, int, int]]:
        """(topic, partition) → how many offsets the drained set holds, lowest and highest."""
        rows = np.flatnonzero(~self.live)
        if not len(rows):
            return {}
        code = (self.topic[rows] << 32) | self.partition[rows]
        codes, inverse = np.unique(code, return_inverse=True)
        counts = np.bincount(inverse, minlength=len(codes))
        highest = np.full(len(codes), -1, dtype=np.int64)
        np.maximum.at(highest, inverse, self.offset[rows])
        lowest = highest.copy()
        np.minimum.at(lowest, inverse, self.offset[rows])
        return {
            (each >> 32, each & 0xFFFFFFFF): (count, first, last)
            for each, count, first, last in zip(
                codes.tolist(), counts.tolist(), lowest.tolist(), highest.tolist(), strict=True
            )
        }


@dataclass(frozen=True, slots=True)
class _Settled:
    """(n,) readings that are kept, in the order of the lines; one line can be two of them."""

    rows: I64
    live: Bools
    """Does it go with what was read live?"""
    again: Bools
    """Does it stand for an earlier reading by the same set? Then its instant is not the set's."""


def _settled(columns: dict[str, I64], live: Bools) -> _Settled | None:
    """What every offset held when it was read last, and what was read there before; None where no
    offset was read twice."""
    where = (columns["topic"] << 32) | columns["partition"]
    offset = columns["offset"]
    if len(live) < 2 or _ascending(where, offset, live):
        return None
    # By topic-partition and offset; at each one, what was read live comes first, and of that what
    # has no instant that counts: at read_uncommitted none does.
    committed = columns["isolation"] == READ_COMMITTED
    order = np.lexsort((columns["read_us"], committed, ~live, offset, where))
    same = np.zeros(len(order), dtype=np.bool_)
    same[1:] = (np.diff(offset[order]) == 0) & (np.diff(where[order]) == 0)
    if not same.any():
        return None
    group = np.cumsum(~same) - 1
    differs = np.zeros(len(order), dtype=np.bool_)
    for name in CONTENT:
        differs[1:] |= np.diff(columns[name][order]) != 0
    two_contents = np.bincount(group[differs & same], minlength=int(group[-1]) + 1) > 0
    rows, as_live, again = _agreeing(live[order], same, two_contents[group])
    kept = [(order[rows], as_live, again)]
    starts = np.flatnonzero(~same)
    ends = np.append(starts[1:], len(order))
    for each in np.flatnonzero(two_contents).tolist():
        kept.append(_settle(columns, live, order[starts[each] : ends[each]].tolist()))
    rows, as_live, again = (np.concatenate([part[i] for part in kept]) for i in range(3))
    by_line = np.lexsort((as_live, rows))
    return _Settled(rows[by_line], as_live[by_line], again[by_line])


def _agreeing(live: Bools, same: Bools, settled: Bools) -> tuple[I64, Bools, Bools]:
    """Of readings sorted by location: the first of each set, and where the final reading alone
    read a location, and more than once, another one of it.

    same: (n,) of the same location as the one before; settled: (n,) of locations with two contents.
    """
    final_first = ~live & ~same
    final_first[1:] |= ~live[1:] & live[:-1]
    kept = ~settled & (~same | final_first)
    again = np.zeros(len(live), dtype=np.bool_)
    again[1:] = ~settled[1:] & ~live[1:] & same[1:] & ~same[:-1] & ~live[:-1]
    rows = np.flatnonzero(kept | again)
    return rows, live[rows] | again[rows], again[rows]


def _settle(columns: dict[str, I64], live: Bools, rows: list[int]) -> tuple[I64, Bools, Bools]:
    """One offset that was read with several contents: the last reading says what it holds."""
    read_us = {row: int(columns["read_us"][row]) for row in rows}
    committed = {row: columns["isolation"][row] == READ_COMMITTED for row in rows}
    untimed = {bool(live[row]) for row in rows if read_us[row] < 0}

    def order(row: int) -> tuple[int, bool, int, int]:
        """Between the sets instants decide where all have one, within a set where all of it do."""
        own = 0 if bool(live[row]) in untimed else read_us[row]
        return 0 if untimed else read_us[row], not live[row], own, row

    rows = sorted(rows, key=order)
    contents = {row: tuple(int(columns[name][row]) for name in CONTENT) for row in rows}
    last = contents[rows[-1]]
    kept: list[tuple[int, bool, bool]] = []
    if not all(live[row] for row in rows):
        kept.append((rows[-1], False, False))
    for content in dict.fromkeys(contents.values()):
        readings = [row for row in rows if contents[row] == content]
        seen_live = [row for row in readings if live[row]]
        if content != last or seen_live or not kept:
            # A content that is gone was read by whichever set; its first instant is known only if
            # each of its readings says one.
            among = readings if content != last else seen_live or readings
            first = min(among, key=lambda row: (committed[row], read_us[row], row))
            kept.append((first, True, False))
        elif len(readings) > 1:
            kept.append((readings[0], True, True))
    return (
        np.array([row for row, _, _ in kept], dtype=np.int64),
        np.array([as_live for _, as_live, _ in kept], dtype=np.bool_),
        np.array([again for _, _, again in kept], dtype=np.bool_),
    )


def _ascending(where: I64, offset: I64, live: Bools) -> bool:
    """Whether every location is read once, upwards, and by one set: then nothing is read twice."""
    if live.any() or not bool((where[1:] >= where[:-1]).all()):
        return False
    return bool(((offset[1:] > offset[:-1]) | (where[1:] != where[:-1])).all())


def rows_of(chosen: tuple[Reads, I64, I64], cells: I64 | None = None) -> Rows:
    """Rows of extras.bin for some reads. `cells`: the cells of their sequences."""
    reads, indices, kinds = chosen
    rows = np.zeros(len(indices), dtype=row_files.EXTRA)
    rows["kind"] = kinds
    rows["topic"], rows["partition"] = reads.topic[indices], reads.partition[indices]
    rows["offset"], rows["leader_epoch"] = reads.offset[indices], reads.leader_epoch[indices]
    known = reads.content[indices] == INTACT
    rows["incarnation"][known] = reads.producer[indices][known]
    rows["sequence"][known] = (reads.sequence[indices] if cells is None else cells)[known]
    rows["identity_topic"][known] = reads.sent_topic[indices][known]
    rows["identity_partition"][known] = reads.sent_partition[indices][known]
    rows["run"] = reads.run[indices].astype(np.uint64)
    return rows
