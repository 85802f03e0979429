"""The page of several runs together, and the page of a history, as that of a single run."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.report import add_report_arguments, run_report
from harness.errors import RunDirError
from harness.judge.aggregate import Aggregate, Outcome, aggregate
from harness.profiles import load_builtin
from harness.report.aggregate_page import (
    read_aggregate,
    render_aggregate,
    write_aggregate_report,
)
from harness.report.page import PAGE_BYTES_MAX
from harness.rundir.documents import write_json
from harness.rundir.verdict import BROKEN, KEPT
from harness.runs.library import judge_history
from tests.support.made_up_run import PRODUCERS, make_verdict

GOLDEN = Path(__file__).parents[1] / "golden"


def series(*words: str, asked: int | None = None) -> Aggregate:
    profiles = [load_builtin()[name] for name in PRODUCERS]
    outcomes = [
        Outcome(n, 100 + n, f"run-{n}", make_verdict(profiles, word))
        for n, word in enumerate(words, 1)
    ]
    return aggregate(1848, asked or len(words), outcomes)


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.split("</style>")[1]))


def test_the_page_says_what_all_runs_show_and_how_they_ended() -> None:
    text = text_of(render_aggregate(series(KEPT, KEPT, BROKEN), "payments team"))
    assert (
        "Broken: a promise was broken by idempotent in 1 of 3 runs of 3 asked for, under 6 faults"
        in text
    )
    assert "idempotent does not keep no_duplicate: of 3 runs 2 kept, 1 broken." in text
    assert "Do not rely on no_duplicate with idempotent: broken in 1 of 3 runs." in text
    assert "payments team" in text
    assert "run-3" in text
    assert "--seed 1848" in text


def test_faults_of_all_runs_narrow_the_bound() -> None:
    one, nine = (text_of(render_aggregate(series(*[KEPT] * n))) for n in (1, 9))
    assert "at most 77.6 %" in one
    assert "at most 77.6 %" not in nine
    assert "Kept: every promise held in 9 runs of 9 asked for" in nine


def test_a_run_without_a_verdict_is_named_with_its_reason() -> None:
    found = aggregate(7, 2, [Outcome(1, 7, "run-1", None, "the disk is <full>")])
    page = render_aggregate(found)
    assert "the disk is &lt;full&gt;" in page
    assert "Make the 2 runs that ended without a verdict again" in text_of(page)


def test_a_long_series_stays_within_two_megabytes() -> None:
    found = series(KEPT)
    line = replace(found.runs[0], reason="z" * 3_000)
    found.runs = [replace(line, run=n) for n in range(1, 5_001)]
    page = render_aggregate(found)
    assert len(page.encode()) <= PAGE_BYTES_MAX
    assert "5,000 runs; the page shows" in text_of(page)


def test_the_report_command_writes_the_page_of_a_series(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = series(KEPT, BROKEN)
    write_json(tmp_path / "aggregate.json", found.to_json())
    assert read_aggregate(tmp_path / "aggregate.json") == found
    parser = argparse.ArgumentParser()
    add_report_arguments(parser)
    assert run_report(parser.parse_args([str(tmp_path)])) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'report.html'}\n"
    assert "2 runs" in (tmp_path / "report.html").read_text(encoding="utf-8")
    write_json(tmp_path / "aggregate.json", {"schema": "delivery-aggregate/1", "seed": "x"})
    with pytest.raises(RunDirError, match="not an aggregate of this harness"):
        run_report(parser.parse_args([str(tmp_path)]))


def test_the_page_of_a_series_begins_as_a_document(tmp_path: Path) -> None:
    page = write_aggregate_report(tmp_path, series(KEPT)).read_text(encoding="utf-8")
    assert page.lstrip().startswith("<!DOCTYPE html>")
    assert not re.search(r"https?://", page)


def test_a_history_has_a_page_with_its_verdict_and_where_its_losses_lie(tmp_path: Path) -> None:
    into = tmp_path / "history.html"
    verdict = judge_history([GOLDEN / "lost.ndjson"], report=into)
    assert verdict.verdict == BROKEN
    page = into.read_text(encoding="utf-8")
    text = text_of(page)
    assert "Broken: at-least-once broke no_lost" in text
    assert "recorded elsewhere: a history" in text
    assert "The timeline holds no load" in text
    assert "1 lost at offsets" in page
