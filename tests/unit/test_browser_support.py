"""What browser tests rest on: a real Chromium that sees what a person would trip over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support.browser import NEEDS_BROWSER, chromium, page_of, serious_findings, sideways

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = NEEDS_BROWSER
WHOLE = "<!DOCTYPE html><html lang=en><title>t</title><main><h1>t</h1>{}</main>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


def test_a_wide_element_is_seen_to_scroll_the_page_sideways(browser: Browser) -> None:
    with page_of(browser, width=400) as page:
        page.set_content(WHOLE.format("<p>fits</p>"))
        assert sideways(page) == 0
        page.set_content(WHOLE.format("<p style='width:700px'>does not fit</p>"))
        assert sideways(page) > 250


def test_axe_names_what_is_serious_and_nothing_on_a_sound_page(browser: Browser) -> None:
    with page_of(browser) as page:
        page.set_content(WHOLE.format("<p>fine</p>"))
        assert serious_findings(page) == []
        page.set_content(WHOLE.format("<img src='data:,'>"))
        (found,) = serious_findings(page)
        assert found.startswith("image-alt: critical")


def test_an_error_of_a_script_fails_the_block(browser: Browser) -> None:
    def broken() -> None:
        with page_of(browser) as page:
            page.set_content(WHOLE.format("<script>missing()</script>"))
            page.wait_for_load_state()

    with pytest.raises(AssertionError, match="missing is not defined"):
        broken()


def test_a_page_can_be_asked_for_in_dark(browser: Browser) -> None:
    with page_of(browser, scheme="dark") as page:
        assert page.evaluate("() => matchMedia('(prefers-color-scheme: dark)').matches")
