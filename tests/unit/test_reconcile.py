"""Each anomaly in the smallest history that has it, beside a near miss that must not be flagged.

Every row compares all anomalies, so that one never hides behind another.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, RunDirError
from harness.reconcile.findings import SAMPLES_MAX
from harness.reconcile.reconcile import reconcile
from harness.rundir import cells
from harness.rundir.run_record import load_run
from tests.support.histories import (
    START_US,
    Proof,
    acked,
    anomalies,
    attempted,
    corrupt,
    drained,
    event,
    failed,
    fault,
    foreign,
    live,
    misrouted,
    observed,
    profile,
    read_at,
    reconciled,
    run_info,
    run_record_of,
    sent,
    txn,
    unknown,
    unproven,
    write_run,
)

FIRE_AND_FORGET = run_info([profile("fire-and-forget", producer={"acks": 0})])
TRANSACTIONAL = run_info([profile("transactional", transactional=True)])
TWO_TOPICS = run_info([profile("transactional", transactional=True, topics=["a", "b"])])
TWO_PARTITIONS = run_info([profile()], partitions=2)
MINUTE_US = 60_000_000

GOLDEN: dict[str, tuple[list[Any], dict[str, int]]] = {
    # -- lost, unseen
    "an acknowledged record absent from a complete drain is lost": (
        [acked(0, 0), observed(0, 0), acked(1, 1)],
        {"lost": 1},
    ),
    "an acknowledged record that is there is not lost": (
        [acked(0, 0), observed(0, 0), acked(1, 1), observed(1, 1)],
        {},
    ),
    "an acknowledgement without an offset is one: absent, the record is lost": (
        [acked(0), acked(1, 0), observed(1, 0)],
        {"lost": 1},
    ),
    "offset zero is an offset": ([acked(0, 0), observed(0, 0)], {}),
    "an acknowledged record absent from an unproven drain is unseen": (
        [acked(0, 0), drained(0, 0), acked(1, 1), unproven()],
        {"unseen": 1},
    ),
    "an acknowledged offset beyond the drained end is loss, not incompleteness": (
        [acked(0, 0), observed(0, 0), acked(1, 900), Proof(end=1)],
        {"lost": 1},
    ),
    "below a log start that moved, an absent record is unseen; above it, it is lost": (
        [acked(0, 4), acked(1, 5), acked(2, 8), drained(2, 8), Proof(start=5)],
        {"lost": 1, "unseen": 1},
    ),
    "without an offset nothing tells on which side of the log's start a record lay": (
        [acked(0), acked(1, 8), drained(1, 8), Proof(start=5)],
        {"unseen": 1},
    ),
    "a log start that moved during the drain counts as one that had moved": (
        [acked(0, 3), acked(1, 8), drained(1, 8), Proof(log_start_after=5)],
        {"unseen": 1},
    ),
    "a drain of a topic of the same name with another id proves nothing": (
        [acked(0, 0), Proof(topic_id="another")],
        {"unseen": 1},
    ),
    # -- outcomes that promise nothing
    "an unknown attempt may be absent": (
        [acked(0, 0), observed(0, 0), unknown(1)],
        {},
    ),
    "an unknown attempt may be present": ([unknown(0), observed(0, 0)], {}),
    "what a dead process had open counts as unknown": (
        [acked(0, 0), observed(0, 0), attempted(1), attempted(2), observed(2, 1)],
        {},
    ),
    "a failed attempt that is absent is as it should be": (
        [acked(0, 0), observed(0, 0), failed(1)],
        {},
    ),
    # -- duplicate
    "one attempt at two offsets of the drain is a duplicate": (
        [acked(0, 0), observed(0, 0), observed(0, 1)],
        {"duplicate": 1},
    ),
    "one attempt at four offsets is three duplicates": (
        [acked(0, 0), *(observed(0, at) for at in range(4))],
        {"duplicate": 3},
    ),
    "an unknown attempt that is there twice is a duplicate": (
        [unknown(0), observed(0, 0), observed(0, 1)],
        {"duplicate": 1},
    ),
    "a copy that got no cell is a duplicate too": (
        [acked(0, 0), observed(0, 0), drained(0, 1, stray=True)],
        {"duplicate": 1},
    ),
    "a copy that only the live reader saw is a further one, and gone from the drain": (
        [acked(0, 0), observed(0, 0), live(0, 1)],
        {"duplicate": 1, "vanished": 1},
    ),
    "an attempt read live below a log start that moved, and above it by the drain": (
        [acked(0, 0), live(0, 0), drained(0, 5), Proof(start=5)],
        {"duplicate": 1},
    ),
    "an attempt at two places of two readings, though the drain is not proven": (
        [acked(0, 3), live(0, 3), drained(0, 0), unproven()],
        {"duplicate": 1},
    ),
    "an attempt that the live reader alone saw, and at two places": (
        [unknown(0), live(0, 3), live(0, 7), unproven()],
        {"duplicate": 1},
    ),
    "a phantom at two places of two readings is no duplicate": (
        [acked(0, 0), observed(0, 0), drained(9, 1), live(9, 0, partition=1)],
        {"phantom": 1, "vanished": 1},
    ),
    "two attempts with the same sequence on two partitions are two attempts": (
        [acked(0, 0), observed(0, 0), acked(0, 0, partition=1), observed(0, 0, partition=1)],
        {},
    ),
    "two producers' attempts with the same sequence are two attempts": (
        [acked(0, 0), observed(0, 0), acked(0, 1, producer=2), observed(0, 1, producer=2)],
        {},
    ),
    # -- inversion
    "an acknowledged record before one that was sent earlier is an inversion": (
        [acked(0, 1), acked(1, 0), observed(0, 1), observed(1, 0)],
        {"inversion": 1},
    ),
    "each record behind the furthest one so far is an inversion": (
        [acked(s, at) for s, at in enumerate([0, 9, 3, 4, 10])]
        + [observed(s, at) for s, at in enumerate([0, 9, 3, 4, 10])],
        {"inversion": 2},
    ),
    "only first offsets count: a later copy inverts nothing": (
        [acked(0, 0), acked(1, 1), observed(0, 0), observed(1, 1), observed(0, 2)],
        {"duplicate": 1},
    ),
    "a record of unknown outcome that stands late makes no inversion": (
        [unknown(0), acked(1, 0), observed(0, 1), observed(1, 0)],
        {},
    ),
    "a record of unknown outcome before an acknowledged one that was sent earlier is one": (
        [acked(0, 1), unknown(1), attempted(2), observed(0, 1), observed(1, 0), observed(2, 2)],
        {"inversion": 1},
    ),
    "a record of unknown outcome that is absent stands nowhere": (
        [acked(0, 1), unknown(1), acked(2, 2), observed(0, 1), observed(2, 2)],
        {"gap": 1},
    ),
    "a failed record that is visible is that, and no inversion": (
        [acked(0, 1), failed(1), observed(0, 1), observed(1, 0)],
        {"failed_visible": 1},
    ),
    "acknowledgements that run backward are an inversion before anything was read": (
        [acked(0, 5), acked(1, 3), unproven()],
        {"unseen": 2, "inversion": 1},
    ),
    "above a log start that moved, order is judged by what is known of both": (
        [acked(0, 0), acked(1, 3), acked(2, 2), observed(1, 3), observed(2, 2), Proof(start=1)],
        {"unseen": 1, "inversion": 1},
    ),
    "a first copy below a log start that moved does stand there": (
        [acked(0, 0), live(0, 0), acked(1, 3), observed(1, 3), drained(0, 4), Proof(start=3)],
        {"duplicate": 1},
    ),
    "above a log start that moved, a record without a known first place inverts nothing": (
        [acked(0), acked(1, 3), observed(1, 3), observed(0, 4), Proof(start=3)],
        {},
    ),
    "order is promised per producer: two may interleave in any way": (
        [acked(0, 1), acked(0, 0, producer=2), observed(0, 1), observed(0, 0, producer=2)],
        {},
    ),
    # -- gap
    "a failed and an unknown attempt missing between acknowledged ones are a gap": (
        [acked(0, 0), failed(1), unknown(2), attempted(3), acked(4, 1)]
        + [observed(0, 0), observed(4, 1)],
        {"gap": 3},
    ),
    "what is missing before the first or after the last acknowledgement is no gap": (
        [failed(0), acked(1, 0), acked(2, 1), unknown(3), observed(1, 0), observed(2, 1)],
        {},
    ),
    "an unknown attempt that is there leaves no gap": (
        [acked(0, 0), unknown(1), acked(2, 2), *(observed(s, s) for s in range(3))],
        {},
    ),
    "an unproven drain shows no gap": (
        [acked(0, 0), unknown(1), acked(2, 1), drained(0, 0), drained(2, 1), unproven()],
        {},
    ),
    # -- phantom, corrupt, misrouted, foreign
    "an intact record of this run that was never attempted is a phantom": (
        [acked(0, 0), observed(0, 0), observed(9, 1)],
        {"phantom": 1},
    ),
    "a record of a producer that has no ledger is a phantom": (
        [acked(0, 0), observed(0, 0), observed(0, 1, producer=9)],
        {"phantom": 1},
    ),
    "each copy of a phantom is one, and no duplicate": (
        [acked(0, 0), observed(0, 0), observed(9, 1), observed(9, 2)],
        {"phantom": 2},
    ),
    "an identity absurdly far ahead is a phantom": (
        [acked(0, 0), observed(0, 0), drained(2**63 + 5, 1, stray=True)],
        {"phantom": 1},
    ),
    "a stray identity that was attempted is that attempt": (
        [acked(0, 0), acked(1, 1), observed(0, 0), drained(1, 1, stray=True)],
        {},
    ),
    "a record that fails its checksum is corrupt and nothing else": (
        [acked(0, 0), observed(0, 0), corrupt(1)],
        {"corrupt": 1},
    ),
    "an attempt whose only copy is corrupt is also lost": (
        [acked(0, 0), observed(0, 0), acked(1, 1), corrupt(1)],
        {"corrupt": 1, "lost": 1},
    ),
    "a record on another partition than its own is misrouted": (
        [acked(0, 0), observed(0, 0), misrouted(5, 1)],
        {"misrouted": 1},
    ),
    "a record of another run is foreign and no anomaly": (
        [acked(0, 0), observed(0, 0), foreign(1), foreign(2, run=5)],
        {},
    ),
    # -- failed_visible
    "a failed attempt in the drain is visible": (
        [acked(0, 0), observed(0, 0), failed(1), observed(1, 1)],
        {"failed_visible": 1},
    ),
    "a failed attempt that only the live reader saw is visible, and gone": (
        [acked(0, 0), observed(0, 0), failed(1), live(1, 1)],
        {"failed_visible": 1, "vanished": 1},
    ),
    # -- inconsistent_offset
    "a record that is not where it was acknowledged is at an inconsistent offset": (
        [acked(0, 0), observed(0, 3)],
        {"inconsistent_offset": 1},
    ),
    "a copy at the acknowledged offset makes it consistent": (
        [acked(0, 3), observed(0, 0), observed(0, 3)],
        {"duplicate": 1},
    ),
    "an absent record is lost, and not at an inconsistent offset": ([acked(0, 3)], {"lost": 1}),
    "acknowledged here and read there contradict each other, whatever the drain proves": (
        [acked(0, 3), drained(0, 0), unproven()],
        {"inconsistent_offset": 1},
    ),
    "acknowledged where it was read live, it was there": (
        [acked(0, 3), live(0, 3), drained(0, 1)],
        {"duplicate": 1, "vanished": 1},
    ),
    "an acknowledged offset at which another record was read is another's, without a proof": (
        [acked(0, 0), unknown(0, producer=2), drained(0, 0, producer=2), unproven()],
        {"unseen": 1, "inconsistent_offset": 1},
    ),
    "an acknowledged offset at which another record was read live is another's too": (
        [acked(0, 0), unknown(0, producer=2), live(0, 0, producer=2), unproven()],
        {"unseen": 1, "inconsistent_offset": 1},
    ),
    "a foreign record at an acknowledged offset is another record": (
        [acked(0, 0), foreign(0), unproven()],
        {"unseen": 1, "inconsistent_offset": 1},
    ),
    "a corrupt record at an acknowledged offset may be the one": (
        [acked(0, 0), corrupt(0), unproven()],
        {"unseen": 1, "corrupt": 1},
    ),
    "two records acknowledged at one offset: one of them is not there": (
        [acked(0, 7), acked(0, 7, producer=2), unproven()],
        {"unseen": 2, "inconsistent_offset": 1},
    ),
    "three records acknowledged at one offset, and one of them was read there": (
        [acked(0, 0), acked(0, 0, producer=2), acked(0, 0, producer=3), drained(0, 0)]
        + [unproven()],
        {"unseen": 2, "inconsistent_offset": 2},
    ),
    "long stretches of two producers that were acknowledged at the same offsets": (
        [*(acked(s, s) for s in range(9)), *(acked(s, s + 6, producer=2) for s in range(9))]
        + [unproven()],
        {"unseen": 18, "inconsistent_offset": 3},
    ),
    # -- vanished
    "a record read live and gone from a complete drain has vanished, beside being lost": (
        [acked(0, 0), live(0, 0)],
        {"lost": 1, "vanished": 1},
    ),
    "an unknown record that was read live and is gone has vanished": (
        [acked(0, 0), observed(0, 0), unknown(1), live(1, 1)],
        {"vanished": 1},
    ),
    "a record read live at another offset than in the drain has vanished from there": (
        [acked(0, 1), live(0, 0), drained(0, 1)],
        {"duplicate": 1, "vanished": 1},
    ),
    "one offset that was read live with two contents held one of them first": (
        [unknown(0), unknown(1), live(0, 0), live(1, 0), unproven()],
        {"vanished": 1},
    ),
    "below a log start that moved too, one offset holds one record": (
        [unknown(0), unknown(1), live(0, 0), live(1, 0), acked(2, 5), observed(2, 5)]
        + [Proof(start=5)],
        {"vanished": 1},
    ),
    "what the live reader missed has not vanished": ([acked(0, 0), drained(0, 0)], {}),
    "a copy read live is found among the drained copies": (
        [acked(0, 0), observed(0, 0), observed(0, 1)],
        {"duplicate": 1},
    ),
    "below a log start that moved nothing has vanished": (
        [acked(0, 0), live(0, 0), acked(1, 5), observed(1, 5), Proof(start=5)],
        {"unseen": 1},
    ),
    "an unproven drain that stopped before an offset says nothing about it": (
        [acked(0, 0), acked(1, 1), observed(0, 0), live(1, 1), unproven()],
        {"unseen": 1},
    ),
    "one offset with two contents has vanished even from an unproven drain": (
        [acked(0, 0), unknown(1), live(0, 0), drained(1, 0), unproven()],
        {"unseen": 1, "vanished": 1},
    ),
    "an offset that was corrupt live and holds a record in the drain has two contents": (
        [acked(0, 0), drained(0, 0), corrupt(0, live=True)],
        {"vanished": 1},
    ),
    "an offset that is corrupt in both sets has one content": (
        [acked(0, 0), observed(0, 0), corrupt(1), corrupt(1, live=True)],
        {"corrupt": 1},
    ),
    "a phantom that was read live and is gone has vanished": (
        [acked(0, 0), observed(0, 0), live(2**62, 1, stray=True)],
        {"vanished": 1},
    ),
    "a record of another run that is gone is nobody's loss": (
        [acked(0, 0), observed(0, 0), foreign(1, live=True)],
        {},
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str, tmp_path: Path) -> None:
    history, expected = GOLDEN[name]
    info = TWO_PARTITIONS if "partition=1" in repr(history) else None
    assert anomalies(reconciled(tmp_path / "run", history, info=info)) == expected


TRANSACTIONS: dict[str, tuple[list[Any], dict[str, int]]] = {
    "a committed transaction of which a part is absent is torn": (
        [acked(0, 0), acked(1, 1), txn(1, "committed", 0, 1), observed(0, 0)],
        {"lost": 1, "torn_txn": 1},
    ),
    "a committed transaction of which everything is absent is lost": (
        [acked(0, 0), acked(1, 1), txn(1, "committed", 0, 1)],
        {"lost": 2, "lost_txn": 1},
    ),
    "a committed transaction that is there is whole": (
        [acked(0, 0), acked(1, 1), txn(1, "committed", 0, 1), observed(0, 0), observed(1, 1)],
        {},
    ),
    "an unknown commit of which nothing is visible was none": (
        [unknown(0), unknown(1), txn(1, "unknown", 0, 1)],
        {},
    ),
    "an unknown commit of which a part is visible is torn": (
        [unknown(0), unknown(1), txn(1, "unknown", 0, 1), observed(0, 0)],
        {"torn_txn": 1},
    ),
    "an unknown commit of which all is visible was one": (
        [unknown(0), unknown(1), txn(1, "unknown", 0, 1), observed(0, 0), observed(1, 1)],
        {},
    ),
    "a process that died in its commit leaves an unknown one": (
        [attempted(0), attempted(1), txn(1, "commit_called", 0, 1), observed(1, 0)],
        {"torn_txn": 1},
    ),
    "an unknown commit that was visible live and is gone is lost": (
        [unknown(0), txn(1, "unknown", 0, 0), live(0, 0)],
        {"lost_txn": 1, "vanished": 1},
    ),
    "a commit that returned is one even where its records stayed open in the ledger": (
        [attempted(0), attempted(1), txn(1, "committed", 0, 1), observed(0, 0)],
        {"torn_txn": 1},
    ),
    "an aborted transaction that is absent is as it should be, and no gap": (
        [acked(0, 0), failed(1), acked(2, 2), observed(0, 0), observed(2, 2)]
        + [txn(1, "committed", 0, 0), txn(2, "aborted", 1, 1), txn(3, "committed", 2, 2)],
        {},
    ),
    "a record of an aborted transaction that can be read is failed_visible": (
        [failed(0), txn(1, "aborted", 0, 0), observed(0, 0)],
        {"failed_visible": 1},
    ),
    "an unproven drain tears no transaction": (
        [acked(0, 0), acked(1, 1), txn(1, "committed", 0, 1), drained(0, 0), unproven()],
        {"unseen": 1},
    ),
    "a last stable offset below the end proves no drain of a transactional topic": (
        [acked(0, 0), acked(1, 1), txn(1, "committed", 0, 1), drained(0, 0)]
        + [Proof(end=2, last_stable=1)],
        {"unseen": 1},
    ),
    "an attempt missing inside a committed transaction is a gap": (
        [acked(0, 0), failed(1), acked(2, 1), txn(1, "committed", 0, 2)]
        + [observed(0, 0), observed(2, 1)],
        {"gap": 1},
    ),
    "an attempt missing inside a transaction with unknown outcome and no trace is no gap": (
        [acked(0, 0), unknown(1), acked(2, 1), observed(0, 0), observed(2, 1)]
        + [txn(1, "committed", 0, 0), txn(2, "unknown", 1, 1), txn(3, "committed", 2, 2)],
        {},
    ),
    "an attempt missing from a commit that turned out to be one is a gap and a tear": (
        [acked(0, 0), unknown(1), unknown(2), acked(3, 2), observed(0, 0), observed(2, 1)]
        + [observed(3, 2), txn(1, "committed", 0, 0), txn(2, "unknown", 1, 2)]
        + [txn(3, "committed", 3, 3)],
        {"gap": 1, "torn_txn": 1},
    ),
    "a record read before its commit was called was read too early": (
        [acked(0, 0), observed(0, 0), txn(1, "committed", 0, 0, called_us=START_US + 10)]
        + [read_at(0, 0, START_US + 9)],
        {"precommitted_read": 1},
    ),
    "a record read at the instant of the call or later was not": (
        [acked(0, 0), observed(0, 0), txn(1, "committed", 0, 0, called_us=START_US + 10)]
        + [read_at(0, 0, START_US + 10)],
        {},
    ),
    "the first time an offset was read is what counts": (
        [acked(0, 0), observed(0, 0), txn(1, "committed", 0, 0, called_us=START_US + 10)]
        + [read_at(0, 5, START_US + 5), read_at(0, 5, START_US + 90)],
        {"precommitted_read": 1},
    ),
    "an offset of another batch has another instant": (
        [acked(0, 7), observed(0, 7), txn(1, "committed", 0, 0, called_us=START_US + 10)]
        + [read_at(0, 6, START_US + 1), read_at(7, 9, START_US + 11)],
        {},
    ),
    "what is visible of a transaction whose commit was never called was visible too early": (
        [unknown(0), txn(1, "uncalled", 0, 0), observed(0, 0)],
        {"precommitted_read": 1},
    ),
    "an open transaction of a dead process that is absent is as it should be": (
        [acked(0, 0), observed(0, 0), txn(1, "committed", 0, 0)]
        + [attempted(1), txn(2, "begin", 0, 0)],
        {},
    ),
}


@pytest.mark.parametrize("name", TRANSACTIONS)
def test_transactions(name: str, tmp_path: Path) -> None:
    history, expected = TRANSACTIONS[name]
    assert anomalies(reconciled(tmp_path / "run", history, info=TRANSACTIONAL)) == expected


def test_a_transaction_over_two_topics_is_torn_when_one_of_them_lacks_its_part(
    tmp_path: Path,
) -> None:
    history = [
        acked(0, 0),
        acked(0, 0, topic=1),
        txn(1, "committed", 0, 0, ranges={(0, 0): (0, 0), (1, 0): (0, 0)}),
        observed(0, 0),
    ]
    found = reconciled(tmp_path / "run", history, info=TWO_TOPICS)
    assert anomalies(found) == {"lost": 1, "torn_txn": 1}
    assert (found.samples["torn_txn"][0].topic, found.samples["torn_txn"][0].transaction) == (1, 1)


def test_a_commit_absent_from_the_one_topic_that_is_proven_is_torn_at_least(
    tmp_path: Path,
) -> None:
    history = [
        acked(0, 0),
        acked(0, 0, topic=1),
        txn(1, "committed", 0, 0, ranges={(0, 0): (0, 0), (1, 0): (0, 0)}),
        unproven(topic=1),
    ]
    found = reconciled(tmp_path / "run", history, info=TWO_TOPICS)
    assert anomalies(found) == {"lost": 1, "unseen": 1, "torn_txn": 1}


def test_a_torn_transaction_log_accuses_nothing_that_its_lost_line_may_have_committed(
    tmp_path: Path,
) -> None:
    history = [acked(0, 0), observed(0, 0), txn(1, "committed", 0, 0), attempted(1), observed(1, 1)]
    run_dir = write_run(tmp_path / "run", history, info=TRANSACTIONAL)
    with (run_dir.ledger / "1.txn.ndjson").open("a") as lines:
        lines.write('{"txn": 2, "step": "commit_ca')
    found = reconcile(load_run(run_dir, 1))[0]
    assert anomalies(found) == {}
    assert any("breaks off" in reason for reason in found.blind["torn_txn"])


def test_the_history_at_the_head_of_the_documentation_is_as_it_says(tmp_path: Path) -> None:
    history = [
        [acked(0, 0), acked(1, 1), acked(2, 2), unknown(3), acked(4, 3), acked(5, 4), unknown(6)],
        [drained(0, 0), drained(2, 2), drained(2, 5), drained(4, 3), drained(5, 6)],
    ]
    found = reconciled(tmp_path / "run", history)
    assert anomalies(found) == {"lost": 1, "duplicate": 1, "inconsistent_offset": 1, "gap": 1}
    (page,) = (Path(__file__).parents[2] / "docs").glob("verification.md")
    lines = page.read_text(encoding="utf-8").splitlines()
    assert "    outcome    acked@0  acked@1  acked@2  unknown  acked@3  acked@4  unknown" in lines
    assert "    drained    at 0     –        at 2,5   –        at 3     at 6     –" in lines


# -- hung transactions

HUNG_MS = 60_000 + 10_000 + 10_000


def stuck(until_ms: float, *more: Any, last_stable: int = 5) -> list[Any]:
    topic = TRANSACTIONAL.topics[0]

    def sighting(at_ms: float, stable: int, high: int) -> Any:
        at_us = START_US + round(at_ms * 1000)
        offsets = {"last_stable": stable, "high_watermark": high}
        return event("offsets", at_us, topic=topic, partition=0, **offsets)

    return [
        sighting(-1000, 5, 5),
        sighting(0, last_stable, 9),
        sighting(until_ms / 2, last_stable, 20),
        sighting(until_ms, last_stable, 30),
        sighting(until_ms + 1000, 40, 40),
        *more,
    ]


@pytest.mark.parametrize(
    ("events", "count"),
    [
        (stuck(HUNG_MS + 1), 1),
        (stuck(HUNG_MS), 0),
        (stuck(HUNG_MS + 5000, fault("injected", 4), fault("healed", 26)), 0),
        (stuck(HUNG_MS + 6000, fault("injected", 4), fault("healed", 26)), 1),
        ([*stuck(HUNG_MS / 2), *stuck(HUNG_MS + 1, last_stable=6)[2:]], 0),
    ],
    ids=[
        "longer than timeout, scan and failover",
        "exactly as long",
        "time inside a fault does not count",
        "but time outside it does",
        "a last stable offset that moved stood still no longer",
    ],
)
def test_a_last_stable_offset_that_stands_still_too_long_is_hung(
    events: list[Any], count: int, tmp_path: Path
) -> None:
    found = reconciled(tmp_path / "run", events, info=TRANSACTIONAL)
    assert found.counts["hung_txn"] == count


def test_the_bound_of_a_hung_transaction_follows_the_producers_transaction_timeout(
    tmp_path: Path,
) -> None:
    quick = profile("transactional", transactional=True)
    quick.producer["transaction.timeout.ms"] = 5_000
    for name, until_ms, count in (("a", 25_001, 1), ("b", 25_000, 0)):
        found = reconciled(tmp_path / name, stuck(until_ms), info=run_info([quick]))
        assert found.counts["hung_txn"] == count


@pytest.mark.parametrize(("timeout_ms", "count"), [(20_000, 1), (60_000, 0)])
def test_a_drain_that_waited_long_enough_for_the_last_stable_offset_shows_a_hung_transaction(
    timeout_ms: int, count: int, tmp_path: Path
) -> None:
    """The drain of these histories ends 61 s after their last transaction step."""
    quick = profile("transactional", transactional=True)
    quick.producer["transaction.timeout.ms"] = timeout_ms
    history = [attempted(0), txn(1, "begin", 0, 0), unproven(end=3, last_stable=1)]
    found = reconciled(tmp_path / "run", history, info=run_info([quick]), closed=False)
    assert found.counts["hung_txn"] == count


# -- counts and sums


def test_the_outcomes_and_what_was_read_are_counted(tmp_path: Path) -> None:
    history = [
        *(acked(s, s) for s in range(3)),
        acked(3),
        failed(4),
        unknown(5),
        unknown(6),
        attempted(7),
        *(observed(s, s) for s in (0, 1, 2)),
        observed(3, 3),
        observed(5, 4),
        observed(0, 5),
        observed(7, 6),
        corrupt(7),
        misrouted(1, 8),
        foreign(9),
        observed(99, 10),
    ]
    counts = reconciled(tmp_path / "run", history).table()
    assert {name: counts[name] for name in list(counts)[:8]} == {
        "attempted": 8,
        "acked": 4,
        "failed": 1,
        "unknown": 3,
        "unknown_present": 2,
        "sent": 0,
        "read": 11,
        "foreign": 1,
    }


def test_with_acks_0_a_sent_record_that_is_absent_is_lost(tmp_path: Path) -> None:
    history = [sent(0), sent(1), drained(1, 0), failed(2), sent(3), drained(3, 1)]
    found = reconciled(tmp_path / "run", history, info=FIRE_AND_FORGET)
    assert anomalies(found) == {"lost": 1, "gap": 1}
    assert (found.counts["sent"], found.counts["acked"]) == (3, 0)


def test_records_of_other_runs_are_named(tmp_path: Path) -> None:
    found = reconciled(tmp_path / "run", [foreign(0, run=5), foreign(1, run=5), foreign(2, run=6)])
    assert found.foreign_runs == {5: 2, 6: 1}


def test_a_ledger_that_does_not_add_up_is_a_defect_of_the_harness(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", [acked(0, 0), observed(0, 0)])
    path = run_dir.ledger / "1.ledger"
    run = load_run(run_dir, 1)
    state = run.ledgers[1].extents(0, 0)[0].high
    data = bytearray(path.read_bytes())
    at = data.index(bytes(state[:1]), 4096 + 32 + 4 * len(state))
    data[at] = 9  # no state of a ledger
    path.write_bytes(data)
    with pytest.raises(HarnessError, match="1 attempts, but 0 acked"):
        reconcile(load_run(run_dir, 1))


def test_a_drain_that_counted_more_than_it_observed_is_a_defect_of_the_harness(
    tmp_path: Path,
) -> None:
    run = run_record_of(tmp_path / "run", [acked(0, 0), observed(0, 0), Proof(read=2)])
    with pytest.raises(HarnessError, match=r"returned 2 records.*1 seen"):
        reconcile(run)


def test_reconciling_the_same_evidence_twice_finds_the_same(tmp_path: Path) -> None:
    history = [acked(0, 0), acked(1, 1), txn(1, "committed", 0, 1), observed(0, 0)]
    run = run_record_of(tmp_path / "run", history, info=TRANSACTIONAL)
    assert reconcile(run)[0].table() == reconcile(run)[0].table()


# -- what a proof must not contradict


def test_a_drain_of_another_cluster_proves_nothing(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", [acked(0, 0)])
    path = run_dir.drained(1) / "drain.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "cluster_id": "another"}))
    found = reconcile(load_run(run_dir, 1))[0]
    assert anomalies(found) == {"unseen": 1}
    assert "read from cluster another" in found.blind["lost"][0]


def test_a_log_that_begins_above_0_leaves_what_needs_all_of_it_unproven(tmp_path: Path) -> None:
    found = reconciled(tmp_path / "run", [acked(0, 5), observed(0, 5), Proof(start=5)])
    assert anomalies(found) == {}
    assert "log's start had moved past records" in found.blind["lost"][0]
    assert "hung_txn" not in found.blind


# -- samples


def test_samples_say_where_each_anomaly_is(tmp_path: Path) -> None:
    history = [
        acked(0, 4, partition=1, producer=3),
        drained(9, 5, partition=1, producer=3, stray=True, leader_epoch=2),
        corrupt(6, partition=1, leader_epoch=3),
    ]
    samples = reconciled(tmp_path / "run", history, info=TWO_PARTITIONS).samples

    def where(anomaly: str) -> tuple[Any, ...]:
        (sample,) = samples[anomaly]
        return (
            sample.topic,
            sample.partition,
            sample.producer,
            sample.sequence,
            sample.offset,
            sample.leader_epoch,
        )

    assert where("lost") == (0, 1, 3, 0, 4, None)
    assert where("phantom") == (0, 1, 3, 9, 5, 2)
    assert where("corrupt") == (0, 1, None, None, 6, 3)


def test_at_most_twenty_samples_of_an_anomaly_are_kept(tmp_path: Path) -> None:
    found = reconciled(tmp_path / "run", [acked(sequence, sequence) for sequence in range(50)])
    assert found.counts["lost"] == 50
    assert [sample.sequence for sample in found.samples["lost"]] == list(range(SAMPLES_MAX))


# -- what carries over from chunk to chunk


def test_rules_hold_across_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells one at a time: every state that is carried from chunk to chunk is used."""
    monkeypatch.setattr(cells, "CHUNK", 1)
    history = [
        acked(0, 5),
        unknown(1),
        failed(2),
        acked(3, 0),
        unknown(4),
        observed(0, 5),
        observed(3, 0),
        observed(3, 6),
    ]
    found = reconciled(tmp_path / "run", history)
    assert anomalies(found) == {"inversion": 1, "gap": 2, "duplicate": 1}
    assert [sample.sequence for sample in found.samples["gap"]] == [1, 2]


