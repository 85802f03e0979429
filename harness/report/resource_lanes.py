"""CPU, memory and disk of each broker over time, where they were recorded. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np

from harness.arrays import F64
from harness.report.lane_charts import LANE_GAP, lane
from harness.report.series import RunSeries
from harness.report.time_frame import time_chart
from harness.report.value_table import Panel, over_time
from harness.rundir.events import ResourcesEvent

SLOT_S_MIN: Final = 2.0
"""Samples come once a second, now and then late: a slot of two seconds always has one."""
MEGABYTE: Final = 1_000_000
QUANTITIES: Final = ("cpu", "memory", "disk")
ABSENT: Final = (
    "Not recorded: only brokers that the harness runs on this machine are sampled, by runs of this "
    "version or later."
)


def resource_slots(
    run: RunSeries, events: Iterable[ResourcesEvent]
) -> tuple[float, dict[tuple[str, int], F64]]:
    """(seconds a slot, (quantity, broker) → the highest value in each slot, NaN without one).

    cpu: percent of one core; memory and disk: megabytes.
    """
    slot_s = max(SLOT_S_MIN, run.slot_s)
    count = max(int(np.ceil(run.end_s / slot_s)), 1)
    found: dict[tuple[str, int], F64] = {}
    for event in events:
        slot = int((event.at_us - run.start_us) / 1e6 // slot_s)
        if not 0 <= slot < count:
            continue
        values = (
            event.cpu_percent,
            event.memory_bytes / MEGABYTE,
            event.disk_bytes / MEGABYTE,
        )
        for quantity, value in zip(QUANTITIES, values, strict=True):
            series = found.setdefault((quantity, event.broker), np.full(count, np.nan))
            series[slot] = np.fmax(series[slot], value)
    return slot_s, found


def resource_panel(run: RunSeries, events: Iterable[ResourcesEvent]) -> Panel:
    """A lane a quantity and broker."""
    slot_s, slots = resource_slots(run, events)
    keys = sorted(slots, key=lambda key: (QUANTITIES.index(key[0]), key[1]))
    written: dict[str, Callable[[float], str]] = {
        "cpu": lambda value: f"{value:.0f} %",
        "memory": lambda value: f"{value:,.0f} MB",
        "disk": lambda value: f"{value:,.0f} MB",
    }
    highest = {
        quantity: max(
            (float(np.nanmax(slots[key])) for key in keys if key[0] == quantity), default=1.0
        )
        for quantity in QUANTITIES
    }
    chart = None
    if keys and run.profiles:
        first = slots[keys[0]]
        from_s = np.arange(len(first), dtype=np.float64) * slot_s
        rows = [
            lane(
                f"{quantity}, broker {broker}",
                from_s,
                slot_s,
                slots[quantity, broker],
                highest=highest[quantity] or 1.0,
                shown=written[quantity],
            )
            for quantity, broker in keys
        ]
        title = "CPU, memory and disk of each broker over time"
        chart = time_chart("resources", run, title, "of this machine", rows, LANE_GAP)
    columns = [
        (f"{quantity}, broker {broker}", slots[quantity, broker], written[quantity])
        for quantity, broker in keys
    ]
    return Panel(
        "resources",
        "CPU, memory and disk of the brokers",
        chart,
        f"The highest sample in each slot of {slot_s:g} s; CPU in percent of one core, memory "
        "resident, disk as blocks that a broker's files take. Lanes of one quantity share a scale. "
        "A break: the broker's process did not run.",
        (),
        over_time(run, columns, slot_s),
        ABSENT,
    )
