"""What shows that a signal had its effect on a broker's process of this machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final

from harness.rundir.fault_evidence import KILL, PAUSE, RESTART, RESUME, STOP
from harness.system.stopped import STOPPED

_KILLED: Final = -9
_TERMINATED: Final = (0, -15, 143)
"""Exit statuses after SIGTERM; a JVM ends with 128 + 15 once its shutdown hooks have run."""


@dataclass(slots=True)
class Signalled:
    """A signal sent to a broker's process; each subclass judges what it has to show."""

    broker: int
    pid: int
    signal: str
    at: str
    state: str | None = None
    """The process state seen afterwards, as psutil names it, `stopped` once every thread is
    stopped; only asked for SIGSTOP."""
    exit_status: int | None = None
    """As subprocess has it: -9 after SIGKILL. None while it runs."""
    restarted_pid: int | None = None
    """Which process took its place, where it was restarted."""

    deed: ClassVar[str]

    def shortcomings(self) -> list[str]:
        """What is missing for the conclusion that the signal had its effect."""
        return [f"{self._name()}: {each}" for each in self._missing()]

    def sentence(self) -> str:
        """What was sent and what was seen, in one sentence."""
        text = f"{self.signal} to broker {self.broker} (process {self.pid})"
        if self.state:
            text += f", then seen {self.state}"
        if self.exit_status is not None:
            text += f", exit status {self.exit_status}"
        if self.restarted_pid:
            text += f", started again as process {self.restarted_pid}"
        return text

    def to_json(self) -> dict[str, Any]:
        """As a timeline holds it."""
        return {**asdict(self), "deed": self.deed, "told": self.sentence()}

    def _name(self) -> str:
        return f"broker {self.broker} (process {self.pid}) after {self.signal}"

    def _missing(self) -> list[str]:
        return []


@dataclass(slots=True)
class Killed(Signalled):
    """SIGKILL: the process ended by it."""

    deed = KILL

    def _missing(self) -> list[str]:
        if self.exit_status == _KILLED:
            return []
        return [f"exit status {self.exit_status}, expected {_KILLED}"]


@dataclass(slots=True)
class Ended(Signalled):
    """SIGTERM: the process ended in an orderly way."""

    deed = STOP

    def _missing(self) -> list[str]:
        if self.exit_status in _TERMINATED:
            return []
        expected = ", ".join(map(str, _TERMINATED))
        return [f"exit status {self.exit_status}, expected one of {expected}"]


@dataclass(slots=True)
class Restarted(Ended):
    """SIGTERM, and a new process: both are to be seen."""

    deed = RESTART

    def _missing(self) -> list[str]:
        found = Ended._missing(self)
        if self.restarted_pid in (None, self.pid):
            found.append("no new process took its place")
        return found


@dataclass(slots=True)
class Paused(Signalled):
    """SIGSTOP: every thread was stopped."""

    deed = PAUSE

    def _missing(self) -> list[str]:
        return [] if self.state == STOPPED else [f"state {self.state!r}, expected {STOPPED!r}"]


@dataclass(slots=True)
class Resumed(Signalled):
    """SIGCONT: the supervisor answers once the process goes on."""

    deed = RESUME