def test_chunks_without_any_other_sign_are_inverted_when_one_lies_below_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "CHUNK", 2)
    history = [[acked(n, at), observed(n, at)] for n, at in enumerate([4, 5, 2, 3, 6, 7])]
    assert anomalies(reconciled(tmp_path / "run", history)) == {"inversion": 2}


def test_what_was_read_live_four_billion_offsets_further_on_vanished(tmp_path: Path) -> None:
    """Offsets are kept in two parts, and only the upper one differs here."""
    history = [acked(0, 5), drained(0, 5), live(0, 5 + 2**32), Proof(end=2**33)]
    found = reconciled(tmp_path / "run", history)
    assert anomalies(found) == {"duplicate": 1, "vanished": 1}


# -- runs cut short


def test_without_a_drain_nothing_is_lost_and_everything_is_unseen(tmp_path: Path) -> None:
    history = [acked(0, 0), live(0, 0), acked(1, 1)]
    found = reconciled(tmp_path / "run", history, drain=False)
    assert anomalies(found) == {"unseen": 2}
    assert "not proven complete" in found.blind["lost"][0]


def test_without_a_live_set_what_vanished_cannot_be_seen(tmp_path: Path) -> None:
    found = reconciled(tmp_path / "run", [acked(0, 0), drained(0, 0)], live_set=False)
    assert anomalies(found) == {}
    assert found.blind == {
        "vanished": ["no live reader read along"],
        "precommitted_read": ["no live reader read along"],
    }


