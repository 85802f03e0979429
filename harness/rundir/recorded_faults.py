"""Faults as the timeline records them, phase by phase.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.rundir.events import FaultEvent
from harness.rundir.recorded_evidence import RecordedEvidence


@dataclass(slots=True)
class RecordedFault:
    """One fault as the timeline records it; instants in µs since the epoch.

    `injected_us` is when it was injected; for a fault that never was, when it was about to be.
    """

    fault_id: str
    fault: str
    target: str
    injected_us: int
    injected: bool = False
    """Did its action come to its end and leave evidence?"""
    healed_us: int | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    took_effect: bool = False
    failure: str = ""
    begun_us: int = 2**62
    """When the first word of it was written."""
    _seen: RecordedEvidence | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def seen(self) -> RecordedEvidence:
        """Its evidence, read."""
        if self._seen is None or self._seen.document is not self.evidence:
            self._seen = RecordedEvidence(self.fault, self.evidence)
        return self._seen

    @property
    def moves_leader(self) -> bool:
        """Whether the fault is one that takes the leadership away."""
        return self.seen.moves_leader

    @property
    def partitions(self) -> list[Mapping[str, Any]]:
        """The partitions that it was aimed at, each with leader and epoch before and after."""
        return self.seen.partitions

    @property
    def idle(self) -> bool:
        """Whether it was to strike nothing at all, as `no_fault`; said by its evidence."""
        return self.injected and self.seen.nominal

    def hit_members(self, profile: str) -> list[Mapping[str, Any]]:
        """The members of a profile's group that it hit."""
        return [each for each in self.seen.members if each.get("profile") == profile]

    def coordinated(self, profile: str) -> list[tuple[str, int]]:
        """The partitions of internal topics by which it hit coordinators of a profile."""
        return [
            (str(each["topic"]), int(each["partition"]))
            for each in self.seen.coordinates
            if each.get("profile") == profile and "topic" in each and "partition" in each
        ]

    @property
    def pods(self) -> set[str]:
        """The uids of the pods that it hit."""
        return {each.pod_uid for each in self.seen.brokers if each.pod_uid}

    @property
    def brokers(self) -> set[int]:
        """The brokers that it hit, themselves or by cutting a link of theirs."""
        return {each.broker for each in [*self.seen.brokers, *self.seen.links]}


def note_fault(
    known: dict[str, RecordedFault], faults: list[RecordedFault], event: FaultEvent
) -> None:
    """Add one phase of a fault. A second `inject` under the same id is a new fault.

    Raises ValueError, TypeError or KeyError for evidence that cannot be read; then it has none.
    """
    at_us = event.at_us
    fault = known.get(event.fault_id)
    if fault is None or (event.phase == "inject" and (fault.injected or fault.failure)):
        fault = RecordedFault(event.fault_id, event.fault, event.target or "", at_us)
        fault.begun_us = at_us
        known[event.fault_id] = fault
        faults.append(fault)
    if event.target:
        fault.target = event.target
    match event.phase:
        case "injected":
            fault.injected = True
            fault.injected_us = at_us
            try:
                fault.evidence = event.evidence or {}
                fault.took_effect = bool(event.took_effect)
                fault.seen.check()
            except (KeyError, TypeError, ValueError, AttributeError):
                fault.evidence, fault.took_effect = {}, False
                raise
        case "healed":
            fault.healed_us = at_us
        case "failed":
            fault.failure = event.reason or "no reason was given"
        case "inject" | "heal":
            pass
