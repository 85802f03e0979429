"""Where reconciling could not look: why an absence of anomalies proves nothing.

Each sentence explains an `inconclusive`. Nothing here hides an anomaly that was found.

No client library is imported here.
"""

from __future__ import annotations

import math
from typing import Final

from harness.anomalies import needing
from harness.anomaly_record import Needs
from harness.reconcile.findings import ProfileFindings
from harness.record.codec import ANY_PARTITION
from harness.rundir.run_record import RunRecord

_SEEN_LIVE: Final = needing(Needs.LIVE_READING)
_NEEDS_DRAIN: Final = needing(Needs.DRAIN)
_NEEDS_WHOLE_LOG: Final = needing(Needs.WHOLE_LOG)
_OF_TRANSACTIONS: Final = needing(Needs.TRANSACTION_LOG)
LEAST_COVERAGE: Final = 0.95
"""The share of a partition's records that must have been read live: one record that is gone, were
it any of them, is then missed with a chance of at most 5 %, as the bounds allow."""
_NAMED: Final = 3


def blind_spots(run: RunRecord, found: ProfileFindings) -> None:
    """Note, for each anomaly, what the evidence cannot show about this profile."""
    topics = run.info.topics_of(found.profile)
    _drain(run, found, topics)
    _compaction(run, found, topics)
    if not found.counts["attempted"]:
        return
    if run.elsewhere is not None:
        for anomaly, reason in run.elsewhere.blind.items():
            found.cannot_see(reason, anomaly)
    _live(run, found, topics)
    if found.profile.transactional:
        _transactions(run, found, topics)


def _drain(run: RunRecord, found: ProfileFindings, topics: range) -> None:
    """Partitions whose drain is not proven complete, or not from the first record on."""
    unproven: dict[str, list[str]] = {}
    moved: list[str] = []
    late: list[str] = []
    open_ended: list[str] = []
    short: list[str] = []
    for topic in topics:
        for partition in run.partitions_of(topic):
            proof = run.drained_partition(topic, partition)
            name = f"{run.info.topics[topic]}-{partition}"
            if not proof.proven:
                unproven.setdefault(proof.reason, []).append(name)
            elif proof.floor and not proof.floor_contradicted:  # what contradicts it is in `short`
                if proof.floor_said:
                    moved.append(f"{name} (to {proof.floor})")
                else:
                    late.append(f"{name} (at {proof.floor})")
            if proof.proven and proof.ceiling is not None:
                open_ended.append(name)
                if proof.reason:
                    short.append(f"{name} ({proof.reason})")
    every = sum(len(run.partitions_of(topic)) for topic in topics)
    for reason, names in unproven.items():
        which = "any of its partitions" if len(names) == every else some(names)
        found.cannot_see(f"the drain is not proven complete for {which}: {reason}", *_NEEDS_DRAIN)
    if moved:
        found.cannot_see(
            "the log's start had moved past records before they were drained: " + some(moved),
            *_NEEDS_DRAIN,
        )
    if late:
        found.cannot_see(
            f"reading began above offset 0, and nothing says that the log did: {some(late)}",
            *_NEEDS_DRAIN,
        )
    if short:
        found.cannot_see("the reading does not prove everything: " + some(short), *_NEEDS_DRAIN)
    if open_ended:
        found.cannot_see(
            f"nothing says that {some(open_ended)} ended where reading did", *_NEEDS_WHOLE_LOG
        )


def _compaction(run: RunRecord, found: ProfileFindings, topics: range) -> None:
    """A compacted log shows the last record of each key, and not what was there before."""
    if not any(run.compacted(topic) for topic in topics):
        return
    found.cannot_see(
        "the topic is compacted, and what was compacted away cannot be distinguished from what was "
        "never there",
        *_NEEDS_WHOLE_LOG,
    )
    superseded = found.keyed.superseded
    if superseded:
        records = "1 acknowledged record" if superseded == 1 else (
            f"{superseded} acknowledged records"
        )  # fmt: skip
        found.cannot_see(
            f"compaction removed {records}, and further copies with them",
            "duplicate",
            "inversion",
        )
    unseen = found.counts["unseen"]
    if unseen:
        gone = "1 that is" if unseen == 1 else f"{unseen} that are"
        found.cannot_see(
            "the topic is compacted, and whether a later record of the same key took the place of "
            f"{gone} gone cannot be known",
            "lost",
        )
    if found.keyless:
        gone = "1 record that is" if found.keyless == 1 else f"{found.keyless} records that are"
        found.cannot_see(f"the key of {gone} gone from a compacted topic is not on record", "lost")
    if found.perhaps_compacted:
        count = found.perhaps_compacted
        gone = "1 record that was" if count == 1 else f"{count} records that were"
        found.cannot_see(
            f"compaction may have removed {gone} read live: the key, or whether a later record has "
            "it, is not on record",
            "vanished",
        )


