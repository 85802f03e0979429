"""The timeline of a run as panels on one axis: load, latency, errors, cluster, outages, consumers.

Pure: from series to charts with their tables. What was not recorded says so, and why.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.report.cluster_series import ClusterSeries
from harness.report.lane_charts import (
    OUTAGES_DRAWN,
    cluster_chart,
    error_chart,
    lag_chart,
    outage_chart,
)
from harness.report.series import RunSeries
from harness.report.timeline_chart import latency_chart, throughput_chart
from harness.report.value_table import (
    Panel,
    ValueTable,
    cluster_table,
    error_table,
    lag_table,
    latency_table,
    throughput_table,
)

MARKS: Final = ("fault", "leader")
"""Marks that every panel over time has."""


def time_panels(
    run: RunSeries, cluster: ClusterSeries, topics: Mapping[str, str], *, consumers: bool
) -> list[Panel]:
    """All panels, in the order in which they are read; empty without load on record."""
    if not run.profiles:
        return []
    slot = f"{run.slot_s:g} s"
    return [
        Panel(
            "throughput",
            "Throughput",
            throughput_chart(run),
            f"Records per second in slots of {slot}, all partitions of a profile together: "
            "attempts by the time they were handed to the client, acknowledgements by the time "
            "they arrived. After a failover the backlog is acknowledged at once, so a slot can "
            "show more than was attempted in it.",
            ("acked", "attempted", *MARKS, "burst", "blind"),
            throughput_table(run),
        ),
        Panel(
            "latency-over-time",
            "Latency",
            latency_chart(run),
            f"The slowest acknowledgement that arrived in each slot of {slot}, counted from the "
            "moment at which its record was meant to be sent (logarithmic axis). A break in the "
            "line: nothing was acknowledged. acks=0 has no acknowledgement; its line shows how "
            "long records waited until they were written to a socket.",
            (),
            latency_table(run),
        ),
        _errors(run, slot),
        _cluster(run, cluster),
        _outages(run, cluster, topics),
        _lag(run, cluster, consumers=consumers),
    ]


def _errors(run: RunSeries, slot: str) -> Panel:
    return Panel(
        "errors",
        "Errors",
        error_chart(run),
        f"Records whose outcome became failed or unknown in each slot of {slot}. Records of "
        "transactions that were aborted on purpose are among the failed ones.",
        (),
        error_table(run),
        "No record ended failed or unknown.",
    )


def _cluster(run: RunSeries, cluster: ClusterSeries) -> Panel:
    return Panel(
        "cluster",
        "Leaders and in-sync replicas",
        cluster_chart(run, cluster),
        "How many partitions of this run each broker led, and how many had no leader or fewer "
        "in-sync replicas than replicas (the most in a slot). The metadata are asked for four "
        "times a second; while no broker answers, the last answer holds.",
        ("led", "alarm", "away"),
        cluster_table(run, cluster),
        "Not recorded: no observer watched the leaders of this run.",
    )


def _outages(run: RunSeries, cluster: ClusterSeries, topics: Mapping[str, str]) -> Panel:
    chart = outage_chart(run, cluster.outages, topics)
    left_out = len(cluster.outages) - OUTAGES_DRAWN
    rows = [
        (
            f"{topics[each.topic]} {each.partition}",
            [
                each.profile,
                f"{each.total_s:.2f}",
                f"{max(end - start for start, end in each.stretches):.2f}",
                f"{len(each.stretches)}",
            ],
        )
        for each in sorted(cluster.outages, key=lambda each: -each.total_s)[: 4 * OUTAGES_DRAWN]
    ]
    caption = (
        "Stretches of at least 0.5 s in which a partition acknowledged nothing while records were "
        "waiting."
    )
    if left_out > 0:
        caption += (
            f" Of {len(cluster.outages):,} partitions the {OUTAGES_DRAWN} that were away longest "
            "have a lane."
        )
    return Panel(
        "outages",
        "Availability of each partition",
        chart,
        caption,
        ("outage",),
        ValueTable(
            "topic and partition",
            ["profile", "without an acknowledgement, s", "longest, s", "stretches"],
            rows,
            [],
        )
        if rows
        else None,
        "No partition was without an acknowledgement for half a second.",
    )


def _lag(run: RunSeries, cluster: ClusterSeries, *, consumers: bool) -> Panel:
    return Panel(
        "lag",
        "Consumer lag",
        lag_chart(run, cluster),
        "Offsets that the group of each profile had not committed yet, all partitions together, "
        "the most in a slot.",
        (),
        lag_table(run, cluster.lag, cluster.slot_s),
        "Not recorded: the lag of this run's consumers was not asked for."
        if consumers
        else "Not recorded: no profile of this run has consumers.",
    )
