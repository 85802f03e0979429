"""A Locust with its page, as a person starts it by hand, and what asks it as a browser does."""

from __future__ import annotations

import contextlib
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

SCENARIO = Path(__file__).parents[2] / "scenarios" / "steady.py"


@dataclass
class LocustPage:
    """A Locust with its page."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, form: dict[str, str] | None = None) -> Any:
        data = None if form is None else urllib.parse.urlencode(form).encode()
        with urllib.request.urlopen(f"{self.url}{path}", data, 60) as answer:
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


@contextlib.contextmanager
def locust_page(bootstrap: str, folder: Path, *more: str) -> Iterator[LocustPage]:
    """`locust -f scenarios/steady.py` in `folder`, on a free port; it ends with the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = folder / "locust.log"
    command = [sys.executable, "-m", "locust", "-f", str(SCENARIO), "--web-port", str(port)]
    command += ["--brokers", bootstrap, *more]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(SCENARIO.parent.parent)},
            stdout=output,
            stderr=output,
        )
    page = LocustPage(port, process, log)
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
