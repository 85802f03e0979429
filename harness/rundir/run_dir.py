"""The run directory: where load, faults and judgement meet, and the one owner of its file names.

Each stage writes its own files and reads those of others, so any stage can be run again alone,
and a run cut short can still be judged. docs/run-directory.md says what each file holds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from harness.errors import RunDirError, UsageError
from harness.rundir import timeline_file
from harness.rundir.events import RunEvent, TimelineEvent
from harness.rundir.run_info import RunInfo
from harness.rundir.timeline_file import E, TimelineFollower


class RunDir:
    """Paths inside one run directory, its run.json, and its timeline."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> RunDir:
        """Make the directory. Raises UsageError when it exists and is not empty."""
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UsageError(
                f"--out {path}: exists and is not empty; a run writes only into a new or an empty "
                "directory. Choose another one."
            )
        run_dir = cls(path)
        for folder in (path, run_dir.ledger, run_dir.observations, run_dir.latency):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(f"--out {path}: cannot be made ({error.strerror}).") from error
        return run_dir

    @property
    def run_json(self) -> Path:
        return self.path / "run.json"

    @property
    def ledger(self) -> Path:
        """ledger/<incarnation>.ledger and, for a transactional one, <incarnation>.txn.ndjson"""
        return self.path / "ledger"

    @property
    def observations(self) -> Path:
        """observations/<set>/<incarnation>.obs, beside extras.bin and drain.json of that set"""
        return self.path / "observations"

    @property
    def members(self) -> Path:
        """members/<profile>-<number>.journal, one a group member (member_journal.py)"""
        return self.path / "members"

    @property
    def latency(self) -> Path:
        """latency/<profile>.hlog"""
        return self.path / "latency"

    @property
    def timeline(self) -> Path:
        return self.path / "timeline.ndjson"

    @property
    def report_html(self) -> Path:
        return self.path / "report.html"

    @property
    def logs(self) -> Path:
        """Logs of the run's own processes: load.log, reader.log, chaos-<n>.log"""
        return self.path / "logs"

    def journal(self, number: int) -> Path:
        """Chaos Toolkit's journal of the n-th experiment, from 1."""
        return self.path / ("journal.json" if number == 1 else f"journal-{number}.json")

    def experiment(self, number: int) -> Path:
        """The n-th experiment, where the harness made it of --fault-command."""
        return self.path / f"experiment-{number}.json"

    def claim_journal(self, *, above: int) -> int:
        """The number of a journal without another writer, from `above` + 1; its file is made.

        Numbers up to `above` belong to the run's own experiments. The file is empty, and so no
        journal, until the experiment ends.
        """
        number = above + 1
        while True:
            try:
                os.close(os.open(self.journal(number), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            except FileExistsError:
                number += 1
            else:
                return number

    @property
    def journals(self) -> list[Path]:
        """The journals that exist, in the order of their experiments."""
        found: list[Path] = []
        while self.journal(len(found) + 1).exists():
            found.append(self.journal(len(found) + 1))
        return found

    @property
    def live(self) -> Path:
        return self.observations / "live"

    def dead_logs(self, fault_id: str) -> Path:
        """What the logs of the brokers that a fault killed held, noted before their return."""
        return self.path / "replicas" / f"{fault_id}.json"

    @property
    def all_dead_logs(self) -> list[Path]:
        """The notes about dead brokers' logs that exist."""
        return sorted((self.path / "replicas").glob("*.json"))

    def replicas(self, number: int) -> Path:
        """Where the n-th verification looked for lost records in the brokers' log files."""
        return self.drained(number) / "replicas.json"

    def drained(self, number: int) -> Path:
        """The observation set of the n-th drain, from 1."""
        return self.observations / ("drained" if number == 1 else f"drained-{number}")

    def drained_of(self, verdict: int) -> Path:
        """The observation set that a verdict rests on: that of an earlier one, judged again."""
        if not self.drained(verdict).exists() and self.timeline.exists():
            for event in self.events(RunEvent):
                if event.phase == "judged_again" and event.number == verdict and event.drained:
                    return self.drained(event.drained)
        return self.drained(verdict)

    def verdict(self, number: int) -> Path:
        return self.path / ("verdict.json" if number == 1 else f"verdict-{number}.json")

    def next_verification(self) -> int:
        """The number of the next drain and verdict: one more than any that left a trace."""
        number = 1
        while self.verdict(number).exists() or self.drained(number).exists():
            number += 1
        return number

    def latest_verdict(self) -> Path:
        """Raises RunDirError when the run has none yet."""
        numbers = [1, *sorted(int(p.stem.split("-")[1]) for p in self.path.glob("verdict-*.json"))]
        for number in reversed(numbers):
            if self.verdict(number).exists():
                return self.verdict(number)
        raise RunDirError(
            f"{self.path}: holds no verdict.json. Judge the run first: harness verify {self.path}"
        )

    def write_info(self, info: RunInfo) -> None:
        """Write run.json, whole or not at all."""
        info.write(self.run_json)

    def read_info(self) -> RunInfo:
        """Raises RunDirError that names what is wrong with run.json."""
        return RunInfo.read_from(self.run_json)

    def append(self, *events: TimelineEvent) -> None:
        """Add events to the timeline with one write; safe from any process."""
        timeline_file.append(self.timeline, events)

    def events(self, kind: type[E]) -> Iterator[E]:
        """The timeline's events of one kind (TimelineEvent: of all), as far as they can be read.

        Raises RunDirError when the timeline cannot be read, or is of a version that is not known.
        """
        return timeline_file.events(self.timeline, kind)

    def follow(self) -> TimelineFollower:
        """Read the timeline from its beginning on, and then what is appended to it."""
        return TimelineFollower(self.timeline)
