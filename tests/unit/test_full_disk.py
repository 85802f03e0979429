"""Journals and transaction logs on a disk that is full: nothing stands there in part.

A process of its own gets a limit on the size of its files, as a full disk does: the write that
meets it is short, and the next one fails. Then the limit goes, as when somebody makes room.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.rundir.member_journal import (
    ENTRY_BYTES,
    HEADER_BYTES,
    Step,
    journal_path,
    read_journal,
)
from harness.rundir.transaction_steps import read_transactions

CHILD = """
import resource, sys
from pathlib import Path
from harness.errors import EnvironmentFailure
from harness.rundir.transaction_steps import TransactionLogWriter
from harness.rundir.member_journal import ENTRY, JournalWriter, Step
import numpy as np

kind, path, limit = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
log = TransactionLogWriter(path) if kind == "log" else JournalWriter(path, run=7, member=1)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
done = 0

def step(number):
    if kind == "log":
        log.write(number, "begin", 10 * number + 1)
    elif kind == "journal":
        log.write(Step.POLLED, number, offset=number)
    else:
        log.write_all(np.array([(number, number, 0, 0, 0, Step.POLLED, 0, 0)] * 5, dtype=ENTRY))

try:
    for number in range(1, 100_000):
        step(number)
        done = number
except EnvironmentFailure as error:
    said = str(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
try:
    step(100_000)
except EnvironmentFailure:
    print(done, said)
"""


def until_full(kind: str, path: Path, limit: int) -> tuple[int, str]:
    """How many steps were written until the disk was full, and what was said then."""
    command = [sys.executable, "-c", CHILD, kind, str(path), str(limit)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout, "a step was written after one that could not be"
    done, _, said = ended.stdout.partition(" ")
    return int(done), said


@pytest.mark.parametrize("limit", [2_000, 2_001, 2_017, 2_047])
def test_no_step_of_a_transaction_is_written_in_part_when_the_disk_is_full(
    tmp_path: Path, limit: int
) -> None:
    path = tmp_path / "1.txn.ndjson"
    done, said = until_full("log", path, limit)
    lines = path.read_bytes().splitlines(keepends=True)
    assert [json.loads(line)["txn"] for line in lines] == list(range(1, done + 1))
    log = read_transactions(lines)
    assert (log.torn, log.damage, len(log)) == (False, "", done)
    assert f"{path}: the disk is full" in said


@pytest.mark.parametrize("limit", [1_000, 1_024, 1_027])
def test_no_step_of_a_member_is_written_in_part_when_the_disk_is_full(
    tmp_path: Path, limit: int
) -> None:
    path = journal_path(tmp_path, "consume-at-least-once", 1)
    done, said = until_full("journal", path, limit)
    journal = read_journal(path)
    assert journal.torn_bytes == 0
    assert journal.entries["offset"].tolist() == list(range(1, done + 1))
    assert done == (limit - HEADER_BYTES) // ENTRY_BYTES
    assert f"{path}: the disk is full" in said


def test_of_several_steps_of_a_member_the_whole_ones_stay_when_the_disk_is_full(
    tmp_path: Path,
) -> None:
    path = journal_path(tmp_path, "consume-at-least-once", 1)
    until_full("journal of several", path, 1_001)
    journal = read_journal(path)
    assert journal.torn_bytes == 0
    assert len(journal.entries) == (1_001 - HEADER_BYTES) // ENTRY_BYTES
    assert set(journal.entries["step"].tolist()) == {int(Step.POLLED)}
