"""Lanes over time below the load's: leaders by broker, outages, errors, lag, resources. Pure.

Each lane has its own scale from zero to the highest value in it, which is written beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from markupsafe import Markup

from harness.arrays import F64
from harness.report.cluster_series import ClusterSeries, Outage
from harness.report.series import RunSeries
from harness.report.svg import Scale, element, group, label, line, nice_ticks, number, path
from harness.report.time_frame import LEFT, TimeRow, time_chart

LANE: Final = 28.0
LANE_GAP: Final = 8.0
OUTAGE_LANE: Final = 13.0
OUTAGE_GAP: Final = 3.0
OUTAGES_DRAWN: Final = 48
"""Topic-partitions that get a lane, those that were away longest."""


def lane(
    name: str,
    from_s: F64,
    slot_s: float,
    values: F64,
    *,
    css: str = "area",
    highest: float | None = None,
    shown: Callable[[float], str] = number,
    height: float = LANE,
) -> TimeRow:
    """One quantity as a filled line; values: (n,) one a slot, NaN where it is not known."""
    known = values[~np.isnan(values)]
    top_value = highest or nice_ticks(float(known.max(initial=0.0)) or 1.0, 2)[-1]

    def draw(top: float, x: Scale) -> list[Markup]:
        y = Scale(0.0, top_value, top + height, top)
        return [
            label(LEFT - 6, top + 9, shown(top_value), "tick", "end"),
            label(LEFT - 6, top + height + 1, "0", "tick", "end"),
            *_filled(from_s, slot_s, values, x, y, css),
            line(x.at, y(0), x.to, y(0), "axis"),
        ]

    return TimeRow(name, draw, height)


def _filled(from_s: F64, slot_s: float, values: F64, x: Scale, y: Scale, css: str) -> list[Markup]:
    """The area below a stepped line and the line, stretch by stretch of known values."""
    parts: list[Markup] = []
    known = np.flatnonzero(~np.isnan(values))
    for stretch in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        if not len(stretch):
            continue
        # Where a value stays the same one step is enough.
        kept = stretch[np.flatnonzero(np.diff(values[stretch], prepend=np.nan) != 0)]
        ends = np.append(from_s[kept[1:]], from_s[stretch[-1]] + slot_s)
        outline = "".join(
            f"{'L' if index else 'M'}{x(float(from_s[at])):.1f} {y(float(values[at])):.1f}"
            f"H{x(float(end)):.1f}"
            for index, (at, end) in enumerate(zip(kept.tolist(), ends.tolist(), strict=True))
        )
        begin = x(float(from_s[stretch[0]]))
        parts.append(path(f"{outline}V{y(0):.1f}H{begin:.1f}Z", css))
        parts.append(path(outline, f"{css}-line"))
    return parts


def cluster_chart(run: RunSeries, cluster: ClusterSeries) -> Markup | None:
    """How many of the run's partitions each broker leads, and how many lack replicas in sync."""
    brokers = sorted(set(cluster.led) | set(cluster.registered))
    if not brokers or not run.profiles:
        return None
    at = (cluster.from_s, cluster.slot_s)
    zero = np.zeros(len(cluster.from_s))
    highest = float(max(cluster.partitions, 1))
    rows = []
    for broker in brokers:
        row = lane(f"broker {broker} leads", *at, cluster.led.get(broker, zero), highest=highest)
        rows.append(_with_absence(row, broker, cluster))
    for name, values in (
        ("without a leader", cluster.leaderless),
        ("under-replicated", cluster.under_replicated),
    ):
        if values is not None:
            rows.append(lane(name, *at, values, css="alarm", highest=highest))
    title = "Partitions led by each broker, without a leader, and under-replicated, over time"
    return time_chart("cluster", run, title, "partitions of this run", rows, LANE_GAP)


