"""What the timeline tells of load workers, and what a verdict makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.judge.judge import judge
from harness.rundir.run_record import load_run
from harness.rundir.verdict import Verdict
from tests.support.histories import HEALTHY, event, observed, records, write_run

STARTED = event("incarnation", profile="idempotent", incarnation=1, phase="started", first_record=0)
NAME = "pod-b (process 7)"


def worker(phase: str, **more: Any) -> Any:
    return event("worker", phase=phase, worker=2, name=NAME, **more)


def joined(*, same_machine: bool, **more: Any) -> Any:
    return worker("joined", first=4096, last=8191, same_machine=same_machine, **more)


HANDED_OUT = event(
    "incarnations", phase="handed_out", first=4096, last=8191, to=f"worker 2, {NAME}"
)
ARRIVED = event("incarnations", phase="arrived", first=4096, last=8191)


def verdict_of(path: Path, *more: Any) -> Verdict:
    run_dir = write_run(path / "run", [STARTED, records(5), *more])
    return judge(load_run(run_dir, 1))


def test_a_worker_here_that_is_lost_makes_the_run_inconclusive_and_is_named(tmp_path: Path) -> None:
    verdict = verdict_of(tmp_path, joined(same_machine=True), worker("lost"))
    assert verdict.verdict == "inconclusive"
    assert f"worker 2, {NAME}, was lost at " in verdict.reasons[0]
    assert not any(each.verdict == "broken" for each in verdict.profiles[0].promises)


def test_a_worker_that_came_back_and_handed_in_its_part_was_not_lost(tmp_path: Path) -> None:
    verdict = verdict_of(tmp_path, joined(same_machine=True), worker("lost"), worker("arrived"))
    assert verdict.verdict == "kept", verdict.reasons


def test_a_worker_elsewhere_that_is_lost_is_named_once_and_its_records_are_no_phantoms(
    tmp_path: Path,
) -> None:
    verdict = verdict_of(
        tmp_path,
        joined(same_machine=False),
        HANDED_OUT,
        worker("lost"),
        observed(0, 5, producer=4096),
    )
    counts = verdict.profiles[0].counts
    assert (counts["unaccounted"], counts["phantom"], counts["lost"]) == (1, 0, 0)
    assert verdict.verdict == "inconclusive"
    (reason,) = [each for each in verdict.reasons if "did not arrive" in each]
    assert f"numbers 4096 to 8191 were handed out to worker 2, {NAME}" in reason


def test_a_profile_whose_only_worker_is_lost_is_not_said_to_have_attempted_nothing(
    tmp_path: Path,
) -> None:
    """Of four records that were due two were read, whoever attempted them, and two never sent."""
    lines = [
        *[each for each in HEALTHY if each.fields.get("phase") != "load_stopped"],
        event("run", phase="load_stopped", unsent=2, unsent_by={"idempotent": 2}),
        joined(same_machine=False),
        HANDED_OUT,
        worker("lost"),
        *observed(0, 0, producer=4096),
        *observed(1, 1, producer=4096),
    ]
    verdict = judge(load_run(write_run(tmp_path / "run", lines, healthy=False), 1))
    (profile,) = verdict.profiles
    assert (profile.counts["attempted"], profile.counts["unaccounted"]) == (0, 2)
    assert profile.load is not None
    assert (profile.load.planned, profile.load.unsent) == (4, 2)
    said = " ".join(verdict.reasons)
    assert "none of its attempts is on record; 2 of its records were read all the same" in said
    assert "how fast the others were sent is not on record" in said
    assert "nothing was attempted" not in said
    assert "none were sent" not in said


def test_what_a_killed_worker_left_and_another_handed_in_counts_as_any_record(
    tmp_path: Path,
) -> None:
    lines = [joined(same_machine=False), HANDED_OUT, worker("lost"), ARRIVED, worker("arrived")]
    verdict = verdict_of(tmp_path, *lines)
    assert verdict.verdict == "kept", verdict.reasons


def test_a_clock_of_its_own_is_told_of_with_its_error(tmp_path: Path) -> None:
    clock = {"clock_offset_us": -12_345, "clock_error_us": 678}
    lines = [joined(same_machine=False, **clock), HANDED_OUT, ARRIVED, worker("arrived", **clock)]
    verdict = verdict_of(tmp_path / "a", *lines)
    assert verdict.verdict == "kept", verdict.reasons
    (reason,) = [each for each in verdict.reasons if NAME in each]
    assert "-12.345 ms from the master's, known to 0.678 ms" in reason
    here = verdict_of(tmp_path / "b", joined(same_machine=True, **clock), worker("arrived"))
    assert not any(NAME in each for each in here.reasons)


@pytest.mark.parametrize(
    "line",
    [worker("arrived"), event("worker", phase="joined", worker=2, name=NAME, first=1)],
    ids=["never joined", "without a block of numbers"],
)
def test_an_event_of_a_worker_that_cannot_be_proves_nothing(tmp_path: Path, line: Any) -> None:
    verdict = verdict_of(tmp_path, line)
    assert verdict.verdict == "inconclusive"
    assert "cannot be read" in verdict.reasons[0]


def test_a_worker_that_came_late_changes_nothing(tmp_path: Path) -> None:
    verdict = verdict_of(tmp_path, event("worker", phase="late", name=NAME))
    assert verdict.verdict == "kept", verdict.reasons
