"""One time base for several processes: the wall clock at one start, then the monotonic clock."""

from __future__ import annotations

import time

from harness.rundir.run import now_us


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
