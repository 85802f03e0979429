"""Latency by percentile, the way HdrHistogram plots it: the axis gives each further nine its room.

Pure: from counts to SVG.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from markupsafe import Markup

from harness.report.svg import (
    Scale,
    decades,
    duration,
    element,
    figure,
    group,
    label,
    line,
    log_scale,
    nines,
    path,
)
from harness.rundir.hlog import HIGHEST_EQUIVALENT_US, Counts
from harness.rundir.latency import METRICS

METRIC_NAMES: Final = {
    "ack": "acknowledgement, from the intended send time",
    "service": "acknowledgement, from produce()",
    "end_to_end": "end to end, from the intended send time to the read",
}
PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999)

WIDTH: Final = 1000.0
ACROSS: Final = 3
LEFT: Final = 62.0
PANEL: Final = 278.0
BETWEEN: Final = 36.0
PANEL_HEIGHT: Final = 190.0
TOP: Final = 30.0
BELOW: Final = 58.0


def spectrum_points(counts: Counts) -> list[tuple[float, float]]:
    """(percentile in %, ms) where the distribution steps; the last one is the maximum.

    The maximum is drawn where its own share begins, at 1 − 1/count: further out would be a claim.
    """
    cells = np.flatnonzero(counts)
    if not len(cells):
        return []
    total = int(counts.sum())
    cumulated = np.cumsum(counts[cells])
    below = np.concatenate([[0], cumulated[:-1]])
    values_ms = HIGHEST_EQUIVALENT_US[cells] / 1000
    # Each value holds from the rank after the one below it; the top one has no end to draw.
    ends = np.minimum(cumulated, max(total - 1, 0)) / total * 100
    points: list[tuple[float, float]] = []
    for start, end, value in zip(below / total * 100, ends, values_ms, strict=True):
        points.append((float(start), float(value)))
        if end > start:
            points.append((float(end), float(value)))
    return points


def spectrum_chart(
    profiles: Sequence[str], distributions: Mapping[tuple[str, str], Counts]
) -> Markup | None:
    """A panel for each profile with its three distributions; None when nothing was recorded."""
    curves = {
        key: points for key, counts in distributions.items() if (points := spectrum_points(counts))
    }
    shown = [name for name in profiles if any((name, metric) in curves for metric in METRICS)]
    if not shown:
        return None
    values = [value for points in curves.values() for _, value in points if value > 0]
    ticks = decades(min(values), max(values)) if values else [1.0, 10.0]
    most = max(int(counts.sum()) for counts in distributions.values())
    marks = [p for p in PERCENTILES if p <= 90 or 100 / (100 - p) <= most]
    right_end = max(nines(marks[-1]), nines(100 * (1 - 1 / max(most, 10))))
    rows = -(-len(shown) // ACROSS)
    height = rows * (TOP + PANEL_HEIGHT + BELOW)
    parts: list[Markup] = []
    for index, name in enumerate(shown):
        left = LEFT + (index % ACROSS) * (PANEL + BETWEEN)
        top = TOP + (index // ACROSS) * (TOP + PANEL_HEIGHT + BELOW)
        x = Scale(0.0, right_end, left, left + PANEL)
        y = log_scale(ticks[0], ticks[-1], top + PANEL_HEIGHT, top)
        parts.append(_panel(name, ticks, marks, x, y, first=index % ACROSS == 0))
        for metric in METRICS:
            if (name, metric) in curves:
                parts.append(_curve(metric, curves[(name, metric)], x, y))
    parts.append(
        element(
            "text",
            "latency",
            class_="unit",
            text_anchor="middle",
            transform=f"translate(12 {TOP + PANEL_HEIGHT / 2:.0f}) rotate(-90)",
        )
    )
    title = "Latency by percentile, one panel a profile, three measurements each"
    return figure("spectrum", WIDTH, height, title, parts)


def _panel(
    name: str, ticks: list[float], marks: list[float], x: Scale, y: Scale, *, first: bool
) -> Markup:
    parts = [label(x.at, y.to - 9, name, "name")]
    for tick in ticks:
        parts.append(line(x.at, y(tick), x.to, y(tick), "grid"))
        if first:
            parts.append(label(x.at - 6, y(tick) + 3.5, duration(tick), "tick", "end"))
    for mark in (0.0, *marks):
        at = x(nines(mark))
        parts.append(line(at, y.to, at, y.at, "grid"))
        if mark:
            text = label(0, 0, f"{mark:g} %", "tick", "end")
            parts.append(
                element("g", text, transform=f"translate({at + 3:.1f} {y.at + 12:.1f}) rotate(-32)")
            )
    parts.append(line(x.at, y.at, x.to, y.at, "axis"))
    parts.append(label((x.at + x.to) / 2, y.at + 50, "percentile", "unit", "middle"))
    return group(parts)


def _curve(metric: str, points: list[tuple[float, float]], x: Scale, y: Scale) -> Markup:
    commands = [
        f"{'L' if index else 'M'}{x(nines(percentile)):.1f} {y(value):.1f}"
        for index, (percentile, value) in enumerate(_thinned(points))
    ]
    return group(
        [element("title", METRIC_NAMES[metric]), path("".join(commands), f"curve {metric}")]
    )


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Without the points that fall onto the same pixel; first and last stay."""
    kept: list[tuple[float, float]] = []
    for point in points:
        if (
            len(kept) > 1
            and point is not points[-1]
            and nines(point[0]) - nines(kept[-1][0]) < 0.004
            and point[1] < kept[-1][1] * 1.01
        ):
            continue
        kept.append(point)
    return kept
