"""What becomes of each record that was read, against a model that keeps them all."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import EnvironmentFailure, RunDirError
from harness.record.binary import decode
from harness.record.codec import run_hash
from harness.record.encoder import Encoder
from harness.rundir.columns import ColumnFile, unpack_offsets
from harness.rundir.observations import ObservationSet
from harness.rundir.read_batch import ReadBatch
from harness.rundir.rows import (
    BATCH,
    COPY,
    CORRUPT,
    EXTRA,
    FOREIGN,
    MISROUTED,
    STRAY,
    AppendedRows,
    cell_files,
)
from harness.rundir.run_info import RunInfo
from tests.support.rows import read_batches, read_extras
from tests.support.runs import load_plan, profile_run
from tests.support.runs import run_info as made_run

EPOCH = 4


def run_info(topics: int = 2, partitions: int = 3) -> RunInfo:
    names = [f"harness-r-{number}" for number in range(topics)]
    profile = profile_run("idempotent", *names, topic_ids=["id"] * topics)
    return made_run(profile, load=load_plan(partitions=partitions))


def value(
    sequence: int, *, incarnation: int = 1, topic: int = 0, partition: int = 0, run: str = "r"
) -> bytes:
    times = np.array([1_700_000_000_000_000], dtype=np.uint64)
    return Encoder(run, incarnation, 64).encode(topic, partition, sequence, times)[0]


def broken(good: bytes) -> bytes:
    return good[:-1] + bytes([good[-1] ^ 1])


Read = tuple[bytes | None, int, int, int]
"""(value, topic index, partition, offset) as the client returns it"""


def batch(reads: Iterable[Read], epoch: int | None = EPOCH) -> ReadBatch:
    reads = list(reads)
    return ReadBatch(
        decode([read[0] for read in reads]),
        np.array([read[1] for read in reads], dtype=np.int64),
        np.array([read[2] for read in reads], dtype=np.int64),
        np.array([read[3] for read in reads], dtype=np.int64),
        lambda places: [epoch] * len(places),
    )


def cells(folder: Path) -> dict[tuple[int, int, int, int], int]:
    """(incarnation, topic, partition, sequence) → offset."""
    found: dict[tuple[int, int, int, int], int] = {}
    for path in cell_files(folder):
        file = ColumnFile.open(path)
        incarnation = file.incarnation
        assert path.name == f"{incarnation}.obs"
        for topic, partition in file.partitions:
            for extent in file.extents(topic, partition):
                offsets = unpack_offsets(extent.low, extent.high)
                for at in np.flatnonzero(offsets >= 0).tolist():
                    key = (incarnation, topic, partition, extent.first_sequence + at)
                    found[key] = int(offsets[at])
        file.close()
    return found


def observe(folder: Path, *batches: list[Read], **options: int) -> ObservationSet:
    with ObservationSet(folder, run_info(), kind="drained", **options) as observations:
        for reads in batches:
            observations.add(batch(reads))
    return observations


def kinds(folder: Path) -> list[int]:
    return read_extras(folder)["kind"].tolist()  # type: ignore[no-any-return]


# -- one record at a time -------------------------------------------------------------------

OTHER = "another-run"


@pytest.mark.parametrize(
    ("what", "content", "kind"),
    [
        ("a changed byte", broken(value(5)), CORRUPT),
        ("a changed byte in a record of another run", broken(value(5, run=OTHER)), CORRUPT),
        ("a changed byte in a misrouted record", broken(value(5, partition=2)), CORRUPT),
        ("no value", None, CORRUPT),
        ("an empty value", b"", CORRUPT),
        ("text", b"not one of ours, and long enough to hold an identity", CORRUPT),
        ("another run", value(5, run=OTHER), FOREIGN),
        ("another run's, on another partition", value(5, run=OTHER, partition=2), FOREIGN),
        ("another partition", value(5, partition=2), MISROUTED),
        ("another topic", value(5, topic=1), MISROUTED),
        ("another partition, far ahead", value(2**40, partition=2), MISROUTED),
        ("a sequence far ahead", value(2**40), STRAY),
        ("the last sequence there is", value(2**64 - 1), STRAY),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_what_is_no_first_copy_becomes_a_row(
    tmp_path: Path, what: str, content: bytes | None, kind: int, alone: bool
) -> None:
    reads: list[Read] = [(content, 0, 0, 11)]
    if not alone:
        reads = [(value(3), 0, 0, 10), *reads, (value(4), 0, 0, 12)]
    counts = observe(tmp_path / "drained", reads).counts
    rows = read_extras(tmp_path / "drained")
    assert rows["kind"].tolist() == [kind], what
    assert (rows["topic"][0], rows["partition"][0], rows["offset"][0]) == (0, 0, 11)
    assert rows["leader_epoch"][0] == EPOCH
    expected = {} if alone else {(1, 0, 0, 3): 10, (1, 0, 0, 4): 12}
    assert cells(tmp_path / "drained") == expected
    assert counts.read == len(reads) == counts.cells + counts.extras


def test_a_row_says_where_it_was_read_and_who_it_says_it_is(tmp_path: Path) -> None:
    stranger = value(77, incarnation=9, topic=0, partition=1, run=OTHER)
    observe(tmp_path / "drained", [(stranger, 1, 2, 2**33 + 5)])
    row = read_extras(tmp_path / "drained")[0]
    assert {name: int(row[name]) for name in EXTRA.names or ()} == {
        "kind": FOREIGN,
        "pad": 0,
        "topic": 1,
        "partition": 2,
        "incarnation": 9,
        "identity_topic": 0,
        "pad2": 0,
        "identity_partition": 1,
        "leader_epoch": EPOCH,
        "sequence": 77,
        "offset": 2**33 + 5,
        "run": run_hash(OTHER),
    }


def test_a_corrupt_row_repeats_nothing_of_a_head_that_cannot_be_trusted(tmp_path: Path) -> None:
    observe(tmp_path / "drained", [(broken(value(77, incarnation=9)), 0, 0, 3)])
    row = read_extras(tmp_path / "drained")[0]
    assert [int(row[name]) for name in ("incarnation", "sequence", "run")] == [0, 0, 0]


def test_a_leader_epoch_that_the_broker_does_not_name_is_minus_one(tmp_path: Path) -> None:
    with ObservationSet(tmp_path / "drained", run_info(), kind="drained") as observations:
        observations.add(batch([(None, 0, 0, 0)], epoch=None))
    assert read_extras(tmp_path / "drained")["leader_epoch"].tolist() == [-1]


# -- copies ---------------------------------------------------------------------------------

FIRST, SECOND, THIRD = (value(8), 0, 0, 20), (value(8), 0, 0, 21), (value(8), 0, 0, 30)


@pytest.mark.parametrize(
    ("what", "batches"),
    [
        ("in one batch", [[FIRST, SECOND, THIRD]]),
        ("in batches of their own", [[FIRST], [SECOND], [THIRD]]),
        (
            "with others between",
            [[(value(7), 0, 0, 19), FIRST, SECOND, (value(9), 0, 0, 22), THIRD]],
        ),
        ("two in a later batch", [[FIRST], [SECOND, THIRD]]),
    ],
)
def test_further_copies_become_rows_and_the_cell_keeps_the_first(
    tmp_path: Path, what: str, batches: list[list[Read]]
) -> None:
    counts = observe(tmp_path / "drained", *batches).counts
    assert cells(tmp_path / "drained")[1, 0, 0, 8] == 20, what
    rows = read_extras(tmp_path / "drained")
    assert rows["kind"].tolist() == [COPY, COPY]
    assert rows["offset"].tolist() == [21, 30]
    assert rows["sequence"].tolist() == [8, 8]
    assert counts.copies == 2
    assert counts.read == counts.cells + counts.extras


def test_the_cell_takes_a_lower_offset_that_is_read_later(tmp_path: Path) -> None:
    """A log was cut back and the retried attempt went in further down."""
    counts = observe(tmp_path / "live", [THIRD], [FIRST]).counts
    assert cells(tmp_path / "live") == {(1, 0, 0, 8): 20}
    rows = read_extras(tmp_path / "live")
    assert rows["offset"].tolist() == [30]
    assert rows["leader_epoch"].tolist() == [-1]
    assert (counts.cells, counts.copies) == (1, 1)


@pytest.mark.parametrize("batches", [[[FIRST], [FIRST]], [[FIRST, FIRST]]])
def test_the_same_offset_read_again_is_no_copy(tmp_path: Path, batches: list[list[Read]]) -> None:
    counts = observe(tmp_path / "live", *batches).counts
    assert kinds(tmp_path / "live") == []
    assert (counts.read, counts.cells, counts.again, counts.extras) == (2, 1, 1, 0)


def test_rows_of_a_stretch_that_was_read_again_are_given_once(tmp_path: Path) -> None:
    odd: list[Read] = [(None, 0, 0, 5), FIRST, SECOND, (value(1, run=OTHER), 0, 0, 40)]
    observe(tmp_path / "live", odd, odd)
    assert sorted(kinds(tmp_path / "live")) == [COPY, CORRUPT, FOREIGN]


def test_a_row_that_lost_its_leader_epoch_is_no_other_row(tmp_path: Path) -> None:
    """The copy at 30 became a row when the one at 20 came, and is read once more."""
    observe(tmp_path / "live", [THIRD], [FIRST], [THIRD])
    rows = read_extras(tmp_path / "live")
    assert (rows["kind"].tolist(), rows["offset"].tolist()) == ([COPY], [30])


@pytest.mark.parametrize("sequences", [[1, 3, 5], [3], [5, 6, 3], [0, 1, 2, 3]])
def test_a_cell_that_is_filled_already_is_seen_whatever_the_batch_looks_like(
    tmp_path: Path, sequences: list[int]
) -> None:
    before: list[Read] = [(value(3), 0, 0, 0)]
    after: list[Read] = [(value(n), 0, 0, 10 + at) for at, n in enumerate(sequences)]
    observe(tmp_path / "drained", before, after)
    assert cells(tmp_path / "drained")[1, 0, 0, 3] == 0
    rows = read_extras(tmp_path / "drained")
    assert rows["offset"].tolist() == [10 + sequences.index(3)]


def test_two_corrupt_records_at_two_offsets_stay_two_rows(tmp_path: Path) -> None:
    observe(tmp_path / "drained", [(None, 0, 0, 5), (None, 0, 0, 6), (None, 0, 1, 5)])
    assert kinds(tmp_path / "drained") == [CORRUPT] * 3


# -- bounds ---------------------------------------------------------------------------------


def test_a_sequence_far_beyond_its_offset_takes_no_disk(tmp_path: Path) -> None:
    reads: list[Read] = [(value(sequence), 0, 0, 0) for sequence in (10_000_000, 2**33, 2**63)]
    observe(tmp_path / "drained", reads)
    assert kinds(tmp_path / "drained") == [STRAY] * 3
    assert (tmp_path / "drained" / "1.obs").stat().st_size < 200_000


def test_a_sequence_ahead_of_its_offset_by_a_plausible_loss_gets_a_cell(tmp_path: Path) -> None:
    observe(tmp_path / "drained", [(value(900_000), 0, 0, 0)])
    assert cells(tmp_path / "drained") == {(1, 0, 0, 900_000): 0}


def test_incarnations_beyond_the_bound_become_strays(tmp_path: Path) -> None:
    reads: list[Read] = [(value(0, incarnation=n), 0, 0, n) for n in range(1, 8)]
    counts = observe(tmp_path / "drained", reads, reads[:0], incarnations_max=5).counts
    assert len(cells(tmp_path / "drained")) == 5
    rows = read_extras(tmp_path / "drained")
    assert rows["kind"].tolist() == [STRAY, STRAY]
    assert sorted(rows["incarnation"].tolist()) == [6, 7]
    assert counts.read == counts.cells + counts.extras


# -- any mixture ----------------------------------------------------------------------------

record_kinds = st.sampled_from(
    ["own", "own", "own", "own", "corrupt", "foreign", "misrouted", "far"]
)
written = st.tuples(
    record_kinds,
    st.integers(1, 4),
    st.integers(0, 1),
    st.integers(0, 2),
    st.integers(0, 40),
)


@given(log=st.lists(written, max_size=200), cuts=st.lists(st.integers(0, 200), max_size=6))
@settings(deadline=None, max_examples=120)
def test_every_record_is_accounted_for_once_whatever_the_mixture_and_the_batches(
    log: list[tuple[str, int, int, int, int]], cuts: list[int]
) -> None:
    ends: Counter[tuple[int, int]] = Counter()
    reads: list[Read] = []
    expected_cells: dict[tuple[int, int, int, int], int] = {}
    expected_rows: Counter[tuple[int, int, int, int]] = Counter()
    for kind, incarnation, topic, partition, sequence in log:
        offset = ends[topic, partition]
        ends[topic, partition] += 1
        content = value(sequence, incarnation=incarnation, topic=topic, partition=partition)
        row = 0
        if kind == "corrupt":
            content, row = broken(content), CORRUPT
        elif kind == "foreign":
            content, row = value(sequence, incarnation=incarnation, run=OTHER), FOREIGN
        elif kind == "misrouted":
            wrong = (partition + 1) % 3
            content = value(sequence, incarnation=incarnation, topic=topic, partition=wrong)
            row = MISROUTED
        elif kind == "far":
            content = value(2**35 + sequence, topic=topic, partition=partition)
            row = STRAY
        else:
            key = (incarnation, topic, partition, sequence)
            if expected_cells.setdefault(key, offset) != offset:
                row = COPY
        if row:
            expected_rows[row, topic, partition, offset] += 1
        reads.append((content, topic, partition, offset))
    edges = sorted({0, len(reads), *(cut for cut in cuts if cut < len(reads))})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "drained"
        counts = observe(folder, *(reads[a:b] for a, b in pairwise(edges))).counts
        assert cells(folder) == expected_cells
        rows = read_extras(folder)
        found = Counter(
            (int(row["kind"]), int(row["topic"]), int(row["partition"]), int(row["offset"]))
            for row in rows
        )
        assert found == expected_rows
        assert (counts.read, counts.cells, counts.extras, counts.again) == (
            len(reads),
            len(expected_cells),
            sum(expected_rows.values()),
            0,
        )


@given(
    offsets=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=5),
)
@settings(deadline=None, max_examples=80)
def test_a_set_read_in_any_order_keeps_every_distinct_offset_of_an_attempt(
    offsets: list[tuple[int, int]], cuts: list[int]
) -> None:
    """A live set reads stretches again: each (attempt, offset) is in it once, the lowest in the
    cell."""
    reads: list[Read] = [(value(sequence), 0, 0, offset) for sequence, offset in offsets]
    edges = sorted({0, len(reads), *(cut for cut in cuts if cut < len(reads))})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "live"
        observe(folder, *(reads[a:b] for a, b in pairwise(edges)))
        found = cells(folder)
        held = {(key[3], offset) for key, offset in found.items()}
        for (_, _, _, sequence), offset in found.items():
            assert offset == min(at for of, at in offsets if of == sequence)
        held |= {(int(row["sequence"]), int(row["offset"])) for row in read_extras(folder)}
        assert held == set(offsets)


def test_fresh_marks_exactly_the_records_that_filled_a_cell(tmp_path: Path) -> None:
    with ObservationSet(tmp_path / "live", run_info(), kind="live") as observations:
        observations.add(batch([(value(1), 0, 0, 0)]))
        added = observations.add(
            batch(
                [
                    (value(1), 0, 0, 1),
                    (value(2), 0, 0, 2),
                    (None, 0, 0, 3),
                    (value(2), 0, 0, 4),
                    (value(3), 0, 0, 5),
                    (value(0, partition=1), 0, 1, 0),
                ]
            )
        )
    assert added.fresh.tolist() == [False, True, False, False, True, True]
    assert added.heads["sequence"][added.fresh].tolist() == [2, 3, 0]


# -- files ----------------------------------------------------------------------------------


def test_a_set_is_written_once(tmp_path: Path) -> None:
    observe(tmp_path / "drained")
    with pytest.raises(RunDirError, match="holds a set of observations already"):
        ObservationSet(tmp_path / "drained", run_info(), kind="drained")


def test_files_name_their_run_profile_and_set(tmp_path: Path) -> None:
    observe(tmp_path / "drained", [FIRST])
    file = ColumnFile.open(tmp_path / "drained" / "1.obs")
    assert (file.run, file.kind, file.profile, file.closed_cleanly) == (
        run_hash("r"),
        "drained",
        "idempotent",
        True,
    )
    file.close()


def test_an_empty_batch_changes_nothing(tmp_path: Path) -> None:
    assert observe(tmp_path / "drained", []).counts.read == 0


def test_a_torn_last_row_is_left_out(tmp_path: Path) -> None:
    observe(tmp_path / "drained", [(None, 0, 0, 1), (None, 0, 0, 2)])
    path = tmp_path / "drained" / "extras.bin"
    path.write_bytes(path.read_bytes()[:-1])
    assert read_extras(tmp_path / "drained")["offset"].tolist() == [1]


def test_a_set_that_is_not_there_has_no_rows(tmp_path: Path) -> None:
    assert len(read_extras(tmp_path)) == len(read_batches(tmp_path)) == 0


def test_rows_are_written_at_once(tmp_path: Path) -> None:
    rows = AppendedRows(tmp_path / "batches.bin")
    row = np.zeros(1, dtype=BATCH)
    row["read_us"] = 17
    rows.append(row)
    assert read_batches(tmp_path)["read_us"].tolist() == [17]
    rows.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    rows = AppendedRows(tmp_path / "extras.bin")
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(rows, "_descriptor", full)
    with pytest.raises(EnvironmentFailure, match=r"extras\.bin: no space for 48 more bytes"):
        rows.append(np.zeros(1, dtype=EXTRA))
    rows.close()


def test_row_sizes_are_those_of_the_documented_layout() -> None:
    assert (EXTRA.itemsize, BATCH.itemsize) == (48, 32)
