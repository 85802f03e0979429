"""What profiles promise, copied by hand from docs/profiles.md and, for those of our own, stated
here: a few that the built-in ones leave out, such as a reader at the other level of isolation."""

from __future__ import annotations

from dataclasses import dataclass

EVERYWHERE = ("no_phantom", "no_corrupt", "no_misrouted", "no_failed_visible", "no_vanished")
AT_LEAST_ONCE = (*EVERYWHERE, "no_lost", "no_inconsistent_offset")
IDEMPOTENT = (*AT_LEAST_ONCE, "no_duplicate", "no_inversion")
TRANSACTIONAL = (
    *IDEMPOTENT,
    "no_gap",
    "no_torn_txn",
    "no_lost_txn",
    "no_precommitted_read",
    "no_hung_txn",
)
COMMITTED, UNCOMMITTED = "read_committed", "read_uncommitted"


@dataclass(frozen=True)
class Profile:
    """What decides about the verdict by a profile."""

    name: str
    promises: tuple[str, ...]
    level: str = UNCOMMITTED
    transactional: bool = False
    timeout_ms: int = 60_000
    # As `--profiles` is given it; empty for the built-in ones.
    yaml: str = ""

    def promises_no(self, anomaly: str) -> bool:
        return f"no_{anomaly}" in self.promises


def _own(name: str, extends: str, settings: str, promises: tuple[str, ...]) -> str:
    return (
        f"profiles:\n  {name}:\n    extends: {extends}\n{settings}"
        f"    promises: [{', '.join(promises)}]\n"
    )


_ORDERED = (*AT_LEAST_ONCE, "no_gap", "no_inversion")
_AT_COMMITTED = "    consumer: {isolation.level: read_committed}\n"
_AT_UNCOMMITTED = "    consumer: {isolation.level: read_uncommitted}\n"
_PATIENT = "    producer: {transaction.timeout.ms: 80000}\n"

PROFILES = (
    Profile("fire-and-forget", EVERYWHERE),
    Profile("leader-ack", EVERYWHERE),
    Profile("at-least-once", AT_LEAST_ONCE),
    Profile("idempotent", IDEMPOTENT),
    Profile("transactional", TRANSACTIONAL, COMMITTED, transactional=True, timeout_ms=30_000),
    Profile("unsafe-topic", ()),
    Profile("ordered", _ORDERED, yaml=_own("ordered", "at-least-once", "", _ORDERED)),
    Profile(
        "committed-reader",
        IDEMPOTENT,
        COMMITTED,
        yaml=_own("committed-reader", "idempotent", _AT_COMMITTED, IDEMPOTENT),
    ),
    Profile(
        "dirty-reader",
        TRANSACTIONAL,
        UNCOMMITTED,
        transactional=True,
        timeout_ms=30_000,
        yaml=_own("dirty-reader", "transactional", _AT_UNCOMMITTED, TRANSACTIONAL),
    ),
    Profile(
        "patient",
        ("no_lost", "no_hung_txn", "no_precommitted_read"),
        COMMITTED,
        transactional=True,
        timeout_ms=80_000,
        yaml=_own(
            "patient",
            "transactional",
            _PATIENT,
            ("no_lost", "no_hung_txn", "no_precommitted_read"),
        ),
    ),
)
BY_NAME = {each.name: each for each in PROFILES}
