"""The live reader: reads along while the load runs and the faults strike.

`python -m harness.read.live_reader RUN_DIR` reads every topic of a run from offset 0 until it gets
SIGTERM or its parent is gone. It leaves

- observations/live: what was there to be read once, which a later drain must still hold;
- observations/live/batches.bin: when each stretch of a read_committed topic was returned;
- latency/<profile>.end_to_end.reader.hlog: from the intended send time to the read.

Transactional profiles are read with read_committed, all others with read_uncommitted, each by a
consumer of its own. The instant of a read is stamped on what one call of the client returned, and
a call collects for `RESOLUTION_S`: an end-to-end latency is too long by up to that, never too
short. Only the stamp is taken at once; decoding and recording follow every `_RECORD_S` in one go,
which keeps the reader's share of a small machine low.

Brokers die and leaders move while it reads: errors are noted in the timeline and reading goes on.
Where a log was cut back below what was read (or its start moved up), a stretch before the end is
read once more, since the offsets there may hold other records now. What was read stays in the set.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from harness.errors import HarnessError
from harness.kafka.consumer import READ_MESSAGES_MAX, Unbatcher, new_consumer, split, watermarks
from harness.kafka.environment import HarnessEnvironment
from harness.read.warmup import WarmUp
from harness.record.codecs import codec_named
from harness.rundir.clock import now_us, to_us
from harness.rundir.events import ClientErrorEvent, ReaderEvent
from harness.rundir.latency import IntervalRecorder
from harness.rundir.observations import Added, ObservationSet
from harness.rundir.read_batch import ReadBatch
from harness.rundir.rows import BATCH, AppendedRows
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import RunInfo
from harness.system import lifeline
from harness.system.garbage_collector import rare_collections

RESOLUTION_S: Final = 0.005
_RECORD_S: Final = 0.1
_PENDING_MAX: Final = 20_000
_READ_AGAIN_MAX: Final = 1_000_000
_REQUEST_S: Final = 1.0
CATCH_UP_S: Final = 8.0
"""So long at most a reader that was asked to stop reads on to the ends of the logs."""
QUIET_S: Final = 1.0
"""Nothing more is expected when nothing has come for so long."""
_SAID_AGAIN_S: Final = 1.0
_CUT_OFF: Final = frozenset(
    (KafkaError._AUTO_OFFSET_RESET, KafkaError._LOG_TRUNCATION, KafkaError.OFFSET_OUT_OF_RANGE)
)
_SETTINGS: Final[Mapping[str, str | int | bool]] = {
    "queued.min.messages": 15_000,
    "queued.max.messages.kbytes": 8 * 1024,
    "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 500,
    "topic.metadata.refresh.interval.ms": 5_000,
}

Key = tuple[str, int]


@dataclass(slots=True)
class _Source:
    """One consumer and how far it got."""

    level: str
    consumer: Consumer
    unbatcher: Unbatcher
    next: dict[Key, int]
    to_resume: set[Key] = field(default_factory=set)
    pending: list[tuple[int, list[Message]]] = field(default_factory=list)
    """(µs since the epoch at which a call returned, what it returned)"""

    @property
    def committed(self) -> bool:
        return self.level == "read_committed"


class LiveReader:
    """Reads all topics of a run into its live set; `run` returns after `stop`."""

    def __init__(self, run_dir: RunDir, info: RunInfo, client_config: Mapping[str, str]) -> None:
        """Raises RunDirError when there is a live set already."""
        self.run_dir = run_dir
        self.info = info
        self._observations = ObservationSet(run_dir.live, info, kind="live")
        self._batches = AppendedRows(run_dir.live / "batches.bin")
        self._warm_up = WarmUp(run_dir, info)
        self._recorders: dict[str, IntervalRecorder] = {}
        self._profiles = np.array(
            [number for number, profile in enumerate(info.profiles) for _ in profile.topics]
        )
        self._began_us = to_us(info.started_at) if info.started_at else now_us()
        self._said: dict[tuple[object, ...], float] = {}
        self._stopping = False
        self._sources = [
            self._source(level, topics, client_config)
            for level, topics in (
                (
                    "read_uncommitted",
                    [t for p in info.profiles if not p.transactional for t in p.topics],
                ),
                ("read_committed", [t for p in info.profiles if p.transactional for t in p.topics]),
            )
            if topics
        ]

    def _source(self, level: str, topics: list[str], client_config: Mapping[str, str]) -> _Source:
        consumer = new_consumer(
            client_config,
            group=f"harness-{self.info.run_id}-reader",
            isolation_level=level,
            on_error=self._say_error,
            settings=_SETTINGS,
        )
        keys = [(topic, number) for topic in topics for number in range(self.info.load.partitions)]
        consumer.assign([TopicPartition(*key, 0) for key in keys])
        unbatcher = Unbatcher(self.info.topics, topics, codec_named(self.info.load.codec))
        return _Source(level, consumer, unbatcher, dict.fromkeys(keys, 0))

    def stop(self) -> None:
        """End the reading soon; safe from a signal handler and from another thread."""
        self._stopping = True

    def run(self) -> None:
        """Read until `stop`, then what was written until then; write everything and let go."""
        cleanly = False
        try:
            started = False
            recorded_at = time.monotonic()
            while not self._stopping:
                self._poll(RESOLUTION_S / len(self._sources))
                if not started:
                    started = True
                    self.run_dir.append(ReaderEvent(source="reader", phase="started"))
                waiting = sum(len(messages) for s in self._sources for _, messages in s.pending)
                if time.monotonic() - recorded_at >= _RECORD_S or waiting >= _PENDING_MAX:
                    recorded_at = time.monotonic()
                    self._record()
                    self._resume()
            self._catch_up()
            cleanly = True
        finally:
            self._observations.close(cleanly=cleanly)
            self._batches.close()
            for recorder in self._recorders.values():
                recorder.close()
            for source in self._sources:
                source.consumer.close()
        self.run_dir.append(
            ReaderEvent(
                source="reader",
                phase="stopped",
                reason="asked to",
                counts=asdict(self._observations.counts),
            )
        )

    def _poll(self, timeout_s: float) -> None:
        for source in self._sources:
            messages = source.consumer.consume(READ_MESSAGES_MAX, timeout_s)
            if messages:
                source.pending.append((now_us(), messages))

    def _catch_up(self) -> None:
        """Read on to where the logs end now: a load that has just ended is read to its last record.

        Ends after CATCH_UP_S, or when nothing has come for QUIET_S: brokers that are gone return
        nothing more, and above the last committed record there may be only markers.
        """
        deadline = time.monotonic() + CATCH_UP_S
        ends = self._ends(deadline)
        arrived_at = time.monotonic()
        while True:
            self._poll(RESOLUTION_S / len(self._sources))
            now = time.monotonic()
            if any(source.pending for source in self._sources):
                arrived_at = now
                self._record()
            reached = ends is not None and all(
                source.next[key] >= end
                for source in self._sources
                for key, end in ends[source.level]
            )
            if reached or now > min(deadline, arrived_at + QUIET_S):
                return

    def _ends(self, deadline: float) -> dict[str, list[tuple[Key, int]]] | None:
        """Isolation level → (topic and partition, log end); None where a leader is silent."""
        ends: dict[str, list[tuple[Key, int]]] = {}
        for source in self._sources:
            found = ends.setdefault(source.level, [])
            for key in source.next:
                if time.monotonic() > deadline:
                    return None
                try:
                    bounds = watermarks(source.consumer, key, _REQUEST_S)
                except KafkaException:
                    return None
                if bounds is None:
                    return None
                found.append((key, bounds[1]))
        return ends

    # -- recording -----------------------------------------------------------------------------

    def _record(self) -> None:
        self._warm_up.look()
        for source in self._sources:
            pending, source.pending = source.pending, []
            if not pending:
                continue
            records: list[Message] = []
            stamps: list[tuple[int, int]] = []
            for read_us, messages in pending:
                here, events = split(messages)
                for event in events:
                    self._note_event(source, event)
                if here:
                    stamps.append((read_us, len(here)))
                    records += here
            if not records:
                continue
            batch = source.unbatcher.batch(records)
            read_us_each = np.repeat(
                np.array([read_us for read_us, _ in stamps], dtype=np.int64),
                [count for _, count in stamps],
            )
            self._note_stretches(source, batch, read_us_each)
            added = self._observations.add(batch)
            self._note_latency(batch, added, read_us_each)

    def _note_stretches(
        self, source: _Source, batch: ReadBatch, read_us: np.ndarray[Any, np.dtype[np.int64]]
    ) -> None:
        """Keep the positions and, at read_committed, when each stretch was returned."""
        for begin, end in batch.stretches():
            key = (self.info.topics[int(batch.topics[begin])], int(batch.partitions[begin]))
            source.next[key] = int(batch.offsets[end - 1]) + 1
        if not source.committed:
            return
        changes = (
            (np.diff(batch.topics) != 0)
            | (np.diff(batch.partitions) != 0)
            | (np.diff(read_us) != 0)
        )
        firsts = np.concatenate([[0], np.flatnonzero(changes) + 1])
        lasts = np.concatenate([firsts[1:], [len(batch)]]) - 1
        rows = np.zeros(len(firsts), dtype=BATCH)
        rows["topic"] = batch.topics[firsts]
        rows["partition"] = batch.partitions[firsts]
        rows["read_us"] = read_us[firsts]
        rows["first_offset"] = batch.offsets[firsts]
        rows["last_offset"] = batch.offsets[lasts]
        self._batches.append(rows)

    def _note_latency(
        self, batch: ReadBatch, added: Added, read_us: np.ndarray[Any, np.dtype[np.int64]]
    ) -> None:
        """End-to-end latency of each attempt's first copy, by profile."""
        until_us = self._warm_up.until_us
        intended_us = added.heads["intended_us"].astype(np.int64)
        counted = added.fresh & (intended_us >= until_us)
        profiles = self._profiles[batch.topics]
        for number in np.unique(profiles[counted]).tolist():
            name = self.info.profiles[number].profile
            recorder = self._recorders.get(name)
            if recorder is None:
                path = self.run_dir.latency / f"{name}.end_to_end.reader.hlog"
                recorder = self._recorders[name] = IntervalRecorder(
                    path, until_us or self._began_us
                )
            chosen = counted & (profiles == number)
            recorder.record(intended_us[chosen], read_us[chosen] - intended_us[chosen])

    # -- what goes wrong -----------------------------------------------------------------------

    def _note_event(self, source: _Source, event: Message) -> None:
        error = event.error()
        if error is None:
            return
        topic, partition = event.topic(), event.partition()
        if topic is not None and partition is not None and error.code() in _CUT_OFF:
            source.to_resume.add((topic, partition))
        self._say_error(error, topic=topic, partition=partition)

    def _say_error(
        self, error: KafkaError, topic: str | None = None, partition: int | None = None
    ) -> None:
        """One timeline event a second for each kind of error and place."""
        kind = (error.code(), topic, partition)
        if time.monotonic() - self._said.get(kind, -_SAID_AGAIN_S) < _SAID_AGAIN_S:
            return
        self._said[kind] = time.monotonic()
        self.run_dir.append(
            ClientErrorEvent(
                source="reader",
                profile=None,
                incarnation=None,
                code=error.name(),
                reason=error.str(),
                fatal=error.fatal(),
                topic=topic,
                partition=partition,
            )
        )

    def _resume(self) -> None:
        """Go on where a log no longer holds what was to be read next."""
        for source in self._sources:
            for key in sorted(source.to_resume):
                try:
                    bounds = watermarks(source.consumer, key, _REQUEST_S)
                    if bounds is None:
                        continue
                    low, high = bounds
                    start = max(low, min(source.next[key], high) - _READ_AGAIN_MAX)
                    partition = TopicPartition(*key, start)
                    source.consumer.incremental_unassign([partition])
                    source.consumer.incremental_assign([partition])
                except KafkaException as error:
                    self._say_error(error.args[0], topic=key[0], partition=key[1])
                    break
                source.to_resume.discard(key)
                source.next[key] = start


def main(argv: list[str] | None = None) -> int:
    """`python -m harness.read.live_reader RUN_DIR`"""
    parser = argparse.ArgumentParser(
        prog="python -m harness.read.live_reader",
        description="Read along with a run until SIGTERM or the end of the parent process.",
    )
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    args = parser.parse_args(argv)
    run_dir = RunDir(args.run_dir)
    try:
        info = run_dir.read_info()
        reader = LiveReader(run_dir, info, HarnessEnvironment.read().connection(info.bootstrap))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: reader.stop())
        lifeline.watch(reader.stop)
        with rare_collections():
            reader.run()
    except HarnessError as error:
        print(error, file=sys.stderr)
        if run_dir.run_json.exists():
            run_dir.append(ReaderEvent(source="reader", phase="failed", reason=str(error)))
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
