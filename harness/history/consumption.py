"""What a history says about a consumer group: journals, committed offsets, a pipeline's inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from harness.errors import UsageError
from harness.history.reads import Reads
from harness.history.tables import History
from harness.members.journal import ENTRY, NO_POSITION, SYNCHRONOUS, Journal, Step
from harness.profiles import DeliveryProfile
from harness.rundir import ConsumeRun, RunInfo
from harness.verify.consumers.recorded import INPUT, Consumption

GROUP: Final = "history"
"""The one group that a history tells of."""


def consume_run(profile: DeliveryProfile) -> ConsumeRun | None:
    """The consumers that a profile promises something about."""
    plan = profile.consume
    if plan is None:
        return None
    return ConsumeRun(
        plan.mode, plan.protocol, plan.members, plan.processing_ms, GROUP, plan.send_offsets
    )


def put_input_first(history: History) -> None:
    """Make the topic that members read the first one.

    Raises UsageError when they read several.
    """
    placed = ~np.isin(history.members.column("step"), (Step.STARTED, Step.CLOSED))
    inputs = history.reads.column("input_topic")
    topics = np.union1d(history.members.column("topic")[placed], inputs[inputs >= 0]).tolist()
    if len(topics) > 1:
        names = ", ".join(history.topics[each] for each in topics)
        raise UsageError(
            f"--history: the members of the group read several topics ({names}); a profile's "
            "consumers read one. Judge each topic's history by itself."
        )
    if topics:
        history.put_first(topics[0])


def order_unknown(history: History) -> dict[str, str]:
    """What cannot be seen where members do not say when they did something."""
    members = history.members
    untimed = members.column("at_us") < 0
    if not untimed.any() or len(np.unique(members.column("member"))) < 2:
        return {}
    return {"reprocessed": "several members, and not every line of theirs says when (at_us)"}


def consumption_of(history: History, reads: Reads, info: RunInfo) -> Consumption:
    """The journals of all members, as the journals of the one profile."""
    profile = info.profiles[0]
    if profile.consume is None:
        return Consumption()
    return Consumption(
        journals={profile.profile: _journals(history, profile.profile)},
        committed={GROUP: {**_last_commits(history), **history.group_offsets}},
        inputs=_inputs(reads),
    )


def _journals(history: History, profile: str) -> list[Journal]:
    table = history.members
    rows = np.lexsort((table.column("order"), table.column("member")))
    member = table.column("member")[rows]
    entries = np.zeros(len(rows), dtype=ENTRY)
    for name in ("topic", "partition", "step", "offset"):
        entries[name] = table.column(name)[rows]
    entries["at_us"] = np.maximum(table.column("at_us")[rows], 0)
    entries["flags"] = np.where(table.column("synchronous")[rows] > 0, SYNCHRONOUS, 0)
    unsaid = (entries["step"] == Step.ASSIGNED) & (entries["offset"] < 0)
    entries["offset"][unsaid] = NO_POSITION
    path = history.files[0] if history.files else Path()
    return [
        Journal(path, profile, 0, number, 0, entries[member == number], 0)
        for number in np.unique(member).tolist()
    ]


def _last_commits(history: History) -> dict[tuple[int, int], int]:
    """The last commit that was confirmed of each partition, by the clock and then by the lines."""
    table = history.members
    rows = np.flatnonzero(table.column("step") == Step.COMMITTED)
    rows = rows[np.lexsort((table.column("order")[rows], table.column("at_us")[rows]))]
    columns = (table.column(name)[rows].tolist() for name in ("topic", "partition", "offset"))
    return {(topic, partition): offset for topic, partition, offset in zip(*columns, strict=True)}


def _inputs(reads: Reads) -> np.ndarray[tuple[int], np.dtype[np.void]] | None:
    """Which input record each output record was made of; None when no line says so."""
    rows = np.flatnonzero((reads.input_topic >= 0) & ~reads.live)
    if not len(rows):
        return None
    inputs = np.zeros(len(rows), dtype=INPUT)
    inputs["output_offset"], inputs["input_offset"] = reads.offset[rows], reads.input_offset[rows]
    inputs["partition"], inputs["topic"] = reads.partition[rows], reads.topic[rows]
    inputs["input_topic"] = reads.input_topic[rows]
    return inputs
