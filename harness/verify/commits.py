"""What only whole transactions show: torn, lost and hung ones.

A lane's walk counts how many records of each transaction it found; here the counts of all its
topic-partitions come together.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.rundir import ProfileRun
from harness.verify.evidence import Evidence
from harness.verify.findings import Occurrence, ProfileFindings
from harness.verify.timeline import Fault
from harness.verify.transactions import COMMITTED, UNDECIDED, Tally

ABORT_SCAN_MS: Final = 10_000
"""The coordinator looks for timed-out transactions this often (Kafka's default of
transaction.abort.timed.out.transaction.cleanup.interval.ms)."""
FAILOVER_MS: Final = 10_000
"""What an election of the coordinator or of a partition's leader may take besides; time inside a
fault's window is not counted at all."""

OF_TRANSACTIONS: Final = ("gap", "torn_txn", "lost_txn", "precommitted_read")
"""The anomalies for which the record of a producer's transactions has to be whole."""

I64: TypeAlias = npt.NDArray[np.int64]


def judge_transactions(
    evidence: Evidence, found: ProfileFindings, tallies: dict[int, Tally]
) -> None:
    """Count torn and lost transactions of a profile, and the gaps inside committed ones."""
    topics = evidence.info.topics_of(found.profile)
    for incarnation, tally in sorted(tallies.items()):
        if any(topic in topics for topic in tally.topics):
            if evidence.elsewhere is None:
                ledger = evidence.ledgers.get(incarnation)
                closed = ledger is not None and ledger.closed_cleanly
                _judge_unnamed(found, incarnation, tally, closed=closed)
            _judge_log(found, incarnation, tally)


def _judge_log(found: ProfileFindings, incarnation: int, tally: Tally) -> None:
    log = tally.log
    visible = (tally.drained > 0) | (tally.live > 0)
    committed = (log.states == COMMITTED) | ((log.states == UNDECIDED) & visible)
    # All of it gone needs the proof for all of it; a part that is proven gone is torn at least.
    lost = committed & (tally.members > 0) & (tally.absent == tally.members)
    torn = committed & (tally.absent > 0) & ~lost
    for anomaly, chosen in (("lost_txn", lost), ("torn_txn", torn)):
        positions = np.flatnonzero(chosen)
        found.counts[anomaly] += len(positions)
        for position in positions[: found.room(anomaly)].tolist():
            topic, partition, sequence = tally.first_absent[position]
            number = int(log.numbers[position])
            found.sample(
                Occurrence(anomaly, topic, partition, incarnation, sequence, transaction=number)
            )
    found.counts["gap"] += sum(n for position, n in tally.gaps.items() if committed[position])
    for position, topic, partition, sequence in tally.gap_samples:
        if committed[position]:
            number = int(log.numbers[position])
            found.sample(
                Occurrence("gap", topic, partition, incarnation, sequence, transaction=number)
            )


def _judge_unnamed(found: ProfileFindings, incarnation: int, tally: Tally, *, closed: bool) -> None:
    """Attempts that no step of the log names.

    A transaction that was open when its producer died has no ranges on record, and its commit was
    never called. But lines are missing where a producer that closed its ledger left attempts
    unnamed, where no transaction was open, and where acknowledged records have no commit: the
    ledger says acked only after the log said committed.
    """
    open_at_end = tally.log.open_at_end and not closed
    unnamed = max(tally.uncommitted.total(), 0 if open_at_end else tally.outside.total())
    if unnamed:
        tally.cut = True
        records = "1 record" if unnamed == 1 else f"{unnamed} records"
        found.cannot_see(
            f"the record of producer {incarnation}'s transactions lacks lines: it does not say "
            f"what became of {records} that the ledger holds",
            *OF_TRANSACTIONS,
        )
        return
    for (topic, partition), sequences, offsets in tally.uncalled:
        found.counts["precommitted_read"] += len(sequences)
        rows = zip(sequences.tolist(), offsets.tolist(), strict=True)
        for sequence, offset in list(rows)[: found.room("precommitted_read")]:
            found.sample(
                Occurrence("precommitted_read", topic, partition, incarnation, sequence, offset)
            )


