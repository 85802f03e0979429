"""What load measures and a verdict reports: percentiles of one latency distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from msgspec import Meta

_Ms: TypeAlias = Annotated[float, Meta(ge=0)]


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Percentiles of a latency distribution in ms, rank rounded up as HdrHistogram for Java."""

    count: Annotated[int, Meta(ge=0)]
    p50: _Ms | None
    p90: _Ms | None
    p99: _Ms | None
    p999: _Ms | None
    p9999: _Ms | None
    max: _Ms | None
