"""A witness tells its story where people look: terminal, report.html, `harness report`."""

from __future__ import annotations

import html
import io
from pathlib import Path

import pytest
from rich.console import Console

from harness.cli.main import main
from harness.report.terminal import print_verdict
from harness.rundir.documents import write_json
from harness.rundir.run_dir import RunDir
from harness.rundir.verdict import Verdict
from harness.rundir.verdict_file import read_verdict
from tests.support.histories import acked, judged, observed, profile, run_info

STORY = [
    "idempotent, duplicate: record 0 of producer 1 on t, partition 0",
    "it was acknowledged at offset 0",
    "the drain returned copy 2 at offset 1",
]


@pytest.fixture
def run(tmp_path: Path) -> tuple[RunDir, Verdict]:
    """A run in which one record came twice and one more time, judged and written."""
    info = run_info([profile(topics=["t"])])
    history = [acked(0, 0), observed(0, 0), observed(0, 1), acked(1, 2), observed(1, 2)]
    verdict = judged(tmp_path / "run", [*history, observed(1, 3)], info=info)
    run_dir = RunDir(tmp_path / "run")
    write_json(run_dir.verdict(1), verdict.to_json())
    return run_dir, verdict


def test_the_terminal_tells_the_first_witness_of_each_anomaly_of_each_profile(
    run: tuple[RunDir, Verdict],
) -> None:
    console = Console(file=io.StringIO(), width=100)
    print_verdict(run[1], console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for line in STORY:
        assert line in text
    assert text.count("duplicate: record") == 1
    assert max(map(len, text.splitlines())) <= 100


def test_the_report_command_writes_the_story_and_tells_it(
    run: tuple[RunDir, Verdict], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(run[0].path)]) == 0
    output, errors = capsys.readouterr()
    assert output.strip() == str(run[0].report_html)
    told = " ".join(errors.split())
    assert all(line in told for line in STORY)
    page = html.unescape(run[0].report_html.read_text(encoding="utf-8"))
    assert all(line.partition(", ")[2] in page for line in STORY[:1])
    assert all(line in page for line in STORY[1:])
    assert page.count('<pre class="witness">') == 2


def test_a_verdict_with_witnesses_is_read_back_as_it_was(run: tuple[RunDir, Verdict]) -> None:
    again = read_verdict(run[0].verdict(1))
    assert again.profiles[0].witnesses == run[1].profiles[0].witnesses != []
