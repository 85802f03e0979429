"""The evidence of a fault as a timeline or a verdict holds it, read back. Pure.

Written by harness/rundir/fault_evidence.py. Broker kinds differ in what they add, so only what all
of them write is read: broker, deed, when, and the sentence `told`. Evidence of before that sentence
was written is that of processes, by signal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from harness.rundir.clock import to_us
from harness.rundir.documents import whole
from harness.rundir.fault_evidence import KILL, PAUSE, RESTART, RESUME

_DEEDS: Final = {"SIGKILL": KILL, "SIGSTOP": PAUSE, "SIGCONT": RESUME, "SIGTERM": RESTART}
"""Evidence of before the deed was written names the signal alone."""
_NOMINAL: Final = "no_fault"
"""The one fault that was to strike nothing, before evidence said so."""


@dataclass(frozen=True, slots=True)
class BrokerTrace:
    """What was done to a broker or to its link."""

    broker: int
    deed: str
    """kill, stop, pause, resume, restart or cut; empty where it is not said."""
    action: str
    """How it was done: the name of a signal, the mode of a cut; else the deed."""
    what: str
    """It in few words, the broker named."""
    at_us: int | None
    sentence: str
    """It and what was seen of it, in one sentence."""
    pod_uid: str = ""
    """Of the pod that it was done to; empty where brokers are no pods."""


class RecordedEvidence:
    """The evidence of one fault. What cannot be read is left out; `check` finds it."""

    def __init__(self, fault: str, document: Mapping[str, Any]) -> None:
        self._fault = fault
        self.document = document

    def check(self) -> None:
        """Raises ValueError, TypeError or KeyError for evidence that cannot be read."""
        for each in self.partitions:
            str(each["topic"])
            for name in ("partition", "leader", "leader_epoch"):
                value = each.get(name, 0)
                whole(0 if value is None else value)
        for each in [*self._all("brokers"), *self._all("links")]:
            whole(each.get("broker", 0))
            if each.get("at"):
                to_us(str(each["at"]))
        for kind in ("members", "coordinates"):
            for each in self._all(kind):
                whole(each.get("member", 0))
                whole(each.get("partition", 0))

    @property
    def moves_leader(self) -> bool:
        """Whether the fault is one that takes the leadership away."""
        return bool(self.document.get("moves_leader", False))

    @property
    def graceful(self) -> bool:
        """Whether it is a planned operation."""
        return bool(self.document.get("graceful", False))

    @property
    def nominal(self) -> bool:
        """Whether nothing was to be hit at all. Evidence of an unknown kind is not nominal."""
        if "nominal" in self.document:
            return self.document["nominal"] is True
        return self._fault == _NOMINAL

    @property
    def partitions(self) -> list[Mapping[str, Any]]:
        """The partitions that it was aimed at, each with leader and epoch before and after."""
        return self._all("partitions")

    @property
    def members(self) -> list[Mapping[str, Any]]:
        """The group members that it hit, or that it let join or leave."""
        return self._all("members")

    @property
    def coordinates(self) -> list[Mapping[str, Any]]:
        """Whose coordinator was hit, and by which partition of an internal topic it was one."""
        return self._all("coordinates")

    @property
    def members_alone(self) -> bool:
        """Whether it concerned group members and nothing of the brokers."""
        others = any(self._all(kind) for kind in ("brokers", "links", "elections"))
        return bool(self.members) and not others

    @cached_property
    def brokers(self) -> list[BrokerTrace]:
        """What was done to brokers, in order."""
        return [
            _broker_trace(each, _known_deed(each), _action(each))
            for each in self._all("brokers")
            if "broker" in each
        ]

    @cached_property
    def links(self) -> list[BrokerTrace]:
        """Which links were cut, in order."""
        return [
            BrokerTrace(
                int(each["broker"]),
                "cut",
                str(each.get("mode")),
                f"{each.get('mode')} on the {each.get('listener')} listener of broker "
                f"{each['broker']}",
                to_us(str(each["at"])) if each.get("at") else None,
                str(each.get("told") or _sentence_of_link(each)),
            )
            for each in self._all("links")
            if "broker" in each
        ]

    @property
    def shortcomings(self) -> list[str]:
        """What is missing for the conclusion that it took effect, as the fault itself found."""
        return self._texts("shortcomings")

    @property
    def notes(self) -> list[str]:
        """What else the fault had to say."""
        return self._texts("notes")

    def lines(self) -> Iterator[str]:
        """What was done to brokers and links, and by commands of the user's, a sentence each."""
        for each in [*self.brokers, *self.links]:
            yield each.sentence
        for command in self._all("commands"):
            yield str(command.get("told", ""))

    def _all(self, kind: str) -> list[Mapping[str, Any]]:
        value = self.document.get(kind)
        if not isinstance(value, list):
            return []
        return [item for item in value if isinstance(item, Mapping)]

    def _texts(self, kind: str) -> list[str]:
        value = self.document.get(kind)
        return [str(each) for each in value] if isinstance(value, list) else []


def _known_deed(sent: Mapping[str, Any]) -> str:
    return str(sent.get("deed") or _DEEDS.get(str(sent.get("signal")), ""))


def _action(sent: Mapping[str, Any]) -> str:
    return str(sent.get("signal") or sent.get("deed") or "")


def _broker_trace(sent: Mapping[str, Any], deed: str, action: str) -> BrokerTrace:
    broker = int(sent["broker"])
    what = str(sent.get("what") or f"{action or 'something'} to broker {broker}")
    return BrokerTrace(
        broker,
        deed,
        action,
        what,
        to_us(str(sent["at"])) if sent.get("at") else None,
        str(sent.get("told") or (_sentence_of_process(sent) if "signal" in sent else what)),
        str(sent.get("uid") or ""),
    )


def _sentence_of_process(sent: Mapping[str, Any]) -> str:
    text = f"{sent.get('signal')} to broker {sent.get('broker')} (process {sent.get('pid')})"
    if sent.get("state"):
        text += f", then seen {sent['state']}"
    if sent.get("exit_status") is not None:
        text += f", exit status {sent['exit_status']}"
    if sent.get("restarted_pid"):
        text += f", started again as process {sent['restarted_pid']}"
    return text


def _sentence_of_link(cut: Mapping[str, Any]) -> str:
    text = f"{cut.get('mode')} on the {cut.get('listener')} link of broker {cut.get('broker')}"
    if cut.get("answered_through_link") is False:
        text += ", no answer came through it"
        if cut.get("answered_past_link"):
            text += " while the broker did answer beside it"
    if cut.get("connections_reset"):
        text += f", {cut['connections_reset']} connections reset"
    return text
