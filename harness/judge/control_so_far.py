"""What a control has shown so far in a run that is still going on, by what was read along with it.

It only decides whether another round of faults is worth its time; the verdict counts anew, after
the drain. Pure functions over the evidence as it is in the run directory.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from harness.arrays import I64
from harness.reconcile.findings import ProfileFindings
from harness.rundir import cells
from harness.rundir.columns import SENT
from harness.rundir.load_events import SentSlots
from harness.rundir.rows import COPY
from harness.rundir.run_info import ProfileRun
from harness.rundir.run_record import RunRecord


def shown_so_far(
    run: RunRecord, control: ProfileRun, anomaly: str
) -> Counter[tuple[int, int]] | None:
    """(from_us, to_us) → how many anomalies the control seems to have shown in that time.

    None for anomalies of which reading along tells nothing.
    """
    if anomaly not in ("lost", "duplicate"):
        return None
    found = ProfileFindings(control)
    topics = run.info.topics_of(control)
    for name, partition, producer in sorted(run.timeline.sent):
        slots = run.timeline.sent[name, partition, producer]
        if name not in control.topics:
            continue
        key = (topics[control.topics.index(name)], partition)
        if anomaly == "lost":
            _passed_over(run, found, key, producer, slots)
        else:
            rows = run.live.extras
            mine = (rows["kind"] == COPY) & (rows["topic"] == key[0])
            mine &= (rows["partition"] == partition) & (rows["incarnation"] == producer)
            sequences = rows["sequence"][mine].astype(np.int64)
            sent_us = slots.sent_us(sequences)
            found.note_times(anomaly, sent_us, sent_us)
    return found.times.get(anomaly, Counter())


def _passed_over(
    run: RunRecord,
    found: ProfileFindings,
    key: tuple[int, int],
    producer: int,
    slots: SentSlots,
) -> None:
    """Place the acknowledged records that the live reader has not got, though it has later ones."""
    ledger, live = run.ledgers.get(producer), run.live.columns.get(producer)
    if ledger is None or live is None:
        return
    missing: list[I64] = []
    waiting: list[I64] = []
    for begin in range(0, ledger.allocated(*key), cells.CHUNK):
        _, state = cells.cells(ledger, *key, begin, cells.CHUNK)
        _, read = cells.cells(live, *key, begin, cells.CHUNK)
        absent = begin + np.flatnonzero((state >= SENT) & (read == 0))
        there = np.flatnonzero(read)
        if len(there):
            missing += [*waiting, absent[absent < begin + int(there[-1])]]
            waiting = [absent[absent > begin + int(there[-1])]]
        else:
            waiting.append(absent)
    for sequences in missing:
        sent_us = slots.sent_us(sequences)
        found.note_times("lost", sent_us, sent_us)
