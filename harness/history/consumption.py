"""What a history says about consumer groups: journals, committed offsets, a pipeline's inputs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import numpy as np

from harness.arrays import Rows
from harness.history.committed_offsets import last_commits
from harness.history.event_tables import History
from harness.history.reads import Reads
from harness.profiles import DeliveryProfile
from harness.rundir.consumption import HISTORY_GROUP, INPUT_ROW, Committed, Consumption, Reset
from harness.rundir.member_journal import ENTRY, NO_POSITION, SYNCHRONOUS, Journal, Step
from harness.rundir.run_info import ConsumeRun, RunInfo

Key: TypeAlias = tuple[int, int]


def consume_run(profile: DeliveryProfile, inputs: int) -> ConsumeRun | None:
    """The consumers that a profile promises something about, and how many topics they read."""
    plan = profile.consume
    if plan is None:
        return None
    return ConsumeRun(
        plan.mode,
        plan.protocol,
        plan.members,
        plan.processing_ms,
        HISTORY_GROUP,
        plan.send_offsets,
        max(inputs, 1),
    )


def put_inputs_first(history: History) -> int:
    """Make the topics that members read the first ones; how many there are."""
    placed = ~np.isin(history.members.column("step"), (Step.STARTED, Step.CLOSED))
    inputs = history.reads.column("input_topic")
    named = np.union1d(history.members.column("topic")[placed], inputs[inputs >= 0])
    topics = sorted({*named.tolist(), *(topic for topic, _ in history.partitions_of_groups)})
    if topics:
        history.put_first(topics)
    return len(topics)


def consumption_of(
    history: History, reads: Reads, info: RunInfo, partitions: Iterable[Key]
) -> Consumption:
    """The journals of all members, as the journals of the one profile.

    partitions: every topic-partition of the history.
    """
    profile = info.profiles[0]
    if profile.consume is None:
        return Consumption()
    journals = _journals(history, profile.profile)
    topics = list(range(profile.consume.inputs))
    groups = [HISTORY_GROUP, *(name for name in history.groups if name != HISTORY_GROUP)]
    stated: dict[str, Committed] = {}
    for (group, topic, partition), offset in history.group_offsets.items():
        stated.setdefault(_name(history, group), {})[topic, partition] = offset
    committed: dict[str, Committed] = {}
    at_most: dict[str, Committed] = {}
    for name in groups:
        mine = [journal for journal in journals if journal.group == name]
        least, most = last_commits(mine, topics)
        said = stated.get(name, {})
        committed[name] = {**least, **said}
        at_most[name] = {key: offset for key, offset in most.items() if key not in said}
    inputs, unplaced = _inputs(history, reads, topics, partitions)
    consumption = Consumption(
        journals={profile.profile: journals},
        committed=committed,
        inputs=inputs,
        stated=stated,
        at_most=at_most,
        unplaced=unplaced,
    )
    for group, topic, partition, offset, at_us in history.resets:
        of_group = consumption.resets.setdefault(_name(history, group), {})
        of_group.setdefault((topic, partition), []).append(Reset(offset, at_us))
    for group, topic, partition, offset in history.archived:
        gone = consumption.archived.setdefault(_name(history, group), {})
        gone.setdefault((topic, partition), []).append(offset)
    return consumption


def _name(history: History, group: int) -> str:
    return HISTORY_GROUP if group < 0 else history.groups[group]


def _journals(history: History, profile: str) -> list[Journal]:
    """One journal of each member of each group, in the order of its lines."""
    table = history.members
    names = ("order", "member", "group")
    rows = np.lexsort([table.column(name) for name in names])
    entries = np.zeros(len(rows), dtype=ENTRY)
    for name in ("topic", "partition", "step", "offset", "detail", "at_us"):
        entries[name] = table.column(name)[rows]
    entries["flags"] = np.where(table.column("synchronous")[rows] > 0, SYNCHRONOUS, 0)
    unsaid = (entries["step"] == Step.ASSIGNED) & (entries["offset"] < 0)
    entries["offset"][unsaid] = NO_POSITION
    group = table.column("group")[rows]
    if (group < 0).any():
        group = np.where(group < 0, history.group(HISTORY_GROUP), group)
    path = history.files[0] if history.files else Path()
    journals = []
    for code in np.unique(group).tolist():
        member = table.column("member")[rows]
        for number in np.unique(member[group == code]).tolist():
            mine = entries[(group == code) & (member == number)]
            journals.append(
                Journal(path, profile, 0, number, 0, mine, 0, group=_name(history, code))
            )
    return journals


def _inputs(
    history: History, reads: Reads, topics: list[int], partitions: Iterable[Key]
) -> tuple[Rows | None, str]:
    """Which input record each output record was made of; None, and why, where that is not known."""
    rows = np.flatnonzero((reads.input_topic >= 0) & ~reads.live)
    if not len(rows):
        return None, ""
    partition = reads.input_partition[rows]
    unsaid = partition < 0
    of_topic = {topic: {p for t, p in partitions if t == topic} for topic in topics}
    for topic in np.unique(reads.input_topic[rows][unsaid]).tolist():
        if len(of_topic.get(topic, ())) > 1:
            return None, (
                f"{history.topics[topic]} has several partitions, and not every output record "
                "says of which one its input was (input_partition)"
            )
    only = {topic: min(found, default=0) for topic, found in of_topic.items()}
    inputs = np.zeros(len(rows), dtype=INPUT_ROW)
    inputs["output_offset"], inputs["input_offset"] = reads.offset[rows], reads.input_offset[rows]
    inputs["topic"], inputs["input_topic"] = reads.topic[rows], reads.input_topic[rows]
    assumed = np.array([only.get(topic, 0) for topic in inputs["input_topic"].tolist()])
    inputs["partition"] = np.where(unsaid, assumed, partition)
    return inputs, ""
