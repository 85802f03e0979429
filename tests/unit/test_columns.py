"""Packed columns against a model: a dict from (topic, partition, sequence) to (low, high)."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from harness.errors import EnvironmentFailure, RunDirError
from harness.rundir import extents
from harness.rundir.columns import (
    ACKED,
    ACKED_NO_OFFSET,
    FAILED,
    NEVER,
    OFFSET_MAX,
    OPEN,
    SENT,
    UNKNOWN,
    ColumnFile,
    pack_offsets,
    unpack_offsets,
)
from harness.system.lifeline import Child


def new_file(path: Path, **changes: object) -> ColumnFile:
    fields = {"run": 7, "incarnation": 3, "kind": "ledger", "profile": "idempotent", **changes}
    return ColumnFile.create(path, **fields)  # type: ignore[arg-type]


def cells(file: ColumnFile, topic: int, partition: int) -> list[tuple[int, int]]:
    """(low, high) of every cell that exists, in sequence order."""
    found: list[tuple[int, int]] = []
    for extent in file.extents(topic, partition):
        assert extent.first_sequence == len(found)
        found += zip(extent.low.tolist(), extent.high.tolist(), strict=True)
    return found


# -- offsets --------------------------------------------------------------------------------


@given(st.lists(st.integers(0, OFFSET_MAX)))
def test_a_packed_offset_unpacks_to_itself(offsets: list[int]) -> None:
    low, high = pack_offsets(np.array(offsets, dtype=np.int64))
    assert (high >= ACKED).all()
    assert unpack_offsets(low, high).tolist() == offsets


@pytest.mark.parametrize("state", [NEVER, OPEN, FAILED, UNKNOWN, SENT, ACKED_NO_OFFSET, 15])
def test_a_state_without_an_offset_unpacks_to_none(state: int) -> None:
    low = np.array([123], dtype=np.uint32)
    assert unpack_offsets(low, np.array([state], dtype=np.uint8)).tolist() == [-1]


@pytest.mark.parametrize("offset", [-1, OFFSET_MAX + 1, -(2**40), 2**62])
def test_an_offset_that_five_bytes_cannot_hold_is_refused(offset: int) -> None:
    with pytest.raises(ValueError, match="cannot be packed"):
        pack_offsets(np.array([0, offset]))


def test_the_largest_offset_is_two_hundred_and_forty_times_four_billion() -> None:
    assert OFFSET_MAX == 240 * 2**32 - 1


# -- the file against a model ---------------------------------------------------------------


class ColumnsMachine(RuleBasedStateMachine):
    """Random writes to one file; after each step a second opening reads the same cells."""

    keys = st.tuples(st.integers(0, 2), st.integers(0, 3))

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "1.ledger"
        self.file = new_file(self.path)
        self.model: dict[tuple[int, int], dict[int, tuple[int, int]]] = {}

    @rule(
        key=keys, first=st.integers(0, 3_000), count=st.integers(1, 1_500), state=st.integers(1, 5)
    )
    def mark(self, key: tuple[int, int], first: int, count: int, state: int) -> None:
        self.file.mark(*key, first, count, state)
        held = self.model.setdefault(key, {})
        for sequence in range(first, first + count):
            held[sequence] = (held.get(sequence, (0, 0))[0], state)

    @rule(
        key=keys,
        writes=st.dictionaries(st.integers(0, 5_000), st.integers(0, OFFSET_MAX), max_size=60),
    )
    def scatter(self, key: tuple[int, int], writes: dict[int, int]) -> None:
        low, high = pack_offsets(np.array(list(writes.values()), dtype=np.int64))
        self.file.scatter(*key, np.array(list(writes), dtype=np.uint64), low, high)
        held = self.model.setdefault(key, {})
        held.update(zip(writes, zip(low.tolist(), high.tolist(), strict=True), strict=True))

    @rule(key=keys, sequences=st.lists(st.integers(0, 5_000), max_size=40))
    def gather(self, key: tuple[int, int], sequences: list[int]) -> None:
        low, high = self.file.gather(*key, np.array(sequences, dtype=np.uint64))
        held = self.model.setdefault(key, {})
        expected = [held.get(sequence, (0, 0)) for sequence in sequences]
        assert list(zip(low.tolist(), high.tolist(), strict=True)) == expected

    @invariant()
    def what_is_read_is_what_was_written(self) -> None:
        opened = ColumnFile.open(self.path)
        for file in (self.file, opened):
            for key, held in self.model.items():
                found = cells(file, *key)
                assert len(found) == file.allocated(*key)
                assert {at: cell for at, cell in enumerate(found) if cell != (0, 0)} == {
                    at: cell for at, cell in held.items() if cell != (0, 0)
                }
        assert not opened.closed_cleanly
        opened.close()

    def teardown(self) -> None:
        self.file.close()
        self.folder.cleanup()


ColumnsMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=8, deadline=None)
TestColumnsAgainstAModel = ColumnsMachine.TestCase


@given(first=st.integers(0, 200_000), count=st.integers(1, 200_000))
@settings(max_examples=20, deadline=None)
def test_spans_cover_a_range_once_and_in_order(first: int, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder, new_file(Path(folder) / "1.ledger") as file:
        covered = 0
        for extent, inside, part in file.spans(0, 0, first, count):
            assert part.start == covered
            assert extent.first_sequence + inside.start == first + covered
            assert 0 <= inside.start < inside.stop <= len(extent)
            assert inside.stop - inside.start == part.stop - part.start
            covered = part.stop
        assert covered == count


# -- extents and the file -------------------------------------------------------------------


def test_extents_double_from_128_to_65536_cells(tmp_path: Path) -> None:
    with new_file(tmp_path / "1.ledger") as file:
        file.mark(0, 0, 0, 300_000, OPEN)
        sizes = [len(extent) for extent in file.extents(0, 0)]
    assert sizes == [128, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, *[65536] * 4]


def test_a_thousand_partitions_of_a_quiet_producer_stay_small(tmp_path: Path) -> None:
    with new_file(tmp_path / "1.ledger") as file:
        for partition in range(1_000):
            file.mark(0, partition, 0, 3, OPEN)
        assert len(file.partitions) == 1_000
    assert (tmp_path / "1.ledger").stat().st_size < 2 * 2**20


def test_a_million_records_take_little_more_than_five_bytes_each(tmp_path: Path) -> None:
    with new_file(tmp_path / "1.ledger") as file:
        file.mark(0, 0, 0, 10_000_000, OPEN)
        grown = (tmp_path / "1.ledger").stat().st_blocks * 512
    assert grown < 10_000_000 * 5.5


def test_space_is_taken_on_the_disk_before_it_is_written(tmp_path: Path) -> None:
    """A sparse mapping on a full disk would end in SIGBUS."""
    with new_file(tmp_path / "1.ledger") as file:
        file.mark(0, 0, 0, 1, OPEN)
        status = (tmp_path / "1.ledger").stat()
        assert status.st_blocks * 512 >= status.st_size - 4096


def test_a_file_keeps_what_it_is_about(tmp_path: Path) -> None:
    path = tmp_path / "9.obs"
    with new_file(path, run=2**63 + 5, incarnation=9, kind="drained", profile="at-least-once"):
        pass
    file = ColumnFile.open(path)
    assert (file.run, file.incarnation, file.kind, file.profile, file.closed_cleanly) == (
        2**63 + 5,
        9,
        "drained",
        "at-least-once",
        True,
    )
    assert file.partitions == []
    file.close()


def test_a_failure_inside_the_block_does_not_count_as_a_clean_close(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_file(tmp_path / "1.ledger"):
        raise RuntimeError
    file = ColumnFile.open(tmp_path / "1.ledger")
    assert not file.closed_cleanly
    file.close()


def test_an_incarnation_number_is_taken_only_once(tmp_path: Path) -> None:
    with new_file(tmp_path / "1.ledger"), pytest.raises(FileExistsError):
        new_file(tmp_path / "1.ledger")
    assert [each.name for each in tmp_path.iterdir()] == ["1.ledger"]


def test_a_file_has_its_header_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others look for files of that name at any moment, and a writer may be killed at any."""
    seen: list[list[str]] = []
    write = ColumnFile._write_header

    def look_and_write(file: ColumnFile) -> None:
        seen.append(sorted(each.name for each in tmp_path.glob("*.ledger")))
        write(file)

    monkeypatch.setattr(ColumnFile, "_write_header", look_and_write)
    with new_file(tmp_path / "1.ledger"):
        assert seen == [[]]
        with ColumnFile.open(tmp_path / "1.ledger") as found:
            assert found.incarnation == 3


