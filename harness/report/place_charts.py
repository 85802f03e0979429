"""Where losses, duplicates and other anomalies lie: in time, and in partitions' offsets. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup

from harness.report.lane_charts import LANE, LANE_GAP
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
)
from harness.report.time_frame import BOTTOM, LEFT, RIGHT, WIDTH, TimeRow, time_chart
from harness.report.value_table import Panel, ValueTable
from harness.rundir.clock import to_us
from harness.rundir.places import OffsetStretch, TimeStretch
from harness.rundir.verdict import ProfileVerdict, Verdict

LANES_MAX: Final = 40
ROWS_MAX: Final = 300
OFFSET_LANE: Final = 13.0
OFFSET_GAP: Final = 3.0
HEAD: Final = 18.0


def in_time(run: RunSeries, verdict: Verdict) -> Panel:
    """When what was found happened, a lane a profile and anomaly."""
    found = [
        (profile, anomaly, stretches)
        for profile in verdict.profiles
        if profile.places is not None
        for anomaly, stretches in profile.places.times.items()
    ]
    found.sort(key=lambda each: -each[0].counts[each[1]])
    chosen = found[:LANES_MAX]
    rows = [
        (f"{profile.profile}, {anomaly.replace('_', ' ')}",
         [f"{_seconds(each.from_at, run):.2f}", f"{_seconds(each.until, run):.2f}",
          f"{each.count:,}"])
        for profile, anomaly, stretches in chosen
        for each in stretches
    ]  # fmt: skip
    chart = None
    if chosen and run.profiles:
        chart = time_chart(
            "anomalies",
            run,
            "Anomalies over time, one lane a profile and anomaly",
            "records found",
            [_time_row(run, profile, anomaly, each) for profile, anomaly, each in chosen],
            LANE_GAP,
        )
    return Panel(
        "anomalies",
        "When losses, duplicates and other anomalies happened",
        chart,
        "By the time at which the records were handed to the client, or at which a consumer acted, "
        "to 250 ms; a bar's height is its number against the highest of its lane. Each lane names "
        "how many of all are placed."
        + ("" if len(found) <= LANES_MAX else f" {len(found) - LANES_MAX} more have no lane."),
        ("found",),
        ValueTable("profile and anomaly", ["from, s", "until, s", "found"], rows[:ROWS_MAX]),
        _absent(verdict, "time"),
    )


def _absent(verdict: Verdict, what: str) -> str:
    if any(profile.places is None for profile in verdict.profiles):
        return f"Not recorded: this verdict is of a version that notes no {what} of anomalies."
    return f"No anomaly was found whose {what} is on record."


def _seconds(at: str, run: RunSeries) -> float:
    return (to_us(at) - run.start_us) / 1e6


def _time_row(
    run: RunSeries, profile: ProfileVerdict, anomaly: str, stretches: Sequence[TimeStretch]
) -> TimeRow:
    words = anomaly.replace("_", " ")
    placed = sum(each.count for each in stretches)
    total = profile.counts[anomaly]
    highest = max(each.count for each in stretches)

    def draw(top: float, x: Scale) -> list[Markup]:
        parts = [line(x.at, top + LANE, x.to, top + LANE, "axis")]
        for each in stretches:
            begin, end = _seconds(each.from_at, run), _seconds(each.until, run)
            height = max(each.count / highest * LANE, 2.0)
            sentence = f"{profile.profile}: {each.count:,} {words} from {begin:.2f} to {end:.2f} s"
            box = element(
                "rect",
                x=x(begin),
                y=top + LANE - height,
                width=max(x(end) - x(begin), 1.5),
                height=height,
                class_="outage",
            )
            parts.append(group([element("title", sentence), box]))
        named = f"{words} {placed:,}" + ("" if placed == total else f" of {total:,}")
        parts.append(label(24, top + 25, named, "tick"))
        return parts

    # The name takes the upper half of the lane, the anomaly the lower one.
    name = label(24, 0, profile.profile[:26], "name")

    def named_row(top: float, x: Scale) -> list[Markup]:
        return [group([name], transform=f"translate(0 {top + 11:.1f})"), *draw(top, x)]

    return TimeRow("", named_row, LANE)


def in_offsets(verdict: Verdict, topics: Mapping[str, str]) -> Panel:
    """At which offsets what was found lies, a lane a partition and anomaly."""
    lanes: dict[tuple[str, str, str, int], list[OffsetStretch]] = {}
    for profile in verdict.profiles:
        if profile.places is None:
            continue
        for anomaly, stretches in profile.places.offsets.items():
            for each in stretches:
                key = (profile.profile, anomaly, each.topic, each.partition)
                lanes.setdefault(key, []).append(each)
    fullest = sorted(lanes, key=lambda key: -sum(each.count for each in lanes[key]))[:LANES_MAX]
    chosen = {key: lanes[key] for key in sorted(fullest)}
    rows = [
        (f"{topics.get(topic, topic)} {partition}",
         [anomaly.replace("_", " "), f"{each.first_offset:,}", f"{each.last_offset:,}",
          f"{each.count:,}"])
        for (_, anomaly, topic, partition), stretches in chosen.items()
        for each in stretches
    ]  # fmt: skip
    left_out = len(lanes) - len(chosen)
    return Panel(
        "offsets",
        "At which offsets they lie",
        _offset_chart(chosen, topics) if chosen else None,
        "Of what is gone the offset of its acknowledgement, else where the record is. Records sent "
        "with acks=0 have no offset when they are lost."
        + (f" {left_out} more partitions have no lane." if left_out > 0 else ""),
        (),
        ValueTable(
            "topic and partition",
            ["anomaly", "first offset", "last offset", "found"],
            rows[:ROWS_MAX],
        ),
        _absent(verdict, "offset"),
    )


def _offset_chart(
    lanes: Mapping[tuple[str, str, str, int], Sequence[OffsetStretch]], topics: Mapping[str, str]
) -> Markup:
    highest = max(each.last_offset for stretches in lanes.values() for each in stretches)
    left = LEFT + 110
    x = Scale(0.0, float(max(highest, 1)), left, RIGHT)
    height = HEAD + len(lanes) * (OFFSET_LANE + OFFSET_GAP)
    parts: list[Markup] = []
    step = nice_step(float(max(highest, 1)), 8)
    for index in range(int(highest / step) + 1):
        at = x(index * step)
        parts.append(line(at, HEAD, at, height, "grid"))
        parts.append(label(at, height + 16, number(index * step), "tick", "middle"))
    parts.append(line(left, height, RIGHT, height, "axis"))
    parts.append(
        label((left + RIGHT) / 2, height + 36, "offset in the partition", "unit", "middle")
    )
    parts.append(label(left - 6, 12, "topic, partition, anomaly", "unit", "end"))
    for index, ((_, anomaly, topic, partition), stretches) in enumerate(lanes.items()):
        top = HEAD + index * (OFFSET_LANE + OFFSET_GAP)
        shown = topics.get(topic, topic)
        kept = shown if len(shown) <= 28 else f"…{shown[-27:]}"
        words = anomaly.replace("_", " ")
        parts.append(label(left - 6, top + 10, f"{kept} {partition}, {words}", "tick", "end"))
        for each in stretches:
            begin, end = x(float(each.first_offset)), x(float(each.last_offset))
            sentence = (
                f"{shown}, partition {partition}: {each.count:,} {words} at offsets "
                f"{each.first_offset:,} to {each.last_offset:,}"
            )
            box = element(
                "rect",
                x=begin,
                y=top + 1,
                width=max(end - begin, 2.0),
                height=OFFSET_LANE - 2,
                class_="outage",
            )
            parts.append(group([element("title", sentence), box]))
    title = "Anomalies by offset, one lane a partition and anomaly"
    return figure("offsets-chart", WIDTH, height + BOTTOM, title, parts)
