"""The page with a run on it, in a real browser: its tables, its chart, its width, its dark mode."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING

import flask
import msgspec
import pytest
from werkzeug.serving import make_server

from harness.report.html import write_report
from harness.rundir.clock import from_us
from harness.runs.page.pages import install
from harness.runs.page.shown import ShownRun, ShownRuns
from harness.runs.page.watched import WatchedRun
from tests.support.browser import NEEDS_BROWSER, chromium, page_of, serious_findings, sideways
from tests.support.made_up_run import FAULTS, SECONDS, START_US, make_run
from tests.support.timelines import add_line
from tests.unit.test_live_pages import OPTIONS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PICTURES = os.environ.get("PAGE_PICTURES")
pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def looks() -> list[bytes]:
    """What there is to see of the run: the last of them is served."""
    return []


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, looks: list[bytes]) -> Iterator[str]:
    """A server with the page, and a run on it that was judged: it is broken."""
    run_dir, verdict = make_run(tmp_path_factory.mktemp("page") / "run", verdict="broken")
    write_report(run_dir, verdict)
    for number, (name, injected_s, healed_s) in enumerate(FAULTS):
        for phase, at_s in (("injected", injected_s), ("healed", healed_s)):
            at = from_us(START_US + round(at_s * 1e6))
            more = {"fault_id": f"f{number}", "fault": name, "phase": phase, "target": "broker 1"}
            add_line(run_dir, "fault", "faults", at=at, **more)
    ended = from_us(START_US + SECONDS * 1_000_000)
    add_line(run_dir, "run", "load", at=ended, phase="load_stopped")
    shown = ShownRuns()
    shown.runs.append(ShownRun(1, run_dir))
    looks.append(msgspec.json.encode(WatchedRun(run_dir).look()))
    shown._snapshots = SimpleNamespace(latest=lambda: looks[-1])  # type: ignore[assignment]
    app = flask.Flask(__name__)
    web_ui = SimpleNamespace(app=app, auth_required_if_enabled=lambda view: view, template_args={})
    runner = SimpleNamespace(state="stopped")
    install(SimpleNamespace(web_ui=web_ui, parsed_options=OPTIONS, runner=runner), shown)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (400, "dark")])
def test_a_judged_run_is_shown_whole_and_without_scrolling_sideways(
    browser: Browser, url: str, width: int, scheme: str
) -> None:
    with page_of(browser, width=width, scheme=scheme) as page:  # type: ignore[arg-type]
        page.goto(f"{url}/harness")
        page.locator("#phase").get_by_text("Verdict: broken.").wait_for()
        assert page.locator("#counts tr").count() == 5
        assert page.locator("#fault-rows tr").count() == 2
        assert page.locator("#chart polyline").count() == 5
        assert page.locator("#chart .band").count() == 2
        assert page.locator("#partitions tr").count() > 10
        assert page.locator("#promises .broken").count() >= 1
        assert "provisional" not in page.locator("#profiles-caption").inner_text()
        assert page.locator("#links a").all_inner_texts() == ["report.html", "verdict.json"]
        if PICTURES:
            page.screenshot(path=f"{PICTURES}/judged-{width}.png")
        assert sideways(page) == 0
        assert serious_findings(page) == []


def test_between_stop_and_verdict_the_drain_is_shown_and_counts_are_provisional(
    browser: Browser, url: str, looks: list[bytes]
) -> None:
    view = msgspec.json.decode(looks[0])
    total = sum(each["acked"] for each in view["profiles"])
    view |= {"verdict": None, "drained": total // 2, "stage": "read 7 of 9 offsets"}
    looks.append(msgspec.json.encode({**view, "phase": "draining"}))
    try:
        with page_of(browser) as page:
            page.goto(f"{url}/harness")
            page.locator("#progress").wait_for()
            assert 0.49 < page.locator("#bar").evaluate("bar => bar.value") < 0.51
            assert "read 7 of 9 offsets" in page.locator("#progress-text").inner_text()
            assert "provisional" in page.locator("#profiles-caption").inner_text()
            assert page.locator("#verdict").is_hidden()
            assert page.get_by_role("button", name="START").is_disabled()
            assert serious_findings(page) == []
            looks.append(looks[0])  # the verdict comes, and the page shows it by itself
            page.locator("#phase").get_by_text("Verdict: broken.").wait_for()
            assert page.locator("#progress").is_hidden()
    finally:
        del looks[1:]
