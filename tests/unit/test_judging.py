"""A run judged again: from what is there, and never at the cost of a better verdict's report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.run import reached_before
from harness.errors import ClusterError
from harness.report.html import write_report
from harness.rundir.clock import now
from harness.rundir.documents import write_json
from harness.rundir.proof import blank_proof
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict import BROKEN, INCONCLUSIVE, KEPT
from harness.rundir.verdict_file import read_verdict
from harness.runs.judging import best_drain, why_no_drain, write_better_report
from tests.support.made_up_run import PRODUCERS, build


def judged(path: Path, first: str, second: str) -> tuple[RunDir, bytes, Path]:
    """A run with two verdicts: (the run, the first one's report, where the second one's is)."""
    run_dir = build(path / "run", PRODUCERS, first)
    write_report(run_dir, run_dir.verdict(1))
    before = run_dir.report_html.read_bytes()
    verdict = replace(read_verdict(run_dir.verdict(1)), verdict=second)
    write_json(run_dir.verdict(2), verdict.to_json())
    return run_dir, before, write_better_report(run_dir, 2, verdict)


@pytest.mark.parametrize(
    ("first", "second"), [(KEPT, INCONCLUSIVE), (BROKEN, INCONCLUSIVE), (BROKEN, KEPT)]
)
def test_the_report_of_a_better_verdict_stays(first: str, second: str, tmp_path: Path) -> None:
    run_dir, before, beside = judged(tmp_path, first, second)
    assert run_dir.report_html.read_bytes() == before
    assert beside == run_dir.path / "report-2.html"
    assert beside.exists()


@pytest.mark.parametrize(
    ("first", "second"), [(KEPT, KEPT), (KEPT, BROKEN), (INCONCLUSIVE, KEPT), (BROKEN, BROKEN)]
)
def test_the_report_of_no_better_verdict_is_replaced(
    first: str, second: str, tmp_path: Path
) -> None:
    run_dir, _, written = judged(tmp_path, first, second)
    assert written == run_dir.report_html
    assert not (run_dir.path / "report-2.html").exists()


def test_a_broken_promise_wins_over_a_failure_after_the_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = build(tmp_path / "broken", PRODUCERS, BROKEN)
    assert reached_before(ClusterError("a broker lives on"), broken).verdict == BROKEN
    assert "a broker lives on" in capsys.readouterr().err
    kept = build(tmp_path / "kept", PRODUCERS, KEPT)
    with pytest.raises(ClusterError):
        reached_before(ClusterError("a broker lives on"), kept)
    assert str(kept.verdict(1)) in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        reached_before(ZeroDivisionError(), RunDir(tmp_path / "nothing"))


def test_the_newest_complete_drain_is_the_one_that_is_judged_again(tmp_path: Path) -> None:
    run_dir = build(tmp_path / "run", PRODUCERS, KEPT)
    for number in (1, 2, 3):
        run_dir.drained(number).mkdir(parents=True, exist_ok=True)
    (run_dir.drained(1) / "drain.json").unlink()
    assert best_drain(run_dir) is None
    for number, complete in ((1, True), (2, True), (3, False)):
        proof = blank_proof(run_dir.read_info(), now())
        proof.complete = complete
        proof.write(run_dir.drained(number))
    assert best_drain(run_dir) == 2


def test_brokers_that_are_gone_are_a_reason_with_the_clients_own_words(tmp_path: Path) -> None:
    info = build(tmp_path / "run", PRODUCERS, KEPT).read_info()
    assert "Connection refused" in str(why_no_drain(info, {"bootstrap.servers": "127.0.0.1:1"}))
