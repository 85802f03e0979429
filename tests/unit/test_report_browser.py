"""report.html in a real browser: accessible, narrow, read by pointer and keyboard, printed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import pytest

from harness.judge.aggregate import Outcome, aggregate
from harness.profiles import load_builtin
from harness.report.aggregate_page import write_aggregate_report
from harness.report.html import write_report
from tests.support.browser import (
    NEEDS_BROWSER,
    chromium,
    page_of,
    serious_findings,
    sideways,
)
from tests.support.made_up_run import CONSUMERS, PRODUCERS, make_run, make_verdict

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = NEEDS_BROWSER
Scheme: TypeAlias = Literal["light", "dark"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    run_dir, verdict = make_run(folder / "run", names=(*PRODUCERS, *CONSUMERS), verdict="broken")
    profiles = [load_builtin()[name] for name in PRODUCERS]
    outcomes = [Outcome(n, n, f"run-{n}", make_verdict(profiles)) for n in (1, 2)]
    return {
        "run": write_report(run_dir, verdict),
        "series": write_aggregate_report(folder, aggregate(1, 2, outcomes)),
    }


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["run", "series"])
def test_axe_finds_nothing_serious_and_nothing_scrolls_sideways(
    browser: Browser, pages: dict[str, Path], kind: str, scheme: Scheme, width: int
) -> None:
    with page_of(browser, width=width, scheme=scheme, offline=True) as page:
        page.goto(pages[kind].as_uri())
        assert sideways(page) == 0
        assert serious_findings(page) == []


def test_axe_would_find_a_picture_without_a_name(browser: Browser, pages: dict[str, Path]) -> None:
    with page_of(browser, offline=True) as page:
        page.goto(pages["run"].as_uri())
        page.evaluate("document.querySelector('svg.chart title').remove()")
        assert any("svg-img-alt" in each for each in serious_findings(page))


def test_a_pointer_over_a_chart_shows_the_values_of_that_second(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with page_of(browser, offline=True) as page:
        page.goto(pages["run"].as_uri())
        plot = page.locator("#throughput .plot")
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + box["width"] * 0.59, box["y"] + box["height"] / 2)
        readout = page.locator("#throughput .readout")
        shown = readout.inner_text()
        second = re.search(r"second ([\d.]+)", shown)
        assert second is not None
        assert 20.0 < float(second[1]) < 24.0
        assert re.search(r"idempotent attempted [\d,]+", shown)
        page.mouse.move(5, 5)
        assert not readout.is_visible()


def test_arrow_keys_read_the_same_values_as_the_table(
    browser: Browser, pages: dict[str, Path]
) -> None:
    with page_of(browser, offline=True) as page:
        page.goto(pages["run"].as_uri())
        plot = page.locator("#cluster .plot")
        plot.focus()
        for key in ("Home", "ArrowRight", "ArrowRight"):
            page.keyboard.press(key)
        assert plot.get_attribute("role") == "slider"
        assert plot.get_attribute("aria-valuenow") == "2"
        row = page.locator("#cluster table.values tbody tr").nth(2)
        values = [each.text_content() for each in row.locator("th, td").all()]
        words = plot.get_attribute("aria-valuetext")
        assert words is not None
        assert words.startswith(f"second {values[0]}, broker 1 leads {values[1]},")
        page.keyboard.press("End")
        assert plot.get_attribute("aria-valuenow") == plot.get_attribute("aria-valuemax")
        page.keyboard.press("Escape")
        assert not page.locator("#cluster .readout").is_visible()


def test_every_chart_has_a_table_behind_it(browser: Browser, pages: dict[str, Path]) -> None:
    with page_of(browser, offline=True) as page:
        page.goto(pages["run"].as_uri())
        charts = page.locator("figure:has(svg.chart)")
        assert charts.count() >= 7
        for index in range(charts.count()):
            table = charts.nth(index).locator("details table.values tbody tr")
            assert table.count() > 0, charts.nth(index).locator("h3").inner_text()


def test_a_printed_page_has_its_first_screen_room_to_sign_and_no_controls(
    browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    with page_of(browser, width=794, offline=True) as page:
        page.goto(pages["run"].as_uri())
        page.emulate_media(media="print")
        assert page.locator(".approval").is_visible()
        assert not page.locator("nav").is_visible()
        assert not page.locator("#throughput .values-behind").is_visible()
        printed = page.pdf(path=tmp_path / "report.pdf", format="A4", print_background=True)
    assert printed.startswith(b"%PDF")
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 60
