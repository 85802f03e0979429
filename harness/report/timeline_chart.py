"""Throughput and latency over time, one strip a profile, with faults and elections through all.

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
    figure,
    group,
    label,
    line,
    log_scale,
    nice_step,
    nice_ticks,
    number,
    path,
    steps,
)

WIDTH: Final = 1000.0
LEFT: Final = 190.0
RIGHT: Final = 990.0
TOP: Final = 46.0
STRIP: Final = 62.0
GAP: Final = 16.0
BOTTOM: Final = 44.0
USUAL_PERCENT: Final = 95
BURST_SHARE: Final = 2.0
"""Throughput beyond this multiple of what is usually attempted is cut off, with a mark: a backlog
that is acknowledged at once would otherwise press everything else flat."""
NAME_MAX: Final = 17
NAME_LEADING: Final = 14.0
CHARACTER: Final = 6.2
"""Width of a small label's character; only decides whether a label has room."""

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
        parts = _rules(ticks, y, number)
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
            *_rules(shown, y, duration),
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
    x = Scale(0.0, run.end_s, LEFT, RIGHT)
    height = TOP + len(run.profiles) * (STRIP + GAP) - GAP
    parts = [_hatch(identity), *_faults(identity, run, x, height), *_time_axis(run, x, height)]
    for index, series in enumerate(run.profiles):
        top = TOP + index * (STRIP + GAP)
        lines = _name_lines(series.profile)
        first = top + STRIP / 2 + 4 - NAME_LEADING * (len(lines) - 1) / 2
        names = [
            label(24, first + NAME_LEADING * number, line, "name")
            for number, line in enumerate(lines)
        ]
        parts.append(group([*names, *strip(series, top, x)]))
    parts += _leaders(run, x, height)
    middle = (TOP + height) / 2
    parts.append(
        element(
            "text",
            unit,
            class_="unit",
            text_anchor="middle",
            transform=f"translate(12 {middle:.0f}) rotate(-90)",
        )
    )
    return figure(identity, WIDTH, height + BOTTOM, title, parts)


def _name_lines(name: str) -> list[str]:
    """A profile's name, on two lines where it is long."""
    if len(name) <= NAME_MAX:
        return [name]
    hyphen = name.rfind("-", 0, NAME_MAX)
    if hyphen < 0:
        return [_short(name)]
    return [name[: hyphen + 1], _short(name[hyphen + 1 :])]


def _short(name: str) -> str:
    return name if len(name) <= NAME_MAX else f"{name[: NAME_MAX - 1]}…"


def _rules(ticks: list[float], y: Scale, shown: Callable[[float], str]) -> list[Markup]:
    parts: list[Markup] = []
    for tick in ticks:
        parts.append(line(LEFT, y(tick), RIGHT, y(tick), "grid"))
        parts.append(label(LEFT - 6, y(tick) + 3.5, shown(tick), "tick", "end"))
    return parts


def _time_axis(run: RunSeries, x: Scale, height: float) -> list[Markup]:
    step = nice_step(run.end_s, 12)
    parts: list[Markup] = []
    tick = 0.0
    while tick <= run.end_s + 1e-9:
        parts.append(line(x(tick), height, x(tick), height + 4, "axis"))
        parts.append(label(x(tick), height + 17, number(tick), "tick", "middle"))
        tick += step
    middle = (LEFT + RIGHT) / 2
    parts.append(label(middle, height + 36, "seconds since the load started", "unit", "middle"))
    return parts


def _hatch(identity: str) -> Markup:
    stripe = line(0, 0, 0, 8, "hatch")
    pattern = element(
        "pattern",
        stripe,
        id=f"{identity}-hatch",
        width=8,
        height=8,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )
    return element("defs", pattern)


def _faults(identity: str, run: RunSeries, x: Scale, height: float) -> list[Markup]:
    parts: list[Markup] = []
    starts = [x(fault.from_s) for fault in run.faults]
    for index, fault in enumerate(run.faults):
        start = starts[index]
        end = max(x(run.end_s if fault.to_s is None else fault.to_s), start + 2)
        until = "not healed" if fault.to_s is None else f"healed at {fault.to_s:.1f} s"
        told = f"fault {fault.number}, {fault.fault}: injected at {fault.from_s:.1f} s, {until}"
        box = {"x": start, "y": TOP - 8, "width": end - start, "height": height - TOP + 8}
        parts.append(
            group(
                [
                    element("title", told),
                    element("rect", class_="fault", **box),
                    element("rect", fill=f"url(#{identity}-hatch)", **box),
                    line(start, TOP - 8, start, height, "fault-edge"),
                    element("circle", cx=start, cy=TOP - 17, r=9, class_="fault-number"),
                    label(start, TOP - 13, str(fault.number), "fault-digit", "middle"),
                ]
            )
        )
        room = (starts[index + 1] if index + 1 < len(starts) else WIDTH) - start - 30
        if len(fault.fault) * CHARACTER <= room:
            parts.append(label(start + 14, TOP - 13, fault.fault, "fault-name"))
    return parts


def _leaders(run: RunSeries, x: Scale, height: float) -> list[Markup]:
    parts: list[Markup] = []
    for mark in run.leaders:
        if not 0 <= mark.at_s <= run.end_s:
            continue
        at = x(mark.at_s)
        parts.append(
            group(
                [
                    element("title", f"new leader at {mark.at_s:.1f} s: {mark.text}"),
                    line(at, TOP - 4, at, height, "leader"),
                    path(f"M{at - 4:.1f} {TOP - 10:.1f}h8l-4 6z", "leader-tip"),
                ]
            )
        )
    return parts


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
        told = (
            f"{series.lost_sight[slot]:,.0f} records failed or unknown "
            f"at {series.from_s[slot]:.1f} s"
        )
        cross = path(f"M{at - 3:.1f} {base - 3:.1f}l6 6m0 -6l-6 6", "blind")
        parts.append(group([element("title", told), cross]))
    return parts