def _with_absence(row: TimeRow, broker: int, cluster: ClusterSeries) -> TimeRow:
    """The lane with a mark where the broker was not registered."""
    registered = cluster.registered.get(broker)
    if registered is None:
        return row
    away = np.flatnonzero(registered == 0)

    def draw(top: float, x: Scale) -> list[Markup]:
        parts = row.draw(top, x)
        for stretch in np.split(away, np.flatnonzero(np.diff(away) > 1) + 1):
            if not len(stretch):
                continue
            begin = float(cluster.from_s[stretch[0]])
            end = float(cluster.from_s[stretch[-1]]) + cluster.slot_s
            sentence = f"broker {broker} not registered from {begin:.1f} to {end:.1f} s"
            box = element(
                "rect",
                x=x(begin),
                y=top,
                width=max(x(end) - x(begin), 1.0),
                height=row.height,
                class_="away",
            )
            parts.append(group([element("title", sentence), box]))
            if x(end) - x(begin) > 60:
                parts.append(label((x(begin) + x(end)) / 2, top + 17, "away", "tick", "middle"))
        return parts

    return TimeRow(row.name, draw, row.height)


def error_chart(run: RunSeries) -> Markup | None:
    """Records that ended failed or unknown, a lane a profile that had any."""
    rows = [
        lane(each.profile, each.from_s, each.slot_s, each.lost_sight, css="alarm")
        for each in run.profiles
        if each.lost_sight.any()
    ]
    if not rows:
        return None
    title = "Records that ended failed or unknown in each slot over time, one lane a profile"
    return time_chart("errors", run, title, "records in a slot", rows, LANE_GAP)


def lag_chart(run: RunSeries, cluster: ClusterSeries) -> Markup | None:
    """How far the consumers of each profile were behind."""
    rows = [
        lane(profile, cluster.from_s, cluster.slot_s, values)
        for profile, values in cluster.lag.items()
    ]
    if not rows or not run.profiles:
        return None
    title = "Offsets that the consumers of each profile were behind over time"
    return time_chart("lag", run, title, "offsets behind", rows, LANE_GAP)


def drawn_outages(outages: Sequence[Outage]) -> list[Outage]:
    """Those that get a lane, by profile: of many the ones that were away longest."""
    longest = sorted(outages, key=lambda each: -each.total_s)[:OUTAGES_DRAWN]
    return sorted(longest, key=lambda each: (each.profile, each.topic, each.partition))


def outage_chart(
    run: RunSeries, outages: Sequence[Outage], names: Mapping[str, str]
) -> Markup | None:
    """When each topic-partition acknowledged nothing; names: topic → how it is written."""
    if not outages or not run.profiles:
        return None
    rows = [_outage_row(each, names[each.topic]) for each in drawn_outages(outages)]
    title = "Stretches without an acknowledgement over time, one lane a partition"
    return time_chart("outages", run, title, "topic and partition", rows, OUTAGE_GAP)


def _outage_row(outage: Outage, topic: str) -> TimeRow:
    def draw(top: float, x: Scale) -> list[Markup]:
        parts = [line(x.at, top + OUTAGE_LANE, x.to, top + OUTAGE_LANE, "grid")]
        for begin, end in outage.stretches:
            sentence = (
                f"{topic}, partition {outage.partition}: nothing from {begin:.2f} to {end:.2f} s"
            )
            box = element(
                "rect",
                x=x(begin),
                y=top + 1,
                width=max(x(end) - x(begin), 1.0),
                height=OUTAGE_LANE - 2,
                class_="outage",
            )
            parts.append(group([element("title", sentence), box]))
        return parts

    # A long topic loses its beginning: its end is what tells it from others.
    kept = topic if len(topic) <= 20 else f"…{topic[-19:]}"
    name = label(LEFT - 6, 0, f"{kept} {outage.partition}", "tick", "end")
    return TimeRow("", lambda top, x: [_moved(name, top + 10), *draw(top, x)], OUTAGE_LANE)


def _moved(part: Markup, down: float) -> Markup:
    return group([part], transform=f"translate(0 {down:.1f})")
