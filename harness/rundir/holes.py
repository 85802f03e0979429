"""Offsets that a read_committed drain passed without a record, and what accounts for each.

A reader at read_committed is not handed transaction markers, nor records of transactions that were
aborted or that are still open. Every other offset that it passed is an unaccounted hole: either it
passed over a record that it should have returned, or the log has none there. Which it is does not
matter: such a drain has not returned what the log holds, so it proves nothing.

    drained/holes.json      the holes of each topic-partition that was read at read_committed, and
                            what the log of its leader held there (harness.replicas.held_offsets)

Pure functions over offsets; no client library is imported here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from harness.arrays import I64, Bools
from harness.errors import RunDirError
from harness.rundir.documents import read_json, typed, write_text
from harness.rundir.replicas import LogHeld

HOLES_SCHEMA: Final = "delivery-holes/1"
_NAMED: Final = 3
_KINDS: Final = ("markers", "aborted", "open", "absent")
"""What a log has at an offset that a reader at read_committed is not handed: LogHeld's ranges."""


@dataclass(slots=True)
class PartitionHoles:
    """The holes of one topic-partition, and what its leader's log held."""

    topic: str
    partition: int
    position: int
    """The reader passed the offsets below this one."""
    holes: list[int]
    """First and last offsets in turn, ascending and apart."""
    log: LogHeld | None = None
    reason: str = ""
    """Why a log was not read, or why the holes are not known."""


