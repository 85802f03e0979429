"""What the page shows of a run under way as lost, duplicated or out of order, before any drain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.judge.live import LiveProfile
from harness.reconcile.so_far import LaneSoFar, SoFar
from harness.record.codec import run_hash
from harness.rundir.cells import CHUNK
from harness.rundir.columns import ACKED_NO_OFFSET, OPEN, ColumnFile, pack_offsets
from harness.runs.page.watched import WatchedRun
from tests.support.histories import (
    RUN_ID,
    acked,
    attempted,
    event,
    failed,
    live,
    sent,
    slot,
    unknown,
    write_run,
)


def seen(path: Path, history: list[Any]) -> LiveProfile:
    """The one profile of a run whose load goes on."""
    run_dir = write_run(path, history, healthy=False, drain=False, closed=False)
    (profile,) = WatchedRun(run_dir).look().profiles
    return profile


@pytest.mark.parametrize(
    ("history", "lost", "duplicate", "inversion"),
    [
        ([acked(0, 0), acked(1, 1), live(0, 0), live(1, 1)], 0, 0, 0),
        ([acked(0, 0), acked(1, 1), live(1, 1)], 1, 0, 0),
        # The reader is not there yet.
        ([acked(0, 0), acked(1, 1), live(0, 0)], 0, 0, 0),
        # Another producer's record shows that the reader has passed it.
        ([acked(0, 0), acked(0, 1, producer=2), live(0, 1, producer=2)], 1, 0, 0),
        ([acked(0, 0), acked(0, 0, partition=1), live(0, 0, partition=1)], 0, 0, 0),
        ([sent(0), sent(1), sent(2), live(1, 0)], 1, 0, 0),
        ([unknown(0), failed(1), attempted(2), acked(3, 5), live(3, 5)], 0, 0, 0),
        ([acked(0, 0), live(0, 0), live(0, 3), live(0, 4)], 0, 2, 0),
        ([acked(0, 5), acked(1, 1), live(0, 5), live(1, 1)], 0, 0, 1),
        # Of an unknown outcome nothing is promised.
        ([unknown(0), acked(1, 1), live(0, 5), live(1, 1)], 0, 0, 0),
    ],
)
def test_what_looks_wrong_is_what_the_live_reader_shows(
    tmp_path: Path, history: list[Any], lost: int, duplicate: int, inversion: int
) -> None:
    profile = seen(tmp_path / "run", history)
    assert (profile.lost, profile.duplicate, profile.inversion) == (lost, duplicate, inversion)


def columns(path: Path, kind: str, offsets: Any, states: Any = None) -> ColumnFile:
    file = ColumnFile.create(
        path, run=run_hash(RUN_ID), incarnation=1, kind=kind, profile="idempotent"
    )
    sequences = np.arange(len(offsets), dtype=np.uint64)
    file.mark(0, 0, 0, len(offsets), OPEN if kind == "ledger" else 0)
    known = offsets >= 0
    file.scatter(0, 0, sequences[known], *pack_offsets(offsets[known]))
    if states is not None:
        for sequence, state in states.items():
            file.mark(0, 0, sequence, 1, state)
    return file


def test_counts_of_chunks_that_are_looked_at_no_more_are_kept(tmp_path: Path) -> None:
    """Six chunks, a loss and an inversion in the first of them: found once, and then remembered."""
    count = 6 * CHUNK
    offsets = np.arange(count)
    offsets[[10, 11]] = offsets[[11, 10]]
    read = offsets.copy()
    read[20] = -1
    ledger = columns(tmp_path / "1.ledger", "ledger", offsets)
    observed = columns(tmp_path / "1.obs", "live", read)
    lane = LaneSoFar(0, 0)
    first = lane.look(ledger, observed, lane.reached(observed))
    assert first == SoFar(lost=1, inversion=1)
    assert lane._first == 3 * CHUNK
    assert lane.look(ledger, observed, lane.reached(observed)) == first
    ledger.close()
    observed.close()


def test_a_chunk_with_an_open_record_stays_in_sight(tmp_path: Path) -> None:
    count = 6 * CHUNK
    offsets = np.arange(count)
    ledger = columns(tmp_path / "1.ledger", "ledger", offsets, {5: OPEN})
    read = offsets.copy()
    read[5] = -1
    observed = columns(tmp_path / "1.obs", "live", read)
    lane = LaneSoFar(0, 0)
    assert lane.look(ledger, observed, lane.reached(observed)) == SoFar()
    ledger.mark(0, 0, 5, 1, ACKED_NO_OFFSET)
    assert lane.look(ledger, observed, lane.reached(observed)) == SoFar(lost=1)
    ledger.close()
    observed.close()


def test_a_run_is_followed_from_its_preparation_to_its_end(tmp_path: Path) -> None:
    run_dir = write_run(tmp_path / "run", [], healthy=False, drain=False)
    topic = run_dir.read_info().topics[0]
    name = run_dir.read_info().profiles[0].profile
    watched = WatchedRun(run_dir)
    assert watched.look().phase == "preparing"

    def write(*events: Any) -> None:
        import json

        with run_dir.timeline.open("a") as lines:
            for each in events:
                lines.write(json.dumps(each.fields) + "\n")

    load = slot(topic, 0, attempted=10, acked=7, failed=1, unknown=1)
    load.fields["profile"] = name
    write(event("run", phase="load_started"), event("run", phase="warmed_up"), load)
    view = watched.look()
    (profile,) = view.profiles
    assert (view.phase, profile.attempted, profile.acked) == ("load", 10, 7)
    assert (profile.failed, profile.unknown, profile.open) == (1, 1, 1)
    write(load, event("run", phase="load_stopped"))
    assert watched.look().profiles[0].attempted == 20
    assert watched.look().phase == "draining"
    write(event("run", phase="drained", number=1))
    assert watched.look().phase == "judging"
