"""Where judging consumers could not look: why finding no anomaly of theirs proves nothing.

Each sentence explains an `inconclusive`. Nothing here hides an anomaly that was found.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from harness.anomalies import CONSUMER_ANOMALIES, needing
from harness.anomaly_record import Needs
from harness.reconcile.blind_spots import some
from harness.reconcile.consumers.group import SHARE, Group, Key
from harness.reconcile.consumers.input_partition import InputPartition
from harness.reconcile.findings import ProfileFindings
from harness.rundir.member_journal import SYNCHRONOUS, Step
from harness.rundir.run_record import RunRecord

_OF_EFFECTS: Final = needing(Needs.EFFECTS)
_OF_RECORDS: Final = needing(Needs.INPUT_OFFSETS)
_OF_STINTS: Final = needing(Needs.ASSIGNMENTS)


def blind_spots(run: RunRecord, found: ProfileFindings, groups: list[Group]) -> None:
    """Note, for each anomaly of consumers, what the evidence cannot show about this profile."""
    consume, consumed = found.profile.consume, found.consumed
    if consume is None or consumed is None:
        return
    if not consumed.members:
        found.cannot_see("no member of its group left a journal", *CONSUMER_ANOMALIES)
        return
    if not consumed.polled:
        found.cannot_see("its members were handed no record", *CONSUMER_ANOMALIES)
    elif not consumed.effects:
        found.cannot_see("not one of its records was processed", *_OF_EFFECTS)
    _inputs(run, found, list(groups[0].partitions.values()))
    for group in groups:
        _beyond_reading(found, list(group.partitions.values()))
        if consume.mode == SHARE:
            _shared(found, group)
        else:
            _committed(run, found, group, group.named(len(groups) > 1))
            _stints(found, group, group.named(len(groups) > 1))
    if consume.mode == "transactional":
        _outputs(run, found)
    else:
        _journals(run, found)


def _shared(found: ProfileFindings, group: Group) -> None:
    partitions = group.partitions.values()
    if not any(each.passed.any() for each in partitions):
        found.cannot_see("its members accepted no record", "unprocessed", "reprocessed")
    given_up = sum(each.given_up for each in partitions)
    if given_up:
        found.cannot_see(
            f"its share group gave up {given_up} of its records: rejected, or archived at "
            "their delivery limit",
            "unprocessed",
        )


def _stints(found: ProfileFindings, group: Group, name: str) -> None:
    """What is not known of who owned a partition, and when."""
    if not group.stints_known:
        found.cannot_see(
            f"no assignment of {name} is on record: its members may have been assigned by hand",
            *_OF_STINTS,
        )
    if len(group.journals) < 2:
        return
    if any(bool((each.entries["at_us"] < 0).any()) for each in group.journals):
        found.cannot_see(
            f"{name} has several members, and not every line of theirs says when (at_us)",
            *needing(Needs.ORDER_OF_MEMBERS),
        )
    waited = any(
        bool(((each.entries["flags"] & SYNCHRONOUS) != 0).any())
        or bool((each.entries["step"] == Step.COMMIT_CALLED).any())
        for each in group.journals
    )
    if not waited:
        found.cannot_see(
            f"of no commit of {name} it is on record when it was called", "double_owner"
        )


def missing_journals(run: RunRecord, profile: str) -> list[int]:
    """Members that were assigned partitions, by their own word, and of which no journal is here.

    One that died before it had a journal was never assigned any, and did nothing.
    """
    assigned = {
        moment.member
        for moment in run.timeline.members
        if moment.profile == profile and moment.phase == "assigned"
    }
    journals = run.consumption.journals.get(profile, [])
    return sorted(assigned - {journal.member for journal in journals})


def _inputs(run: RunRecord, found: ProfileFindings, partitions: list[InputPartition]) -> None:
    names = run.info.topics
    unproven = [each for each in partitions if not each.proof.proven]
    if unproven:
        found.cannot_see(
            "which offsets hold a record is not proven for "
            + some([f"{names[each.topic]}-{each.partition}" for each in unproven])
            + f": {unproven[0].proof.reason}",
            *_OF_RECORDS,
        )
    floored = [each for each in partitions if each.proof.proven and each.proof.floor]
    disputed = [each for each in floored if each.proof.floor_contradicted]
    if disputed:
        found.cannot_see(
            "where the log began is not known: "
            + some(
                [f"{names[each.topic]}-{each.partition} ({each.proof.reason})" for each in disputed]
            ),
            *_OF_RECORDS,
        )
    moved = [each for each in floored if not each.proof.floor_contradicted]
    if moved:
        found.cannot_see(
            "the log's start had moved past records before they were drained: "
            + some(
                [f"{names[each.topic]}-{each.partition} (to {each.proof.floor})" for each in moved]
            ),
            *_OF_RECORDS,
        )


def _beyond_reading(found: ProfileFindings, partitions: list[InputPartition]) -> None:
    """Offsets committed beyond where a history's reading ended, for all that is known of it."""
    beyond = [
        str(each.partition)
        for each in partitions
        if each.proof.ceiling is not None and each.committed > each.proof.ceiling
    ]
    if beyond:
        found.cannot_see(
            f"its group committed offsets beyond what was read of partition {some(beyond)}",
            *_OF_RECORDS,
        )


