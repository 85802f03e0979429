"""Rules about promises: whether the settings can keep them, and whether they apply at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.profiles.envelope import envelope_breaches
from harness.profiles.model import acks_of
from harness.profiles.rule import Problem, Subject, rule
from harness.profiles.rules_producer import is_idempotent

NEEDS_ACKS_ALL: Final = frozenset({"no_lost", "no_inconsistent_offset"})
NEEDS_IDEMPOTENCE: Final = frozenset({"no_duplicate", "no_inversion"})
NEEDS_TRANSACTIONS: Final = frozenset(
    {"no_gap", "no_torn_txn", "no_lost_txn", "no_precommitted_read", "no_hung_txn"}
)


@rule("promise-beyond-settings")
def promise_beyond_settings(subject: Subject) -> Iterator[Problem]:
    if subject.producer is None:
        return
    idempotent, acks = is_idempotent(subject), acks_of(subject.producer)
    transactional = bool(subject.producer.get("transactional.id"))
    lacking = [
        (NEEDS_ACKS_ALL, acks in (None, "all"), "acks=all"),
        (NEEDS_IDEMPOTENCE, idempotent, "enable.idempotence=true"),
        (NEEDS_TRANSACTIONS, transactional, "a transactional.id"),
    ]
    for promises, given, needed in lacking:
        beyond = sorted(subject.promises & promises)
        if beyond and not given:
            yield Problem(
                "promises",
                "",
                "error",
                f"{', '.join(beyond)} cannot be kept without {needed}.",
                f"Set {needed}, or take the promise away.",
            )


@rule("outside-envelope")
def outside_envelope(subject: Subject) -> Iterator[Problem]:
    if subject.profile is None or not subject.promises:
        return
    for breach in envelope_breaches(subject.profile):
        yield Problem(
            "topic",
            breach.split(" ", 1)[0],
            "warning",
            f"promises are not_applicable here: {breach}.",
            "Bring the topic into the envelope: 3 copies, min ISR 2, unclean election off.",
        )


@rule("unstated-setting")
def unstated_setting(subject: Subject) -> Iterator[Problem]:
    if subject.profile is None:
        return
    decisive = {
        "producer": (
            "acks",
            "retries",
            "enable.idempotence",
            "max.in.flight.requests.per.connection",
            "delivery.timeout.ms",
        ),
        "consumer": ("isolation.level", "auto.offset.reset", "enable.auto.commit"),
        "topic": ("replication.factor", "unclean.leader.election.enable"),
    }
    parts = {"producer": subject.producer, "consumer": subject.consumer, "topic": subject.topic}
    for part, names in decisive.items():
        missing = [name for name in names if name not in (parts[part] or {})]
        if missing:
            yield Problem(
                part,
                "",
                "warning",
                f"left to defaults that differ between clients, clusters and versions: "
                f"{', '.join(missing)}.",
                "State them, or extend a built-in profile.",
            )
