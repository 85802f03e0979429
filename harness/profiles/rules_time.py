"""Rules about a producer's times: how long it tries, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from harness.profiles.advice import RETRIES_MAX, Stated, settings_of
from harness.profiles.model import Settings, as_int
from harness.profiles.rule import Change, Problem, Subject, rule

TRANSACTION_TIMEOUT_MAX_MS: Final = 900_000
"""Default of the brokers' transaction.max.timeout.ms."""
TRANSACTION_MS: Final = 30_000
DELIVERY_MS: Final = 120_000
REQUEST_MS: Final = 30_000
"""Both clients' default of request.timeout.ms."""
SOCKET_MS_MAX: Final = 300_000
FAILOVER_MS: Final = 15_000
"""A broker's session timeout (9 s by default) and an election, with some room."""
BACKOFF_MS: Final = 100
BACKOFF_MAX_MS: Final = 1000


def _least_ms(subject: Subject) -> int:
    """linger.ms + request.timeout.ms: the least that a delivery has to have."""
    producer = subject.producer or {}
    request_ms = as_int(producer.get("request.timeout.ms"))
    linger_ms = as_int(producer.get("linger.ms")) or 0
    return linger_ms + (REQUEST_MS if request_ms is None else request_ms)


def _transaction_ms(subject: Subject) -> int | None:
    """transaction.timeout.ms, where librdkafka compares it with delivery.timeout.ms."""
    producer = subject.producer or {}
    bounded = subject.dialect == "librdkafka" and producer.get("transactional.id")
    return as_int(producer.get("transaction.timeout.ms")) if bounded else None


def in_time(subject: Subject, delivery_ms: int) -> tuple[Change, ...]:
    """delivery.timeout.ms of at least this, and what has to change with it."""
    known = replace(subject, producer=Stated(subject.producer or {}))
    least_ms, transaction_ms = _least_ms(known), _transaction_ms(known)
    if transaction_ms is None:
        return (("producer", "delivery.timeout.ms", max(delivery_ms, least_ms)),)
    needed_ms = max(least_ms, FAILOVER_MS)
    if needed_ms <= min(transaction_ms, TRANSACTION_TIMEOUT_MAX_MS):
        within = min(transaction_ms, TRANSACTION_TIMEOUT_MAX_MS)
        changes: list[Change] = [("producer", "delivery.timeout.ms", within)]
    elif needed_ms <= TRANSACTION_TIMEOUT_MAX_MS:
        within = needed_ms
        changes = [("producer", "delivery.timeout.ms", needed_ms)]
    else:
        within = TRANSACTION_MS
        changes = [
            ("producer", "delivery.timeout.ms", TRANSACTION_MS),
            ("producer", "request.timeout.ms", 10_000),
            ("producer", "linger.ms", 5),
        ]
    if transaction_ms != within:
        changes.append(("producer", "transaction.timeout.ms", within))
    return tuple(changes)


@rule("transaction-timeout-above-broker")
def transaction_timeout_above_broker(subject: Subject) -> Iterator[Problem]:
    timeout_ms = as_int((subject.producer or {}).get("transaction.timeout.ms"))
    if timeout_ms is None or timeout_ms <= TRANSACTION_TIMEOUT_MAX_MS:
        return
    known = replace(subject, producer=Stated(subject.producer or {}))
    delivery_ms = as_int((known.producer or {}).get("delivery.timeout.ms"))
    bounded = _transaction_ms(known)
    change: tuple[Change, ...] = (("producer", "transaction.timeout.ms", TRANSACTION_MS),)
    if bounded is not None and delivery_ms is not None:
        change = in_time(subject, delivery_ms)
    yield Problem(
        "producer",
        "transaction.timeout.ms",
        "error",
        f"transaction.timeout.ms={timeout_ms}: brokers refuse more than their "
        f"transaction.max.timeout.ms, {TRANSACTION_TIMEOUT_MAX_MS} by default; and as long as "
        "that, a dead producer holds up every read_committed consumer.",
        f"Set {settings_of(change)}: a few failovers are enough.",
        change,
    )


