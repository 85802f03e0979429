"""From which intended send time on latency counts: the live reader learns it from the timeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from harness.rundir.run import RunDir, RunInfo, to_us

NEVER_US: Final = 2**63 - 1


class WarmUp:
    """Follows a run's timeline until the load says when it started.

    Records meant to be sent before `until_us` are left out of latency: connections are made,
    metadata is fetched and the brokers' code is compiled meanwhile.
    """

    def __init__(self, run_dir: RunDir, info: RunInfo) -> None:
        self._path: Path = run_dir.timeline
        self._warm_up_us = int(info.load.warm_up_s * 1e6)
        self._read_bytes = 0
        self.until_us = NEVER_US if self._warm_up_us else 0
        """µs since the epoch; NEVER_US as long as the load has not started."""

    def look(self) -> None:
        """Read what was appended to the timeline since the last call."""
        if self.until_us != NEVER_US or not self._path.exists():
            return
        with self._path.open("rb") as timeline:
            timeline.seek(self._read_bytes)
            data = timeline.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.splitlines():
            if b"load_started" not in line:
                continue
            event = json.loads(line)
            if event.get("event") == "run" and event.get("phase") == "load_started":
                self.until_us = to_us(event["at"]) + self._warm_up_us
