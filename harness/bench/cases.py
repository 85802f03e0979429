"""What is measured: load by each built-in profile and verification, at 100 B and at 1 KiB.

The number of records makes a run long enough for start-up (an interpreter here, a JVM with its
compiler there) to be a small part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from harness.errors import UsageError

LOAD: Final = "load"
VERIFY: Final = "verify"
FOOTPRINT: Final = "footprint"
OVER_WORKERS: Final = "load over workers"

TABLES: Final = (FOOTPRINT, OVER_WORKERS)
"""What is measured besides pairs of runs."""

SIZES: Final = {"100 B": 100, "1 KiB": 1024}
PROFILES: Final = (
    "fire-and-forget",
    "leader-ack",
    "at-least-once",
    "idempotent",
    "transactional",
)
VERIFY_PROFILE: Final = "idempotent"
"""Whose topics are read back; every profile but the transactional one is read in the same way."""

RECORDS_MIN: Final = 1_000
RECORDS_MAX: Final = 100_000_000
_RECORDS: Final = {
    (LOAD, 100): 1_000_000,
    (LOAD, 1024): 250_000,
    (VERIFY, 100): 4_000_000,
    (VERIFY, 1024): 1_000_000,
}
GROWTH_MIN: Final = 1_000_000
GROWTH_DEFAULT: Final = 10_000_000
GROWTH_MAX: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the table: pairs of runs, ours and Kafka's."""

    name: str
    kind: str
    """`load` or `verify`"""
    profile: str
    message_bytes: int
    records: int
    peer: str
    """Which of Kafka's tools it is compared with."""


def all_cases() -> list[Case]:
    """Every case in the order of the table."""
    found = [
        Case(
            f"{LOAD} {profile} {size}",
            LOAD,
            profile,
            message_bytes,
            _RECORDS[LOAD, message_bytes],
            "ProducerPerformance",
        )
        for size, message_bytes in SIZES.items()
        for profile in PROFILES
    ]
    found += [
        Case(
            f"{VERIFY} {size}",
            VERIFY,
            VERIFY_PROFILE,
            message_bytes,
            _RECORDS[VERIFY, message_bytes],
            "ConsumerPerformance",
        )
        for size, message_bytes in SIZES.items()
    ]
    return found


def chosen(only: Sequence[str], records: int | None) -> list[Case]:
    """The cases whose name holds one of the texts; all without one; `records` replaces theirs.

    Raises UsageError when a text fits no case, or `records` is out of range.
    """
    cases = all_cases()
    for text in only:
        if not any(text in name for name in (*(each.name for each in cases), *TABLES)):
            names = ", ".join([*(case.name for case in cases), *TABLES])
            raise UsageError(f"--only {text!r}: fits no case. There are: {names}.")
    if only:
        cases = [case for case in cases if any(text in case.name for text in only)]
    if records is None:
        return cases
    if not RECORDS_MIN <= records <= RECORDS_MAX:
        raise UsageError(f"--records {records}: accepted is {RECORDS_MIN} to {RECORDS_MAX}.")
    return [replace(case, records=records) for case in cases]


def growth_sizes(largest: int) -> tuple[int, ...]:
    """A million records, ten times as many and so on, and `largest` at the end.

    Raises UsageError when `largest` gives no slope or is out of range.
    """
    if not GROWTH_MIN < largest <= GROWTH_MAX:
        raise UsageError(f"--growth {largest}: accepted is {GROWTH_MIN + 1} to {GROWTH_MAX}.")
    sizes = [GROWTH_MIN]
    while sizes[-1] * 10 < largest:
        sizes.append(sizes[-1] * 10)
    return (*sizes, largest)
