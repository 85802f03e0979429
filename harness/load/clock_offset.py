"""How far a worker's clock is from the master's, by round trips.

As NTP does it (RFC 5905, section 8): of several round trips the one with the smallest delay counts,
since least of it can have been spent waiting on one side. The error is at most half that delay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

ROUND_TRIPS: Final = 12


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """Sent and received by the master's clock, answered by the worker's; all in µs."""

    sent_us: int
    answered_us: int
    received_us: int

    @property
    def delay_us(self) -> int:
        return self.received_us - self.sent_us


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """The worker's clock is ahead of the master's by `offset_us`, give or take `error_us`."""

    offset_us: int
    error_us: int


def clock_offset(trips: Sequence[RoundTrip]) -> ClockOffset:
    """The estimate of the round trip with the smallest delay. Raises ValueError without any."""
    if not trips:
        raise ValueError("no round trip")
    best = min(trips, key=lambda trip: trip.delay_us)
    # Halves are kept exact until the end: a µs that is lost twice is two.
    return ClockOffset(
        offset_us=round(best.answered_us - (best.sent_us + best.received_us) / 2),
        error_us=-(-best.delay_us // 2),
    )
