"""Small parts of which the charts are made: scales, ticks, and SVG elements as escaped text. Pure.

Colours and strokes are CSS classes of the report, so that a chart follows light, dark and print.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from harness.arrays import F64


def element(name: str, content: str | Markup | None = None, /, **attributes: object) -> Markup:
    """One element; `class_` becomes class, underscores become hyphens, texts are escaped."""
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is not None:
            shown = f"{value:.1f}" if isinstance(value, float) else value
            parts.append(f' {key.rstrip("_").replace("_", "-")}="{escape(shown)}"')
    if content is None:
        return Markup("".join(parts) + "/>")
    return Markup("".join(parts) + ">") + escape(content) + Markup(f"</{name}>")


def group(parts: Iterable[Markup], /, **attributes: object) -> Markup:
    """Elements inside a <g>."""
    return element("g", Markup("").join(parts), **attributes)


def label(x: float, y: float, text: str, css: str = "", anchor: str = "start") -> Markup:
    """A text at a point."""
    return element("text", text, x=x, y=y, class_=css or None, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> Markup:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=css)


def path(points: str, css: str) -> Markup:
    """A path from its commands."""
    return element("path", d=points, class_=css)


def figure(
    identity: str, width: float, height: float, title: str, parts: Sequence[Markup]
) -> Markup:
    """A whole drawing with its name for screen readers."""
    return element(
        "svg",
        element("title", title, id=f"{identity}-title") + Markup("").join(parts),
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_labelledby=f"{identity}-title",
        class_="chart",
    )


@dataclass(frozen=True, slots=True)
class Scale:
    """From a value to a coordinate; `to` may lie before `at`, as on a y axis."""

    low: float
    high: float
    at: float
    to: float
    form: Callable[[float], float] = float

    def __call__(self, value: float) -> float:
        low, high = self.form(self.low), self.form(self.high)
        share = (self.form(min(max(value, self.low), self.high)) - low) / ((high - low) or 1.0)
        return self.at + share * (self.to - self.at)


def log_scale(low: float, high: float, at: float, to: float) -> Scale:
    """Decades of equal size; both ends must be above zero."""
    return Scale(low, high, at, to, math.log10)


def nines(percentile: float) -> float:
    """0 for 0 %, 1 for 90 %, 2 for 99 %, 3 for 99.9 %, …"""
    return -math.log10(1 - percentile / 100)


def nice_step(span: float, ticks: int) -> float:
    """A round distance (1, 2 or 5 and zeros) that gives at most `ticks` steps over `span`."""
    raw = span / max(ticks, 1)
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0 else 1.0
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999999)


def nice_ticks(high: float, ticks: int) -> list[float]:
    """Round values from 0 on, the last of them at or above `high`."""
    step = nice_step(high or 1.0, ticks)
    return [step * i for i in range(math.ceil((high or 1.0) / step - 1e-9) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Powers of ten from at or below `low` to at or above `high`."""
    first = math.floor(math.log10(low) + 1e-9)
    last = max(math.ceil(math.log10(high) - 1e-9), first + 1)
    return [10.0**power for power in range(first, last + 1)]


def number(value: float) -> str:
    """`1,000`, `0.1`."""
    return f"{value:,.0f}" if value >= 1 or value == 0 else f"{value:g}"


def duration(ms: float) -> str:
    """A decade of a latency axis: `100 µs`, `10 ms`, `1 s`."""
    if ms >= 1000:
        return f"{ms / 1000:g} s"
    return f"{ms:g} ms" if ms >= 1 else f"{ms * 1000:g} µs"


def steps(from_s: F64, slot_s: float, values: F64, x: Scale, y: Scale) -> str:
    """Path commands of a stepped line, interrupted where a value is NaN."""
    commands: list[str] = []
    pen_down = False
    for start, value in zip(from_s.tolist(), values.tolist(), strict=True):
        if math.isnan(value):
            pen_down = False
            continue
        top = y(value)
        commands.append(f"{'L' if pen_down else 'M'}{x(start):.1f} {top:.1f}")
        commands.append(f"H{x(start + slot_s):.1f}")
        pen_down = True
    return "".join(commands)
