"""Chaos Toolkit control: the course of an experiment in the run's timeline.

    controls:
      - name: harness
        provider: {type: python, module: harness.faults.control}

It also makes the experiment end, healing first, when the harness that started it is gone. Chaos
Toolkit only logs a control that cannot be loaded, so nothing that must happen depends on it: the
activities themselves watch over their parent and write their own events.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from harness.faults.interrupts import watch_parent
from harness.rundir import RunDir

SOURCE: Final = "chaos"


def configure_control(**_: Any) -> None:
    """Called once, before anything of the experiment runs."""
    watch_parent()


def before_experiment_control(context: dict[str, Any], **_: Any) -> None:
    """The experiment begins."""
    _write("started", context)


def before_method_control(context: dict[str, Any], **_: Any) -> None:
    """The steady state was there; faults follow."""
    _write("method", context)


def before_rollback_control(context: dict[str, Any], **_: Any) -> None:
    """The faults are over, or were cut short."""
    _write("rollback", context)


def after_experiment_control(context: dict[str, Any], state: Any, **_: Any) -> None:
    """The experiment has ended; `state` is its journal."""
    journal = state if isinstance(state, dict) else {}
    _write("ended", context, status=journal.get("status"), deviated=journal.get("deviated"))


def _write(phase: str, experiment: dict[str, Any], **fields: Any) -> None:
    directory = os.environ.get("HARNESS_RUN_DIR")
    if directory:
        title = experiment.get("title")
        RunDir(Path(directory)).append("experiment", SOURCE, phase=phase, title=title, **fields)
