"""A run that experiments beside it can find: `chaos run` in one terminal, the load in another.

While a run is recorded it is present in the state directory of its local cluster. Experiments there
write themselves into it (harness/faults/beside.py), and its end waits for theirs: a fault whose
record breaks off would leave the verdict without what it needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from harness.brokers import Brokers
from harness.brokers.presence import EXPERIMENTS, RUNS, Presence, present
from harness.brokers.running import brokers_with_id
from harness.rundir.events import ExperimentEvent
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import RunInfo

WAIT_S: Final = 300.0
"""So long a run waits for experiments beside it. One that is not over then leaves no journal in
the run, and the verdict tells that."""
WAITING: Final = "waiting for the end of the experiment beside this run"
_POLL_S: Final = 0.2


class Announced:
    """The presence of one run; `end` takes it away."""

    def __init__(self, cluster: Path, run_dir: RunDir, info: RunInfo) -> None:
        self._cluster = cluster
        self._run_dir = run_dir
        entry = {"run_dir": str(run_dir.path.resolve())}
        self._presence = Presence(cluster, RUNS, info.run_id, entry)

    @classmethod
    def on(
        cls, brokers: Brokers, cluster_id: str, run_dir: RunDir, info: RunInfo
    ) -> Announced | None:
        """On brokers of ours, by whichever address they are used; None on others."""
        place = brokers.meeting_place
        if place is None and (ours := brokers_with_id(cluster_id)) is not None:
            place = ours.meeting_place
        return None if place is None else cls(place, run_dir, info)

    def await_experiments(
        self,
        say: Callable[[str], None],
        stop: Callable[[], bool],
        timeout_s: float = WAIT_S,
    ) -> None:
        """Wait until no experiment is under way in this run; then the run is found no more."""
        deadline = time.monotonic() + timeout_s
        reported = False
        while (titles := self.under_way()) and not stop() and time.monotonic() < deadline:
            if not reported:
                say(f"{WAITING}: {', '.join(titles)}")
                reported = True
            time.sleep(_POLL_S)
        self.end()

    def under_way(self) -> list[str]:
        """The titles of experiments that have joined this run, have not left it, and live."""
        joined: dict[str, str] = {}
        for event in self._run_dir.events(ExperimentEvent):
            if event.phase == "joined":
                joined[str(event.experiment_id)] = str(event.title)
            elif event.phase == "left":
                joined.pop(str(event.experiment_id), None)
        if not joined:
            return []
        living = present(self._cluster, EXPERIMENTS)
        return [title for identity, title in joined.items() if identity in living]

    def end(self) -> None:
        """Be found no more. Safe to call again."""
        self._presence.end()
