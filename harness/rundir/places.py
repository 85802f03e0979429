"""Where the anomalies of a profile lie: in time, and in the offsets of its partitions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

from msgspec import Meta

from harness.anomalies import ANOMALIES
from harness.rundir.verdict_fields import Count, Instant, Positive


@dataclass(frozen=True, slots=True)
class TimeStretch:
    """So many of an anomaly happened between two instants, which are known to 250 ms."""

    from_at: Instant
    until: Instant
    count: Positive


@dataclass(frozen=True, slots=True)
class OffsetStretch:
    """So many of an anomaly are at offsets from the first to the last one of a partition."""

    topic: str
    partition: Count
    first_offset: Count
    last_offset: Count
    count: Positive


_NAMED: Final = Meta(extra_json_schema={"propertyNames": {"enum": list(ANOMALIES)}})


@dataclass(frozen=True, slots=True)
class Places:
    """Anomaly → its stretches, in order; of many, neighbours are put together. What is counted and
    not in them has no such place on record."""

    times: Annotated[dict[str, list[TimeStretch]], _NAMED] = field(default_factory=dict)
    """By the time at which records were handed to the client, or consumers did something."""
    offsets: Annotated[dict[str, list[OffsetStretch]], _NAMED] = field(default_factory=dict)
    """By the offset of the acknowledgement for what is gone, else by where the record is."""
