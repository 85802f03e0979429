"""report.html is read without scrolling sideways, on a wide page, a narrow one, and on paper."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.report.html import write_report
from harness.system.assets import folder
from tests.support.made_up_run import make_run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
PROBE = """<script>addEventListener("load", () => {
  const page = document.querySelector("iframe").contentDocument.documentElement;
  document.title = `width ${page.clientWidth} needs ${page.scrollWidth}`;
});</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir, verdict = make_run(tmp_path_factory.mktemp("report") / "run", verdict="broken")
    return write_report(run_dir, verdict)


def test_every_table_and_chart_scrolls_in_a_box_of_its_own(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tables = len(re.findall(r"<table\b", text))
    assert tables == len(re.findall(r'<div class="wide"><table\b', text)) > 10


def test_what_is_as_long_as_a_run_makes_it_breaks_into_lines() -> None:
    css = (folder("reports") / "templates" / "report.css").read_text(encoding="utf-8")
    assert re.search(r"\.witness, \.witness span \{[^}]*pre-wrap[^}]*anywhere", css)
    assert re.search(r"\.wide \{[^}]*overflow-x: auto[^}]*position: relative", css)
    printed = css.partition("@media print")[2]
    assert re.search(r"td, th,[^{]*\{[^}]*overflow-wrap: anywhere", printed)


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [1400, 400])
def test_a_browser_does_not_scroll_the_page_sideways(
    page: Path, width: int, tmp_path: Path
) -> None:
    frame = tmp_path / "frame.html"
    box = f'<iframe src="{page.as_uri()}" style="width:{width}px;height:800px;border:0"></iframe>'
    frame.write_text(f"<!DOCTYPE html><title>-</title>{box}{PROBE}", encoding="utf-8")
    assert CHROMIUM is not None
    shown = subprocess.run(
        [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1600,900",
            "--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=5000", "--dump-dom", frame.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    found = re.search(r"<title>width (\d+) needs (\d+)", shown.stdout)
    assert found is not None, shown.stderr[-2000:]
    assert int(found[2]) <= int(found[1])
