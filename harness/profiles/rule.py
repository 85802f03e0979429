"""What a guardrail rule is: a check of one subject, entered under its id, yielding findings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from harness.profiles.model import DeliveryProfile, Setting, Settings

Severity: TypeAlias = Literal["error", "warning"]
Dialect: TypeAlias = Literal["librdkafka", "java"]


Change: TypeAlias = tuple[str, str, Setting | None]
"""(part, setting, value) that an advice sets; None takes the setting or the promise away."""


class NotKnown(Exception):
    """A rule asked for a setting whose value is still to be filled in, or was refused."""


class PartlyKnown(Mapping[str, Setting]):
    """Settings of which some are stated with a value that is not known.

    Such a name is there, so no default applies; asking for its value ends the rule that asks.
    """

    def __init__(self, settings: Settings, unknown: Collection[str]) -> None:
        self._unknown = frozenset(unknown)
        self._settings = {n: v for n, v in settings.items() if n not in self._unknown}

    def __getitem__(self, name: str) -> Setting:
        if name in self._unknown:
            raise NotKnown(name)
        return self._settings[name]

    def __contains__(self, name: object) -> bool:
        return name in self._unknown or name in self._settings

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)

    def __bool__(self) -> bool:
        return bool(self._unknown or self._settings)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule found, where, and what to do."""

    rule: str
    severity: Severity
    where: str
    message: str
    fix: str
    change: tuple[Change, ...] = ()
    """What the first advice of `fix` sets; a test follows it."""

    def to_json(self) -> dict[str, str]:
        """As run.json and `harness validate --json` show it."""
        return {
            "rule": self.rule,
            "severity": self.severity,
            "where": self.where,
            "message": self.message,
            "fix": self.fix,
        }


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at. A part that is None is not described here, so no rule speaks of it."""

    name: str
    producer: Settings | None = None
    consumer: Settings | None = None
    topic: Settings | None = None
    connection: Mapping[str, Setting] = field(default_factory=dict)
    promises: frozenset[str] = frozenset()
    critical: bool = True
    dialect: Dialect = "librdkafka"
    """Whose defaults hold for what is not stated."""
    brokers: int | None = None
    profile: DeliveryProfile | None = None
    locate: Callable[..., str] | None = None
    """From a part and a setting's name to its origin, such as `file:line`."""

    def where(self, part: str, setting: str) -> str:
        if self.locate is not None:
            return self.locate(part, setting)
        return ".".join(word for word in (self.name, part, setting) if word)

    def decided(self) -> Severity:
        """The severity of a choice that is wrong for critical data alone."""
        return "error" if self.critical else "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding before its rule and origin are filled in."""

    part: str
    setting: str
    severity: Severity
    message: str
    fix: str
    change: tuple[Change, ...] = ()


Check: TypeAlias = Callable[[Subject], Iterator[Problem]]
RULES: Final[dict[str, Check]] = {}


def rule(identity: str) -> Callable[[Check], Check]:
    """Enter a check under its id."""

    def enter(check: Check) -> Check:
        RULES[identity] = check
        return check

    return enter
