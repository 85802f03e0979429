"""An experiment beside runs that somebody else has started on the same cluster.

`chaos run` in one terminal and a load in another are two processes that know nothing of each
other. A run that is being recorded is present in its cluster's state directory
(harness/brokers/presence.py); an experiment finds it there and writes itself into it:

    experiment   phase: joined, experiment_id, title, journal, aims, faults (still to come)
    fault        as in a run of its own, with evidence; replicas/<fault_id>.json
    experiment   phase: left, experiment_id, status, deviated; the journal is there by then

A run whose recording is to end waits for the experiments that have joined it (runs/session.py).
Only the run that HARNESS_RUN_DIR names is not joined: whoever set that knows of the experiment.
"""

from __future__ import annotations

import json
import logging
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.brokers.presence import EXPERIMENTS, RUNS, Presence, Turn, present
from harness.errors import RunDirError, UsageError
from harness.faults.document import aims, injected
from harness.faults.registry import FAULTS, MEMBERS
from harness.kafka.environment import HarnessEnvironment
from harness.rundir.documents import write_json
from harness.rundir.events import ExperimentEvent
from harness.rundir.run_dir import RunDir
from harness.system.printable import printable

SOURCE: Final = "chaos"
logger = logging.getLogger("chaostoolkit")


@dataclass(slots=True)
class Joined:
    """A run that this experiment writes itself into; `journal`: the number of its journal there."""

    run_dir: RunDir
    journal: int


class Beside:
    """What this process does to runs beside its own; one object a process."""

    def __init__(self) -> None:
        self._experiment: Mapping[str, Any] | None = None
        self._id = ""
        self._presence: Presence | None = None
        self._joined: dict[str, Joined] = {}
        self._begun: Counter[str] = Counter()
        self._turns: dict[Path, Turn] = {}
        self._refused = ""

    def take_turn(self, cluster: Path) -> None:
        """From now on this process alone strikes and heals a cluster, until its experiment ends.

        Without an experiment it is only seen to that no other process has one. Raises UsageError
        when one has: `heal` of the second would undo a fault of the first while it is meant to
        last, and the effects of the faults could not be distinguished. Once refused, an
        experiment does nothing at all, also when the other one has ended by then.
        """
        if cluster in self._turns:
            return
        if self._refused:
            raise UsageError(self._refused)
        title = str((self._experiment or {}).get("title", ""))
        taken = Turn.take(cluster, title)
        if isinstance(taken, Turn):
            if not self._experiment:
                taken.end()
            else:
                self._turns[cluster] = taken
            return
        name = f" {taken['title']!r}" if taken.get("title") else ""
        process = f" (process {taken['pid']})" if taken.get("pid") else ""
        raise UsageError(
            f"the cluster in {cluster} is in use by another experiment{printable(name)}"
            f"{process}: one at a time, since each heals what it finds. Wait until it has ended."
        )

    def begin(self, experiment: Mapping[str, Any], cluster: Path | None) -> None:
        """An experiment begins: it joins the runs that live now, and later ones when it strikes."""
        self._experiment = experiment
        self._id = secrets.token_hex(4)
        self._refused = ""
        self._joined.clear()
        self._begun.clear()
        if cluster is not None:
            try:
                self.take_turn(cluster)
            except UsageError as error:
                self._refused = str(error)
                self._experiment = None  # so that no run takes this experiment for one of its own
                raise
            title = str(experiment.get("title", ""))
            self._presence = Presence(cluster, EXPERIMENTS, self._id, {"title": title})
            self.live_runs(cluster)

    def live_runs(self, cluster: Path) -> list[RunDir]:
        """The runs on a cluster that are recorded now, but for the one of this process's own."""
        own = HarnessEnvironment.read().run_dir
        found: list[RunDir] = []
        for run_id, entry in present(cluster, RUNS).items():
            path = Path(str(entry.get("run_dir", "")))
            if own is not None and path.resolve() == own.resolve():
                continue
            run_dir = RunDir(path)
            known = run_id in self._joined and run_dir.run_json.exists()
            if known or self._join(run_id, run_dir):
                found.append(run_dir)
        return found

    def begun(self, fault: str) -> None:
        """A fault is about to be injected: for a run that is joined later it is none to come."""
        self._begun[fault] += 1

    def end(self, journal: Mapping[str, Any]) -> None:
        """The experiment has ended: each run that it joined gets its journal."""
        for joined in self._joined.values():
            try:
                write_json(joined.run_dir.journal(joined.journal), _plain(journal))
                joined.run_dir.append(
                    ExperimentEvent(
                        source=SOURCE,
                        phase="left",
                        experiment_id=self._id,
                        status=journal.get("status"),
                        deviated=journal.get("deviated"),
                    )
                )
            except OSError as error:
                _warn(joined.run_dir, error)
        self._joined.clear()
        if self._presence is not None:
            self._presence.end()
            self._presence = None
        for turn in self._turns.values():
            turn.end()
        self._turns.clear()

    def _join(self, run_id: str, run_dir: RunDir) -> bool:
        """Write the experiment into a run; False where there is no run to write into."""
        try:
            info = run_dir.read_info()
        except RunDirError as error:
            _warn(run_dir, error)
            return False
        if self._experiment is None:
            return True  # faults without an experiment, or without our control: nothing aims
        try:
            number = run_dir.claim_journal(above=len(info.experiments))
            consuming = any(profile.consume is not None for profile in info.profiles)
            run_dir.append(
                ExperimentEvent(
                    source=SOURCE,
                    phase="joined",
                    experiment_id=self._id,
                    title=str(self._experiment.get("title", "")),
                    journal=number,
                    aims=aims(self._experiment),
                    faults=self._to_come(members=consuming),
                )
            )
        except OSError as error:
            _warn(run_dir, error)
            return False
        self._joined[run_id] = Joined(run_dir, number)
        return True

    def _to_come(self, *, members: bool) -> list[str]:
        """The faults that are still to strike something of a run, in order."""
        assert self._experiment is not None
        done = self._begun.copy()
        found: list[str] = []
        for name in injected(self._experiment):
            if done[name]:
                done[name] -= 1
                continue
            fault = FAULTS[name]
            if not fault.nominal and (members or fault.needs != {MEMBERS}):
                found.append(name)
        return found


BESIDE: Final = Beside()


def _plain(journal: Mapping[str, Any]) -> Any:
    """The journal as Chaos Toolkit itself writes it."""
    from chaostoolkit import encoder  # type: ignore[import-untyped]

    return json.loads(json.dumps(journal, default=encoder))


def _warn(run_dir: RunDir, error: Exception) -> None:
    logger.warning("%s: this run gets no record of the experiment: %s", run_dir.path, error)
