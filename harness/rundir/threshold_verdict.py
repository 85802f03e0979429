"""What verdict.json says of a threshold beside its verdict."""

from __future__ import annotations

from dataclasses import dataclass

from harness.rundir.verdict_fields import Comparison, Count, FigureName, NotNegative


@dataclass(frozen=True, slots=True)
class ThresholdVerdict:
    """What a threshold asks of a figure, and what was measured."""

    figure: FigureName
    comparison: Comparison
    limit: NotNegative
    unit: str
    """ms, share, records/s or records"""
    measured: NotNegative | None
    """Of a figure of each partition the one that is worst for the threshold; null where none is
    known."""
    over: Count
    """How many records, or partitions, it was measured over."""
    topic: str | None = None
    """Where a figure of each partition was worst."""
    partition: Count | None = None
