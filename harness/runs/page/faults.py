"""One fault at a time from the page: the recorder injects it, and heals it when asked.

Locust's process writes what is asked for into the recorder's folder, and the recorder, which alone
knows the brokers and how to log in to them, does it:

    inject.json   {"fault": NAME}; the recorder takes it away
    heal          its being there asks for the end of the fault
    faults.json   {"offered": […], "under_way": NAME or "", "planned": number, "problem": text}

A fault is an experiment of Chaos Toolkit as any other, which goes on until it is healed; so its
record, its evidence and its journal are those of any fault. The experiments that a run was asked
for are carried out here as well, one after the other once the load is warm.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

import harness.faults
from harness.brokers import Brokers
from harness.errors import HarnessError
from harness.faults.experiments import Experiment, made_experiment
from harness.faults.registry import FAULTS, MEMBERS, Fault, coordinates_transactions
from harness.faults.run import start_experiment
from harness.rundir.documents import write_json
from harness.rundir.events import RunEvent
from harness.rundir.run_info import RunInfo
from harness.runs.session import Session
from harness.system.lifeline import Child

INJECT: Final = "inject.json"
HEAL: Final = "heal"
STATUS: Final = "faults.json"
HOLD_MAX_S: Final = 900.0
"""A fault that somebody forgot to heal is healed after this time."""
END_S: Final = 120.0
"""So long the end of a run waits for a fault to be healed."""


@dataclass(slots=True)
class OfferedFault:
    """A fault that these brokers can suffer, for the list of the page."""

    name: str
    description: str


@dataclass(slots=True)
class FaultStatus:
    """What the page shows of faults, beside what is in the timeline."""

    offered: list[OfferedFault] = field(default_factory=list)
    under_way: str = ""
    """The experiment, or fault, that is carried out now."""
    planned: int = 0
    """How many experiments of the run are still to come."""
    problem: str = ""


def offered(brokers: Brokers | None, info: RunInfo) -> list[OfferedFault]:
    """The faults that a button can inject into a run on these brokers."""
    capabilities = frozenset() if brokers is None else brokers.capabilities
    if any(profile.consume is not None for profile in info.profiles):
        capabilities |= {MEMBERS}
    transactions = any(profile.transactional for profile in info.profiles)
    return [
        OfferedFault(fault.name, fault.description)
        for fault in FAULTS.values()
        if fault.needs
        and fault.needs <= capabilities
        and not _arguments_needed(fault)
        and (transactions or not coordinates_transactions(fault.name))
    ]


def _arguments_needed(fault: Fault) -> bool:
    """Whether a fault cannot be injected without more than its name."""
    signature = inspect.signature(getattr(harness.faults, fault.name))
    return any(
        each.default is inspect.Parameter.empty and each.name != "configuration"
        for each in signature.parameters.values()
    )


def experiment_of(fault: str, heal: Path) -> Experiment:
    """The experiment of one fault that goes on until the file `heal` is there."""
    module = "harness.faults"
    document = {
        "title": f"{fault}, from Locust's page",
        "description": "One fault, healed when somebody asks for it.",
        "controls": [
            {"name": "harness", "provider": {"type": "python", "module": f"{module}.control"}}
        ],
        "method": [
            _action(fault, module, fault),
            _action(
                "until-healed",
                "harness.runs.page.until_healed",
                "until_healed",
                path=str(heal),
                timeout_s=HOLD_MAX_S,
            ),
        ],
        "rollbacks": [_action("heal", module, "heal")],
        "runtime": {"rollbacks": {"strategy": "always"}},
        "extensions": [{"name": "harness", "faults": [fault]}],
    }
    return made_experiment(f"page-{fault}", document)


def _action(name: str, module: str, function: str, **arguments: Any) -> dict[str, Any]:
    provider = {"type": "python", "module": module, "func": function, "arguments": arguments}
    return {"type": "action", "name": name, "provider": provider}


class PageFaults:
    """The recorder's part: what was asked for is begun, watched and ended."""

    def __init__(
        self, session: Session, folder: Path, experiments: list[Experiment], brokers: Brokers | None
    ) -> None:
        """folder: where Locust's process asks. experiments: those of the run itself.

        brokers: those into which faults can be injected; None where they are somebody else's.
        """
        self._session = session
        self._folder = folder
        self._planned = list(experiments)
        self._next = 1
        self._child: Child | None = None
        self._warm = False
        self._timeline = session.run_dir.follow()
        self._status = FaultStatus(offered(brokers, session.info), planned=len(experiments))
        self._tell()

    def _tell(self) -> None:
        self._status.planned = len(self._planned)
        with contextlib.suppress(FileNotFoundError):  # Locust is gone, and its folder with it
            write_json(self._folder / STATUS, msgspec.to_builtins(self._status))

    def step(self) -> None:
        """Begin what is due and note what has ended. Called a few times a second."""
        if self._child is not None:
            if self._child.process.poll() is None:
                return
            self._ended()
        self._warm = self._warm or any(
            event.phase == "warmed_up" for event in self._timeline.events(RunEvent)
        )
        if self._planned and self._warm:
            experiment = self._planned.pop(0)
            self._begin(experiment, self._next)
            self._next += 1
        elif (name := self._asked()) is not None:
            self._begin_fault(name)

    def _asked(self) -> str | None:
        path = self._folder / INJECT
        try:
            document = json.loads(path.read_bytes())
            path.unlink()
        except (OSError, ValueError):
            return None
        return str(document["fault"])

    def _begin_fault(self, name: str) -> None:
        heal = self._folder / HEAL
        heal.unlink(missing_ok=True)
        if name not in {each.name for each in self._status.offered}:
            self._status.problem = f"fault {name}: these brokers cannot suffer it in this run"
            self._tell()
            return
        try:
            experiment = experiment_of(name, heal)
        except HarnessError as error:
            self._status.problem = str(error)
            self._tell()
            return
        own = len(self._session.info.experiments)
        self._begin(experiment, self._session.run_dir.claim_journal(above=own))

    def _begin(self, experiment: Experiment, number: int) -> None:
        self._status.problem = ""
        self._status.under_way = experiment.name
        self._child = start_experiment(
            experiment, self._session.run_dir, number, self._session.environment()
        )
        self._tell()

    def _ended(self) -> None:
        assert self._child is not None
        status = self._child.process.poll()
        if status:
            self._status.problem = (
                f"{self._status.under_way} ended with status {status}: {self._child.tail(2)}"
            )
        self._child.release()
        self._child = None
        self._status.under_way = ""
        self._tell()

    def end(self, stop: Callable[[], bool]) -> None:
        """The load has ended: what is under way is healed, and awaited."""
        self._planned.clear()
        if self._child is None:
            return
        (self._folder / HEAL).touch()
        if not self._status.under_way.startswith("page-"):
            with contextlib.suppress(ProcessLookupError):
                self._child.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + END_S
        while self._child.process.poll() is None and time.monotonic() < deadline and not stop():
            time.sleep(0.1)
        self._child.stop(grace_s=END_S)
        self._ended()
