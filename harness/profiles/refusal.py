"""What cannot be taken of a settings file: collected, so that a reader hears of all of it at once.

A command that is about to run something raises them together; `harness validate` shows each as a
finding and looks at everything else in the file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from harness.errors import UsageError, is_secret

KINDS: Final = (
    "unknown-setting",
    "refused-value",
    "misplaced-setting",
    "placeholder",
    "unreadable-store",
    "stated-twice",
    "malformed",
    "client-refuses",
)
"""The ids of these findings; docs/profiles.md says what each means."""

_PLACEHOLDER: Final = re.compile(
    r"\$\{[^}]*\}|\{\{.*?\}\}|\$\([^)]*\)|%\{[^}]*\}|^@[\w.-]+@$|^<[^<>]+>$|^\$[A-Za-z_]\w*$"
)
"""What a shell, Helm, Spring, Kafka's ConfigProvider, Kubernetes, Maven or a person fills in."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that cannot be taken, where it is, and what to do."""

    kind: str
    where: str
    message: str
    fix: str
    severity: Literal["error", "warning"] = "error"

    @property
    def text(self) -> str:
        """All of it in one line."""
        return f"{self.where}: {self.message} {self.fix}".strip()


class Refused(Exception):
    """A value that cannot be taken; who catches it knows where it is."""

    def __init__(self, message: str, fix: str = "", kind: str = "refused-value") -> None:
        super().__init__(message)
        self.message, self.fix, self.kind = message, fix, kind

    def at(self, where: str) -> Refusal:
        """The refusal with its origin."""
        return Refusal(self.kind, where, self.message, self.fix)


def raise_all(refusals: Sequence[Refusal]) -> None:
    """Raise one UsageError that tells all of them, a line each, when there are any."""
    if refusals:
        raise UsageError("\n".join(refusal.text for refusal in refusals))


def placeholder(name: str, value: Any) -> bool:
    """Whether a value, or a part of it, is still to be filled in.

    A password may hold such characters, so that a secret's whole value has to be one.
    """
    if not isinstance(value, str):
        return False
    held = _PLACEHOLDER.fullmatch if is_secret(name) else _PLACEHOLDER.search
    return held(value.strip()) is not None


def unfilled(where: str, name: str, value: str) -> Refusal:
    """The refusal of a value that holds a placeholder. A secret's value is never repeated."""
    shown = "its value" if is_secret(name) else value
    return Refusal(
        "placeholder",
        where,
        f"{shown} is a placeholder, so what the setting will be is not known and no rule that "
        "needs it was applied.",
        f"Write the value itself; a run also takes it as --config {name}=env:VARIABLE or "
        f"{name}=file:PATH.",
        "warning",
    )
