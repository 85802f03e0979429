"""Attempts whose partition was not known when they were made: ledger, reader, rules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import RunDirError
from harness.judge.judge import judge
from harness.reconcile.findings import ProfileFindings
from harness.reconcile.reconcile import reconcile
from harness.record.codec import ANY_PARTITION, run_hash
from harness.record.codecs import CODECS, codec_named
from harness.record.encoder import Encoder
from harness.rundir.anywhere import of_position, pack_positions, positions
from harness.rundir.columns import ACKED, OFFSET_MAX, OPEN, UNKNOWN, ColumnFile, unpack_offsets
from harness.rundir.extents import CAPACITY_MAX
from harness.rundir.ledger import Ledger
from harness.rundir.observations import ObservationSet
from harness.rundir.read_batch import ReadBatch
from harness.rundir.run_dir import RunDir
from harness.rundir.run_record import RunRecord, load_run
from tests.support.histories import (
    RUN_ID,
    START_US,
    Proof,
    anomalies,
    counts_of,
    event,
    profile,
    run_info,
    unproven,
    write_run,
)

PARTITIONS = 3
At = tuple[int, int]
"""(partition, offset)"""
Acks = dict[int, At | str]
"""sequence → where it was acknowledged, or `unknown`, `failed`, `no offset`, `sent`"""
Reads = list[tuple[int, int, int]]
"""(sequence, partition, offset)"""
WHOLE: Acks = {0: (0, 0), 1: (2, 0), 2: (1, 0), 3: (0, 1), 4: (2, 1)}
READ: Reads = [(0, 0, 0), (3, 0, 1), (2, 1, 0), (1, 2, 0), (4, 2, 1)]


def write_set(folder: Path, info: Any, kind: str, reads: Reads, others: Sequence[Any]) -> None:
    """A set of observations as a reader writes it, a batch for each record."""
    (folder / "extras.bin").unlink()
    codec = codec_named(info.load.codec)
    encoder = Encoder(RUN_ID, 1, 300, 0, codec)
    with ObservationSet(folder, info, kind=kind) as written:
        for sequence, partition, offset in reads:
            values: list[bytes | None] = list(
                encoder.encode(0, ANY_PARTITION, sequence, np.array([START_US]))
            )
            add(written, codec.decode(values), partition, offset)
        for value, partition, offset in others:
            add(written, codec.decode([value]), partition, offset)


def add(written: ObservationSet, decoded: Any, partition: int, offset: int) -> None:
    topics, partitions, offsets = (
        np.array([number], dtype=np.int64) for number in (0, partition, offset)
    )
    written.add(ReadBatch(decoded, topics, partitions, offsets, lambda places: [0] * len(places)))


def recorded(
    path: Path,
    acks: Acks,
    drained: Reads,
    live: Reads | None = None,
    *more: Any,
    codec: str = "binary",
    promises: Any = None,
    odd: Sequence[Any] = (),
    transactional: bool = False,
) -> RunRecord:
    """A run with one producer that knew no partition. live: what was drained, unless told."""
    about = profile(transactional=transactional)
    if promises is not None:
        about.promises = promises
    info = run_info([about], partitions=PARTITIONS)
    info.load.codec = codec
    given = {each.partition for each in more if isinstance(each, Proof)}
    counted = [*((p, o) for _, p, o in drained), *((p, o) for _, p, o in odd)]
    proofs = [
        Proof(number, read=sum(p == number for p, _ in counted),
              end=max((o + 1 for p, o in counted if p == number), default=0))
        for number in range(PARTITIONS) if number not in given
    ]  # fmt: skip
    run_dir = write_run(path / "run", [*proofs, *more], info=info)
    ledger = Ledger.create(run_dir.ledger, run=run_hash(RUN_ID), profile=about.profile)
    ledger.open(0, ANY_PARTITION, max(acks, default=-1) + 1)
    for sequence, outcome in acks.items():
        one = np.array([sequence], dtype=np.uint64)
        match outcome:
            case "failed":
                ledger.failed(0, ANY_PARTITION, one)
            case "sent":
                ledger.sent(0, ANY_PARTITION, one)
            case "unknown":
                ledger.unknown(0, ANY_PARTITION, one)
            case "no offset":
                nothing = np.array([-1], dtype=np.int64)
                ledger.acked_anywhere(0, one, nothing, nothing)
            case (partition, offset):
                ledger.acked_anywhere(0, one, np.array([partition]), np.array([offset]))
    ledger.close()
    write_set(run_dir.drained(1), info, "drained", drained, odd)
    write_set(run_dir.live, info, "live", drained if live is None else live, odd)
    proof = run_dir.drained(1) / "drain.json"
    document = json.loads(proof.read_text())
    document["counts"] = counts_of(run_dir.drained(1))
    proof.write_text(json.dumps(document))
    stopped = event("reader", phase="stopped", counts=counts_of(run_dir.live))
    lines = [
        json.dumps(stopped.fields) if '"reader"' in line and '"stopped"' in line else line
        for line in run_dir.timeline.read_text().splitlines()
    ]
    run_dir.timeline.write_text("\n".join(lines) + "\n")
    return load_run(run_dir, 1)


def found_in(*args: Any, **more: Any) -> ProfileFindings:
    return reconcile(recorded(*args, **more))[0]


# -- cells


def test_a_wide_cell_holds_any_partition_and_offset() -> None:
    partitions = np.array([0, 1, 2**16 - 1], dtype=np.int64)
    offsets = np.array([0, 2**32, OFFSET_MAX], dtype=np.int64)
    low, high = pack_positions(partitions, offsets)
    at = unpack_offsets(low, high)
    assert [of_position(each) for each in at.tolist()] == list(
        zip(partitions.tolist(), offsets.tolist(), strict=True)
    )
    assert positions(5, np.array([-1, 7])).tolist() == [-1, (5 << 40) | 7]


def test_lanes_with_and_without_partition_share_a_file(tmp_path: Path) -> None:
    count = 3 * CAPACITY_MAX + 1000
    ledger = Ledger.create(tmp_path, run=1, profile="p")
    sequences = np.arange(count, dtype=np.uint64)
    for begin in range(0, count, 50_000):
        size = min(50_000, count - begin)
        for partition in (ANY_PARTITION, 7):
            assert ledger.open(0, partition, size) == begin
    ledger.acked(0, 7, sequences, np.arange(count, dtype=np.int64) + 2**33)
    partitions, offsets = np.arange(count) % 5, np.arange(count) // 5
    ledger.acked_anywhere(0, sequences[1:], partitions[1:], offsets[1:])
    with ColumnFile.open(ledger.path) as open_file:
        assert int(open_file.extents(0, ANY_PARTITION)[0].high[0]) == OPEN
    assert ledger.close() == {(0, ANY_PARTITION): 1}
    with ColumnFile.open(ledger.path) as file:
        assert file.partitions == [(0, 7), (0, ANY_PARTITION)]
        narrow, wide = file.extents(0, 7), file.extents(0, ANY_PARTITION)
        at = np.concatenate([unpack_offsets(each.low, each.high) for each in narrow])
        assert np.array_equal(at[:count], np.arange(count) + 2**33)
        at = np.concatenate([unpack_offsets(each.low, each.high) for each in wide])
        assert np.array_equal(at[1:count], (partitions << 40 | offsets)[1:])
        assert int(wide[0].high[0]) == UNKNOWN
        assert int(wide[0].high[1]) >= ACKED


# -- rules

WITHOUT_COPIES = [each for each in profile().promises if each != "no_duplicate"]
RULES: dict[str, tuple[Acks, Reads, Reads | None, list[Any], dict[str, int]]] = {
    "all of it": (WHOLE, READ, None, [], {}),
    "a lost one": (WHOLE, READ[1:], READ[1:], [Proof(0, read=1, end=2)], {"lost": 1}),
    "one of unknown outcome that is absent": (
        {**WHOLE, 5: "unknown"}, READ, None, [], {},
    ),
    "one acknowledged without an offset and read anywhere": (
        {**WHOLE, 0: "no offset"}, READ, None, [], {},
    ),
    "one acknowledged without an offset and absent": (
        {**WHOLE, 5: "no offset"}, READ, None, [], {"lost": 1},
    ),
    "one that was sent and is absent": ({**WHOLE, 5: "sent"}, READ, None, [], {"lost": 1}),
    "absent where its partition is not proven": (
        WHOLE, READ[1:], READ[1:], [unproven(0, read=1, end=2)], {"unseen": 1},
    ),
    "absent where another partition is not proven": (
        WHOLE, READ[1:], READ[1:], [Proof(0, read=1, end=2), unproven(1, read=1, end=1)],
        {"unseen": 1},
    ),
    "a copy on its own partition": (
        WHOLE, [*READ, (0, 0, 2)], None, [], {"duplicate": 1},
    ),
    "acknowledged at the second copy on its partition": (
        {0: (2, 1)}, [(0, 2, 0), (0, 2, 1)], None, [], {"duplicate": 1},
    ),
    "a copy on another partition": (
        WHOLE, [*READ, (0, 1, 1)], None, [], {"duplicate": 1},
    ),
    "copies on two partitions": (
        WHOLE, [*READ, (0, 1, 1), (0, 2, 2), (0, 2, 3)], None, [], {"duplicate": 3},
    ),
    "a copy of an unknown one": (
        {**WHOLE, 5: "unknown"}, [*READ, (5, 1, 1), (5, 2, 2)], None, [], {"duplicate": 1},
    ),
    "acknowledged on one partition and read on another": (
        WHOLE, [*READ[1:], (0, 1, 1)], None, [Proof(0, read=1, end=2)],
        {"inconsistent_offset": 1},
    ),
    "one offset acknowledged to two": (
        {**WHOLE, 5: (0, 0)}, READ, None, [], {"lost": 1, "inconsistent_offset": 1},
    ),
    "equal offsets of two partitions are two": (
        {0: (0, 0), 1: (1, 0)}, [(0, 0, 0), (1, 1, 0)], None, [], {},
    ),
    "a failed one that is read": (
        {**WHOLE, 5: "failed"}, [*READ, (5, 1, 1)], None, [], {"failed_visible": 1},
    ),
    "never attempted": (WHOLE, [*READ, (9, 1, 1)], None, [], {"phantom": 1}),
    "never attempted, and absurdly far ahead": (
        WHOLE, [*READ, (2**40, 1, 1), (2**40, 2, 2)], None, [], {"phantom": 2},
    ),
    "an unknown one missing between acknowledged ones": (
        {0: (0, 0), 1: "unknown", 2: (1, 0)}, [(0, 0, 0), (2, 1, 0)], None, [], {"gap": 1},
    ),
    "an unknown one missing after all acknowledged ones": (
        {0: (0, 0), 1: (1, 0), 2: "unknown"}, [(0, 0, 0), (1, 1, 0)], None, [], {},
    ),
    "read live and gone": (
        WHOLE, READ[1:], READ, [Proof(0, read=1, end=2)], {"lost": 1, "vanished": 1},
    ),
    "read live on another partition and gone there": (
        WHOLE, READ, [*READ, (0, 1, 1)], [], {"duplicate": 1, "vanished": 1},
    ),
    "read live where the drain is not proven": (
        WHOLE, READ[1:], READ, [unproven(0, read=1, end=2)], {"unseen": 1},
    ),
    "backward on a partition": (
        {0: (0, 1), 1: (0, 0)}, [(1, 0, 0), (0, 0, 1)], None, [], {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_the_rules_hold_over_all_partitions_of_a_topic(
    rule: tuple[Acks, Reads, Reads | None, list[Any], dict[str, int]], codec: str, tmp_path: Path
) -> None:
    acks, drained, live, more, expected = rule
    found = found_in(tmp_path, acks, drained, live, *more, codec=codec)
    assert anomalies(found) == expected
    assert found.counts["attempted"] == len(acks)
    assert found.counts["read"] == len(drained)


def test_another_content_at_an_acknowledged_position_shows_that_it_is_not_there(
    tmp_path: Path,
) -> None:
    """Without the promise of no duplicates it could have a second copy there."""
    acks: Acks = {0: (1, 0), 1: (2, 0)}
    unlike = {"promises": WITHOUT_COPIES}
    only = [unproven(1, read=0, end=0), unproven(0, read=1, end=1)]
    found = found_in(tmp_path / "a", acks, [(0, 0, 0), (1, 2, 0)], None, *only, **unlike)
    assert anomalies(found) == {}
    only = [unproven(1, read=1, end=1), unproven(0, read=1, end=1)]
    reads = [(0, 0, 0), (1, 2, 0), (9, 1, 0)]
    found = found_in(tmp_path / "b", acks, reads, None, *only, **unlike)
    assert anomalies(found) == {"phantom": 1, "inconsistent_offset": 1}


def test_a_sample_names_the_partition_of_its_offset(tmp_path: Path) -> None:
    acks: Acks = {**WHOLE, 5: "unknown", 6: (1, 1)}
    reads = [*READ[:3], READ[4], (6, 1, 1), (4, 0, 5)]
    run = recorded(tmp_path, acks, reads, None, Proof(0, read=3, end=6), Proof(2, read=1, end=2))
    verdict = judge(run)
    samples = {
        each.anomaly: (each.partition, each.sequence, each.offset)
        for each in verdict.profiles[0].samples
    }
    assert samples == {"lost": (2, 1, 0), "duplicate": (2, 4, 1), "gap": (None, 5, None)}
    assert not any(each.anomaly == "lost" for each in verdict.profiles[0].witnesses)


def test_promises_about_partitions_do_not_apply(tmp_path: Path) -> None:
    verdict = judge(recorded(tmp_path, WHOLE, READ))
    assert verdict.verdict == "kept", verdict.reasons
    of = {each.promise: each for each in verdict.profiles[0].promises}
    apart = {name for name, each in of.items() if each.verdict == "not_applicable"}
    assert apart == {"no_inversion", "no_misrouted"}
    assert "no partition was known" in of["no_misrouted"].reason


def test_lanes_with_a_partition_beside_them_are_judged_by_theirs(tmp_path: Path) -> None:
    run = recorded(tmp_path, WHOLE, READ)
    run.close()
    ledger = Ledger.create(tmp_path / "run" / "ledger", run=run_hash(RUN_ID), profile="idempotent")
    ledger.open(0, 1, 1)
    ledger.acked(0, 1, np.array([0], dtype=np.uint64), np.array([0], dtype=np.int64))
    ledger.close()
    verdict = judge(load_run(RunDir(tmp_path / "run"), 1))
    of = {each.promise: each.verdict for each in verdict.profiles[0].promises}
    # It was never read, and what was acknowledged to it holds a record of the other producer.
    assert (of["no_lost"], of["no_inconsistent_offset"]) == ("broken", "broken")
    assert (of["no_inversion"], of["no_misrouted"]) == ("kept", "kept")


def test_an_identity_that_names_a_partition_is_none_of_these_attempts(tmp_path: Path) -> None:
    (value,) = Encoder(RUN_ID, 1, 100).encode(0, 1, 2, np.array([START_US]))
    found = found_in(tmp_path, WHOLE, READ, None, odd=[(value, 1, 1)])
    assert anomalies(found) == {"phantom": 1}
    (value,) = Encoder(RUN_ID, 1, 100).encode(0, 2, 2, np.array([START_US]))
    found = found_in(tmp_path / "elsewhere", WHOLE, READ, None, odd=[(value, 1, 1)])
    assert anomalies(found) == {"misrouted": 1}
    found = found_in(tmp_path / "corrupt", WHOLE, READ, None, odd=[(b"x", 1, 1)])
    assert anomalies(found) == {"corrupt": 1}


def test_a_transactional_profile_needs_partitions(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match="holds attempts without a partition"):
        found_in(tmp_path, WHOLE, READ, transactional=True)


def test_a_drain_in_parts_is_one_set(tmp_path: Path) -> None:
    """Processes share a drain by partition, and a lane of these attempts is in several parts."""
    run_dir_record = recorded(tmp_path, WHOLE, READ)
    run_dir_record.close()
    folder = tmp_path / "run" / "observations" / "drained"
    info = run_dir_record.info
    (folder / "1.obs").unlink()
    (folder / "extras.bin").unlink()
    for part, partitions in enumerate(((0, 1), (2,))):
        mine = [read for read in READ if read[1] in partitions]
        (folder / f"part-{part}").mkdir()
        (folder / f"part-{part}" / "extras.bin").touch()
        write_set(folder / f"part-{part}", info, "drained", mine, ())
    (folder / "extras.bin").touch()
    found = reconcile(load_run(RunDir(tmp_path / "run"), 1))[0]
    assert anomalies(found) == {}
    assert found.counts["seen"] == len(WHOLE)
