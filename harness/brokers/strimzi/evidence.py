"""What shows that a deed had its effect on a broker's pod, or on the process in it. Pure.

A pod that is deleted ends, and the operator makes another of the same name with another uid. A
process that is killed in its container lets the container start again in the same pod: the uid
stays, the count of restarts grows. An exit status of 137 is SIGKILL, 143 an end after SIGTERM.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Final

from harness.rundir.fault_evidence import KILL, PAUSE, RESTART, RESUME, STOP
from harness.system.stopped import STOPPED

KILLED: Final = 137
IN_ORDER: Final = (0, 143)


@dataclass(slots=True)
class OnPod:
    """Something done to a broker's pod; each subclass judges what it has to show."""

    broker: int
    pod: str
    uid: str
    """Of the pod that it was done to."""
    at: str
    node: str | None = None

    deed: ClassVar[str]

    def shortcomings(self) -> list[str]:
        """What is missing for the conclusion that it had its effect."""
        return [f"broker {self.broker} (pod {self.pod}): {each}" for each in self._missing()]

    def sentence(self) -> str:
        """What was done and seen, in one sentence for people."""
        return self._what()

    def to_json(self) -> dict[str, Any]:
        """As a timeline holds it."""
        return {**asdict(self), "deed": self.deed, "what": self._what(), "told": self.sentence()}

    def _what(self) -> str:
        raise NotImplementedError

    def _missing(self) -> list[str]:
        return []


@dataclass(slots=True)
class PodEnded(OnPod):
    """A pod that was deleted."""

    grace_s: int | None = None
    """None: the pod's own."""
    stopped_first: bool = False
    """Was its process stopped by SIGSTOP before, so that it could not end in order?"""
    gone: bool = False
    """Was it seen to be gone, or its container to have ended?"""
    exit_code: int | None = None
    """Of the broker's container."""
    reason: str | None = None
    """As Kubernetes names it."""
    ended_after_s: float | None = None
    led_before: int | None = None
    """How many partitions the broker led when the pod was deleted."""
    led_at_end: int | None = None
    """How many it still led when its container had ended: 0 means that it handed over."""
    uid_after: str | None = None
    """Of the pod that took its place."""
    ready_after_s: float | None = None
    """Since the deletion, until that pod was ready."""

    @property
    def handed_over(self) -> bool | None:
        """Did others lead what it led before it ended? None where it led nothing or it is not
        known."""
        if not self.led_before or self.led_at_end is None:
            return None
        return self.led_at_end == 0

    def sentence(self) -> str:
        """What was deleted and what was seen, in one sentence."""
        text = self._what()
        if self.stopped_first:
            text += ", its process stopped by SIGSTOP before"
        if self.exit_code is not None:
            text += f", exit status {self.exit_code}"
        if self.ended_after_s is not None:
            text += f" after {self.ended_after_s:.1f} s"
        if self.led_before:
            text += f", it led {self.led_before} partitions before"
            if self.led_at_end is not None:
                text += f" and {self.led_at_end} when it ended"
        if self.uid_after is not None:
            text += f", pod {self.uid_after} took its place"
        if self.ready_after_s is not None:
            text += f" and was ready after {self.ready_after_s:.1f} s"
        return text

    def to_json(self) -> dict[str, Any]:
        """As a timeline holds it."""
        return {**OnPod.to_json(self), "handed_over": self.handed_over}

    def _what(self) -> str:
        grace = "its own time" if self.grace_s is None else f"{self.grace_s} s"
        return f"pod {self.pod} of node {self.broker} ({self.uid}) deleted with {grace} of grace"

    def _gone(self) -> list[str]:
        found = [] if self.gone else ["it was not seen to end"]
        if self.gone and self.exit_code is None:
            found.append("its exit status was not seen")
        return found


@dataclass(slots=True)
class PodKilled(PodEnded):
    """A crash: SIGKILL followed so soon that the broker could not end in order."""

    deed = KILL

    def _missing(self) -> list[str]:
        if self.exit_code in IN_ORDER:
            return [
                f"exit status {self.exit_code}, expected {KILLED}: it ended in order within the "
                "grace period, which is no crash"
            ]
        if self.exit_code not in (None, KILLED):
            return [f"exit status {self.exit_code}, expected {KILLED}"]
        return self._gone()


