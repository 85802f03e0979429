"""What Chaos Toolkit's journal says about an experiment.

`chaos run` ends with status 0 when an action failed, so its journal is judged and not its exit.
No client library and no Chaos Toolkit is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.rundir.documents import parse_json

COMPLETED: Final = "completed"
_SUCCEEDED: Final = "succeeded"


@dataclass(frozen=True, slots=True)
class ExperimentJournal:
    """What Chaos Toolkit wrote about an experiment; `document` is None when it wrote nothing."""

    number: int
    experiment: str
    document: Mapping[str, Any] | None

    @property
    def completed(self) -> bool:
        """Whether Chaos Toolkit itself ended it with success, which a failed action allows."""
        document = self.document or {}
        return document.get("status") == COMPLETED and not document.get("deviated")

    @property
    def outputs(self) -> list[Mapping[str, Any]]:
        """What its faults returned, in order, evidence included."""
        runs = (self.document or {}).get("run") or []
        outputs = [run.get("output") for run in runs if isinstance(run, Mapping)]
        return [each for each in outputs if isinstance(each, Mapping) and "took_effect" in each]

    def troubles(self) -> list[str]:
        """What went wrong, in one sentence; empty when it was carried out as written."""
        name, document = f"experiment {self.experiment}", self.document
        if document is None:
            return [f"{name} left no journal: it did not come to its end"]
        troubles = []
        status = document.get("status")
        if status != COMPLETED:
            troubles.append(f"it ended as {status!r} and not as {COMPLETED!r}")
        states = document.get("steady_states")
        states = states if isinstance(states, Mapping) else {}
        for when in ("before", "after"):
            state = states.get(when)
            if isinstance(state, Mapping) and state.get("steady_state_met") is False:
                probes = _names(
                    probe
                    for probe in state.get("probes", [])
                    if not probe.get("tolerance_met", True)
                )
                troubles.append(f"its steady state did not hold {when} the fault{probes}")
        for section, what in (("run", "activity"), ("rollbacks", "rollback")):
            for activity in document.get(section) or []:
                if isinstance(activity, Mapping) and activity.get("status") != _SUCCEEDED:
                    troubles.append(
                        f"{what} {_title(activity)!r} ended as {activity.get('status')!r}"
                        f"{_cause(activity)}"
                    )
        if document.get("deviated") and not troubles:
            troubles.append("the system deviated from its steady state")
        return [f"{name}: {', '.join(troubles)}"] if troubles else []


def read_journal_document(path: Path) -> Mapping[str, Any] | None:
    """Chaos Toolkit's journal; None where it left none, or one that was cut short."""
    try:
        document = parse_json(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _names(probes: Any) -> str:
    titles = [repr(_title(probe)) for probe in probes]
    return f" ({', '.join(titles)})" if titles else ""


def _title(activity: Mapping[str, Any]) -> str:
    inner = activity.get("activity")
    return str(inner.get("name", "?")) if isinstance(inner, Mapping) else "?"


def _cause(activity: Mapping[str, Any]) -> str:
    """The last line of an exception that the journal holds."""
    lines = activity.get("exception")
    if isinstance(lines, list) and lines:
        return f": {str(lines[-1]).strip()}"
    return ""
