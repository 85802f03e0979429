"""From which intended send time on latency counts: the live reader learns it from the timeline."""

from __future__ import annotations

from harness.rundir.clock import NEVER_US
from harness.rundir.events import RunEvent
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import RunInfo


class WarmUp:
    """Follows a run's timeline until the load says when it started.

    Records meant to be sent before `until_us` are left out of latency: connections are made,
    metadata is fetched and the brokers' code is compiled meanwhile.
    """

    def __init__(self, run_dir: RunDir, info: RunInfo) -> None:
        self._timeline = run_dir.follow()
        self._warm_up_us = int(info.load.warm_up_s * 1e6)
        self.until_us = NEVER_US if self._warm_up_us else 0
        """µs since the epoch; NEVER_US as long as the load has not started."""

    def look(self) -> None:
        """Read what was appended to the timeline since the last call."""
        if self.until_us != NEVER_US:
            return
        for event in self._timeline.events(RunEvent):
            if event.phase == "load_started":
                self.until_us = event.at_us + self._warm_up_us