@dataclass(slots=True)
class PodStopped(PodEnded):
    """An orderly end: the broker handed over what it led."""

    deed = STOP

    def _missing(self) -> list[str]:
        if self.exit_code == KILLED:
            return [f"exit status {KILLED}: the grace period was over before it had ended"]
        found = self._gone()
        if self.exit_code not in (None, *IN_ORDER):
            found.append(f"exit status {self.exit_code}, expected one of {IN_ORDER}")
        if self.handed_over is False:
            found.append(f"it still led {self.led_at_end} partitions when it ended")
        return found


@dataclass(slots=True)
class PodRestarted(PodStopped):
    """An orderly end, and another pod that is ready."""

    deed = RESTART

    def _missing(self) -> list[str]:
        found = PodStopped._missing(self)
        if self.uid_after in (None, self.uid):
            found.append("no new pod took its place")
        elif self.ready_after_s is None:
            found.append("the new pod was not seen ready")
        return found


@dataclass(slots=True)
class PodRolled(PodRestarted):
    """A pod that the operator replaced because it was asked to roll the cluster."""

    by: str = ""
    """annotation, or a change of the Kafka resource"""

    def _what(self) -> str:
        return (
            f"pod {self.pod} of node {self.broker} ({self.uid}) rolled by the operator ({self.by})"
        )


@dataclass(slots=True)
class InContainer(OnPod):
    """A signal to the broker's process in its container."""

    signal: str = ""
    pid: int | None = None
    """In the container."""
    state: str | None = None
    """Of the process afterwards: `stopped` once every thread is."""
    restarts: int = 0
    """How often the container had started again before."""
    restarts_after: int | None = None
    exit_code: int | None = None
    """Of the container's last end, where it started again."""
    reason: str | None = None

    def sentence(self) -> str:
        """What was sent and what was seen, in one sentence."""
        text = self._what()
        if self.state:
            text += f", then seen {self.state}"
        if self.restarted:
            text += f", the container ended with status {self.exit_code} and started again"
        return text

    @property
    def restarted(self) -> bool:
        """Has the container started again since the signal?"""
        return self.restarts_after is not None and self.restarts_after > self.restarts

    def _what(self) -> str:
        return (
            f"{self.signal} to broker {self.broker} (process {self.pid} in the container of pod "
            f"{self.pod})"
        )


@dataclass(slots=True)
class ContainerKilled(InContainer):
    """SIGKILL in the container, which started again in the same pod."""

    deed = KILL

    uid_after: str | None = None

    def _missing(self) -> list[str]:
        found = []
        if self.uid_after not in (None, self.uid):
            found.append(f"the pod became another one ({self.uid_after}); its container should "
                         "have started again in it")  # fmt: skip
        if not self.restarted:
            found.append("its container was not seen to start again" + _init(self.pid))
        elif self.exit_code != KILLED:
            found.append(f"exit status {self.exit_code}, expected {KILLED}")
        return found


@dataclass(slots=True)
class ContainerPaused(InContainer):
    """SIGSTOP in the container: every thread was stopped."""

    deed = PAUSE

    def _missing(self) -> list[str]:
        if self.state == STOPPED:
            return []
        return [f"state {self.state!r} after SIGSTOP, expected {STOPPED!r}" + _init(self.pid)]


@dataclass(slots=True)
class ContainerResumed(InContainer):
    """SIGCONT in the container; the liveness probe may have ended it meanwhile."""

    deed = RESUME

    def _missing(self) -> list[str]:
        if not self.restarted:
            return []
        said = f" ({self.reason})" if self.reason else ""
        return [
            f"its container was ended while it was stopped, status {self.exit_code}{said}: the "
            "liveness probe kills a broker that is paused for longer than it waits. Hold "
            "shorter, or raise livenessProbe of the Kafka resource"
        ]


def _init(pid: int | None) -> str:
    if pid != 1:
        return ""
    return (
        ": the broker is the first process of its container, to which no signal gets from inside. "
        "Its image needs an init such as tini"
    )
