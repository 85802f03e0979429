"""Locust's page with a real cluster behind it: refused values, and one test after another."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.brokers import LocalCluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
SCENARIO = Path(__file__).parents[2] / "scenarios" / "steady.py"


@dataclass
class Page:
    """A Locust with its page."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def ask(self, path: str, form: dict[str, str] | None = None) -> Any:
        data = None if form is None else urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data, 60) as answer:
            return json.load(answer)

    def start(self, **form: str) -> Any:
        return self.ask("/swarm", {"user_count": "1", "spawn_rate": "1", **form})

    def state(self) -> str:
        return str(self.ask("/stats/requests")["state"])

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = 90) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"no {what}:\n{self.log.read_text()}"
            time.sleep(0.1)

    def answers(self) -> bool:
        try:
            self.ask("/stats/requests")
        except (OSError, urllib.error.URLError):
            return False
        return True


@pytest.fixture
def page(cluster: LocalCluster, tmp_path: Path) -> Iterator[Page]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "locust.log"
    command = [sys.executable, "-m", "locust", "-f", str(SCENARIO), "--web-port", str(port)]
    command += ["--brokers", cluster.bootstrap]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(SCENARIO.parent.parent)},
            stdout=output,
            stderr=output,
        )
    page = Page(port, process, log)
    try:
        page.wait(page.answers, "page")
        yield page
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(120)
        finally:
            process.kill()
            process.wait()


@pytest.mark.usefixtures("strangers")
def test_after_wrong_values_a_right_one_starts_a_test_that_is_judged(
    page: Page, tmp_path: Path
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
    brokers = page.process.args[-1]  # type: ignore[index]
    assert page.start(
        delivery_profile="idempotent", rate="100", duration="2", out=str(out), brokers=str(brokers)
    )["success"]
    page.wait(lambda: (out / "verdict.json").exists(), "verdict", 180)
    verdict = json.loads((out / "verdict.json").read_text())
    (profile,) = verdict["profiles"]
    assert profile["profile"] == "idempotent"
    assert profile["counts"]["acked"] > 100
    assert "Traceback" not in page.log.read_text()
