"""What a guardrail rule is: a check of one subject, entered under its id, yielding findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Final, Literal, TypeAlias

from harness.profiles.model import DeliveryProfile, Setting, Settings

Severity: TypeAlias = Literal["error", "warning"]
Dialect: TypeAlias = Literal["librdkafka", "java"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a rule found, where, and what to do."""

    rule: str
    severity: Severity
    where: str
    message: str
    fix: str

    def to_json(self) -> dict[str, str]:
        """As it stands in run.json and in `harness validate --json`."""
        return asdict(self)


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
    """From a part and a setting's name to where it stands, such as `file:line`."""

    def where(self, part: str, setting: str) -> str:
        if self.locate is not None:
            return self.locate(part, setting)
        return ".".join(word for word in (self.name, part, setting) if word)

    def decided(self) -> Severity:
        """The severity of a choice that is wrong for critical data alone."""
        return "error" if self.critical else "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding before its rule and place are filled in."""

    part: str
    setting: str
    severity: Severity
    message: str
    fix: str


Check: TypeAlias = Callable[[Subject], Iterator[Problem]]
RULES: Final[dict[str, Check]] = {}


def rule(identity: str) -> Callable[[Check], Check]:
    """Enter a check under its id."""

    def enter(check: Check) -> Check:
        RULES[identity] = check
        return check

    return enter
