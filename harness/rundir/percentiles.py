"""What load measures and a verdict reports: percentiles of one latency distribution."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of a latency distribution in ms, rank rounded up as HdrHistogram for Java."""

    count: int
    p50: float | None
    p90: float | None
    p99: float | None
    p999: float | None
    p9999: float | None
    max: float | None
