"""Rules about promises: whether the settings can keep them, and whether they apply at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.anomalies import promises_excluded_by
from harness.anomaly_record import ExcludedBy
from harness.profiles.advice import (
    IN_FLIGHT,
    IN_FLIGHT_MAX,
    RETRIES_MAX,
    acks_all,
    copies,
    of_copies,
    settings_of,
)
from harness.profiles.advice import idempotent as with_order
from harness.profiles.envelope import envelope_breaches
from harness.profiles.model import Settings, acks_of
from harness.profiles.rule import Change, Problem, Subject, rule
from harness.profiles.rules_producer import is_idempotent
from harness.profiles.rules_time import DELIVERY_MS, in_time

NEEDS_ACKS_ALL: Final = promises_excluded_by(ExcludedBy.ACKS_ALL)
NEEDS_IDEMPOTENCE: Final = promises_excluded_by(ExcludedBy.IDEMPOTENCE)
NEEDS_TRANSACTIONS: Final = promises_excluded_by(ExcludedBy.TRANSACTIONS)


_CLEAN: Final[Change] = ("topic", "unclean.leader.election.enable", False)
_STATED: Final[Settings] = {
    "acks": "all",
    "retries": RETRIES_MAX,
    "enable.idempotence": True,
    IN_FLIGHT: IN_FLIGHT_MAX,
    "delivery.timeout.ms": DELIVERY_MS,
    "isolation.level": "read_committed",
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "replication.factor": 3,
    "unclean.leader.election.enable": False,
}
"""What is advised where a decisive setting is left to a default."""


@rule("promise-beyond-settings")
def promise_beyond_settings(subject: Subject) -> Iterator[Problem]:
    if subject.producer is None:
        return
    idempotent, acks = is_idempotent(subject), acks_of(subject.producer)
    transactional = bool(subject.producer.get("transactional.id"))
    lacking: list[tuple[frozenset[str], bool, str, tuple[Change, ...]]] = [
        (NEEDS_ACKS_ALL, acks in (None, "all"), "acks=all", acks_all(subject.producer)),
        (NEEDS_IDEMPOTENCE, idempotent, "enable.idempotence=true", with_order(subject.producer)),
        (NEEDS_TRANSACTIONS, transactional, "a transactional.id", ()),
    ]
    for promises, given, needed, change in lacking:
        beyond = sorted(subject.promises & promises)
        if beyond and not given:
            without = tuple(("promises", promise, None) for promise in beyond)
            yield Problem(
                "promises",
                "",
                "error",
                f"{', '.join(beyond)} cannot be kept without {needed}.",
                f"Set {settings_of(change)}, or take the promise away."
                if change
                else "Extend `transactional`, or take the promise away.",
                change or without,
            )


@rule("outside-envelope")
def outside_envelope(subject: Subject) -> Iterator[Problem]:
    if subject.profile is None or not subject.promises:
        return
    change = (*copies(subject.topic or {}, subject.brokers), _CLEAN)
    for breach in envelope_breaches(subject.profile):
        yield Problem(
            "topic",
            breach.split(" ", 1)[0],
            "warning",
            f"promises are not_applicable here: {breach}.",
            f"Bring the topic into the envelope: {of_copies(change)}",
            change,
        )


def _stated(subject: Subject, part: str, missing: list[str]) -> tuple[Change, ...]:
    """Values for what is missing, and what of the rest would contradict them."""
    changes = {name: (part, name, _STATED[name]) for name in missing}
    extra: tuple[Change, ...] = ()
    producer = subject.producer or {}
    if "replication.factor" in missing:
        extra = copies(subject.topic or {}, subject.brokers)
    if "delivery.timeout.ms" in missing:
        extra = in_time(subject, DELIVERY_MS)
    plan = subject.profile.consume if subject.profile is not None else None
    if "enable.auto.commit" in missing and plan is not None and plan.mode in ("auto", "stored"):
        extra = (
            ("consume", "mode", "stored"),
            ("consumer", "enable.auto.commit", True),
            ("consumer", "enable.auto.offset.store", False),
        )
    if "enable.idempotence" in missing:
        extra += with_order(producer)
    return tuple({**changes, **{change[1]: change for change in extra}}.values())


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
            change = _stated(subject, part, missing)
            yield Problem(
                part,
                "",
                "warning",
                f"left to defaults that differ between clients, clusters and versions: "
                f"{', '.join(missing)}.",
                f"Extend a built-in profile, or state them: {of_copies(change)}",
                change,
            )
