"""What the page has of the runs of one Locust: the one under way, and those before it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.rundir.run_dir import RunDir
from harness.runs.page.faults import FaultStatus
from harness.runs.page.snapshots import Snapshots
from harness.runs.recording import Recorder

FILES: Final = ("report.html", "verdict.json")
"""Of a run directory the page serves these, and nothing else."""


@dataclass(slots=True)
class ShownRun:
    """A run that this Locust has made."""

    number: int
    """From 1; its files are at runs/<number>/ of the page."""
    run_dir: RunDir
    over: bool = False


class ShownRuns:
    """Every run of one Locust, in order; only the last one can be under way."""

    def __init__(self) -> None:
        self.runs: list[ShownRun] = []
        self.preparing = False
        """Was a test asked for, whose run directory is not there yet?"""
        self.problem = ""
        """Why the last test could not be begun, or was cut short; empty without any."""
        self._recorder: Recorder | None = None
        self._snapshots: Snapshots | None = None

    def begin(self) -> None:
        """A test is asked for: what is shown is no longer that of the one before."""
        self.problem = ""
        self.preparing = True
        self._recorder = self._snapshots = None

    def failed(self, problem: str) -> None:
        """The test cannot begin or go on."""
        self.problem = problem
        self.preparing = False

    def prepared(self, run_dir: RunDir, recorder: Recorder) -> None:
        """Its run directory is there."""
        self.preparing = False
        self.runs.append(ShownRun(len(self.runs) + 1, run_dir))
        self._recorder = recorder
        self._snapshots = Snapshots(run_dir)

    def over(self) -> None:
        """The run was judged, or will not be. Safe to call again."""
        self._recorder = None
        if self._snapshots is not None:
            self._snapshots.finish()
        if self.runs:
            self.runs[-1].over = True

    @property
    def under_way(self) -> bool:
        """Is a run being prepared, carried out or judged?"""
        return self.preparing or (bool(self.runs) and not self.runs[-1].over)

    @property
    def recorder(self) -> Recorder | None:
        """Of the run under way; None without any."""
        return self._recorder

    @property
    def view(self) -> bytes:
        """The last look at the last run, as JSON; empty before there is one."""
        return b"" if self._snapshots is None else self._snapshots.latest()

    def faults(self) -> FaultStatus:
        """What can be injected, and what is under way."""
        return FaultStatus() if self._recorder is None else self._recorder.faults()

    def file(self, number: int, name: str) -> Path | None:
        """A file of a run that the page may serve; None for anything else, or what is not there."""
        if name not in FILES or not 1 <= number <= len(self.runs):
            return None
        path = self.runs[number - 1].run_dir.path / name
        return path if path.is_file() else None
