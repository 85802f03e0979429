"""Under what the two sides were measured: what differs, and what follows from it. Pure.

    machine     another processor, other cores or memory: figures of the two say nothing about each
                other, and are not shown. Promises are compared
    load        another rate, size, length or other experiments: another question was asked, and
                the comparison is refused
    settings    of clients and topics: refused as well
    versions    of the harness, Kafka, clients, Python, the kernel: what one mostly wants to know
                the effect of. Named

Whoever wants to compare all the same says so; then everything that differs is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from harness.comparison.measured import Conditions
from harness.errors import UsageError

MACHINE: Final = "machine"
LOAD: Final = "load"
SETTINGS: Final = "settings"
VERSIONS: Final = "versions"
REFUSED: Final = (LOAD, SETTINGS)
ALLOW: Final = "--allow-different"
ABSENT: Final = "not recorded"
_NAMED_MAX: Final = 6


@dataclass(frozen=True, slots=True)
class Difference:
    """One condition that is not the same on both sides."""

    of: str
    """`machine`, `load`, `settings` or `versions`"""
    what: str
    base: str
    now: str

    def __str__(self) -> str:
        return f"{self.what}: {self.base} in the base, {self.now} now"


def differences(base: Conditions, now: Conditions) -> list[Difference]:
    """All that differs. Of a machine, a load or settings that one side did not record nothing is
    known: that is named, and refuses nothing."""
    found: list[Difference] = []
    for of in (MACHINE, LOAD, SETTINGS, VERSIONS):
        first: dict[str, str] = getattr(base, of)
        second: dict[str, str] = getattr(now, of)
        if not first or not second:
            if first or second:
                there = ("recorded", ABSENT) if first else (ABSENT, "recorded")
                found.append(Difference(VERSIONS, of, *there))
            continue
        for what in {**first, **second}:
            values = first.get(what, ABSENT), second.get(what, ABSENT)
            if values[0] != values[1]:
                unknown = of == MACHINE and ABSENT in values
                found.append(Difference(VERSIONS if unknown else of, what, *values))
    return found


def refuse(found: Sequence[Difference]) -> None:
    """Raises UsageError where two sides answer different questions."""
    refused = [str(each) for each in found if each.of in REFUSED]
    if refused:
        more = len(refused) - _NAMED_MAX
        named = "; ".join(refused[:_NAMED_MAX]) + (f"; and {more} more" if more > 0 else "")
        raise UsageError(
            f"compare: the two sides were not measured in the same way. {named}. Measure both in "
            f"the same way, or add {ALLOW} to compare them all the same."
        )


def another_machine(found: Sequence[Difference]) -> str:
    """Why figures are not shown: the machines differ; empty where they do not."""
    named = [str(each) for each in found if each.of == MACHINE]
    return f"measured on another machine ({'; '.join(named)})" if named else ""


def together(sides: Sequence[Conditions], names: Sequence[str]) -> Conditions:
    """The conditions of several runs of one side. Raises UsageError when they differ in load,
    settings or machine; of versions that differ all are named."""
    first = sides[0]
    versions = dict(first.versions)
    for name, each in zip(names[1:], sides[1:], strict=True):
        other = [found for found in differences(first, each) if found.of != VERSIONS]
        if other:
            raise UsageError(
                f"compare: {names[0]} and {name} are of one side and were not measured in the "
                f"same way: {other[0].what} is {other[0].base} there, {other[0].now} here."
            )
        for what, version in each.versions.items():
            known = versions.setdefault(what, version)
            if version not in known.split(" and "):
                versions[what] = f"{known} and {version}"
    return Conditions(first.machine, first.load, first.settings, versions)