@dataclass(slots=True)
class Holes:
    """holes.json."""

    partitions: list[PartitionHoles] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write holes.json, whole or not at all; on few lines, since it can hold many numbers."""
        rows = ",\n".join(json.dumps(asdict(each)) for each in self.partitions)
        head = json.dumps(HOLES_SCHEMA)
        text = f'{{"schema": {head}, "partitions": [\n{rows}\n]}}\n'
        write_text(folder / "holes.json", text)

    @classmethod
    def read_from(cls, folder: Path) -> Holes | None:
        """None where there is none, as of a drain without such topics.

        Raises RunDirError when holes.json is not what `write` leaves.
        """
        path = folder / "holes.json"
        if not path.exists():
            return None
        what = "what was found at the offsets without a record"
        document = read_json(path, what, schema=HOLES_SCHEMA)
        try:
            found = typed(cls, document)
            for number, each in enumerate(found.partitions):
                _check(each, f"partitions[{number}]")
        except ValueError as error:
            raise RunDirError(f"{path}: not a holes.json of this harness ({error}).") from None
        return found


@dataclass(frozen=True, slots=True)
class HoleAccount:
    """What the holes of one topic-partition are, counted in offsets."""

    topic: str
    partition: int
    holes: int = 0
    markers: int = 0
    aborted: int = 0
    open: int = 0
    """Of transactions that are still open, at or above the last stable offset."""
    unaccounted: int = 0
    unchecked: int = 0
    unchecked_why: str = ""
    obstacle: str = ""
    """Why the drain of this topic-partition proves nothing; empty where all is accounted for."""


def account(entry: PartitionHoles, last_stable: int | None) -> HoleAccount:
    """What accounts for the holes of a topic-partition, by the log of its leader.

    last_stable: its last stable offset at the time of the drain; an open transaction accounts only
    for what is not below it.
    """
    ranges = _pairs(entry.holes)
    total = int((ranges[:, 1] - ranges[:, 0] + 1).sum())
    log = entry.log
    if log is None:
        return HoleAccount(
            entry.topic, entry.partition, total, unchecked=total, unchecked_why=entry.reason
        )
    kinds = {name: _pairs(getattr(log, name)) for name in _KINDS}
    pieces = _Pieces([ranges, *kinds.values()], [log.start, log.end, last_stable or 0])
    hole = pieces.within(ranges)
    marker, aborted, is_open, absent = (pieces.within(each) for each in kinds.values())
    looked_at = (pieces.begins >= log.start) & (pieces.begins < log.end)
    passed = looked_at & (pieces.begins < entry.position) & ~hole
    if (passed & (marker | absent)).any():
        # Read, and not there: these are not the files that the reader's records came from.
        first = int(pieces.begins[passed & (marker | absent)][0])
        why = f"the log of broker {log.broker} holds no record at offset {first}, which was read"
        return HoleAccount(entry.topic, entry.partition, total, unchecked=total, unchecked_why=why)
    is_open &= pieces.begins >= (last_stable or 0)
    unaccounted = hole & looked_at & ~marker & ~aborted & ~is_open
    unchecked = pieces.count(hole & ~looked_at)
    return HoleAccount(
        entry.topic,
        entry.partition,
        total,
        pieces.count(hole & marker),
        pieces.count(hole & aborted & ~marker),
        pieces.count(hole & is_open & ~marker & ~aborted),
        pieces.count(unaccounted),
        unchecked,
        f"the log of broker {log.broker}: {log.reason}" if unchecked else "",
        _obstacle(pieces, unaccounted, absent, log.broker),
    )


def accounts(
    holes: Holes, last_stable: Mapping[tuple[str, int], int | None]
) -> dict[tuple[str, int], HoleAccount]:
    """(topic, partition) → the account of each."""
    return {
        (each.topic, each.partition): account(each, last_stable.get((each.topic, each.partition)))
        for each in holes.partitions
    }


def _obstacle(pieces: _Pieces, unaccounted: Bools, absent: Bools, broker: int) -> str:
    count = pieces.count(unaccounted)
    if not count:
        return ""
    nothing = pieces.count(unaccounted & absent)
    held = [
        f"a record that should have been returned at {count - nothing}" * (count > nothing),
        f"nothing at {nothing}" * (nothing > 0),
    ]
    return (
        f"{'1 offset was' if count == 1 else f'{count} offsets were'} passed without a record "
        f"({pieces.named(unaccounted)}) and hold neither a transaction marker nor a record of an "
        f"aborted or open transaction: the log of broker {broker} holds "
        f"{' and '.join(filter(None, held))}"
    )


class _Pieces:
    """Offsets cut at every bound of some ranges: each piece is in a range whole or not at all."""

    def __init__(self, ranges: Sequence[I64], bounds: Sequence[int]) -> None:
        cuts = [np.asarray(bounds, np.int64)]
        cuts += [each[:, 0] for each in ranges] + [each[:, 1] + 1 for each in ranges]
        points = np.unique(np.concatenate(cuts))
        self.begins, self.ends = points[:-1], points[1:]

    def within(self, ranges: I64) -> Bools:
        """Which pieces lie in one of these ranges, which are ascending and apart."""
        if not len(ranges):
            return np.zeros(len(self.begins), dtype=np.bool_)
        index = np.searchsorted(ranges[:, 0], self.begins, side="right") - 1
        return np.asarray((index >= 0) & (self.begins <= ranges[index, 1]), dtype=np.bool_)

    def count(self, chosen: Bools) -> int:
        """How many offsets these pieces have."""
        return int((self.ends - self.begins)[chosen].sum())

    def named(self, chosen: Bools) -> str:
        """The first of these offsets, neighbours in one."""
        begins, ends = self.begins[chosen], self.ends[chosen]
        starts = np.flatnonzero(np.append(True, begins[1:] != ends[:-1]))
        stops = np.append(starts[1:], len(begins)) - 1
        spans = [
            f"{begins[one]}"
            if ends[last] == begins[one] + 1
            else f"{begins[one]} to {ends[last] - 1}"
            for one, last in zip(starts[:_NAMED], stops[:_NAMED], strict=True)
        ]
        more = len(starts) - len(spans)
        return ", ".join(spans) + (f" and {more} more stretches" if more else "")


def _pairs(flat: list[int]) -> I64:
    """(n, 2): first and last offsets."""
    return np.array(flat, dtype=np.int64).reshape(-1, 2)


def _check(entry: PartitionHoles, where: str) -> None:
    """Raises ValueError for ranges that no drain and no log leaves."""
    lists = {"holes": entry.holes}
    if entry.log is not None:
        lists |= {f"log.{name}": getattr(entry.log, name) for name in _KINDS}
    for name, flat in lists.items():
        if len(flat) % 2:
            raise ValueError(f"{where}.{name}: first and last offsets in turn are expected")
        if flat and (min(flat) < 0 or max(flat) >= 1 << 62):
            raise ValueError(f"{where}.{name}: an offset that no log has")
        pairs = _pairs(flat)
        if (pairs[:, 0] > pairs[:, 1]).any() or (pairs[1:, 0] <= pairs[:-1, 1]).any():
            raise ValueError(f"{where}.{name}: the ranges are not ascending and apart")