def test_a_ledger_without_its_header_was_never_written_to(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", [acked(0, 0), observed(0, 0)])
    (run_dir.ledger / "2.ledger").write_bytes(b"")
    assert anomalies(reconcile(load_run(run_dir, 1))[0]) == {}


def test_a_ledger_of_another_run_is_refused(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", [acked(0, 0), observed(0, 0)])
    info = run_dir.read_info()
    info.run_id = "20250101-000000-ffff"
    run_dir.write_info(info)
    with pytest.raises(RunDirError, match=r"1\.ledger: belongs to another run"):
        load_run(run_dir, 1)


def test_a_row_of_extras_that_breaks_off_is_left_out(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", [acked(0, 0), observed(0, 0)], drain=False)
    path = run_dir.drained(1) / "extras.bin"
    path.write_bytes(b"\x02" * 30)
    assert anomalies(reconcile(load_run(run_dir, 1))[0]) == {}


def test_a_proof_that_is_no_proof_is_refused_by_name(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", [acked(0, 0), observed(0, 0)])
    path = run_dir.drained(1) / "drain.json"
    path.write_text(json.dumps({"complete": True}))
    with pytest.raises(RunDirError, match=r"drain\.json.*partitions"):
        load_run(run_dir, 1)


def test_a_record_of_a_topic_that_run_json_does_not_name_is_a_defect(tmp_path: Path) -> None:
    two = run_info([profile(topics=["a", "b"])])
    run_dir = write_run(tmp_path / "run", [acked(0, 0, topic=1)], info=two)
    info = run_dir.read_info()
    info.profiles[0].topics.pop()
    run_dir.write_info(info)
    with pytest.raises(RunDirError, match=r"run\.json names no topic b"):
        load_run(run_dir, 1)
    (run_dir.drained(1) / "drain.json").unlink()
    with pytest.raises(HarnessError, match=r"topic number 1, but run\.json names only 1"):
        reconcile(load_run(run_dir, 1))


# -- purity


@pytest.mark.parametrize("name", ["harness.reconcile.reconcile", "harness.judge.judge"])
def test_judging_imports_no_client_library_no_locust_and_no_chaos_toolkit(name: str) -> None:
    code = f"import sys, {name}; print(*sorted(m.split('.')[0] for m in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"confluent_kafka", "locust", "gevent", "chaoslib"} & set(result.stdout.split())


def test_a_run_without_suspects_reads_its_observations_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_again(*_: object) -> object:
        raise AssertionError("the observations were read a second time")

    run_dir = write_run(tmp_path / "run", [acked(0, 0), observed(0, 0)])
    monkeypatch.setattr("harness.reconcile.partition.Partition._read", read_again)
    reconcile(load_run(run_dir, 1))