@pytest.mark.parametrize("content", [b"", b"HKCOL01", b"HKCOL02\n" + bytes(4096), b"{}\n" * 2000])
def test_a_file_that_is_no_column_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "1.ledger"
    path.write_bytes(content)
    with pytest.raises(RunDirError, match=r"1\.ledger: not a ledger or observation file"):
        ColumnFile.open(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunDirError, match=r"2\.ledger: cannot be read"):
        ColumnFile.open(tmp_path / "2.ledger")


def test_a_file_opened_for_reading_takes_no_new_extents(tmp_path: Path) -> None:
    with new_file(tmp_path / "1.ledger") as file:
        file.mark(0, 0, 0, 1, OPEN)
    opened = ColumnFile.open(tmp_path / "1.ledger")
    with pytest.raises(RunDirError, match="opened for reading"):
        opened.mark(0, 1, 0, 1, OPEN)
    opened.close()


@pytest.mark.parametrize("cleanly", [True, False])
@pytest.mark.parametrize("cut_bytes", [1, 100, 4096, 40_000])
def test_a_file_cut_short_is_refused_and_not_read_as_a_smaller_one(
    tmp_path: Path, cut_bytes: int, cleanly: bool
) -> None:
    path = tmp_path / "1.ledger"
    file = new_file(path)
    file.mark(0, 0, 0, 60_000, OPEN)
    file.close(cleanly=cleanly)
    used = len(path.read_bytes().rstrip(b"\0"))
    os.truncate(path, used - cut_bytes)
    with pytest.raises(RunDirError, match=r"when it was closed|cut off|no extent begins"):
        ColumnFile.open(path)


