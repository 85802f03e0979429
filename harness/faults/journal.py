"""What Chaos Toolkit's journal says about an experiment. Pure but for reading the file.

`chaos run` ends with status 0 when an action failed, so its journal is judged, not its exit.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

COMPLETED: Final = "completed"
MISSING: Final = "missing"


@dataclass(frozen=True, slots=True)
class FailedActivity:
    """An activity that did not succeed, and what it said."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class JournalFindings:
    """One experiment in review."""

    status: str
    """completed | failed | aborted | interrupted as Chaos Toolkit has it, or `missing`."""
    deviated: bool
    """Did the steady state not return after the method?"""
    failed: tuple[FailedActivity, ...]
    """Actions, probes and rollbacks that failed, in order."""
    faults: tuple[dict[str, Any], ...]
    """What the injecting actions returned, evidence included."""
    reasons: tuple[str, ...]
    """Why the experiment cannot be relied on, one sentence each; empty when it can."""

    @property
    def sound(self) -> bool:
        """Was the experiment carried out as written, with evidence for each of its faults?"""
        return not self.reasons


def read_journal(path: Path) -> JournalFindings:
    """Findings of a journal file; one that is missing or no journal is a finding, no error."""
    try:
        journal = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        journal = None
    if not isinstance(journal, dict) or "status" not in journal:
        reason = f"{path.name}: Chaos Toolkit left no journal; the experiment did not end in order"
        return JournalFindings(MISSING, False, (), (), (reason,))
    return findings(journal)


def findings(journal: dict[str, Any]) -> JournalFindings:
    """Findings of a journal document."""
    title = str((journal.get("experiment") or {}).get("title", "experiment"))
    status = str(journal.get("status"))
    states = journal.get("steady_states") or {}
    failed = tuple(_failed(journal))
    outputs = [run.get("output") for run in journal.get("run") or []]
    faults = tuple(each for each in outputs if isinstance(each, dict) and "took_effect" in each)
    reasons: list[str] = []
    if _unmet(states.get("before")):
        reasons.append(f"{title}: the steady state was not there before the first fault")
    if _unmet(states.get("after")):
        reasons.append(f"{title}: the steady state did not return after the faults")
    if status != COMPLETED and not reasons:
        reasons.append(f"{title}: Chaos Toolkit ended with status {status!r}")
    reasons += [f"{title}: {each.name} failed: {each.reason}" for each in failed]
    for fault in faults:
        if not fault["took_effect"]:
            missing = (fault.get("evidence") or {}).get("shortcomings") or ["no evidence"]
            reasons.append(f"{title}: {fault.get('fault')} shows no effect: {missing[0]}")
    return JournalFindings(status, bool(journal.get("deviated")), failed, faults, tuple(reasons))


def _unmet(state: Any) -> bool:
    return isinstance(state, dict) and state.get("steady_state_met") is not True


def _failed(journal: dict[str, Any]) -> Iterator[FailedActivity]:
    states = journal.get("steady_states") or {}
    probes = [
        run
        for state in (states.get("before"), states.get("after"))
        if isinstance(state, dict)
        for run in state.get("probes") or []
    ]
    for run in [*probes, *(journal.get("run") or []), *(journal.get("rollbacks") or [])]:
        status = run.get("status")
        if status == "succeeded":
            continue
        name = str((run.get("activity") or {}).get("name", "an activity"))
        # An activity that a signal ended has neither status nor exception.
        exception = run.get("exception") or ["interrupted"]
        yield FailedActivity(name, str(exception[-1]).strip())
