"""Rules about consumers: what is committed when, and what is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from harness.anomalies import CONSUMER_ANOMALIES
from harness.profiles.advice import Stated, settings_of
from harness.profiles.model import Settings, as_int, is_true, text
from harness.profiles.rule import Change, Problem, Subject, rule
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


def _stored(subject: Subject) -> tuple[Change, ...]:
    """For members that commit what was handed over: the mode that commits what was processed.

    Other settings alone would contradict the mode.
    """
    plan = subject.profile.consume if subject.profile is not None else None
    if plan is None or plan.mode != "auto":
        return ()
    return (
        ("consume", "mode", "stored"),
        ("consumer", "enable.auto.commit", True),
        ("consumer", "enable.auto.offset.store", False),
    )


def _fix(change: tuple[Change, ...], then: str) -> str:
    if change[0][0] == "consume":
        return f"Set {settings_of(change)}, so that only what was processed is committed."
    return f"Set {settings_of(change)} {then}."


@rule("auto-commit")
def auto_commit(subject: Subject) -> Iterator[Problem]:
    if not _auto_commit(subject):
        return
    plan = subject.profile.consume if subject.profile is not None else None
    if plan is not None:
        if plan.mode == "stored":
            return  # only what was processed is stored, so only that is committed
        forbids = "no_unprocessed" in subject.promises
    else:
        forbids = "no_lost" in subject.promises or bool(subject.promises & NEEDS_TRANSACTIONS)
    strict = forbids or subject.critical
    change = _stored(subject) or (("consumer", "enable.auto.commit", False),)
    yield Problem(
        "consumer",
        "enable.auto.commit",
        "error" if strict else "warning",
        "offsets are committed on a timer, whether or not their records were processed"
        + (", which a promise of this profile forbids." if forbids else "."),
        _fix(change, "and commit after processing, or in the transaction"),
        change,
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
    change = _stored(subject) or (("consumer", "enable.auto.offset.store", False),)
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
        _fix(change, "and store offsets after processing"),
        change,
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
            (("consumer", "isolation.level", "read_committed"),),
        )
    elif stated is not None and subject.profile is None and subject.dialect == "java":
        yield Problem(
            "consumer",
            "isolation.level",
            "warning",
            "read_uncommitted is right only for topics without transactions.",
            "Set isolation.level=read_committed; it costs nothing without transactions.",
            (("consumer", "isolation.level", "read_committed"),),
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
            "Set auto.offset.reset=earliest, or none (librdkafka: error) to get an error instead.",
            (("consumer", "auto.offset.reset", "earliest"),),
        )


@rule("heartbeat-interval")
def heartbeat_interval(subject: Subject) -> Iterator[Problem]:
    consumer = subject.consumer or {}
    heartbeat_ms = as_int(consumer.get("heartbeat.interval.ms"))
    session_ms = as_int(consumer.get("session.timeout.ms"))
    if heartbeat_ms is not None and session_ms is not None and heartbeat_ms * 3 > session_ms:
        change: tuple[Change, ...] = (("consumer", "heartbeat.interval.ms", session_ms // 3),)
        if session_ms < 3:
            change = (
                ("consumer", "session.timeout.ms", 45_000),
                ("consumer", "heartbeat.interval.ms", 15_000),
                ("consumer", "max.poll.interval.ms", 300_000),
            )
        yield Problem(
            "consumer",
            "heartbeat.interval.ms",
            "warning",
            f"heartbeat.interval.ms={heartbeat_ms} leaves fewer than three heartbeats in "
            f"session.timeout.ms={session_ms}: one late heartbeat means a rebalance.",
            f"Set {settings_of(change)}.",
            change,
        )


_AUTO: Final[Mapping[str, tuple[bool, bool | None]]] = {
    "commit-before": (False, None),
    "commit-after": (False, None),
    "auto": (True, True),
    "stored": (True, False),
    "transactional": (False, None),
}
"""What each mode needs of enable.auto.commit and enable.auto.offset.store; None: anything."""


@rule("mode-contradicts-settings")
def mode_contradicts_settings(subject: Subject) -> Iterator[Problem]:
    plan = subject.profile.consume if subject.profile is not None else None
    if plan is None or plan.mode not in _AUTO or subject.consumer is None:
        return
    for part, name, needed in _against(plan.mode, subject.consumer):
        # One without the other can be worse than both: offsets stored early are then committed.
        change = _stored(subject) or tuple(_against(plan.mode, Stated(subject.consumer)))
        yield Problem(
            part,
            name,
            "error",
            f"consume mode {plan.mode} needs {name}={text(needed)}: otherwise its "
            "members commit at other moments than the mode says.",
            f"Set {settings_of(change)}, or choose another mode.",
            change,
        )


def _against(mode: str, consumer: Settings) -> Iterator[tuple[str, str, bool]]:
    """What has to be set where settings, defaults included, contradict a mode."""
    names = ("enable.auto.commit", "enable.auto.offset.store")
    for name, needed in zip(names, _AUTO[mode], strict=True):
        if needed is not None and is_true(consumer.get(name, True)) is not needed:
            yield "consumer", name, needed


_NEEDS_MODE: Final[Mapping[str, frozenset[str]]] = {
    "no_unprocessed": frozenset({"commit-after", "stored", "transactional", "share"}),
    "no_repeated": frozenset({"commit-before", "transactional"}),
}


@rule("consume-promise-beyond-mode")
def consume_promise_beyond_mode(subject: Subject) -> Iterator[Problem]:
    consuming = {f"no_{anomaly}" for anomaly in CONSUMER_ANOMALIES} & subject.promises
    plan = subject.profile.consume if subject.profile is not None else None
    if plan is None:
        if consuming:
            yield Problem(
                "promises",
                "",
                "error",
                f"{', '.join(sorted(consuming))}: this profile has no consumers.",
                "State `consume:`, or take the promise away.",
                tuple(("promises", promise, None) for promise in sorted(consuming)),
            )
        return
    naive = plan.mode == "transactional" and not plan.send_offsets
    beyond = [
        promise
        for promise, modes in _NEEDS_MODE.items()
        if promise in consuming and (plan.mode not in modes or naive)
    ]
    if beyond:
        how = "offsets committed apart from the transaction" if naive else f"mode {plan.mode}"
        yield Problem(
            "promises",
            "",
            "error",
            f"{', '.join(beyond)} cannot be kept with {how}: a member that dies in between "
            "skips or repeats what it had in work.",
            "Change when offsets are committed, or take the promise away.",
            tuple(("promises", promise, None) for promise in beyond),
        )
