"""The ledger: an attempt is on record before it is made, and says what became of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.rundir.columns import (
    ACKED_NO_OFFSET,
    FAILED,
    NEVER,
    OPEN,
    SENT,
    UNKNOWN,
    ColumnFile,
    unpack_offsets,
)
from harness.rundir.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create(tmp_path, run=11, profile="idempotent")


def seqs(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.uint64)


def read(path: Path, topic: int, partition: int, count: int) -> tuple[list[int], list[int]]:
    with ColumnFile.open(path) as cells:
        low, high = cells.gather(topic, partition, np.arange(count, dtype=np.uint64))
        return high.tolist(), unpack_offsets(low, high).tolist()


def test_incarnations_take_the_smallest_free_number(tmp_path):
    numbers = [Ledger.create(tmp_path, run=1, profile="p").incarnation for _ in range(3)]
    assert numbers == [1, 2, 3]
    (tmp_path / "2.ledger").unlink()
    assert Ledger.create(tmp_path, run=1, profile="p").incarnation == 2


def test_processes_that_share_a_run_never_share_an_incarnation(tmp_path):
    code = (
        "import sys; from pathlib import Path; from harness.rundir.ledger import Ledger\n"
        "print(*[Ledger.create(Path(sys.argv[1]), run=1, profile='p').incarnation"
        " for _ in range(50)])"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    taken = [number for each in processes for number in each.communicate(timeout=60)[0].split()]
    assert sorted(map(int, taken)) == list(range(1, 151))


def test_sequences_are_dense_for_each_topic_partition(ledger):
    assert ledger.open(0, 0, 3) == 0
    assert ledger.open(0, 1, 2) == 0
    assert ledger.open(1, 0, 1) == 0
    assert ledger.open(0, 0, 4) == 3
    assert read(ledger.path, 0, 0, 8)[0] == [OPEN] * 7 + [NEVER]


def test_an_attempt_is_open_in_the_file_at_once(ledger):
    ledger.open(3, 9, 2)
    assert read(ledger.path, 3, 9, 3)[0] == [OPEN, OPEN, NEVER]


def test_every_outcome_has_its_own_state(ledger):
    ledger.open(0, 0, 7)
    ledger.acked(0, 0, seqs(0, 2), np.array([2**35, 0]))
    ledger.acked(0, 0, seqs(1), np.array([-1]))
    ledger.sent(0, 0, seqs(3))
    ledger.failed(0, 0, seqs(4))
    ledger.unknown(0, 0, seqs(5))
    states, offsets = read(ledger.path, 0, 0, 7)
    assert offsets == [2**35, -1, 0, -1, -1, -1, -1]
    assert states[1:2] + states[3:] == [ACKED_NO_OFFSET, SENT, FAILED, UNKNOWN, OPEN]


def test_offset_zero_is_an_offset(ledger):
    ledger.open(0, 0, 1)
    ledger.acked(0, 0, seqs(0), np.array([0]))
    assert read(ledger.path, 0, 0, 1)[1] == [0]


def test_closing_makes_what_is_open_unknown_and_nothing_else(ledger):
    ledger.open(0, 0, 4)
    ledger.open(0, 5, 2)
    ledger.open(2, 0, 1)
    ledger.acked(0, 0, seqs(1), np.array([70]))
    ledger.failed(0, 0, seqs(2))
    ledger.sent(2, 0, seqs(0))
    assert ledger.close() == {(0, 0): 2, (0, 5): 2}
    states, offsets = read(ledger.path, 0, 0, 4)
    assert [states[0], *states[2:]] == [UNKNOWN, FAILED, UNKNOWN]
    assert offsets[1] == 70
    assert read(ledger.path, 0, 5, 3)[0] == [UNKNOWN, UNKNOWN, NEVER]


def test_only_a_ledger_that_was_closed_says_so(ledger):
    ledger.open(0, 0, 1)
    assert not ColumnFile.open(ledger.path).closed_cleanly
    ledger.close()
    assert ColumnFile.open(ledger.path).closed_cleanly


def test_settling_a_range_leaves_decided_attempts_alone(ledger):
    ledger.open(0, 0, 1500)
    ledger.failed(0, 0, seqs(700))
    assert ledger.settle_range(0, 0, 600, 1299, UNKNOWN) == 699
    states = read(ledger.path, 0, 0, 1500)[0]
    assert states[599:602] == [OPEN, UNKNOWN, UNKNOWN]
    assert states[700] == FAILED
    assert states[1299:1301] == [UNKNOWN, OPEN]


@given(
    batches=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 900)), max_size=25
    ),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_any_order_of_attempts_and_acknowledgements_reads_back(tmp_path_factory, batches, data):
    ledger = Ledger.create(tmp_path_factory.mktemp("ledger"), run=1, profile="p")
    want: dict[tuple[int, int], list[int]] = {}
    for topic, partition, count in batches:
        first = ledger.open(topic, partition, count)
        cells = want.setdefault((topic, partition), [])
        assert first == len(cells)
        cells += [-2] * count
        chosen = data.draw(
            st.lists(st.integers(0, len(cells) - 1), max_size=20, unique=True), label="acked"
        )
        offsets = data.draw(
            st.lists(st.integers(-1, 2**39), min_size=len(chosen), max_size=len(chosen)),
            label="offsets",
        )
        ledger.acked(
            topic,
            partition,
            np.array(chosen, dtype=np.uint64),
            np.array(offsets, dtype=np.int64),
        )
        for sequence, offset in zip(chosen, offsets, strict=True):
            cells[sequence] = offset
    ledger.close()
    for (topic, partition), cells in want.items():
        states, offsets = read(ledger.path, topic, partition, len(cells))
        assert offsets == [max(cell, -1) for cell in cells]
        assert [state == UNKNOWN for state in states] == [cell == -2 for cell in cells]


def test_a_killed_writer_leaves_every_attempt_that_it_put_on_record(tmp_path):
    code = (
        "import sys, numpy as np; from pathlib import Path\n"
        "from harness.rundir.ledger import Ledger\n"
        "ledger = Ledger.create(Path(sys.argv[1]), run=1, profile='p')\n"
        "while True:\n"
        "    first = ledger.open(0, 0, 100)\n"
        "    print(first + 100, flush=True)\n"
        "    s = np.arange(first, first + 50, dtype=np.uint64)\n"
        "    ledger.acked(0, 0, s, s.astype(np.int64) * 3)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    announced = [int(writer.stdout.readline()) for _ in range(200)]
    os.kill(writer.pid, signal.SIGKILL)
    rest = writer.stdout.read().split()
    writer.wait(10)
    opened = int(rest[-1]) if rest and rest[-1] != "" else announced[-1]
    states, offsets = read(tmp_path / "1.ledger", 0, 0, opened)
    assert not ColumnFile.open(tmp_path / "1.ledger").closed_cleanly
    assert NEVER not in states
    acked = [(sequence, offset) for sequence, offset in enumerate(offsets) if offset >= 0]
    assert len(acked) >= 50 * 199
    assert all(offset == 3 * sequence for sequence, offset in acked)
