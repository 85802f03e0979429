"""A real browser for tests: Debian's Chromium, driven by Playwright's Python package.

    with chromium() as browser, page_of(browser, width=400) as page:
        page.goto(url)
        assert sideways(page) == 0
        assert serious_findings(page) == []

A test that needs it has the mark `NEEDS_BROWSER` and is skipped with a reason where Chromium or the
package is missing; with DELIVERY_BROWSER=required in the environment it then fails instead.
`python -m tests.support.browser` installs Debian's package where root may.

Playwright's loop runs in the thread that began it, and asyncio.run fails there meanwhile: use
`chromium` in a fixture of one module, not of the session.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, Literal

import pytest

from tests.support.debian import install

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

REQUIRED: Final = "DELIVERY_BROWSER"
PROGRAMS: Final = ("chromium", "chromium-browser")
PACKAGE: Final = "chromium"
SERIOUS: Final = frozenset({"serious", "critical"})
"""Impacts, as axe names them."""


def chromium_path() -> str | None:
    """Where Chromium is; None where it is not."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def why_no_browser() -> str:
    """What is missing for a test in a browser; empty where nothing is."""
    missing = []
    if chromium_path() is None:
        missing.append(f"Chromium (Debian's package {PACKAGE})")
    if importlib.util.find_spec("playwright") is None:
        missing.append("playwright (pip install -e '.[browser]')")
    return f"a browser test needs {' and '.join(missing)}" if missing else ""


NEEDS_BROWSER: Final = pytest.mark.skipif(
    bool(why_no_browser()) and os.environ.get(REQUIRED) != "required", reason=why_no_browser()
)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium, which ends with the block. Fails with what is missing."""
    if missing := why_no_browser():
        pytest.fail(f"{missing}; {REQUIRED}={os.environ.get(REQUIRED, '')}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's sandbox refuses root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(
            executable_path=chromium_path(), headless=True, args=arguments
        )
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def page_of(
    browser: Browser,
    *,
    width: int = 1400,
    height: int = 900,
    scheme: Literal["light", "dark"] = "light",
    offline: bool = False,
) -> Iterator[Page]:
    """A page of a fresh profile. An error of a script on it fails the block when it ends."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, offline=offline
    )
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        yield page
        assert not errors, errors
    finally:
        context.close()


def sideways(page: Page) -> int:
    """By how many pixels the page is wider than its window; 0 where it does not scroll sideways."""
    return int(
        page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
    )


def serious_findings(page: Page) -> list[str]:
    """What axe finds on the page that is serious or critical: `rule: impact: element, …`."""
    from axe_playwright_python.sync_playwright import Axe

    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {each['impact']}: "
        + ", ".join(str(node["target"]) for node in each["nodes"][:5])
        for each in found
        if each["impact"] in SERIOUS
    ]


def main() -> int:
    """Install Chromium where it is missing; 1 when that cannot be done."""
    if chromium_path() is not None:
        return 0
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(
            f"missing for browser tests: {PACKAGE} (root and apt-get are needed)", file=sys.stderr
        )
        return 1
    print(f"installing for browser tests: {PACKAGE}", file=sys.stderr, flush=True)
    return 1 if install([PACKAGE]) or chromium_path() is None else 0


if __name__ == "__main__":
    sys.exit(main())
