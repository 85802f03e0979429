"""What every chart over time has: one axis of seconds, rows below one another, and the faults and
elections through all of them. Pure: from series to SVG.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from harness.report.series import RunSeries
from harness.report.svg import (
    Scale,
    element,
    figure,
    group,
    label,
    line,
    nice_step,
    number,
    path,
)

WIDTH: Final = 1000.0
LEFT: Final = 190.0
RIGHT: Final = 990.0
TOP: Final = 46.0
STRIP: Final = 62.0
GAP: Final = 16.0
BOTTOM: Final = 44.0
NAME_MAX: Final = 17
NAME_LEADING: Final = 14.0
CHARACTER: Final = 6.2
"""Width of a small label's character; only decides whether a label has room."""
FAULTS_NUMBERED: Final = 60
"""With more faults than these they are drawn as bare windows: numbers would cover one another."""


@dataclass(frozen=True, slots=True)
class TimeRow:
    """One row of a chart over time: its name, its height, and what draws it below its top."""

    name: str
    draw: Callable[[float, Scale], list[Markup]]
    height: float = STRIP


def time_scale(run: RunSeries) -> Scale:
    """From seconds since the load started to a chart's x."""
    return Scale(0.0, run.end_s, LEFT, RIGHT)


def time_chart(
    identity: str,
    run: RunSeries,
    title: str,
    unit: str,
    rows: Sequence[TimeRow],
    gap: float = GAP,
) -> Markup:
    """A chart of these rows. `identity` is unique on the page."""
    x = time_scale(run)
    height = TOP + sum(row.height + gap for row in rows) - gap
    parts = [_hatch(identity), *_faults(identity, run, x, height), *_time_axis(run, x, height)]
    top = TOP
    for row in rows:
        parts.append(group([*_names(row, top), *row.draw(top, x)]))
        top += row.height + gap
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


def _names(row: TimeRow, top: float) -> list[Markup]:
    lines = _name_lines(row.name)
    if row.height < STRIP / 2:
        return [label(24, top + row.height / 2 + 4, _short(row.name), "name")]
    first = top + row.height / 2 + 4 - NAME_LEADING * (len(lines) - 1) / 2
    return [
        label(24, first + NAME_LEADING * number, text, "name") for number, text in enumerate(lines)
    ]


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


def rules(ticks: Sequence[float], y: Scale, shown: Callable[[float], str]) -> list[Markup]:
    """Lines across a row, each with its value."""
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
    if len(run.faults) > FAULTS_NUMBERED:
        return [_windows(run, x, height)]
    parts: list[Markup] = []
    starts = [x(fault.from_s) for fault in run.faults]
    for index, fault in enumerate(run.faults):
        start = starts[index]
        end = max(x(run.end_s if fault.to_s is None else fault.to_s), start + 2)
        until = "not healed" if fault.to_s is None else f"healed at {fault.to_s:.1f} s"
        sentence = f"fault {fault.number}, {fault.fault}: injected at {fault.from_s:.1f} s, {until}"
        box = {"x": start, "y": TOP - 8, "width": end - start, "height": height - TOP + 8}
        parts.append(
            group(
                [
                    element("title", sentence),
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


def _windows(run: RunSeries, x: Scale, height: float) -> Markup:
    """The windows of many faults as one drawing."""
    drawn = []
    for fault in run.faults:
        start = x(fault.from_s)
        end = max(x(run.end_s if fault.to_s is None else fault.to_s), start + 1)
        drawn.append(f"M{start:.1f} {TOP - 8:.1f}H{end:.1f}V{height:.1f}H{start:.1f}Z")
    return group([element("title", f"{len(run.faults):,} faults"), path("".join(drawn), "fault")])


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
