"""The instants of a history: when offsets were read live, looked at, and drained."""

from __future__ import annotations

import numpy as np

from harness.arrays import Bools, Rows
from harness.history.event_tables import History
from harness.history.isolation_levels import READ_COMMITTED
from harness.history.reads import Reads
from harness.rundir.rows import BATCH
from harness.rundir.timeline import Timeline


def timed_of(reads: Reads) -> Bools:
    """What was read live at read_committed at a known instant."""
    committed = reads.isolation == READ_COMMITTED
    return np.asarray(reads.live & (reads.read_us >= 0) & committed, dtype=np.bool_)


def batches_of(reads: Reads) -> Rows:
    """When offsets were read live at read_committed, for those of which it is known."""
    home = reads.at_home
    timed = home[(timed_of(reads) & ~reads.contested)[home]]
    rows = np.zeros(len(timed), dtype=BATCH)
    for name, column in (
        ("topic", reads.topic),
        ("partition", reads.partition),
        ("read_us", reads.read_us),
        ("first_offset", reads.offset),
        ("last_offset", reads.offset),
    ):
        rows[name] = column[timed]
    return rows


def ended_us_of(history: History) -> int | None:
    """When the last reading that says so ended."""
    return max(
        (d.ended_us for d in history.drains.values() if d.ended_us is not None), default=None
    )


def timeline_of(history: History) -> Timeline:
    """Last stable offsets by topic-partition, in the order of their instants.

    Several looks at one instant have no order among them, and are taken in the one that can be.
    """
    timeline = Timeline()
    table = history.watched
    topic, partition, at_us, stable, high = table.take(*table.names)
    for key in sorted(set(zip(topic.tolist(), partition.tolist(), strict=True))):
        rows = np.flatnonzero((topic == key[0]) & (partition == key[1]))
        rows = rows[np.lexsort((high[rows], stable[rows], at_us[rows]))]
        name = history.topics[key[0]], key[1]
        timeline.offsets[name] = (at_us[rows], stable[rows], high[rows])
    return timeline
