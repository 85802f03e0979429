"""The page of a run in a real browser: START, a fault by a button, STOP, verdict and report."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.brokers import LocalCluster
from tests.support.browser import NEEDS_BROWSER, chromium, page_of, serious_findings, sideways
from tests.support.locust_page import LocustPage, locust_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.cluster, NEEDS_BROWSER, pytest.mark.timeout(300)]
PICTURES = os.environ.get("PAGE_PICTURES")
"""A folder for pictures of the page: those of docs/locust.md are made so."""
VERDICT_MS = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def locust(cluster: LocalCluster, tmp_path: Path) -> Iterator[LocustPage]:
    with locust_page(cluster.bootstrap, tmp_path) as started:
        yield started


@pytest.fixture
def without_brokers(tmp_path: Path) -> Iterator[LocustPage]:
    """A page whose brokers nobody has started yet."""
    with locust_page("local", tmp_path) as started:
        yield started


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"locust-{name}.png"))


def choose(page: Page, *profiles: str, **values: str) -> None:
    """Fill the form as a person does."""
    for box in page.locator("input[name=delivery_profile]").all():
        box.set_checked(box.get_attribute("value") in profiles)
    for name, value in values.items():
        page.locator(f"#{name}").fill(value)


def number(page: Page, profile: str, column: int) -> int:
    """A cell of the table of profiles."""
    row = page.locator("#counts tr").filter(has=page.get_by_role("rowheader", name=profile))
    return int(row.locator("td").nth(column).inner_text().replace(",", ""))


def await_verdict(page: Page, runs: int) -> str:
    page.wait_for_function(
        "count => document.querySelectorAll('#runs li').length === count"
        " && !document.querySelector('#verdict').hidden",
        arg=runs,
        timeout=VERDICT_MS,
    )
    return page.locator("#phase").inner_text()


def test_two_tests_from_one_page_end_in_verdicts_whose_reports_open(
    browser: Browser, locust: LocustPage
) -> None:
    with page_of(browser, width=1100, height=800) as page:
        page.goto(f"{locust.url}/")
        page.get_by_role("link", name=re.compile("^Delivery page")).click()
        page.get_by_role("heading", name="Delivery").wait_for()
        page.locator("#profiles input").first.wait_for()
        promises = page.locator("#profiles details").all_text_contents()
        assert any("no_lost: never an acknowledged record" in each for each in promises)
        picture(page, "before")
        # A wrong value first: nothing begins, and the page says which option it is.
        choose(page, "idempotent", "leader-ack", rate="fast")
        page.get_by_role("button", name="START").click()
        page.get_by_text("--rate fast: a number is expected.").wait_for()
        choose(page, "idempotent", "leader-ack", rate="300", seed="7")
        page.get_by_role("button", name="START").click()
        inject = page.get_by_role("button", name="Inject")
        page.wait_for_function("() => !document.getElementById('inject').disabled", timeout=120_000)
        assert page.locator("#error").inner_text() == ""
        page.locator("#fault").select_option("kill_leader")
        inject.click()
        page.locator("#fault-rows").get_by_text("took effect").wait_for(timeout=60_000)
        page.locator("#partitions .lacking").first.wait_for()
        page.wait_for_timeout(2000 if PICTURES else 0)
        page.locator("#run").scroll_into_view_if_needed()
        picture(page, "during")
        assert number(page, "idempotent", 3) > 300
        page.get_by_role("button", name="Heal").click()
        page.wait_for_function(
            "() => document.querySelector('#fault-rows td:nth-child(4)').textContent.includes(':')",
            timeout=90_000,
        )
        page.get_by_role("button", name="STOP").click()
        said = await_verdict(page, 1)
        assert re.match(r"Verdict: (kept|broken|inconclusive)\.", said)
        page.evaluate("() => scrollTo(0, 0)")
        picture(page, "after")
        assert serious_findings(page) == []
        page.locator("#links").get_by_role("link", name="report.html").click()
        page.get_by_role("heading").first.wait_for()
        assert "/harness/runs/1/report.html" in page.url
        assert "kill_leader" in page.locator("body").inner_text()
        page.go_back()
        # Another test from the same page.
        page.locator("#profiles input").first.wait_for()
        choose(page, "leader-ack", rate="200", duration="2")
        page.wait_for_function("() => !document.getElementById('go').disabled")
        page.get_by_role("button", name="START").click()
        await_verdict(page, 2)
        assert number(page, "leader-ack", 3) > 400
        assert page.locator("#links a").first.get_attribute("href") == "harness/runs/2/report.html"


def test_the_page_is_read_without_scrolling_sideways_and_used_by_keyboard(
    browser: Browser, without_brokers: LocustPage
) -> None:
    locust = without_brokers
    for width, scheme in ((1400, "light"), (400, "dark")):
        with page_of(browser, width=width, scheme=scheme) as page:  # type: ignore[arg-type]
            page.goto(f"{locust.url}/harness")
            page.locator("#profiles input").first.wait_for()
            page.locator("#phase").get_by_text("No run yet").wait_for()
            assert sideways(page) == 0
            assert serious_findings(page) == []
            dark = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
            assert (dark == "rgb(20, 23, 27)") == (scheme == "dark")
            picture(page, f"{width}-{scheme}")
    with page_of(browser) as page:
        page.goto(f"{locust.url}/harness")
        page.locator("#profiles input").first.wait_for()
        reached = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.add(
                page.evaluate("() => document.activeElement.id || document.activeElement.name")
            )
        assert {"delivery_profile", "experiment", "schedule", "rate", "producers", "go"} <= reached