def _live(run: RunRecord, found: ProfileFindings, topics: range) -> None:
    """A live reader that was not there, that did not read along to its end, or that missed too
    much."""
    if run.elsewhere is None:
        moments = run.timeline.reader
        failed = next((each for each in moments if each.phase == "failed"), None)
        observed = any(
            key[0] in topics for file in run.live.columns.values() for key in file.partitions
        )
        if not observed and not run.live.there:
            found.cannot_see("no live reader read along", *_SEEN_LIVE)
            return
        if failed is not None:
            reason = f" ({failed.reason})" if failed.reason else ""
            found.cannot_see(f"the live reader ended early{reason}", *_SEEN_LIVE)
        elif not any(each.phase == "stopped" for each in moments):
            found.cannot_see("the live reader ended without saying that it did", *_SEEN_LIVE)
        elif not observed:
            found.cannot_see("the live reader read nothing of it", *_SEEN_LIVE)
            return
    missed = _missed(run, found, "again")
    if missed and run.elsewhere is not None and run.elsewhere.once:
        found.not_shown["vanished"] = (
            f"this format tells what was read once, and shows nothing that is gone later: {missed}"
        )
    elif missed:
        found.cannot_see(missed, "vanished")
    if found.profile.transactional and run.live.timed:
        untimed = _missed(run, found, "timed")
        if untimed:
            found.cannot_see(untimed, "precommitted_read")


def _missed(run: RunRecord, found: ProfileFindings, which: str) -> str:
    """Which partitions were read live too little; empty where enough was."""
    short: list[str] = []
    for (topic, partition), coverage in sorted(found.coverage.items()):
        count, returned = int(getattr(coverage, which)), coverage.returned
        if count < LEAST_COVERAGE * returned:
            # Rounded down: just too little is not the least that suffices.
            share = math.floor(100 * count / returned)
            name = run.info.topics[topic]
            if partition != ANY_PARTITION:
                name += f"-{partition}"
            short.append(f"{count} of {returned} ({share} %) in {name}")
    if not short and which == "again" and run.elsewhere and not run.live.there:
        return "nothing was read live, and nothing twice: what is gone would not be missed"
    if not short:
        return ""
    how = "twice" if which == "again" else "live at a known instant"
    return (
        f"of the records that the final reading returned too few were read {how} (at least "
        f"{LEAST_COVERAGE:.0%} of each partition are needed): {some(short)}"
    )


def _transactions(run: RunRecord, found: ProfileFindings, topics: range) -> None:
    """Transaction logs that are missing or broken off, and unwatched last stable offsets."""
    for incarnation, ledger in sorted(run.ledgers.items()):
        if not any(key[0] in topics for key in ledger.partitions):
            continue
        log = run.transactions.get(incarnation)
        if log is None:
            found.cannot_see(
                f"producer {incarnation} left no record of its transactions", *_OF_TRANSACTIONS
            )
        elif log.torn:
            found.cannot_see(
                f"the record of producer {incarnation}'s transactions breaks off",
                *_OF_TRANSACTIONS,
            )
        elif log.damage:
            found.cannot_see(
                f"the record of producer {incarnation}'s transactions is damaged: {log.damage}",
                *_OF_TRANSACTIONS,
            )
    if found.counts["failed_visible"]:
        found.cannot_see(
            "records of aborted transactions were read, which no_failed_visible judges: whether "
            "before the abort was called is not known",
            "precommitted_read",
        )
    if (run.live.there or run.elsewhere) and not run.live.timed:
        found.cannot_see("it is not on record when offsets were read live", "precommitted_read")
    watched = run.timeline.offsets
    unwatched = [
        f"{run.info.topics[topic]}-{partition}"
        for topic in topics
        for partition in run.partitions_of(topic)
        if (run.info.topics[topic], partition) not in watched
    ]
    if unwatched:
        found.cannot_see(f"the last stable offset of {some(unwatched)} was not watched", "hung_txn")


def some(names: list[str]) -> str:
    """The first few of a list, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