def _committed(run: RunRecord, found: ProfileFindings, group: Group, name: str) -> None:
    """Committed offsets that were not asked for, or that were never any."""
    consumption = run.consumption
    if any(consumption.coordinator_of(group.name, key) is None for key in _touched(group)):
        found.cannot_see(
            f"what the coordinator of {name} had in the end is not on record", "commit_lost"
        )
    committed = consumption.committed
    if committed is None or group.name not in committed:
        found.cannot_see(f"the offsets that {name} had committed are not on record", "unprocessed")
    elif not any(each.committed for each in group.partitions.values()):
        found.cannot_see(f"{name} never committed anything", "unprocessed", "reprocessed")
    at_most = consumption.at_most.get(group.name, {})
    for key, records in group.partitions.items():
        doubtful = records.open_between(records.committed, at_most.get(key, 0))
        if doubtful:
            found.cannot_see(
                f"which commit of partition {records.partition} was the last one is not known, and "
                f"{doubtful} records that it may have passed were not processed",
                "unprocessed",
            )


def _touched(group: Group) -> set[Key]:
    """The partitions of which members committed anything with certainty."""
    touched: set[Key] = set()
    for journal in group.journals:
        chosen = journal.entries[journal.entries["step"] == Step.COMMITTED]
        pairs = np.unique(chosen[["topic", "partition"]])
        touched |= {(int(topic), int(partition)) for topic, partition in pairs.tolist()}
    return touched & group.partitions.keys()


def _outputs(run: RunRecord, found: ProfileFindings) -> None:
    """A pipeline's effects are its output records, so all of them must have been read."""
    inputs = 1 if found.profile.consume is None else found.profile.consume.inputs
    if run.consumption.inputs is None:
        found.cannot_see(
            run.consumption.unplaced
            or "it is not on record which input each output record was made of",
            *_OF_EFFECTS,
        )
    unread = [
        f"{run.info.topics[topic]}-{partition}"
        for topic in run.info.topics_of(found.profile)[inputs:]
        for partition in run.partitions_of(topic)
        if not run.drained_partition(topic, partition).whole
    ]
    if unread:
        found.cannot_see(f"its output was not read whole: {some(unread)}", *_OF_EFFECTS)


def _journals(run: RunRecord, found: ProfileFindings) -> None:
    name = found.profile.profile
    missing = missing_journals(run, name)
    if missing:
        found.cannot_see(
            f"the journal of member {some([str(each) for each in missing])} is not there",
            *CONSUMER_ANOMALIES,
        )
    torn = [
        str(journal.member)
        for journal in run.consumption.journals.get(name, [])
        if journal.torn_bytes
    ]
    if torn:
        found.cannot_see(
            f"the journal of member {some(torn)} breaks off within an entry", *_OF_EFFECTS
        )
