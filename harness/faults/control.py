"""Chaos Toolkit control: the course of an experiment in the timelines of the runs that it strikes.

    controls:
      - name: harness
        provider: {type: python, module: harness.faults.control}

It also makes the experiment end, healing first, when the harness that started it is gone. Chaos
Toolkit only logs a control that cannot be loaded, so nothing that must happen depends on it: the
activities themselves watch over their parent and write their own events.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO

from harness.errors import UsageError
from harness.faults.activity import configured_brokers
from harness.faults.backend import meeting_place
from harness.faults.beside import BESIDE, SOURCE
from harness.faults.interrupts import watch_parent
from harness.kafka.environment import HarnessEnvironment
from harness.rundir.events import ExperimentEvent
from harness.rundir.experiment_journal import ExperimentJournal
from harness.rundir.recorded_evidence import RecordedEvidence
from harness.rundir.run_dir import RunDir


def configure_control(**_: Any) -> None:
    """Called once, before anything of the experiment runs."""
    watch_parent()


def before_experiment_control(
    context: dict[str, Any], configuration: Mapping[str, Any] | None = None, **_: Any
) -> None:
    """The experiment begins."""
    _write("started", context)
    try:
        BESIDE.begin(context, meeting_place(configured_brokers(configuration)))
    except UsageError as error:
        # Each activity refuses as well: an exception of a control only ends up in the log.
        print(f"harness: {error}", file=sys.stderr, flush=True)


def before_method_control(context: dict[str, Any], **_: Any) -> None:
    """The steady state was there; faults follow."""
    _write("method", context)


def before_rollback_control(context: dict[str, Any], **_: Any) -> None:
    """The faults are over, or were cut short."""
    _write("rollback", context)


def after_experiment_control(context: dict[str, Any], state: Any, **_: Any) -> None:
    """The experiment has ended; `state` is its journal."""
    journal = state if isinstance(state, dict) else {}
    _write("ended", context, journal)
    BESIDE.end(journal)
    if journal:
        title = str(context.get("title", ""))
        _complain(ExperimentJournal(1, title, journal), sys.stderr)


def _complain(journal: ExperimentJournal, output: TextIO) -> None:
    """Say at the end what went wrong; Chaos Toolkit's exit status alone can hide it."""
    reasons = journal.troubles()
    for fault in journal.outputs:
        if not fault["took_effect"]:
            seen = RecordedEvidence(str(fault.get("fault")), fault.get("evidence") or {})
            missing = (seen.shortcomings or ["no evidence"])[0]
            reasons.append(f"{fault.get('fault')} shows no effect: {missing}")
    if not reasons:
        return
    print("harness: the experiment was not carried out as written:", file=output)
    for reason in reasons:
        print(f"  - {reason}", file=output)
    if journal.completed:
        print(
            "harness: `chaos run` ends with status 0 all the same: a failed action does not change "
            "its status. The journal holds every error.",
            file=output,
        )
    output.flush()


def _write(
    phase: Literal["started", "method", "rollback", "ended"],
    experiment: dict[str, Any],
    journal: Mapping[str, Any] | None = None,
) -> None:
    directory = HarnessEnvironment.read().run_dir
    if directory is not None:
        title = experiment.get("title")
        RunDir(directory).append(
            ExperimentEvent(
                source=SOURCE,
                phase=phase,
                title=None if title is None else str(title),
                status=(journal or {}).get("status"),
                deviated=(journal or {}).get("deviated"),
            )
        )
