"""One client on its schedule: what is due is sent, what is reported is settled, never waiting.

The pace is kept by steps of a loop that nothing of Kafka's can block: a step sends the records
that are due, serves callbacks, and every now and then settles what was reported. How late a step
comes is the generator's own lag; a client that has no room leaves records due, and their
intended send time tells.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from harness.load.client import Client
from harness.load.schedule import Schedule

TICK_US: Final = 10_000
"""Records are sent in batches of what became due within this time, or less with few clients: on
the average half of it is part of every response time, and never of a service time."""
SETTLE_US: Final = 40_000
BATCH_MAX: Final = 2_000
"""Records handed over in one step, so that a client that catches up does not starve others."""


class Pace:
    """Drives one client from `start_us` on (µs since the epoch, on the context's clock)."""

    def __init__(
        self, client: Client, schedule: Schedule, start_us: int, tick_us: int = TICK_US
    ) -> None:
        self.client = client
        self.schedule = schedule
        self.start_us = start_us
        self.behind = False
        """Whether records are due that were not sent although there is room."""
        self._clock = client.context.clock
        self._slots = client.context.slots
        self._every_us = tick_us
        self._tick_us = start_us
        self._settle_us = start_us

    def step(self) -> None:
        """What has to be done now."""
        now_us = self._clock.now_us()
        if now_us >= self._tick_us:
            late_us = now_us - self._tick_us
            self._slots.lag(now_us, late_us)
            self._tick_us += (late_us // self._every_us + 1) * self._every_us
            self.behind = True
        if self.behind:
            self._send(now_us)
        self.client.poll()
        if now_us >= self._settle_us or len(self.client.incarnation.reports) > BATCH_MAX:
            self.client.settle()
            self._settle_us = now_us + SETTLE_US

    def _send(self, now_us: int) -> None:
        room = min(self.client.room, BATCH_MAX)
        intended_us = self.schedule.due(now_us - self.start_us, room)
        self.behind = 0 < room == len(intended_us)
        if len(intended_us):
            self.client.send(intended_us + self.start_us)

    def send_beside(self, count: int, due_us: int) -> int:
        """Send up to `count` records that are due at `due_us` beside the schedule; how many."""
        number = min(count, self.client.room, BATCH_MAX)
        if number > 0:
            self.client.send(np.full(number, due_us, dtype=np.int64))
        return number

    def unsent(self, now_us: int) -> int:
        """How many records are due and were never attempted."""
        return self.schedule.waiting(now_us - self.start_us)
