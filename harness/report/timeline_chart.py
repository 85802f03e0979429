"""Throughput and latency over time, one strip a profile.

Pure: from series to SVG.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from markupsafe import Markup

from harness.report.series import ProfileSeries, RunSeries
from harness.report.svg import (
    Scale,
    decades,
    duration,
    element,
    group,
    label,
    line,
    log_scale,
    nice_ticks,
    number,
    path,
    steps,
)
from harness.report.time_frame import CHARACTER, RIGHT, STRIP, TimeRow, rules, time_chart

USUAL_PERCENT: Final = 95
BURST_SHARE: Final = 2.0
"""Throughput beyond this multiple of what is usually attempted is cut off, with a mark: a backlog
that is acknowledged at once would otherwise press everything else flat."""
Strip = Callable[[ProfileSeries, float, Scale], list[Markup]]


def throughput_chart(run: RunSeries) -> Markup:
    """Attempted and acknowledged records per second."""
    highest = max(
        (float(max(each.attempted_per_s.max(), each.acked_per_s.max())) for each in run.profiles),
        default=1.0,
    )
    usual = max(
        (float(np.percentile(each.attempted_per_s, USUAL_PERCENT)) for each in run.profiles),
        default=1.0,
    )
    ticks = nice_ticks(max(min(highest, usual * BURST_SHARE), 1.0), 3)

    def strip(series: ProfileSeries, top: float, x: Scale) -> list[Markup]:
        y = Scale(0.0, ticks[-1], top + STRIP, top)
        parts = rules(ticks, y, number)
        outline = steps(series.from_s, series.slot_s, series.acked_per_s, x, y)
        end = x(float(series.from_s[-1]) + series.slot_s)
        parts += [
            path(f"{outline}V{y(0):.1f}H{x(float(series.from_s[0])):.1f}Z", "area"),
            path(outline, "acked"),
            path(steps(series.from_s, series.slot_s, series.attempted_per_s, x, y), "attempted"),
            line(x(0), y(0), end, y(0), "axis"),
            *_bursts(series, ticks[-1], x, top),
            *_blind(series, x, y),
        ]
        return parts

    return _chart(
        "throughput",
        run,
        "Attempted and acknowledged records per second over time, one strip a profile",
        "records per second",
        strip,
    )


def latency_chart(run: RunSeries) -> Markup:
    """The slowest acknowledgement of each slot, on a logarithmic axis."""
    found = [series.ack_ms_max[~np.isnan(series.ack_ms_max)] for series in run.profiles]
    values = np.concatenate(found) if found else np.zeros(0)
    low, high = (float(values.min()), float(values.max())) if len(values) else (1.0, 1000.0)
    ticks = decades(max(low, 0.01), max(high, 0.02))

    def strip(series: ProfileSeries, top: float, x: Scale) -> list[Markup]:
        y = log_scale(ticks[0], ticks[-1], top + STRIP, top)
        shown = ticks if len(ticks) <= 4 else ticks[:: -(-len(ticks) // 4)]
        return [
            *rules(shown, y, duration),
            path(steps(series.from_s, series.slot_s, series.ack_ms_max, x, y), "latency"),
            line(x(0), top + STRIP, RIGHT, top + STRIP, "axis"),
        ]

    return _chart(
        "latency-over-time",
        run,
        "Slowest acknowledgement in each slot over time, one strip a profile",
        "slowest acknowledgement",
        strip,
    )


def _chart(identity: str, run: RunSeries, title: str, unit: str, strip: Strip) -> Markup:
    def row(series: ProfileSeries) -> TimeRow:
        return TimeRow(series.profile, lambda top, x: strip(series, top, x))

    return time_chart(identity, run, title, unit, [row(each) for each in run.profiles])


def _bursts(series: ProfileSeries, limit: float, x: Scale, top: float) -> list[Markup]:
    """Marks where a backlog was acknowledged faster than the axis reaches."""
    over = np.flatnonzero(series.acked_per_s > limit)
    parts: list[Markup] = []
    free_from = 0.0
    for run_of in np.split(over, np.flatnonzero(np.diff(over) > 1) + 1) if len(over) else []:
        peak = int(run_of[int(np.argmax(series.acked_per_s[run_of]))])
        at = x(float(series.from_s[peak]) + series.slot_s / 2)
        shown = number(float(series.acked_per_s[peak]))
        tip = path(f"M{at - 4:.1f} {top:.1f}h8l-4 -6z", "burst")
        parts.append(group([element("title", f"{shown} records per second"), tip]))
        if at >= free_from:
            side, anchor = (-6.0, "end") if at > RIGHT - 50 else (6.0, "start")
            parts.append(label(at + side, top + 9, shown, "burst-label", anchor))
            free_from = at + (len(shown) + 2) * CHARACTER
    return parts


def _blind(series: ProfileSeries, x: Scale, y: Scale) -> list[Markup]:
    """A cross in each slot in which records ended as failed or unknown."""
    parts: list[Markup] = []
    for slot in np.flatnonzero(series.lost_sight).tolist():
        at, base = x(float(series.from_s[slot]) + series.slot_s / 2), y(0) - 6
        title = (
            f"{series.lost_sight[slot]:,.0f} records failed or unknown "
            f"at {series.from_s[slot]:.1f} s"
        )
        cross = path(f"M{at - 3:.1f} {base - 3:.1f}l6 6m0 -6l-6 6", "blind")
        parts.append(group([element("title", title), cross]))
    return parts
