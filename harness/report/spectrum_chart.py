"""Latency by percentile, the way HdrHistogram plots it: the axis gives each further nine its room.

Pure: from counts to SVG.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup

from harness.report.facts import milliseconds
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
from harness.report.value_table import ValueTable
from harness.rundir.hlog import HIGHEST_EQUIVALENT_US, Counts
from harness.rundir.latency import percentile_us

METRIC_NAMES: Final = {
    "ack": "acknowledgement, from the intended send time",
    "service": "acknowledgement, from produce()",
    "end_to_end": "end to end, from the intended send time to the read",
}
PHASE_NAMES: Final = {
    "before": "before the first fault",
    "during": "during: from a fault's injection until the profile was back",
    "after": "after, between faults and behind the last one",
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


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The drawing and its values."""

    chart: Markup
    table: ValueTable


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
    profiles: Sequence[str],
    distributions: Mapping[tuple[str, str], Counts],
    names: Mapping[str, str] = METRIC_NAMES,
    identity: str = "spectrum",
    title: str = "Latency by percentile, one panel a profile, three measurements each",
) -> Spectrum | None:
    """A panel for each profile with a curve for each of `names`; None when nothing was recorded.

    distributions: (profile, name) → counts. names: name → what the curve is, in words.
    """
    curves = {
        key: points for key, counts in distributions.items() if (points := spectrum_points(counts))
    }
    shown = [profile for profile in profiles if any((profile, each) in curves for each in names)]
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
    panels: list[tuple[str, Scale, float]] = []
    for index, name in enumerate(shown):
        left = LEFT + (index % ACROSS) * (PANEL + BETWEEN)
        top = TOP + (index // ACROSS) * (TOP + PANEL_HEIGHT + BELOW)
        x = Scale(0.0, right_end, left, left + PANEL)
        y = log_scale(ticks[0], ticks[-1], top + PANEL_HEIGHT, top)
        parts.append(_panel(name, ticks, marks, x, y, first=index % ACROSS == 0))
        panels.append((name, x, top + PANEL_HEIGHT / 2))
        for each, words in names.items():
            if (name, each) in curves:
                parts.append(_curve(each, words, curves[(name, each)], x, y))
    parts.append(
        element(
            "text",
            "latency",
            class_="unit",
            text_anchor="middle",
            transform=f"translate(12 {TOP + PANEL_HEIGHT / 2:.0f}) rotate(-90)",
        )
    )
    table = _table(panels, marks, names, distributions)
    return Spectrum(figure(identity, WIDTH, height, title, parts), table)


def _table(
    panels: Sequence[tuple[str, Scale, float]],
    marks: Sequence[float],
    names: Mapping[str, str],
    distributions: Mapping[tuple[str, str], Counts],
) -> ValueTable:
    """A row a profile and percentile, in ms, with its place in the drawing."""
    rows, xs, ys = [], [], []
    for profile, x, y in panels:
        for mark in marks:
            values = []
            for each in names:
                counts = distributions.get((profile, each))
                value_us = None if counts is None else percentile_us(counts, mark)
                values.append(milliseconds(None if value_us is None else value_us / 1000))
            rows.append((f"{profile}, {mark:g} %", values))
            xs.append(x(nines(mark)))
            ys.append(y)
    columns = [f"{each.replace('_', ' ')}, ms" for each in names]
    return ValueTable("profile and percentile", columns, rows, xs, ys)


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


def _curve(name: str, words: str, points: list[tuple[float, float]], x: Scale, y: Scale) -> Markup:
    commands = [
        f"{'L' if index else 'M'}{x(nines(percentile)):.1f} {y(value):.1f}"
        for index, (percentile, value) in enumerate(_thinned(points))
    ]
    return group([element("title", words), path("".join(commands), f"curve {name}")])


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