# -- valid at every instant -----------------------------------------------------------------


def test_an_offset_is_there_before_the_state_that_says_so(tmp_path: Path) -> None:
    """The order of the two writes, seen from inside: `high` still old when `low` is new."""
    seen: list[tuple[int, int]] = []

    class Watched:
        """An array that notes what both columns hold when it is written."""

        def __init__(self, of: extents.Extent, written: Any) -> None:
            self.of, self.written = of, written

        def __setitem__(self, at: object, value: object) -> None:
            seen.append((int(low.fget(self.of)[0]), int(high.fget(self.of)[0])))
            self.written[at] = value

    low: Any = extents.Extent.low
    high: Any = extents.Extent.high
    with new_file(tmp_path / "1.ledger") as file:
        file.mark(0, 0, 0, 1, OPEN)
        with pytest.MonkeyPatch.context() as patch:
            for name, column in (("low", low), ("high", high)):
                watched = property(partial(lambda column, of: Watched(of, column.fget(of)), column))
                patch.setattr(extents.Extent, name, watched)
            file.scatter(0, 0, np.array([0], dtype=np.uint64), *pack_offsets(np.array([77])))
        assert seen == [(0, OPEN), (77, OPEN)]
        extent = file.extents(0, 0)[0]
        assert (int(extent.low[0]), int(extent.high[0])) == (77, ACKED)


