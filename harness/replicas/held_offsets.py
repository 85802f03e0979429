"""What a leader's log holds that a reader at read_committed is not handed: markers, aborted and
open records.

The headers of the batches tell it, so nothing is decompressed: whose transaction a batch belongs to
(producer id and epoch), and in a control batch how that producer's transaction ended. Only offsets
that the brokers have named as the end before are looked at. A leader wrote these bytes before it
named that end, and a file that is read through the page cache needs no flush; what lies beyond may
be written just now, and is not read.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable
from typing import Final

from harness.replicas.batches import Batch, Bytes, crc_holds, payload, records
from harness.replicas.files import Replica
from harness.rundir.replicas import LogHeld

RANGES_MAX: Final = 1_000_000
"""So many stretches of offsets are noted of one log."""
TIME_MAX_S: Final = 60.0
_MARKER_KEY: Final = struct.Struct(">hh")
"""The key of a control record: its version and what it marks."""
ABORT: Final = 0
COMMIT: Final = 1


def log_held(
    replica: Replica, broker: int, start: int, end: int, *, time_max_s: float = TIME_MAX_S
) -> LogHeld:
    """Look at the offsets from `start` on and below `end`; say what could not be read."""
    walk = _Walk(start, end)
    reason = ""
    deadline = time.monotonic() + time_max_s
    try:
        for data, batch in replica.batches_from(start):
            if batch.base_offset >= end:
                break
            if time.monotonic() > deadline:
                reason = f"not read further within {time_max_s:g} s"
                break
            walk.take(data, batch)
            if walk.ranges > RANGES_MAX:
                reason = f"it holds more than {RANGES_MAX:,} stretches of markers and aborts"
                break
    except (OSError, ValueError) as error:
        reason = f"it cannot be read on: {error}"
    if not reason and walk.next < end:
        reason = (
            f"its files end at offset {walk.next}" if replica.there else "it has no such directory"
        )
    return walk.held(broker, reason)


class _Walk:
    """Batches in the order of their offsets, and which transactions were open on the way."""

    def __init__(self, start: int, end: int) -> None:
        self.next = start
        """The offset that the next batch of a log without holes begins at."""
        self.ranges = 0
        self._start, self._end = start, end
        self._open: dict[int, list[tuple[int, int, int]]] = {}
        """producer id → (epoch, first offset, last offset) of batches that no marker has ended"""
        self._markers: list[tuple[int, int]] = []
        self._aborted: list[tuple[int, int]] = []
        self._absent: list[tuple[int, int]] = []

    def take(self, data: Bytes, batch: Batch) -> None:
        """The next batch. Raises ValueError for one that is not what a log holds there."""
        first = max(batch.base_offset, self._start)
        if first < self.next or batch.last_offset < first:
            raise ValueError(
                f"a batch of offsets {batch.base_offset} to {batch.last_offset} is where "
                f"{self.next} was next"
            )
        if first > self.next:
            self._note(self._absent, self.next, first - 1)
        if batch.control:
            self._end_transaction(data, batch)
            self._note(self._markers, first, batch.last_offset)
        else:
            for stretch in self._stretches(data, batch, first):
                if batch.transactional:
                    self._add_open(batch, *stretch)
        self.next = batch.last_offset + 1

    def _stretches(self, data: Bytes, batch: Batch, first: int) -> Iterable[tuple[int, int]]:
        """The offsets of a batch's records; what it has no record for is noted as absent."""
        if batch.records == batch.last_offset_delta + 1:
            return [(first, batch.last_offset)]
        found: list[tuple[int, int]] = []
        after = first
        for record in records(batch, payload(data, batch)):
            if record.offset < first:
                continue
            if record.offset > after:
                self._note(self._absent, after, record.offset - 1)
            _extend(found, record.offset, record.offset)
            after = record.offset + 1
        if after <= batch.last_offset:
            self._note(self._absent, after, batch.last_offset)
        return found

    def _add_open(self, batch: Batch, first: int, last: int) -> None:
        batches = self._open.setdefault(batch.producer_id, [])
        if batches and batches[-1][0] == batch.producer_epoch and batches[-1][2] + 1 == first:
            first = batches.pop()[1]
        batches.append((batch.producer_epoch, first, last))

    def _end_transaction(self, data: Bytes, batch: Batch) -> None:
        """A marker ends what its producer wrote up to the marker's epoch."""
        if not crc_holds(data, batch):
            raise ValueError(f"the marker at offset {batch.base_offset} fails its checksum")
        for record in records(batch, payload(data, batch)):
            if record.key is None or len(record.key) < _MARKER_KEY.size:
                raise ValueError(f"the marker at offset {record.offset} has no key")
            _, kind = _MARKER_KEY.unpack_from(record.key)
            if kind not in (ABORT, COMMIT):
                continue
            batches = self._open.pop(batch.producer_id, [])
            ended = [each for each in batches if each[0] <= batch.producer_epoch]
            later = [each for each in batches if each[0] > batch.producer_epoch]
            if later:
                self._open[batch.producer_id] = later
            if kind == ABORT:
                for _, first, last in ended:
                    self._note(self._aborted, first, last)

    def _note(self, ranges: list[tuple[int, int]], first: int, last: int) -> None:
        ranges.append((first, last))
        self.ranges += 1

    def held(self, broker: int, reason: str) -> LogHeld:
        """What was found, cut to the offsets that were asked for."""
        end = max(min(self.next, self._end), self._start)
        still_open = [
            (first, last) for batches in self._open.values() for _, first, last in batches
        ]
        return LogHeld(
            broker,
            self._start,
            end,
            markers=_flat(self._markers, end),
            aborted=_flat(self._aborted, end),
            open=_flat(still_open, end),
            absent=_flat(self._absent, end),
            reason=reason,
        )


def _flat(ranges: list[tuple[int, int]], end: int) -> list[int]:
    """First and last offsets in turn, ascending, neighbours joined, below `end`."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if first < end:
            _extend(joined, first, min(last, end - 1))
    return [offset for pair in joined for offset in pair]


def _extend(ranges: list[tuple[int, int]], first: int, last: int) -> None:
    if ranges and ranges[-1][1] + 1 == first:
        ranges[-1] = (ranges[-1][0], last)
    else:
        ranges.append((first, last))
