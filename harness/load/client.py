"""One client instance of a profile: what it sends where, within which bounds, and its successors.

A client outlives its producers: when one meets a fatal error (an idempotent producer whose
partition lost records, a transactional one that was fenced) everything it had open becomes
UNKNOWN and a new incarnation takes over.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from harness.arrays import I64
from harness.load.context import Call, LoadContext
from harness.load.incarnation import Incarnation
from harness.rundir.run_info import ProfileRun

OPEN_RECORDS_MAX: Final = 100_000
OPEN_BYTES_MAX: Final = 64 * 1024 * 1024
"""What one client has in flight at most. Records beyond it wait in the schedule, which is
arithmetic, and keep their intended send time."""
REPLACE_PAUSE_US: Final = 500_000
REPLACE_PAUSE_MAX_US: Final = 8_000_000
KEYS_KEPT: Final = 10_000
"""So many keys are kept as bytes; the bytes of others are made when they are sent."""
METADATA_TIMEOUT_S: Final = 20.0


class Lanes:
    """Where record i of a client goes: over all topics in turn, within each over all partitions.

    With keys, key k always goes to partition k modulo the number of partitions, and keys take
    turns; a key's bytes are `key-<k>`.
    """

    def __init__(self, topics: list[int], partitions: int, keys: int, first: int = 0) -> None:
        self._topics = np.array(topics, dtype=np.int64)
        self._partitions = partitions
        self._key_count = keys
        self._keys = [b"key-%d" % key for key in range(min(keys, KEYS_KEPT))]
        self._next = first

    @property
    def next_record(self) -> int:
        """Which of its client's records is the next one, counted over all its incarnations."""
        return self._next

    def take(self, count: int) -> tuple[I64, I64, list[bytes] | None]:
        """Topic index, partition and key of the next `count` records."""
        index = np.arange(self._next, self._next + count, dtype=np.int64)
        self._next += count
        turn, topic = np.divmod(index, len(self._topics))
        if not self._key_count:
            return self._topics[topic], turn % self._partitions, None
        key = turn % self._key_count
        if self._key_count == len(self._keys):
            keys = [self._keys[number] for number in key.tolist()]
        else:
            keys = [b"key-%d" % number for number in key.tolist()]
        return self._topics[topic], key % self._partitions, keys


class Client:
    """A producer client without transactions."""

    def __init__(self, context: LoadContext, profile: ProfileRun, instance: int) -> None:
        self.context = context
        self.profile = profile
        self.instance = instance
        load = context.info.load
        self.topics = list(context.info.input_topics_of(profile))
        self.lanes = Lanes(self.topics, load.partitions, load.keys, first=instance)
        self.open_max = max(1, min(OPEN_RECORDS_MAX, OPEN_BYTES_MAX // load.message_bytes))
        self.incarnation = Incarnation(context, profile, instance, self.lanes.next_record)
        self.stopping = False
        self.closed = False
        self._resume_us = 0
        self._pause_us = REPLACE_PAUSE_US // 2
        self._preparing: Call | None = None

    # -- before the start ------------------------------------------------------------------

    def prepare(self) -> None:
        """Begin to connect, so that the first record does not pay for it."""
        producer, topic = self.incarnation.producer, self.profile.topics[0]
        self._preparing = self.context.start_call(
            lambda: producer.list_topics(topic, METADATA_TIMEOUT_S)
        )

    @property
    def ready(self) -> bool:
        """Whether records can be sent; an unreachable cluster does not hold up the start."""
        return self._preparing is None or self._preparing.done()

    # -- while it runs ---------------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many records may be sent now."""
        if self.stopping or self.context.clock.now_us() < self._resume_us:
            return 0
        return max(0, self.open_max - self.incarnation.open_records)

    def send(self, intended_us: I64) -> None:
        """Attempt one record for each intended send time (µs since the epoch)."""
        topics, partitions, keys = self.lanes.take(len(intended_us))
        self.incarnation.produce(topics, partitions, intended_us, keys)
        self._check()

    def poll(self, wait_s: float = 0.0) -> None:
        """Serve librdkafka's callbacks; waits for one only where it is asked to."""
        self.incarnation.poll(wait_s)

    def settle(self) -> None:
        """Decide about everything that was reported."""
        self.incarnation.settle()
        self._check()

    def _check(self) -> None:
        if self.incarnation.fatal is not None:
            self.replace(self.incarnation.fatal)

    def replace(self, reason: str) -> None:
        """Close this incarnation and begin the next one, after a pause that grows while none of
        them gets anything acknowledged."""
        if self.stopping:
            self.close(reason)
            return
        self._take_last_reports()
        self._pause_us = (
            REPLACE_PAUSE_US
            if self.incarnation.acked
            else min(2 * self._pause_us, REPLACE_PAUSE_MAX_US)
        )
        self.incarnation.close("replaced", reason)
        self._resume_us = self.context.clock.now_us() + self._pause_us
        self.incarnation = Incarnation(
            self.context, self.profile, self.instance, self.lanes.next_record
        )

    def _take_last_reports(self) -> None:
        """Decide about what was reported up to now; the incarnation ends."""
        self.incarnation.poll()
        self.incarnation.settle()

    # -- the end ---------------------------------------------------------------------------

    def begin_stop(self) -> None:
        """Send nothing more."""
        self.stopping = True

    @property
    def settled(self) -> bool:
        """Whether nothing is open."""
        return self.incarnation.open_records == 0

    def close(self, reason: str = "stopped") -> None:
        """What is still open becomes UNKNOWN."""
        if self.closed:
            return
        self.closed = True
        self._take_last_reports()
        self.incarnation.close("closed", reason)