WRITER = """
import os
import sys
import numpy as np
from pathlib import Path
from harness.system import lifeline
from harness.rundir.columns import OPEN, ColumnFile, pack_offsets

lifeline.watch(lambda: os._exit(0))
file = ColumnFile.create(
    Path(sys.argv[1]), run=1, incarnation=1, kind="ledger", profile="p"
)
print("ready", flush=True)
for first in range(0, 10**9, 500):
    file.mark(0, first % 3, first, 500, OPEN)
    sequences = np.arange(first, first + 500, dtype=np.uint64)
    # The offset can be told from the sequence, so a reader can check every cell.
    file.scatter(0, first % 3, sequences, *pack_offsets(sequences.astype(np.int64) * 3 + 2**33))
"""


@pytest.mark.parametrize("after_s", [0.05, 0.2, 0.4])
def test_a_ledger_is_valid_whenever_its_writer_is_killed(tmp_path: Path, after_s: float) -> None:
    path = tmp_path / "1.ledger"
    child = Child([sys.executable, "-c", WRITER, str(path)], log=tmp_path / "log", piped=True)
    writer = child.process
    assert writer.stdin is not None
    assert writer.stdout is not None
    try:
        assert writer.stdout.readline() == b"ready\n", child.tail()
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(after_s)
        # While it is written, and after it was killed: every cell is one of the states.
        check_written(path)
        writer.send_signal(signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
    finally:
        child.stop(grace_s=0)
        writer.stdin.close()
        writer.stdout.close()
    assert check_written(path) > 0


def check_written(path: Path) -> int:
    file = ColumnFile.open(path)
    assert not file.closed_cleanly
    acked = 0
    for key in file.partitions:
        for extent in file.extents(*key):
            # `high` first: the writer may go on between the two copies.
            high, low = extent.high.copy(), extent.low.copy()
            assert set(np.unique(high).tolist()) <= {NEVER, OPEN, ACKED + 2}
            offsets = unpack_offsets(low, high)
            sequences = np.arange(len(extent)) + extent.first_sequence
            known = offsets >= 0
            assert (offsets[known] == sequences[known] * 3 + 2**33).all()
            acked += int(known.sum())
    file.close()
    return acked


# -- a full disk ----------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["ENOSPC", "EDQUOT"])
def test_a_full_disk_is_said_in_words_and_what_was_recorded_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    import errno

    path = tmp_path / "1.ledger"
    file = new_file(path)
    file.mark(0, 0, 0, 10, OPEN)

    def full(*_: int) -> None:
        raise OSError(getattr(errno, code), "full")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(EnvironmentFailure, match=r"1\.ledger: no space .* choose another --out"):
        file.mark(0, 0, 10, 200_000, OPEN)
    file.close(cleanly=False)
    opened = ColumnFile.open(path)
    assert [high for _, high in cells(opened, 0, 0)[:11]] == [OPEN] * 10 + [NEVER]
    opened.close()


LIMITED = """
import resource, signal, sys
from pathlib import Path
from harness.rundir.columns import OPEN, ColumnFile

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
file = ColumnFile.create(Path(sys.argv[1]), run=1, incarnation=1, kind="ledger", profile="p")
for first in range(0, 10**6, 1000):
    file.mark(0, 0, first, 1000, OPEN)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no file size limit here")
def test_no_room_to_grow_is_an_error_and_never_a_bus_error(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path / "1.ledger")],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path.cwd(),
    )
    assert ended.returncode == 1
    assert "File too large" in ended.stderr
    opened = ColumnFile.open(tmp_path / "1.ledger")
    assert len(cells(opened, 0, 0)) >= 10_000
    opened.close()


def test_a_large_file_takes_little_more_than_five_bytes_a_cell(tmp_path: Path) -> None:
    cells = 20_000_000
    with new_file(tmp_path / "1.ledger") as file:
        for first in range(0, cells // 3, 65_536):
            for partition in range(3):
                file.mark(0, partition, first, 65_536, OPEN)
    assert (tmp_path / "1.ledger").stat().st_blocks * 512 < 5.2 * cells
