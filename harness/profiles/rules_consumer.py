"""Rules about consumers: what is committed when, and what is read."""

from __future__ import annotations

from collections.abc import Iterator

from harness.profiles.model import as_int, is_true
from harness.profiles.rule import Problem, Subject, rule
from harness.profiles.rules_promises import NEEDS_TRANSACTIONS


def _auto_commit(subject: Subject) -> bool | None:
    """Whether offsets are committed on a timer; None when there is no consumer."""
    if subject.consumer is None:
        return None
    stated = subject.consumer.get("enable.auto.commit")
    if stated is None:
        # Both clients commit by default, but only in a group.
        return bool(subject.consumer.get("group.id"))
    return is_true(stated)


@rule("auto-commit")
def auto_commit(subject: Subject) -> Iterator[Problem]:
    if not _auto_commit(subject):
        return
    forbids = "no_lost" in subject.promises or bool(subject.promises & NEEDS_TRANSACTIONS)
    strict = forbids or subject.critical
    yield Problem(
        "consumer",
        "enable.auto.commit",
        "error" if strict else "warning",
        "offsets are committed on a timer, whether or not their records were processed"
        + (", which a promise of this profile forbids." if forbids else "."),
        "Set enable.auto.commit=false and commit after processing, or in the transaction.",
    )


@rule("offset-stored-before-processing")
def offset_stored_before_processing(subject: Subject) -> Iterator[Problem]:
    consumer = subject.consumer
    if consumer is None:
        return
    stated = consumer.get("enable.auto.offset.store")
    if stated is None and (subject.dialect == "java" or not consumer.get("group.id")):
        return
    if stated is not None and not is_true(stated):
        return
    committed = bool(_auto_commit(subject))
    yield Problem(
        "consumer",
        "enable.auto.offset.store",
        subject.decided() if committed else "warning",
        "offsets are stored when a record is handed out, before it is processed"
        + (
            ", and then committed on a timer: a crash skips what was in work."
            if committed
            else "; a commit() without arguments would commit them."
        ),
        "Set enable.auto.offset.store=false and store offsets after processing.",
    )


@rule("read-uncommitted")
def read_uncommitted(subject: Subject) -> Iterator[Problem]:
    if subject.consumer is None:
        return
    default = "read_uncommitted" if subject.dialect == "java" else "read_committed"
    stated = subject.consumer.get("isolation.level")
    if str(stated or default).lower() == "read_committed":
        return
    transactional = bool((subject.producer or {}).get("transactional.id"))
    if transactional or subject.promises & NEEDS_TRANSACTIONS:
        yield Problem(
            "consumer",
            "isolation.level",
            "error",
            "read_uncommitted under a transactional promise: aborted and unfinished transactions "
            "are read as if they were committed.",
            "Set isolation.level=read_committed.",
        )
    elif stated is not None and subject.profile is None and subject.dialect == "java":
        yield Problem(
            "consumer",
            "isolation.level",
            "warning",
            "read_uncommitted is right only for topics that nobody writes to in transactions.",
            "Set isolation.level=read_committed; it costs nothing without transactions.",
        )


@rule("offset-reset-skips")
def offset_reset_skips(subject: Subject) -> Iterator[Problem]:
    stated = str((subject.consumer or {}).get("auto.offset.reset", "")).lower()
    if stated in ("latest", "largest", "end"):
        yield Problem(
            "consumer",
            "auto.offset.reset",
            "warning",
            f"auto.offset.reset={stated}: a partition without a committed offset, such as a newly "
            "added one, starts at its end, and what was written before is never read.",
            "Set auto.offset.reset=earliest, or none (librdkafka: error) to be told.",
        )


@rule("heartbeat-interval")
def heartbeat_interval(subject: Subject) -> Iterator[Problem]:
    consumer = subject.consumer or {}
    heartbeat_ms = as_int(consumer.get("heartbeat.interval.ms"))
    session_ms = as_int(consumer.get("session.timeout.ms"))
    if heartbeat_ms is not None and session_ms is not None and heartbeat_ms * 3 > session_ms:
        yield Problem(
            "consumer",
            "heartbeat.interval.ms",
            "warning",
            f"heartbeat.interval.ms={heartbeat_ms} leaves fewer than three heartbeats in "
            f"session.timeout.ms={session_ms}: one late heartbeat means a rebalance.",
            f"Set heartbeat.interval.ms to at most {session_ms // 3}.",
        )
