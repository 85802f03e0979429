"""When latency starts to count: the live reader follows the timeline."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import RunDirError
from harness.read.warmup import WarmUp
from harness.rundir.clock import NEVER_US, from_us
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import RunInfo
from tests.support.runs import load_plan, profile_run
from tests.support.runs import run_info as made_run
from tests.support.timelines import add_line

STARTED_US = 1_700_000_000_000_000


def run_info(warm_up_s: float) -> RunInfo:
    profile = profile_run("p", "a", topic_ids=["A"])
    return made_run(profile, load=load_plan(warm_up_s=warm_up_s))


@pytest.fixture
def run_dir(tmp_path: Path) -> RunDir:
    return RunDir.create(tmp_path / "run")


def test_nothing_counts_before_the_load_has_started(run_dir: RunDir) -> None:
    warm_up = WarmUp(run_dir, run_info(3))
    warm_up.look()
    add_line(run_dir, "run", "harness", phase="started")
    add_line(run_dir, "reader", "reader", phase="started")
    warm_up.look()
    assert warm_up.until_us == NEVER_US


def test_records_count_that_were_due_after_the_warm_up(run_dir: RunDir) -> None:
    warm_up = WarmUp(run_dir, run_info(2.5))
    warm_up.look()
    add_line(run_dir, "run", "load", at=from_us(STARTED_US), phase="load_started")
    warm_up.look()
    assert warm_up.until_us == STARTED_US + 2_500_000


def test_without_a_warm_up_every_record_counts(run_dir: RunDir) -> None:
    assert WarmUp(run_dir, run_info(0)).until_us == 0


def test_a_line_that_is_only_half_written_is_read_when_it_is_whole(run_dir: RunDir) -> None:
    warm_up = WarmUp(run_dir, run_info(1))
    add_line(run_dir, "run", "load", at=from_us(STARTED_US), phase="load_started")
    whole = run_dir.timeline.read_bytes()
    run_dir.timeline.write_bytes(whole[:40])
    warm_up.look()
    assert warm_up.until_us == NEVER_US
    run_dir.timeline.write_bytes(whole)
    warm_up.look()
    assert warm_up.until_us == STARTED_US + 1_000_000


def test_a_later_word_of_the_same_kind_moves_nothing(run_dir: RunDir) -> None:
    warm_up = WarmUp(run_dir, run_info(1))
    for later in (0, 60_000_000):
        add_line(run_dir, "run", "load", at=from_us(STARTED_US + later), phase="load_started")
        warm_up.look()
    assert warm_up.until_us == STARTED_US + 1_000_000


def test_a_reader_without_a_run_says_what_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "harness.read.live_reader", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == RunDirError.exit_code
    assert "run.json" in done.stderr
    assert "Traceback" not in done.stderr
