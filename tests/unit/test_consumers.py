"""Each anomaly of consumers in the smallest history that has it, beside a near miss.

Histories are read from top to bottom: an entry's instant is its place. Every row compares all
anomalies, so that one never hides behind another.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.histories import (
    START_US,
    Proof,
    accepted,
    acked,
    anomalies,
    assigned,
    attempted,
    begun,
    called,
    closed,
    committed,
    consuming,
    corrupt,
    done,
    event,
    failed,
    group_at,
    lost,
    observed,
    output,
    polled,
    reconciled,
    records,
    revoked,
    run_info,
    txn,
    unproven,
    worked,
)

PLAIN = run_info([consuming()])
PIPELINE = run_info([consuming("transactional")])

GOLDEN: dict[str, tuple[list[Any], dict[str, int]]] = {
    # -- unprocessed
    "a record below the committed offset that nobody processed is unprocessed": (
        [records(2), assigned(0), polled(0, 1), worked(0), committed(2), group_at(2)],
        {"unprocessed": 1},
    ),
    "a record at the committed offset has its turn yet": (
        [records(2), assigned(0), polled(0, 1), worked(0), committed(1), group_at(1)],
        {},
    ),
    "a corrupt record below the committed offset has to be dealt with too": (
        [records(1), corrupt(1), assigned(0), polled(0), worked(0), committed(2), group_at(2)],
        {"corrupt": 1, "unprocessed": 1, "commit_beyond_position": 1},
    ),
    "what another member processed is processed": (
        [
            records(2), assigned(0), polled(0, 1), worked(0), committed(2), lost(),
            assigned(0, member=2), polled(0, 1, member=2), worked(1, member=2), group_at(2),
        ],
        {},
    ),
    "what was begun and not done is unprocessed": (
        [records(1), assigned(0), polled(0), committed(1), begun(0), group_at(1)],
        {"unprocessed": 1},
    ),
    "an offset without a record cannot be unprocessed": (
        [acked(0, 0), observed(0, 0), acked(1, 2), observed(1, 2), assigned(0), polled(0, 2),
         worked(0, 2), committed(3), group_at(3)],
        {},
    ),
    "without the group's offsets nothing is called unprocessed": (
        [records(2), assigned(0), polled(0, 1), worked(0), committed(2)],
        {},
    ),
    "the group's last word counts, not a commit that it went back behind": (
        [records(2), assigned(0), polled(0, 1), worked(0), committed(2), group_at(1)],
        {"commit_lost": 1},
    ),
    "a record that nobody was handed is unprocessed and passed over": (
        [records(3), assigned(0), polled(0, 2), worked(0, 2), committed(3), group_at(3)],
        {"unprocessed": 1, "poll_skip": 1},
    ),
    "below a log start that moved nothing is called unprocessed": (
        [acked(5, 5), observed(5, 5), acked(0, 0), assigned(5), polled(5), worked(5), committed(6),
         group_at(6), Proof(start=5, end=6)],
        {"unseen": 1},
    ),
    # -- repeated, reprocessed
    "two effects of one record are repeated": (
        [records(1), assigned(0), polled(0), worked(0), lost(),
         assigned(0, member=2), polled(0, member=2), worked(0, member=2)],
        {"repeated": 1},
    ),
    "three effects are two repetitions": (
        [records(1), *([assigned(0), polled(0), worked(0), lost()] * 3)],
        {"repeated": 2},
    ),
    "two effects of two records are none": (
        [records(2), assigned(0), polled(0, 1), worked(0, 1)],
        {},
    ),
    "an effect again, begun after a synchronous commit that covers it, is reprocessed": (
        [records(1), assigned(0), polled(0), worked(0), committed(1), lost(),
         assigned(0, member=2), polled(0, member=2), worked(0, member=2)],
        {"repeated": 1, "reprocessed": 1},
    ),
    "a commit that does not reach the record covers nothing of it": (
        [records(2), assigned(0), polled(0, 1), worked(0, 1), committed(1), lost(),
         assigned(1, member=2), polled(1, member=2), worked(1, member=2)],
        {"repeated": 1},
    ),
    "a commit in the background promises nothing": (
        [records(1), assigned(0), polled(0), worked(0), committed(1, synchronous=False), lost(),
         assigned(0, member=2), polled(0, member=2), worked(0, member=2)],
        {"repeated": 1},
    ),
    "what was begun before the commit is a repetition, and not after it": (
        [records(1), assigned(0), polled(0), begun(0),
         assigned(0, member=2), polled(0, member=2), worked(0, member=2), committed(1, member=2),
         done(0)],
        {"repeated": 1},
    ),
    "the first effect after a commit before processing is as it should be": (
        [records(1), assigned(0), polled(0), committed(1), worked(0)],
        {},
    ),
    "the second one after a commit before processing is reprocessed": (
        [records(1), assigned(0), polled(0), committed(1), worked(0), lost(),
         assigned(0, member=2), polled(0, member=2), worked(0, member=2)],
        {"repeated": 1, "reprocessed": 1},
    ),
    "at the same instant in two journals no order is certain": (
        [records(1), assigned(0), polled(0), worked(0), committed(1, at_us=START_US + 9),
         assigned(0, member=2), polled(0, member=2), begun(0, member=2, at_us=START_US + 9),
         done(0, member=2)],
        {"repeated": 1},
    ),
    "at the same instant in one journal the order of entries decides": (
        [records(1), assigned(0), polled(0), worked(0, at_us=START_US),
         committed(1, at_us=START_US), lost(), assigned(0), polled(0), worked(0, at_us=START_US)],
        {"repeated": 1, "reprocessed": 1},
    ),
    "an effect without a beginning has no place in time, and is a repetition only": (
        [records(1), assigned(0), polled(0), worked(0), committed(1), lost(),
         assigned(0, member=2), polled(0, member=2), done(0, member=2)],
        {"repeated": 1},
    ),
    "the beginning of another record is not the beginning of this one": (
        [records(2), assigned(0), polled(0, 1), worked(0, 1), committed(2), lost(),
         assigned(0, member=2), polled(0, 1, member=2), worked(0, member=2), begun(0, member=2),
         done(1, member=2)],
        {"repeated": 2, "reprocessed": 1},
    ),
    # -- poll_skip
    "a record passed over within a stint is a skip": (
        [records(4), assigned(0), polled(0, 3)],
        {"poll_skip": 2},
    ),
    "a record between the start of a stint and the first one handed over is a skip": (
        [records(2), assigned(0), polled(1)],
        {"poll_skip": 1},
    ),
    "without a known start the first record cannot be a skip": (
        [records(2), assigned(), polled(1)],
        {},
    ),
    "passing over offsets without records is no skip": (
        [acked(0, 0), observed(0, 0), acked(1, 3), observed(1, 3), assigned(0), polled(0, 3)],
        {},
    ),
    "a rebalance in between explains a skip": (
        [records(3), assigned(0), polled(0), revoked(), assigned(2), polled(2)],
        {},
    ),
    "a rebalance of another partition explains nothing": (
        [records(3), assigned(0), assigned(0, partition=1), polled(0), revoked(partition=1),
         polled(2)],
        {"poll_skip": 1},
    ),
    "what was handed over before is not passed over again": (
        [records(4), assigned(0), polled(0, 1, 2, 1, 3)],
        {"backward_poll": 1},
    ),
    # -- backward_poll
    "an offset handed over again within a stint is a step back": (
        [records(2), assigned(0), polled(0, 1, 1)],
        {"backward_poll": 1},
    ),
    "a lower offset within a stint is one step back, and going on from there none": (
        [records(4), assigned(0), polled(0, 1, 2, 0, 1, 2, 3)],
        {"backward_poll": 1},
    ),
    "a first record below the start of the stint is a step back": (
        [records(2), assigned(1), polled(0, 1)],
        {"backward_poll": 1},
    ),
    "a rebalance in between explains a step back": (
        [records(2), assigned(0), polled(0, 1), lost(), assigned(0), polled(0, 1)],
        {},
    ),
    "another member may begin anywhere": (
        [records(2), assigned(0), polled(0, 1), assigned(0, member=2), polled(0, member=2)],
        {},
    ),
    # -- unassigned_read
    "a record of a partition that was never assigned": (
        [records(1), assigned(0, partition=1), polled(0)],
        {"unassigned_read": 1},
    ),
    "a record of a member without an assignment, while another member has one": (
        [records(1), polled(0), assigned(0, member=2), polled(0, member=2)],
        {"unassigned_read": 1},
    ),
    "a record where no assignment of the group is on record at all": (
        [records(1), polled(0)],
        {},
    ),
    "a record of a partition that was given up": (
        [records(2), assigned(0), polled(0), revoked(), polled(1)],
        {"unassigned_read": 1},
    ),
    "a record of a partition that was lost": (
        [records(2), assigned(0), polled(0), lost(), polled(1)],
        {"unassigned_read": 1},
    ),
    "a record of a partition that came back": (
        [records(2), assigned(0), polled(0), revoked(), assigned(1), polled(1)],
        {},
    ),
    "what is processed after a partition was given up had been handed over before": (
        [records(1), assigned(0), polled(0), revoked(), worked(0)],
        {},
    ),
    # -- commit_beyond_position
    "a commit beyond what was handed over": (
        [records(3), assigned(0), polled(0), committed(2)],
        {"commit_beyond_position": 1},
    ),
    "a commit of one more than the last record is its position": (
        [records(3), assigned(0), polled(0), committed(1)],
        {},
    ),
    "a commit beyond offsets without records is none": (
        [acked(0, 0), observed(0, 0), acked(1, 3), observed(1, 3), assigned(0), polled(0),
         committed(3)],
        {},
    ),
    "a commit beyond the end of the log": (
        [records(1), assigned(0), polled(0), committed(9)],
        {"commit_beyond_position": 1},
    ),
    "a commit beyond markers at the end of the log is none": (
        [records(1), Proof(end=3), assigned(0), polled(0), committed(3)],
        {},
    ),
    "a commit of where the stint began": (
        [records(3), assigned(2), committed(2)],
        {},
    ),
    "a commit in a stint whose start is unknown and that was handed nothing": (
        [records(3), assigned(0), polled(0), revoked(), assigned(), committed(3)],
        {},
    ),
    "a commit that is confirmed after the partition was given up": (
        [records(2), assigned(0), polled(0, 1), revoked(), committed(2)],
        {},
    ),
    "a commit that is confirmed in the next stint": (
        [records(2), assigned(0), polled(0, 1), revoked(), assigned(0), committed(2)],
        {},
    ),
    "a commit in the background covers what the call under way hands over": (
        [records(3), assigned(0), polled(0), committed(3, synchronous=False), polled(1, 2)],
        {},
    ),
    "a synchronous commit does not": (
        [records(3), assigned(0), polled(0), committed(3), polled(1, 2)],
        {"commit_beyond_position": 1},
    ),
    "a commit in the background beyond what the call under way hands over": (
        [records(4), assigned(0), polled(0), committed(4, synchronous=False), polled(1, 2),
         worked(1), polled(3)],
        {"commit_beyond_position": 1},
    ),
    "a commit in the background of a member that died in the call": (
        [records(3), assigned(0), polled(0), committed(3, synchronous=False)],
        {},
    ),
    "a commit in the background of a member that left in order": (
        [records(3), assigned(0), polled(0), committed(3, synchronous=False), closed()],
        {"commit_beyond_position": 1},
    ),
    "a commit beyond the end that is no position, where the log begins far up": (
        [acked(0, 9 * 10**11), observed(0, 9 * 10**11), Proof(start=9 * 10**11),
         assigned(9 * 10**11), polled(9 * 10**11), worked(9 * 10**11), committed(9 * 10**11 + 1)],
        {},
    ),
    # -- start_beyond_committed
    "a member that begins beyond what was committed passes records over": (
        [records(4), assigned(0), polled(0), committed(1), revoked(),
         assigned(3, member=2), polled(3, member=2)],
        {"start_beyond_committed": 2},
    ),
    "where the start is not known, the first record handed over says it": (
        [records(4), assigned(0), polled(0), committed(1), revoked(),
         assigned(member=2), polled(3, member=2)],
        {"start_beyond_committed": 2},
    ),
    "a start at what another member called to commit is one that may be committed": (
        [records(4), assigned(0), polled(0, 1, 2), committed(1), called(3), revoked(),
         assigned(3, member=2), polled(3, member=2)],
        {},
    ),
    "a commit that was called after the member had begun explains nothing": (
        [records(4), assigned(0), polled(0, 1), committed(1), assigned(3, member=2),
         polled(3, member=2), called(3), committed(3), polled(2)],
        {"start_beyond_committed": 2, "commit_beyond_position": 1},
    ),
    "without a commit that is certainly before it, the reset policy decides": (
        [records(3), assigned(0), polled(0), worked(0), revoked(), assigned(2, member=2),
         polled(2, member=2)],
        {},
    ),
    "a commit at the instant of the assignment is not certainly before it": (
        [records(3), assigned(0), polled(0), committed(1, at_us=START_US + 9), assigned(
            2, member=2, at_us=START_US + 9), polled(2, member=2)],
        {},
    ),
    "where the log has been deleted below, the committed offset may be out of range": (
        [acked(5, 5), observed(5, 5), Proof(start=4, end=6), assigned(0), committed(1), revoked(),
         assigned(6, member=2)],
        {},
    ),
    "its own commits say where a member may begin again": (
        [records(4), assigned(0), polled(0), committed(1), lost(), assigned(2), polled(2)],
        {"start_beyond_committed": 1},
    ),
    "what a client commits in the background may be any position": (
        [records(4), assigned(0), polled(0, 1), committed(1, synchronous=False), polled(2),
         revoked(), closed(), assigned(3, member=2), polled(3, member=2)],
        {},
    ),
    "no position of a client in the background goes beyond what was handed over": (
        [records(4), assigned(0), polled(0), committed(1, synchronous=False), polled(1),
         revoked(), closed(), assigned(3, member=2), polled(3, member=2), closed(member=2)],
        {"start_beyond_committed": 1},
    ),
    # -- commit_lost
    "a coordinator that has less than it had confirmed": (
        [records(3), assigned(0), polled(0, 1, 2), worked(0, 1, 2), committed(3), group_at(2)],
        {"commit_lost": 1},
    ),
    "a coordinator that has what another member committed later": (
        [records(3), assigned(0), polled(0, 1, 2), worked(0, 1, 2), committed(3), lost(),
         assigned(2, member=2), committed(2, member=2), group_at(2)],
        {},
    ),
    "a coordinator that has what another member committed before": (
        [records(3), assigned(2, member=2), committed(2, member=2), assigned(0), polled(0, 1, 2),
         worked(0, 1, 2), called(3), committed(3), group_at(2)],
        {"commit_lost": 1},
    ),
    "a coordinator that has what was called and never answered": (
        [records(3), assigned(0), called(1), polled(0, 1, 2), worked(0, 1, 2), called(3),
         committed(3), group_at(1)],
        {},
    ),
    "a coordinator that has an offset that no one tried to commit": (
        [records(3), assigned(0), polled(0), called(1), committed(1), polled(1, 2),
         worked(0, 1, 2), called(3), committed(3), group_at(2)],
        {"commit_lost": 1},
    ),
    "a coordinator that has none of what it had confirmed": (
        [records(3), assigned(0), polled(0, 1, 2), worked(0, 1, 2), committed(3),
         group_at(-1)],
        {"commit_lost": 1},
    ),
    "a coordinator that has none, and a topic that may have been deleted": (
        [records(3), assigned(0), polled(0, 1, 2), worked(0, 1, 2), committed(3),
         group_at(-1), unproven()],
        {},
    ),
    # -- double_owner
    "two members that own one partition and both commit": (
        [records(2), assigned(0), assigned(0, member=2), polled(0, member=2), called(1, member=2),
         committed(1, member=2), polled(0), called(1), committed(1), revoked(), closed(member=2)],
        {"double_owner": 1},
    ),
    "a member that was paused and whose commit is refused": (
        [records(2), assigned(0), assigned(0, member=2), polled(0, member=2), called(1, member=2),
         committed(1, member=2), polled(0), called(1), lost()],
        {},
    ),
    "a member whose commit was called before the other one was assigned": (
        [records(2), assigned(0), polled(0), called(1), assigned(0, member=2), polled(0, member=2),
         called(1, member=2), committed(1, member=2), committed(1), lost()],
        {},
    ),
    "two members that own one partition one after the other": (
        [records(2), assigned(0), polled(0), called(1), committed(1), revoked(),
         assigned(1, member=2), polled(1, member=2), called(2, member=2), committed(2, member=2)],
        {},
    ),
    # -- an unproven drain
    "in an unproven drain a record that was read is a record all the same": (
        [records(3), assigned(0), polled(0, 2), committed(99), unproven(end=3)],
        {"poll_skip": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_history(tmp_path: Path, name: str) -> None:
    history, expected = GOLDEN[name]
    assert anomalies(reconciled(tmp_path / "run", history, info=PLAIN)) == expected


def read_back(count: int, *, of: tuple[int, ...] = (), first_txn: int = 1) -> list[Any]:
    """A load's committed records 0…count-1 in the input, and an output record for each of `of`."""
    made = len(of)
    return [
        txn(first_txn, "committed", 0, count - 1),
        records(count),
        *(
            [
                txn(1, "committed", 0, 0, ranges={(1, 0): (0, made - 1)}, producer=9),
                records(made, topic=1, producer=9),
                [output(at, offset) for at, offset in enumerate(of)],
            ]
            if made
            else []
        ),
        [
            event("offsets", topic=topic, partition=0, last_stable=0, high_watermark=0)
            for topic in PIPELINE.topics
        ],
    ]


