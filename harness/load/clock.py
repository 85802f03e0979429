"""One time base for a load process: the wall clock at its start, then the monotonic clock."""

from __future__ import annotations

import time

from harness.rundir import now_us


class Clock:
    """µs since the epoch that never step back, whatever happens to the wall clock meanwhile."""

    def __init__(self) -> None:
        self._epoch_ns = now_us() * 1000 - time.monotonic_ns()

    def now_us(self) -> int:
        """The present instant, µs since the epoch."""
        return (self._epoch_ns + time.monotonic_ns()) // 1000
