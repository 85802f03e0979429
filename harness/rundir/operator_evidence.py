"""What shows that an operator was stopped, was killed, or lost its rights. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class OperatorEvidence(Protocol):
    """What was done to an operator; it says itself what is missing."""

    def shortcomings(self) -> list[str]:
        """What is missing for the conclusion that it had its effect; empty when nothing is."""


@dataclass(slots=True)
class OperatorStopped:
    """An operator that was scaled to zero, so that it does not bring back what ends."""

    deployment: str
    replicas: int
    """How many there were."""
    at: str
    pods: list[str] = field(default_factory=list)
    """The operator's pods then."""
    left: list[str] = field(default_factory=list)
    """Which of them were still there when the fault went on."""

    def shortcomings(self) -> list[str]:
        """What is missing for the conclusion that it is gone."""
        if not self.pods:
            return [f"{self.deployment}: it had no pod, so nothing was stopped"]
        return [f"{self.deployment}: pod {each} was not seen to end" for each in self.left]


@dataclass(slots=True)
class OperatorKilled:
    """An operator whose pods were deleted; its Deployment makes others."""

    deployment: str
    at: str
    pods: list[str] = field(default_factory=list)
    """The operator's pods then."""
    left: list[str] = field(default_factory=list)
    """Which of them were still there when the fault went on."""
    pods_after: list[str] = field(default_factory=list)
    """Those that were there in their place by then."""

    def shortcomings(self) -> list[str]:
        """What is missing for the conclusion that the pods ended."""
        if not self.pods:
            return [f"{self.deployment}: it had no pod, so nothing was killed"]
        return [f"{self.deployment}: pod {each} was not seen to end" for each in self.left]


@dataclass(slots=True)
class OperatorRevoked:
    """An operator that was taken out of the role bindings of a namespace."""

    account: str
    """As Kubernetes names its service account."""
    bindings: list[str]
    """The role bindings that it was taken out of."""
    at: str
    right: str
    """The right that was asked for before and after, as `verb resource`."""
    allowed_before: bool
    allowed_after: bool | None = None

    def shortcomings(self) -> list[str]:
        """What is missing for the conclusion that it may do nothing any more."""
        if not self.allowed_before:
            return [f"{self.account}: it might not {self.right} before, so nothing was taken away"]
        if self.allowed_after is not False:
            return [
                f"{self.account}: it still may {self.right}: another binding gives it that, such "
                "as a ClusterRoleBinding"
            ]
        return []
