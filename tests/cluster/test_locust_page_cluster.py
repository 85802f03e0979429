"""Locust's page with a real cluster behind it: refused values, and one test after another."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.brokers import LocalCluster
from tests.support.locust_page import SCENARIO, LocustPage, locust_page

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture
def page(cluster: LocalCluster, tmp_path: Path) -> Iterator[LocustPage]:
    with locust_page(cluster.bootstrap, tmp_path) as started:
        yield started


def test_the_page_answers_within_a_second_while_brokers_stand_still_under_load(
    page: LocustPage, cluster: LocalCluster
) -> None:
    """50,000 records/s are asked for, and all three brokers are stopped meanwhile."""
    assert page.start(delivery_profile="idempotent", rate="50000", duration="0")["success"]

    def acked() -> int:
        view = page.ask("/harness/state.json")["view"]
        return view["profiles"][0]["acked"] if view else 0

    page.wait(lambda: acked() > 100_000, "load")
    slowest = {"/harness/state.json": 0.0, "/stats/requests": 0.0, "/tasks": 0.0}
    try:
        for broker in cluster.broker_ids:
            cluster.control.pause(broker)
        until = time.monotonic() + 8
        while time.monotonic() < until:
            for path in slowest:
                began = time.monotonic()
                page.ask(path)
                slowest[path] = max(slowest[path], time.monotonic() - began)
            time.sleep(0.2)
        # What is shown goes on as well.
        looked_us = page.ask("/harness/state.json")["view"]["at_us"]
        assert time.time() - looked_us / 1e6 < 5
    finally:
        for broker in cluster.broker_ids:
            cluster.control.resume(broker)
    print(slowest)
    assert max(slowest.values()) < 1.0
    page.wait(lambda: acked() > 200_000, "load after the pause")


@pytest.mark.usefixtures("strangers")
def test_after_wrong_values_a_right_one_starts_a_test_that_is_judged(
    page: LocustPage, cluster: LocalCluster, tmp_path: Path
) -> None:
    """Neither a refused form nor a test that could not be prepared ends the page for good."""
    assert page.start(rate="abc") == {
        "success": False,
        "message": "--rate abc: a number is expected.",
        "host": None,
    }
    # Nothing but an attempt to reach them shows that nobody listens there.
    assert page.start(delivery_profile="idempotent", brokers="127.0.0.1:1")["success"]
    page.wait(lambda: "127.0.0.1:1" in page.log.read_text(), "refusal of brokers")
    page.wait(lambda: page.state() == "stopped", "end of the test that could not be prepared")
    out = tmp_path / "run"
    assert page.start(
        delivery_profile="idempotent",
        rate="100",
        duration="2",
        out=str(out),
        brokers=cluster.bootstrap,
    )["success"]
    page.wait(lambda: (out / "verdict.json").exists(), "verdict", 180)
    verdict = json.loads((out / "verdict.json").read_text())
    (profile,) = verdict["profiles"]
    assert profile["profile"] == "idempotent"
    assert profile["counts"]["acked"] > 100
    assert "Traceback" not in page.log.read_text()


def test_the_page_of_a_master_shows_what_its_workers_send(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    with locust_page(cluster.bootstrap, tmp_path, "--processes", "2", "--producers", "2") as page:
        page.wait(lambda: page.ask("/stats/requests").get("worker_count") == 2, "workers")
        started = page.start(delivery_profile="idempotent", rate="200", duration="2", producers="2")
        assert started["success"]

        def verdict() -> bool:
            view = page.ask("/harness/state.json")["view"]
            return bool(view and view["verdict"])

        page.wait(verdict, "verdict", 120)
        view = page.ask("/harness/state.json")["view"]
    assert view["profiles"][0]["acked"] > 400
    assert len(view["workers"]) == 2


def test_no_row_of_locusts_tables_can_be_taken_for_records(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "locust", "-f", str(SCENARIO), "--headless", "--only-summary"]
    command += ["--brokers", cluster.bootstrap, "--delivery-profile", "idempotent"]
    command += ["--rate", "200", "--duration", "2", "--csv", "of", "--html", "of.html"]
    environment = {**os.environ, "PYTHONPATH": str(SCENARIO.parent.parent)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=120)
    assert done.returncode in (0, 3), done.stderr
    rows = list(csv.DictReader((tmp_path / "of_stats.csv").open()))
    assert (rows[0]["Type"], rows[0]["Name"]) == (
        "slot of 250 ms",
        "idempotent (slots, not records)",
    )
    assert "idempotent (slots, not records)" in (tmp_path / "of.html").read_text()
