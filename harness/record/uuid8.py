"""A record's identity as a UUID of version 8 (RFC 9562, section 5.8), for values that are events.

Version 8 leaves 122 bits to whoever makes it, which is what an identity takes. Bits are counted
from the most significant one, bit 0, as in the RFC:

    bits      width  field
      0– 31      32  run          the upper half of `run_hash(run_id)`
     32– 47      16  incarnation  its upper 16 bits
     48– 51       4  version      0b1000
     52– 53       2  incarnation  its lower 2 bits
     54– 63      10  topic        index into the run's topics
     64– 65       2  variant      0b10
     66– 81      16  partition    0xFFFF: not known when the attempt was made
     82–127      46  sequence     dense per incarnation × topic-partition, from 0

So a run has at most 262,144 incarnations and 1,024 topics, a topic 65,535 partitions that are
known, and a lane 70 million million records. What does not fit is refused.

No client library is imported here.
"""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from harness.arrays import U64, Rows
from harness.record.codec import ANY_PARTITION, IDENTITY, Attempts, Ints, Limits

LIMITS: Final = Limits(
    incarnation_max=2**18 - 1,
    topic_max=2**10 - 1,
    partition_max=2**16 - 2,
    sequence_max=2**46 - 1,
)
_ANY: Final = 2**16 - 1
UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""The text of a UUID of version 8 as RFC 9562 has it, in lower case."""


def uuids(run: int, incarnation: int, attempts: Attempts) -> list[str]:
    """The UUIDs of attempts; numbers are within LIMITS. run: the codec's number of 32 bits."""
    count = len(attempts.sequences)
    upper = np.full(
        count,
        run << 32 | (incarnation >> 2) << 16 | 0b1000 << 12 | (incarnation & 0b11) << 10,
        dtype=np.uint64,
    )
    upper |= _column(attempts.topic, count)
    partition = _column(attempts.partition, count)
    partition = np.where(partition == ANY_PARTITION, np.uint64(_ANY), partition)
    lower = partition << np.uint64(46) | attempts.sequences | np.uint64(0b10 << 62)
    texts = (f"{a:016x}{b:016x}" for a, b in zip(upper.tolist(), lower.tolist(), strict=True))
    return [f"{t[:8]}-{t[8:12]}-{t[12:16]}-{t[16:20]}-{t[20:]}" for t in texts]


def _column(numbers: int | Ints, count: int) -> U64:
    if isinstance(numbers, int):
        return np.full(count, numbers, dtype=np.uint64)
    return numbers.astype(np.uint64)


def heads_of(texts: list[str], intended_us: list[int]) -> Rows:
    """(n,) heads of dtype IDENTITY of UUIDs that match `UUID`, with these send times."""
    numbers = [int(text.replace("-", ""), 16) for text in texts]
    upper = np.array([number >> 64 for number in numbers], dtype=np.uint64)
    lower = np.array([number & (1 << 64) - 1 for number in numbers], dtype=np.uint64)
    heads = np.zeros(len(texts), dtype=IDENTITY)
    heads["run"] = upper >> np.uint64(32)
    high, low = upper >> np.uint64(16) & np.uint64(0xFFFF), upper >> np.uint64(10) & np.uint64(0b11)
    heads["incarnation"] = high << np.uint64(2) | low
    heads["topic"] = upper & np.uint64(0x3FF)
    partition = lower >> np.uint64(46) & np.uint64(0xFFFF)
    heads["partition"] = np.where(partition == _ANY, np.uint64(ANY_PARTITION), partition)
    heads["sequence"] = lower & np.uint64(2**46 - 1)
    heads["intended_us"] = intended_us
    return heads


def uuid_of(head: np.void) -> str:
    """The UUID of one head."""
    attempts = Attempts(
        int(head["topic"]),
        int(head["partition"]),
        np.array([head["sequence"]], dtype=np.uint64),
        np.zeros(1, dtype=np.int64),
    )
    return uuids(int(head["run"]), int(head["incarnation"]), attempts)[0]
