"""A member's journal: what a reader finds is what was written, whatever cut the writing short."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.errors import RunDirError
from harness.rundir.member_journal import (
    ENTRY,
    ENTRY_BYTES,
    HEADER_BYTES,
    NO_OFFSET,
    SYNCHRONOUS,
    JournalWriter,
    Step,
    journal_path,
    read_journal,
    read_journals,
)
from tests.support.rows import error_code

RUN = 0x1234_5678_9ABC_DEF0


def written(folder: Path, profile: str = "consume-at-least-once", member: int = 1) -> Path:
    path = journal_path(folder, profile, member)
    writer = JournalWriter(path, run=RUN, member=member)
    writer.write(Step.STARTED, 1_000)
    writer.write(Step.POLLED, 2_000, topic=3, partition=70_000, offset=2**40)
    writer.write(
        Step.COMMITTED, 3_000, topic=3, partition=70_000, offset=2**40 + 1, flags=SYNCHRONOUS
    )
    writer.write(Step.COMMIT_FAILED, 4_000, topic=3, partition=1, offset=5, detail=-185)
    writer.close()
    return path


def test_an_entry_comes_back_as_it_was_written(tmp_path: Path) -> None:
    journal = read_journal(written(tmp_path), run=RUN)
    assert (journal.run, journal.member, journal.pid) == (RUN, 1, os.getpid())
    assert journal.profile == "consume-at-least-once"
    entries = journal.entries
    assert entries["step"].tolist() == [
        Step.STARTED,
        Step.POLLED,
        Step.COMMITTED,
        Step.COMMIT_FAILED,
    ]
    assert entries["at_us"].tolist() == [1_000, 2_000, 3_000, 4_000]
    assert entries["offset"].tolist() == [NO_OFFSET, 2**40, 2**40 + 1, 5]
    assert entries["topic"].tolist() == [0, 3, 3, 3]
    assert entries["partition"].tolist() == [0, 70_000, 70_000, 1]
    assert entries["flags"].tolist() == [0, 0, SYNCHRONOUS, 0]
    assert error_code(int(entries["detail"][3])) == -185
    assert error_code(25) == 25


def test_the_layout_in_bytes_is_the_documented_one(tmp_path: Path) -> None:
    data = written(tmp_path).read_bytes()
    assert data[:8] == b"HKMEM01\n"
    assert int.from_bytes(data[8:16], "little") == RUN
    assert int.from_bytes(data[16:20], "little") == 1
    assert int.from_bytes(data[20:24], "little") == os.getpid()
    assert data[24:64] == bytes(40)
    second = data[64 + 32 : 64 + 64]
    assert int.from_bytes(second[0:8], "little") == 2_000
    assert int.from_bytes(second[8:16], "little") == 2**40
    assert int.from_bytes(second[20:24], "little") == 70_000
    assert int.from_bytes(second[24:26], "little") == 3
    assert second[26] == Step.POLLED
    assert len(data) == 64 + 4 * 32


def test_a_torn_tail_is_left_out_and_counted(tmp_path: Path) -> None:
    path = written(tmp_path)
    whole = path.read_bytes()
    for cut in range(1, ENTRY_BYTES):
        path.write_bytes(whole[:-cut])
        journal = read_journal(path)
        assert len(journal.entries) == 3
        assert journal.torn_bytes == ENTRY_BYTES - cut


def test_many_entries_at_once_stand_in_their_order(tmp_path: Path) -> None:
    path = journal_path(tmp_path, "p", 2)
    writer = JournalWriter(path, run=RUN, member=2)
    entries = np.zeros(1_000, dtype=ENTRY)
    entries["step"], entries["offset"] = Step.POLLED, np.arange(1_000)
    writer.write_all(entries)
    writer.close()
    assert read_journal(path).entries["offset"].tolist() == list(range(1_000))


def test_what_a_killed_writer_wrote_is_there(tmp_path: Path) -> None:
    path = journal_path(tmp_path, "p", 1)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from harness.rundir.member_journal import JournalWriter, Step\n"
        "writer = JournalWriter(Path(sys.argv[1]), run=7, member=1)\n"
        "number = 0\n"
        "while True:\n"
        "    writer.write(Step.EFFECT, number, offset=number)\n"
        "    print(number, flush=True)\n"
        "    number += 1\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    last = -1
    for line in child.stdout:
        last = int(line)
        if last >= 500:
            child.send_signal(signal.SIGKILL)
            break
    rest = child.stdout.read().splitlines()
    child.wait()
    last = max([last, *(int(line) for line in rest if line)])
    offsets = read_journal(path, run=7).entries["offset"].tolist()
    assert offsets[: last + 1] == list(range(last + 1))
    assert len(offsets) <= last + 2


def test_the_journals_of_one_profile_come_by_number_and_nobody_elses(tmp_path: Path) -> None:
    for member in (10, 2, 1):
        written(tmp_path, "consume", member)
    written(tmp_path, "consume-more", 1)
    journal_path(tmp_path, "consume", 11).write_bytes(b"HKMEM")
    assert [journal.member for journal in read_journals(tmp_path, "consume")] == [1, 2, 10]


@pytest.mark.parametrize("damage", ["magic", "short", "run", "name", "step"])
def test_what_is_no_journal_is_refused_with_its_name(tmp_path: Path, damage: str) -> None:
    path = written(tmp_path)
    data = bytearray(path.read_bytes())
    if damage == "magic":
        data[0] ^= 1
    elif damage == "short":
        data = data[: HEADER_BYTES - 1]
    elif damage == "run":
        data[8] ^= 1
    elif damage == "name":
        path.unlink()
        path = path.with_name("consume-at-least-once-9.journal")
    else:
        data[HEADER_BYTES + 26] = max(Step) + 1
    path.write_bytes(data)
    with pytest.raises(RunDirError, match=path.name):
        read_journal(path, run=RUN)


def test_a_journal_is_never_written_over(tmp_path: Path) -> None:
    written(tmp_path)
    with pytest.raises(RunDirError, match="new journal"):
        JournalWriter(journal_path(tmp_path, "consume-at-least-once", 1), run=RUN, member=1)
