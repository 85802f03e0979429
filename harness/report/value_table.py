"""The table behind a chart: its values as text, and where each row lies in the chart. Pure.

A reader without a pointer, and one who wants a number, has the same values as the drawing. The
script of the page reads its values from here, so nothing is in the file twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from markupsafe import Markup

from harness.arrays import F64
from harness.report.cluster_series import ClusterSeries
from harness.report.facts import milliseconds
from harness.report.series import RunSeries
from harness.report.svg import number
from harness.report.time_frame import time_scale

NOTHING: Final = "–"


@dataclass(frozen=True, slots=True)
class ValueTable:
    """Rows of text; `xs` and `ys` are each row's place in the chart, in the chart's own units."""

    first: str
    """What the head of a row is."""
    columns: list[str]
    rows: list[tuple[str, list[str]]]
    xs: list[float] = field(default_factory=list)
    """Empty where the rows have no place in the chart."""
    ys: list[float] = field(default_factory=list)
    """Empty where a row goes through the whole height."""

    @property
    def places(self) -> str:
        """`xs`, or `x,y` of each row, as the page's script reads them."""
        if not self.ys:
            return " ".join(f"{x:.0f}" for x in self.xs)
        return " ".join(f"{x:.0f},{y:.0f}" for x, y in zip(self.xs, self.ys, strict=True))


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart with its heading, what its lines mean, its caption, and the table behind it."""

    identity: str
    heading: str
    chart: Markup | None
    caption: str
    keys: tuple[str, ...] = ()
    """Names of marks that the legend explains."""
    table: ValueTable | None = None
    absent: str = ""
    """Why there is no chart."""


def over_time(
    run: RunSeries, columns: Sequence[tuple[str, F64, Callable[[float], str]]], slot_s: float
) -> ValueTable | None:
    """A row a slot; columns: (heading, one value a slot, how it is written)."""
    if not columns or not run.profiles:
        return None
    x = time_scale(run)
    count = max(len(values) for _, values, _ in columns)
    rows = [
        (
            f"{index * slot_s:g}",
            [
                NOTHING if index >= len(values) or np.isnan(values[index]) else shown(values[index])
                for _, values, shown in columns
            ],
        )
        for index in range(count)
    ]
    xs = [x((index + 0.5) * slot_s) for index in range(count)]
    return ValueTable("second", [name for name, _, _ in columns], rows, xs)


def throughput_table(run: RunSeries) -> ValueTable | None:
    """Attempted and acknowledged records per second of each profile."""
    columns = []
    for each in run.profiles:
        columns.append((f"{each.profile} attempted", each.attempted_per_s, number))
        columns.append((f"{each.profile} acknowledged", each.acked_per_s, number))
    return over_time(run, columns, run.slot_s)


def latency_table(run: RunSeries) -> ValueTable | None:
    """The slowest acknowledgement of each profile in ms."""
    columns = [(f"{each.profile}, ms", each.ack_ms_max, milliseconds) for each in run.profiles]
    return over_time(run, columns, run.slot_s)


def error_table(run: RunSeries) -> ValueTable | None:
    """Records that ended failed or unknown, of profiles that had any."""
    columns = [
        (each.profile, each.lost_sight, number) for each in run.profiles if each.lost_sight.any()
    ]
    return over_time(run, columns, run.slot_s)


def cluster_table(run: RunSeries, cluster: ClusterSeries) -> ValueTable | None:
    """Leaders by broker, partitions without a leader, and those that are under-replicated."""
    columns = [(f"broker {broker} leads", led, number) for broker, led in cluster.led.items()]
    if cluster.leaderless is not None:
        columns.append(("without a leader", cluster.leaderless, number))
    if cluster.under_replicated is not None:
        columns.append(("under-replicated", cluster.under_replicated, number))
    for broker, registered in cluster.registered.items():
        columns.append((f"broker {broker} registered", registered, _yes_or_no))
    return over_time(run, columns, cluster.slot_s)


def lag_table(run: RunSeries, lag: Mapping[str, F64], slot_s: float) -> ValueTable | None:
    """Offsets behind of each profile with consumers."""
    return over_time(run, [(name, values, number) for name, values in lag.items()], slot_s)


def _yes_or_no(value: float) -> str:
    return "yes" if value else "no"
