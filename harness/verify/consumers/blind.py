"""Where judging consumers could not look: why finding no anomaly of theirs proves nothing.

Each sentence stands behind an `inconclusive`. Nothing here hides an anomaly that was found.
"""

from __future__ import annotations

from typing import Final

from harness.anomalies import CONSUMER_ANOMALIES
from harness.verify.blind import some
from harness.verify.consumers.inputs import InputPartition
from harness.verify.evidence import Evidence
from harness.verify.findings import ProfileFindings

_OF_EFFECTS: Final = ("unprocessed", "reprocessed", "repeated")
_OF_RECORDS: Final = ("unprocessed", "poll_skip", "commit_beyond_position")
"""What is only seen where the drain says which offsets hold a record."""


def blind_spots(
    evidence: Evidence, found: ProfileFindings, partitions: list[InputPartition]
) -> None:
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
    _inputs(evidence, found, partitions)
    _beyond_reading(found, partitions)
    if consume.mode == "share":
        if not any(each.passed.any() for each in partitions):
            found.cannot_see("its members accepted no record", "unprocessed", "reprocessed")
        given_up = sum(each.given_up for each in partitions)
        if given_up:
            found.cannot_see(
                f"its share group gave up {given_up} of its records: rejected, or archived at "
                "their delivery limit",
                "unprocessed",
            )
    else:
        _committed(evidence, found, consume.group, partitions)
    if consume.mode == "transactional":
        _outputs(evidence, found)
    else:
        _journals(evidence, found)


def missing_journals(evidence: Evidence, profile: str) -> list[int]:
    """Members that were assigned partitions, by their own word, and of which no journal is here.

    One that died before it had a journal was never assigned any, and did nothing.
    """
    assigned = {
        moment.member
        for moment in evidence.timeline.members
        if moment.profile == profile and moment.phase == "assigned"
    }
    journals = evidence.consumption.journals.get(profile, [])
    return sorted(assigned - {journal.member for journal in journals})


def _inputs(evidence: Evidence, found: ProfileFindings, partitions: list[InputPartition]) -> None:
    names = evidence.info.topics
    unproven = [each for each in partitions if not each.proof.proven]
    if unproven:
        found.cannot_see(
            "which offsets hold a record is not proven for "
            + some([f"{names[each.topic]}-{each.partition}" for each in unproven])
            + f": {unproven[0].proof.reason}",
            *_OF_RECORDS,
        )
    moved = [each for each in partitions if each.proof.proven and each.proof.floor]
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


def _committed(
    evidence: Evidence, found: ProfileFindings, group: str, partitions: list[InputPartition]
) -> None:
    """Committed offsets that nobody asked for, or that were never any."""
    committed = evidence.consumption.committed
    if committed is None or group not in committed:
        found.cannot_see(
            "the offsets that its group had committed are not on record", "unprocessed"
        )
    elif not any(each.passed.any() for each in partitions):
        found.cannot_see("its group never committed anything", "unprocessed", "reprocessed")


def _outputs(evidence: Evidence, found: ProfileFindings) -> None:
    """A pipeline's effects are its output records, so all of them must have been read."""
    if evidence.consumption.inputs is None:
        found.cannot_see(
            "it is not on record which input each output record was made of", *_OF_EFFECTS
        )
    unread = [
        f"{evidence.info.topics[topic]}-{partition}"
        for topic in evidence.info.topics_of(found.profile)[1:]
        for partition in evidence.partitions_of(topic)
        if not evidence.drained_partition(topic, partition).whole
    ]
    if unread:
        found.cannot_see(f"its output was not read whole: {some(unread)}", *_OF_EFFECTS)


def _journals(evidence: Evidence, found: ProfileFindings) -> None:
    name = found.profile.profile
    missing = missing_journals(evidence, name)
    if missing:
        found.cannot_see(
            f"the journal of member {some([str(each) for each in missing])} is not there",
            *CONSUMER_ANOMALIES,
        )
    torn = [
        str(journal.member)
        for journal in evidence.consumption.journals.get(name, [])
        if journal.torn_bytes
    ]
    if torn:
        found.cannot_see(
            f"the journal of member {some(torn)} breaks off within an entry", *_OF_EFFECTS
        )
