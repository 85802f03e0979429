"""One consumer group as it is judged: its members' journals and the partitions that they read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from harness.reconcile.consumers.input_partition import InputPartition
from harness.reconcile.findings import ProfileFindings
from harness.rundir.consumption import Consumption
from harness.rundir.copies import Extras
from harness.rundir.member_journal import Journal, Step
from harness.rundir.run_info import ConsumeRun
from harness.rundir.run_record import RunRecord

Key: TypeAlias = tuple[int, int]

SHARE = "share"


@dataclass(slots=True)
class Group:
    """`partitions`: by (topic, partition); `stints_known`: whether any assignment is on record."""

    name: str
    journals: list[Journal]
    partitions: dict[Key, InputPartition]
    stints_known: bool

    def named(self, several: bool) -> str:
        """As a sentence names it."""
        return f"group {self.name}" if several else "its group"


def groups_of(
    run: RunRecord, found: ProfileFindings, consume: ConsumeRun, drained: Extras
) -> list[Group]:
    """The groups of a profile: one in a run, and as many as a history names."""
    journals = run.consumption.journals.get(found.profile.profile, [])
    names = sorted({journal.group or consume.group for journal in journals}) or [consume.group]
    topics = run.info.topics_of(found.profile)[: consume.inputs]
    groups = []
    for name in names:
        mine = [journal for journal in journals if (journal.group or consume.group) == name]
        partitions = {
            (topic, partition): InputPartition(run, topic, partition, drained.of(topic, partition))
            for topic in topics
            for partition in run.partitions_of(topic)
        }
        for key, records in partitions.items():
            _take_offsets(run.consumption, name, key, records, shared=consume.mode == SHARE)
        known = any(bool((each.entries["step"] == Step.ASSIGNED).any()) for each in mine)
        groups.append(Group(name, mine, partitions, known))
    return groups


def _take_offsets(
    consumption: Consumption, group: str, key: Key, records: InputPartition, *, shared: bool
) -> None:
    offset = (consumption.committed or {}).get(group, {}).get(key, 0)
    if not shared:
        records.take_committed(offset)
        return
    # Where a share group starts: below it records were accepted, rejected or archived.
    records.committed = offset
    archived = consumption.archived.get(group, {}).get(key, [])
    records.take_archived(np.array(archived, dtype=np.int64))
