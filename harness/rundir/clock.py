"""Instants as files of a run hold them, and one time base for several processes."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

NEVER_US: Final = 2**63 - 1
"""Later than every instant: of what has not happened."""


def now() -> str:
    """The present instant, RFC 3339 in UTC with microseconds."""
    return from_us(now_us())


def now_us() -> int:
    """The present instant in µs since the epoch."""
    return int(datetime.now(UTC).timestamp() * 1_000_000)


def from_us(at_us: int) -> str:
    """µs since the epoch as RFC 3339 text."""
    whole = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{at_us % 1_000_000:06d}Z"


@lru_cache(maxsize=1024)
def to_us(at: str) -> int:
    """RFC 3339 text as µs since the epoch. Raises ValueError when it is none."""
    moment = datetime.fromisoformat(at.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError(f"{at!r} says no time zone")
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1_000_000 + moment.microsecond


class Clock:
    """µs since the epoch that never step back, whatever happens to the wall clock meanwhile.

    epoch_ns: the epoch of another process of this machine, whose clock this one is to share: the
    monotonic clock is the machine's.
    """

    def __init__(self, epoch_ns: int | None = None) -> None:
        self.epoch_ns = now_us() * 1000 - time.monotonic_ns() if epoch_ns is None else epoch_ns

    def now_us(self) -> int:
        """The present instant, µs since the epoch."""
        return (self.epoch_ns + time.monotonic_ns()) // 1000
