"""What only whole transactions show: torn and lost ones.

A lane's walk counts how many records of each transaction it found; here the counts of all its
topic-partitions come together.

No client library is imported here.
"""

from __future__ import annotations

import numpy as np

from harness.anomalies import needing
from harness.anomaly_record import Needs
from harness.reconcile.findings import Occurrence, ProfileFindings
from harness.reconcile.transaction_tally import Tally
from harness.rundir.run_record import RunRecord
from harness.rundir.transactions import COMMITTED, UNDECIDED


def judge_transactions(run: RunRecord, found: ProfileFindings, tallies: dict[int, Tally]) -> None:
    """Count torn and lost transactions of a profile, and the gaps inside committed ones."""
    topics = run.info.topics_of(found.profile)
    for incarnation, tally in sorted(tallies.items()):
        if any(topic in topics for topic in tally.topics):
            if run.elsewhere is None:
                ledger = run.ledgers.get(incarnation)
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
            *needing(Needs.TRANSACTION_LOG),
        )
        return
    for (topic, partition), sequences, offsets in tally.uncalled:
        found.counts["precommitted_read"] += len(sequences)
        rows = zip(sequences.tolist(), offsets.tolist(), strict=True)
        for sequence, offset in list(rows)[: found.room("precommitted_read")]:
            found.sample(
                Occurrence("precommitted_read", topic, partition, incarnation, sequence, offset)
            )