@rule("delivery-outlasts-transaction")
def delivery_outlasts_transaction(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    transaction_ms = _transaction_ms(subject)
    delivery_ms = as_int(producer.get("delivery.timeout.ms"))
    if transaction_ms is None or delivery_ms is None or delivery_ms <= transaction_ms:
        return
    change = in_time(subject, delivery_ms)
    yield Problem(
        "producer",
        "delivery.timeout.ms",
        "error",
        f"delivery.timeout.ms={delivery_ms} above transaction.timeout.ms={transaction_ms}: the "
        "coordinator aborts while records are still being sent, and librdkafka refuses this.",
        f"Set {settings_of(change)}.",
        change,
    )


@rule("delivery-timeout-too-short")
def delivery_timeout_too_short(subject: Subject) -> Iterator[Problem]:
    delivery_ms = as_int((subject.producer or {}).get("delivery.timeout.ms"))
    if not delivery_ms:
        return  # unset, or 0: without end in librdkafka
    least_ms = _least_ms(subject)
    change = in_time(subject, DELIVERY_MS)
    if delivery_ms < least_ms:
        linger_ms = as_int((subject.producer or {}).get("linger.ms")) or 0
        java = subject.dialect == "java"
        yield Problem(
            "producer",
            "delivery.timeout.ms",
            "error" if java or delivery_ms <= linger_ms else "warning",
            f"delivery.timeout.ms={delivery_ms} is below linger.ms + request.timeout.ms = "
            f"{least_ms}: a record can expire before its first request has had its time"
            + (", and Java's client refuses this." if java else "."),
            f"Set {settings_of(change)}.",
            change,
        )
    elif delivery_ms < FAILOVER_MS:
        yield Problem(
            "producer",
            "delivery.timeout.ms",
            "warning",
            f"delivery.timeout.ms={delivery_ms}: an ordinary failover takes up to {FAILOVER_MS} ms "
            "and would end in records of unknown outcome.",
            f"Set {settings_of(change)}: several failovers.",
            change,
        )


@rule("request-outlasts-socket")
def request_outlasts_socket(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    socket_ms = as_int(producer.get("socket.timeout.ms"))
    request_ms = as_int(producer.get("request.timeout.ms"))
    if socket_ms is None or request_ms is None or socket_ms > request_ms:
        return
    change: tuple[Change, ...] = (("producer", "socket.timeout.ms", request_ms + 5000),)
    if request_ms + 5000 > SOCKET_MS_MAX:
        change = (
            ("producer", "request.timeout.ms", 10_000),
            ("producer", "socket.timeout.ms", 15_000),
        )
    yield Problem(
        "producer",
        "socket.timeout.ms",
        "warning",
        f"socket.timeout.ms={socket_ms} does not exceed request.timeout.ms={request_ms}: the "
        "client gives up before the broker's own answer can come.",
        f"Set {settings_of(change)}.",
        change,
    )


@rule("few-retries")
def few_retries(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    retries = as_int(producer.get("retries"))
    if not retries:
        return  # unset, or 0, of which no-retries speaks
    lasts_ms = _lasting_ms(producer, retries)
    if lasts_ms < FAILOVER_MS:
        yield Problem(
            "producer",
            "retries",
            "warning",
            f"retries={retries}: with their waits, they are used up {lasts_ms} ms after the first "
            f"refusal, and an ordinary failover takes up to {FAILOVER_MS} ms.",
            f"Set retries={RETRIES_MAX} and bound the time by delivery.timeout.ms.",
            (("producer", "retries", RETRIES_MAX),),
        )


def _lasting_ms(producer: Settings, retries: int) -> int:
    """How long the waits before so many retries last, each twice as long as the one before."""
    first = as_int(producer.get("retry.backoff.ms"))
    most = as_int(producer.get("retry.backoff.max.ms"))
    wait_ms = BACKOFF_MS if first is None else first
    most_ms = BACKOFF_MAX_MS if most is None else most
    lasts_ms, left = 0, retries
    while left and wait_ms < most_ms and lasts_ms < FAILOVER_MS:
        lasts_ms, left, wait_ms = lasts_ms + wait_ms, left - 1, max(wait_ms * 2, 1)
    return lasts_ms + left * min(wait_ms, most_ms)
