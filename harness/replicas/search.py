"""Looks for records in the log files of every replica: is a lost one still in any of them?

The run's codec says which bytes are in every value with a record's identity. They are looked for
in a whole segment at once where its batches are not compressed, in each batch's decompressed
records where they are. The records of a batch that has such bytes are then decoded, so that bytes
that only look like an identity do not count. Where a codec knows no such bytes, every batch is
decoded.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from harness.record.codec import IDENTITY, Codec
from harness.replicas.batches import Batch, Bytes, batches, crc_holds, payload, records
from harness.replicas.files import Replica, Segment
from harness.rundir.replicas import Copy, LogState, Sought

BYTES_MAX: Final = 1 << 30
"""So much of one replica's log is searched."""
TIME_MAX_S: Final = 30.0
_NAMES: Final = ("run", "incarnation", "sequence", "topic", "partition")


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
    log_directory: Callable[[int], Path],
    run_id: str,
    codec: Codec,
    *,
    time_max_s: float = TIME_MAX_S,
) -> tuple[list[LogState], list[Sought]]:
    """Search each replica of each wanted record's partition.

    log_directory: a broker's log directory; codec: the run's. Takes `time_max_s` at most; a log
    that was not searched whole says so and why.
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
        identities = _Identities(codec, codec.run_number(run_id), entries)
        for broker in brokers:
            replica = Replica(log_directory(broker), *key)
            if replica.there:
                logs.append(_search(replica, broker, key, identities, deadline))
    return logs, sought


class _Identities:
    """The wanted records of one topic-partition."""

    def __init__(self, codec: Codec, run: int, entries: Iterable[tuple[Wanted, Sought]]) -> None:
        self._codec = codec
        self._sought: dict[tuple[int, ...], Sought] = {}
        heads = np.zeros(1, dtype=IDENTITY)
        patterns: list[bytes | None] = []
        for each, entry in entries:
            identity = (run, each.producer, each.sequence, each.topic_index, each.partition)
            self._sought[identity] = entry
            for name, number in zip(_NAMES, identity, strict=True):
                heads[name] = number
            patterns.append(codec.pattern(heads[0]))
        known = [pattern for pattern in patterns if pattern is not None]
        self.patterns = known if len(known) == len(patterns) else None
        """Bytes to look for; None where the codec does not say them for each."""

    def found(self, values: list[bytes | None]) -> Iterable[tuple[int, Sought]]:
        """(position, whose it is) of each value that is a wanted record."""
        decoded = self._codec.decode(values)
        for at in np.flatnonzero(decoded.intact).tolist():
            head = decoded.heads[at]
            entry = self._sought.get(tuple(int(head[name]) for name in _NAMES))
            if entry is not None:
                yield at, entry


def _search(
    replica: Replica,
    broker: int,
    key: tuple[str, int],
    identities: _Identities,
    deadline: float,
) -> LogState:
    state = LogState(
        broker, *key, replica.start(), None, [list(pair) for pair in replica.epochs()], False
    )
    read_bytes = 0
    try:
        state.end = replica.end()
        for segment in replica.segments():
            if read_bytes > BYTES_MAX:
                state.reason = f"only the first {read_bytes} bytes of it were searched"
                return state
            if not _search_segment(segment, broker, identities, deadline):
                state.reason = "the time for searching was over"
                return state
            read_bytes += segment.path.stat().st_size
    except (OSError, ValueError) as error:
        state.reason = f"cannot be read: {error}"
        return state
    state.complete = True
    return state


def _search_segment(
    segment: Segment, broker: int, identities: _Identities, deadline: float
) -> bool:
    """Look through one segment; False when the time was over before its end."""
    patterns = identities.patterns
    with segment.opened() as data:
        plain_hits = {at for pattern in patterns or () for at in _positions(data, pattern)}
        for batch in batches(data):
            if time.monotonic() > deadline:
                return False
            if batch.control:
                continue
            if patterns is not None and batch.codec == 0:
                if not any(batch.at <= at < batch.at + batch.size for at in plain_hits):
                    continue
                plain = payload(data, batch)
            else:
                plain = payload(data, batch)
                if patterns is not None and not any(pattern in plain for pattern in patterns):
                    continue
            _take(data, batch, plain, broker, identities)
    return True


def _positions(data: bytes | mmap.mmap, pattern: bytes) -> list[int]:
    """Where a pattern is."""
    found: list[int] = []
    at = data.find(pattern)
    while at >= 0:
        found.append(at)
        at = data.find(pattern, at + 1)
    return found


def _take(data: Bytes, batch: Batch, plain: bytes, broker: int, identities: _Identities) -> None:
    """Read a batch in which some identity may be, record by record."""
    here = list(records(batch, plain))
    for at, sought in identities.found([record.value for record in here]):
        copy = Copy(broker, here[at].offset, batch.leader_epoch, crc_holds(data, batch))
        sought.found.append(copy)
