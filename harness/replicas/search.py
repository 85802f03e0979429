"""Looks for records in the log files of every replica: is a lost one still in any of them?

A record's identity begins with 24 bytes that no other record of its partition shares (magic,
incarnation, run, sequence). They are looked for as bytes: in a whole segment at once where its
batches are not compressed, in each batch's decompressed records where they are. What is found is
then read as a record, so that bytes that only look like it do not count.
"""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.record.binary import MAGIC, decode
from harness.replicas.batches import Batch, Bytes, batches, crc_holds, payload, records
from harness.replicas.files import Replica, Segment
from harness.rundir.replicas import Copy, LogState, Sought

BYTES_MAX: Final = 1 << 30
"""So much of one replica's log is searched."""
TIME_MAX_S: Final = 30.0
_IDENTITY: Final = struct.Struct("<IIQQ")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record by its identity; `topic_index`: its topic's index among the run's."""

    topic: str
    topic_index: int
    partition: int
    producer: int
    sequence: int


def search_replicas(
    wanted: Iterable[Wanted],
    brokers: Iterable[int],
    data_directory: Callable[[int], Path],
    run: int,
    *,
    time_max_s: float = TIME_MAX_S,
) -> tuple[list[LogState], list[Sought]]:
    """Search each replica of each wanted record's partition.

    data_directory: a broker's log directory; run: the run's hash. Takes `time_max_s` at most;
    a log that was not searched whole says so and why.
    """
    by_partition: dict[tuple[str, int], list[tuple[Wanted, Sought]]] = {}
    sought: list[Sought] = []
    for each in wanted:
        entry = Sought(each.topic, each.partition, each.producer, each.sequence)
        sought.append(entry)
        by_partition.setdefault((each.topic, each.partition), []).append((each, entry))
    deadline = time.monotonic() + time_max_s
    logs: list[LogState] = []
    for key, entries in sorted(by_partition.items()):
        for broker in brokers:
            replica = Replica(data_directory(broker), *key)
            if replica.there:
                logs.append(_search(replica, broker, key, entries, run, deadline))
    return logs, sought


def _search(
    replica: Replica,
    broker: int,
    key: tuple[str, int],
    entries: list[tuple[Wanted, Sought]],
    run: int,
    deadline: float,
) -> LogState:
    state = LogState(
        broker, *key, replica.start(), None, [list(pair) for pair in replica.epochs()], False
    )
    patterns = {
        _IDENTITY.pack(MAGIC, each.producer, run, each.sequence): (each, entry)
        for each, entry in entries
    }
    read_bytes = 0
    try:
        state.end = replica.end()
        for segment in replica.segments():
            if read_bytes > BYTES_MAX:
                state.reason = f"only the first {read_bytes} bytes of it were searched"
                return state
            if not _search_segment(segment, broker, patterns, deadline):
                state.reason = "the time for searching was over"
                return state
            read_bytes += segment.path.stat().st_size
    except (OSError, ValueError) as error:
        state.reason = f"cannot be read: {error}"
        return state
    state.complete = True
    return state


def _search_segment(
    segment: Segment,
    broker: int,
    patterns: dict[bytes, tuple[Wanted, Sought]],
    deadline: float,
) -> bool:
    """Look through one segment; False when the time was over before its end."""
    with segment.opened() as data:
        plain_hits = {at for pattern in patterns for at in _positions(data, pattern)}
        for batch in batches(data):
            if time.monotonic() > deadline:
                return False
            if batch.control:
                continue
            if batch.codec == 0:
                if not any(batch.at <= at < batch.at + batch.size for at in plain_hits):
                    continue
                plain = payload(data, batch)
            else:
                plain = payload(data, batch)
                if not any(pattern in plain for pattern in patterns):
                    continue
            _take(data, batch, plain, broker, patterns)
    return True


def _positions(data: bytes | mmap.mmap, pattern: bytes) -> list[int]:
    """Where a pattern stands."""
    found: list[int] = []
    at = data.find(pattern)
    while at >= 0:
        found.append(at)
        at = data.find(pattern, at + 1)
    return found


def _take(
    data: Bytes,
    batch: Batch,
    plain: bytes,
    broker: int,
    patterns: dict[bytes, tuple[Wanted, Sought]],
) -> None:
    """Read a batch in which some identity stands, record by record."""
    for record in records(batch, plain):
        entry = patterns.get((record.value or b"")[: _IDENTITY.size])
        if entry is None:
            continue
        wanted, sought = entry
        decoded = decode([record.value])
        head = decoded.heads[0]
        home = (int(head["topic"]), int(head["partition"])) == (
            wanted.topic_index,
            wanted.partition,
        )
        if home and bool(decoded.intact[0]):
            copy = Copy(broker, record.offset, batch.leader_epoch, crc_holds(data, batch))
            sought.found.append(copy)