SHARE = run_info([consuming("share")])
SHARED: dict[str, tuple[list[Any], dict[str, int]]] = {
    "any member may be handed any record, in any order": (
        [records(4), polled(0, 3, 1), worked(0, 3, 1), polled(2, member=2), worked(2, member=2)],
        {},
    ),
    "a record that was not acknowledged comes again": (
        [records(1), polled(0), worked(0), polled(0, member=2), worked(0, member=2)],
        {"repeated": 1},
    ),
    "a record that was released comes again": (
        [records(1), polled(0), worked(0), accepted(0, detail=2), polled(0), worked(0)],
        {"repeated": 1},
    ),
    "a record that was accepted does not come again": (
        [records(1), polled(0), worked(0), accepted(0), polled(0, member=2), worked(0, member=2)],
        {"repeated": 1, "reprocessed": 1},
    ),
    "the acceptance of another record is none of this one": (
        [records(3), polled(0, 1, 2), worked(0, 1, 2), accepted(0, 2), polled(1, member=2),
         worked(1, member=2)],
        {"repeated": 1},
    ),
    "what was begun before it was accepted elsewhere is a repetition only": (
        [records(1), polled(0), begun(0), polled(0, member=2), worked(0, member=2),
         accepted(0, member=2), done(0)],
        {"repeated": 1},
    ),
    "a record that was accepted and never processed is unprocessed": (
        [records(2), polled(0, 1), worked(0), accepted(0, 1)],
        {"unprocessed": 1},
    ),
    "a record below the group's start that nobody accepted may have been archived": (
        [records(2), polled(0, 1), worked(0), accepted(0), group_at(2)],
        {},
    ),
    "a record that was rejected need not be processed": (
        [records(2), polled(0, 1), worked(0), accepted(0), accepted(1, detail=3)],
        {},
    ),
    "what nobody processed has its turn yet, or was archived": (
        [records(2), polled(0), worked(0), accepted(0)],
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHARED)
def test_golden_history_of_a_share_group(tmp_path: Path, name: str) -> None:
    history, expected = SHARED[name]
    assert anomalies(reconciled(tmp_path / "run", history, info=SHARE)) == expected


def zombie(end: str) -> list[Any]:
    """A second member's record of topic 1, and what its transaction's log says of its end."""
    record = (failed if end == "aborted" else attempted)(0, topic=1, producer=8)
    return [record, txn(1, end, 0, 0, ranges={(1, 0): (0, 0)}, producer=8)]


PIPELINES: dict[str, tuple[list[Any], dict[str, int]]] = {
    "every input once in the output": (
        [read_back(2, of=(0, 1)), assigned(0), polled(0, 1), worked(0, 1), group_at(2)],
        {},
    ),
    "an input below the committed offset that is not in the output is unprocessed": (
        [read_back(2, of=(0,)), assigned(0), polled(0, 1), worked(0, 1), group_at(2)],
        {"unprocessed": 1},
    ),
    "what a member handed to its producer is no effect while the output does not hold it": (
        [read_back(2, of=(0,)), assigned(0), polled(0, 1), worked(0, 1), group_at(1)],
        {},
    ),
    "one input twice in the output is repeated and reprocessed": (
        [read_back(2, of=(0, 1, 0)), assigned(0), polled(0, 1), worked(0, 1), group_at(2)],
        {"repeated": 1, "reprocessed": 1},
    ),
    "what members did twice is once in the output when the first time was aborted": (
        [read_back(1, of=(0,)), assigned(0), polled(0), worked(0), lost(),
         assigned(0, member=2), polled(0, member=2), worked(0, member=2), group_at(1)],
        {},
    ),
    "an output that names an input of another topic is no effect of this one": (
        [read_back(1, of=(0,)), output(1, 0, input_topic=1), assigned(0), polled(0), worked(0),
         group_at(1)],
        {},
    ),
    "without all of the output nothing is called unprocessed": (
        [read_back(2, of=(0,)), assigned(0), polled(0, 1), worked(0, 1), group_at(2),
         unproven(topic=1)],
        {},
    ),
    "a zombie's records that were fenced and stayed out of the output": (
        [read_back(1, of=(0,)), zombie("uncalled"), assigned(0), polled(0), group_at(1)],
        {},
    ),
    "a zombie's record that is visible though its commit was never called": (
        [read_back(1, of=(0,)), zombie("uncalled"), observed(0, 1, topic=1, producer=8),
         output(1, 0), assigned(0), polled(0), group_at(1)],
        {"repeated": 1, "reprocessed": 1, "precommitted_read": 1},
    ),
    "a zombie's record that is visible though its transaction was aborted": (
        [read_back(1, of=(0,)), zombie("aborted"), observed(0, 1, topic=1, producer=8),
         output(1, 0), assigned(0), polled(0), group_at(1)],
        {"repeated": 1, "reprocessed": 1, "failed_visible": 1},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PIPELINES)
def test_golden_history_of_a_pipeline(tmp_path: Path, name: str) -> None:
    history, expected = PIPELINES[name]
    assert anomalies(reconciled(tmp_path / "run", history, info=PIPELINE)) == expected