def hung_bound_us(profile: ProfileRun) -> int:
    """How long a last stable offset may stand still below the high watermark, in µs."""
    return (profile.transaction_timeout_ms + ABORT_SCAN_MS + FAILOVER_MS) * 1000


def hung_transactions(
    evidence: Evidence, found: ProfileFindings, tallies: Mapping[int, Tally]
) -> None:
    """Count last stable offsets that stood still longer than any transaction may stay open."""
    bound_us = hung_bound_us(found.profile)
    faults = evidence.timeline.faults
    for topic in evidence.info.topics_of(found.profile):
        name = evidence.info.topics[topic]
        for partition in evidence.partitions_of(topic):
            series = evidence.timeline.offsets.get((name, partition))
            stuck = _stuck_offsets(*series, faults, bound_us) if series is not None else []
            drained = (
                _stuck_at_drain(evidence, topic, partition, bound_us)
                if _steps_are_whole(evidence, topic, tallies)
                else None  # a step that is missing may have been the last one
            )
            if drained is not None and drained not in stuck:
                stuck.append(drained)
            found.counts["hung_txn"] += len(stuck)
            for offset in stuck:
                found.sample(Occurrence("hung_txn", topic, partition, offset=offset))


def _stuck_offsets(
    at_us: I64, last_stable: I64, high: I64, faults: list[Fault], bound_us: int
) -> list[int]:
    """Last stable offsets seen unmoved below the high watermark for longer than the bound.

    The last stable offset never goes back and the high watermark never below it, so that two
    sightings of the same one, both below the watermark, mean that it stood still in between.
    """
    stuck: list[int] = []
    below = np.flatnonzero(last_stable < high)
    if not len(below):
        return stuck
    at_us, last_stable = at_us[below], last_stable[below]
    starts = np.flatnonzero(np.diff(last_stable, prepend=last_stable[0] - 1))
    ends = np.append(starts[1:], len(below)) - 1
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        begin_us, end_us = int(at_us[start]), int(at_us[end])
        if end_us - begin_us - _disturbed_us(faults, begin_us, end_us) > bound_us:
            stuck.append(int(last_stable[start]))
    return stuck


def _disturbed_us(faults: list[Fault], begin_us: int, end_us: int) -> int:
    """How much of a stretch lies inside the windows of faults, in µs; overlaps count once."""
    total, reached = 0, begin_us
    for fault in sorted(faults, key=lambda each: each.injected_us):
        healed_us = end_us if fault.healed_us is None else min(fault.healed_us, end_us)
        start_us = max(fault.injected_us, reached)
        if healed_us > start_us:
            total += healed_us - start_us
            reached = healed_us
    return total


def _stuck_at_drain(evidence: Evidence, topic: int, partition: int, bound_us: int) -> int | None:
    """The last stable offset that the drain waited for in vain, when the wait was long enough.

    Every transaction of the run was begun before the last step of any transaction log; from
    there on the bound runs, faults or not, since a drain begins after all were healed.
    """
    drain = evidence.drain
    proof = evidence.drained_partition(topic, partition)
    if drain is None or drain.ended_us is None or proof.last_stable is None or proof.end is None:
        return None
    steps = [log.last_step_us for log in evidence.transactions.values() if log.last_step_us]
    healed = [fault.healed_us for fault in evidence.timeline.faults if fault.healed_us]
    begun_us = max([*steps, *healed], default=drain.started_us)
    stuck = proof.last_stable < proof.end
    if stuck and begun_us is not None and drain.ended_us - begun_us > bound_us:
        return proof.last_stable
    return None


def _steps_are_whole(evidence: Evidence, topic: int, tallies: Mapping[int, Tally]) -> bool:
    """Whether every producer that wrote to a topic left a whole record of its transactions."""
    writers = (
        incarnation
        for incarnation, ledger in evidence.ledgers.items()
        if any(key[0] == topic for key in ledger.partitions)
    )
    found = (tallies.get(incarnation) for incarnation in writers)
    return all(
        tally is not None and not tally.log.torn and not tally.log.damage and not tally.cut
        for tally in found
    )
