"""Rules about producers: who confirms a record, and what a retry does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.profiles.model import Settings, acks_of, as_int, is_true
from harness.profiles.rule import Problem, Subject, rule

IN_FLIGHT_MAX: Final = 5
"""Batches of a producer and partition whose sequence numbers a broker remembers (KIP-185)."""
TRANSACTION_TIMEOUT_MAX_MS: Final = 900_000
"""Default of the brokers' transaction.max.timeout.ms."""
FAILOVER_MS: Final = 15_000
"""A broker's session timeout (9 s by default) and an election, with some room."""


def is_idempotent(subject: Subject) -> bool:
    """Whether the producer works with sequence numbers, defaults of its client included."""
    producer = subject.producer or {}
    if "enable.idempotence" in producer:
        return is_true(producer["enable.idempotence"])
    if producer.get("transactional.id"):
        return True
    return subject.dialect == "java" and not list(_silent_off(producer))


def _silent_off(producer: Settings) -> Iterator[tuple[str, str]]:
    """What makes Java's client give up idempotence when it was not asked for (KIP-679)."""
    if acks_of(producer) not in (None, "all"):
        yield "acks", f"acks={acks_of(producer)}"
    if as_int(producer.get("retries")) == 0:
        yield "retries", "retries=0"
    in_flight = as_int(producer.get("max.in.flight.requests.per.connection"))
    if in_flight is not None and in_flight > IN_FLIGHT_MAX:
        yield "max.in.flight.requests.per.connection", f"{in_flight} requests in flight"


@rule("acks-not-all")
def acks_not_all(subject: Subject) -> Iterator[Problem]:
    acks = acks_of(subject.producer or {})
    if acks in (None, "all"):
        return
    whose = "critical data" if subject.critical else "data"
    what = {
        "0": "no broker confirms anything: what was in a socket or on one broker is lost with it",
        "1": "the leader alone confirms: what its followers have not copied is lost with it",
    }.get(str(acks), "only 0, 1 and all mean something to a broker")
    yield Problem(
        "producer",
        "acks",
        subject.decided(),
        f"acks={acks} for {whose}: {what}.",
        "Set acks=all with min.insync.replicas=2, or say `critical: false` where loss is accepted.",
    )


@rule("no-retries")
def no_retries(subject: Subject) -> Iterator[Problem]:
    if as_int((subject.producer or {}).get("retries")) == 0:
        yield Problem(
            "producer",
            "retries",
            subject.decided(),
            "retries=0: the first election or cut connection turns records in flight into failures "
            "that nobody sends again.",
            "Leave retries at 2147483647 and bound the time by delivery.timeout.ms.",
        )


@rule("idempotence-off")
def idempotence_off(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer
    if producer is None or is_idempotent(subject):
        return
    if acks_of(producer) == "0" or as_int(producer.get("retries")) == 0:
        return
    if "enable.idempotence" not in producer and subject.dialect == "java":
        return  # idempotence-silently-off says why
    yield Problem(
        "producer",
        "enable.idempotence",
        "warning",
        "idempotence is off: a retry after a lost response writes records twice, and out of order.",
        "Set enable.idempotence=true, or make every consumer recognise what it has seen.",
    )


@rule("idempotence-silently-off")
def idempotence_silently_off(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer
    if producer is None or subject.dialect != "java" or "enable.idempotence" in producer:
        return
    if producer.get("transactional.id"):
        return
    for name, what in _silent_off(producer):
        yield Problem(
            "producer",
            name,
            "warning",
            f"{what}: Java's client turns its idempotence off in silence, unless it was stated.",
            "State enable.idempotence=true; the client then refuses what contradicts it.",
        )


@rule("in-flight-with-idempotence")
def in_flight_with_idempotence(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    name = "max.in.flight.requests.per.connection"
    in_flight = as_int(producer.get(name))
    if in_flight is not None and in_flight > IN_FLIGHT_MAX and is_idempotent(subject):
        yield Problem(
            "producer",
            name,
            "error",
            f"{in_flight} requests in flight with idempotence: brokers remember the last "
            f"{IN_FLIGHT_MAX} batches only, and clients refuse this.",
            f"Set {name}={IN_FLIGHT_MAX}.",
        )


@rule("idempotence-without-acks-all")
def idempotence_without_acks_all(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    asked = is_true(producer.get("enable.idempotence")) or bool(producer.get("transactional.id"))
    if asked and acks_of(producer) not in (None, "all"):
        yield Problem(
            "producer",
            "acks",
            "error",
            f"idempotence with acks={acks_of(producer)}: a new leader would not know the sequence "
            "numbers, and clients refuse this.",
            "Set acks=all.",
        )


@rule("transactional-without-idempotence")
def transactional_without_idempotence(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    stated = producer.get("enable.idempotence")
    if producer.get("transactional.id") and stated is not None and not is_true(stated):
        yield Problem(
            "producer",
            "enable.idempotence",
            "error",
            "a transactional.id with idempotence off: transactions rest on sequence numbers, and "
            "clients refuse this.",
            "Set enable.idempotence=true.",
        )


@rule("transaction-timeout-above-broker")
def transaction_timeout_above_broker(subject: Subject) -> Iterator[Problem]:
    timeout_ms = as_int((subject.producer or {}).get("transaction.timeout.ms"))
    if timeout_ms is not None and timeout_ms > TRANSACTION_TIMEOUT_MAX_MS:
        yield Problem(
            "producer",
            "transaction.timeout.ms",
            "error",
            f"transaction.timeout.ms={timeout_ms}: brokers refuse more than their "
            f"transaction.max.timeout.ms, {TRANSACTION_TIMEOUT_MAX_MS} by default; and as long as "
            "that, a dead producer holds up every read_committed consumer.",
            "Set transaction.timeout.ms to a few failovers, such as 30000.",
        )


@rule("delivery-outlasts-transaction")
def delivery_outlasts_transaction(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    transaction_ms = as_int(producer.get("transaction.timeout.ms"))
    delivery_ms = as_int(producer.get("delivery.timeout.ms"))
    if subject.dialect != "librdkafka" or not producer.get("transactional.id"):
        return
    if transaction_ms is not None and delivery_ms is not None and delivery_ms > transaction_ms:
        yield Problem(
            "producer",
            "delivery.timeout.ms",
            "error",
            f"delivery.timeout.ms={delivery_ms} above transaction.timeout.ms={transaction_ms}: the "
            "coordinator aborts while records are still being sent, and librdkafka refuses this.",
            f"Set delivery.timeout.ms to at most {transaction_ms}.",
        )


@rule("delivery-timeout-too-short")
def delivery_timeout_too_short(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    delivery_ms = as_int(producer.get("delivery.timeout.ms"))
    if not delivery_ms:
        return  # unset, or 0: without end in librdkafka
    linger_ms = as_int(producer.get("linger.ms")) or 0
    request_ms = as_int(producer.get("request.timeout.ms"))
    least_ms = linger_ms + (30_000 if request_ms is None else request_ms)
    if delivery_ms < least_ms:
        refused = subject.dialect == "java"
        yield Problem(
            "producer",
            "delivery.timeout.ms",
            "error" if refused else "warning",
            f"delivery.timeout.ms={delivery_ms} is below linger.ms + request.timeout.ms = "
            f"{least_ms}: a record can expire before its first request has had its time"
            + (", and Java's client refuses this." if refused else "."),
            f"Set delivery.timeout.ms above {least_ms}, such as 120000.",
        )
    elif delivery_ms < FAILOVER_MS:
        yield Problem(
            "producer",
            "delivery.timeout.ms",
            "warning",
            f"delivery.timeout.ms={delivery_ms}: an ordinary failover takes up to {FAILOVER_MS} ms "
            "and would end in records of unknown outcome.",
            "Set delivery.timeout.ms to several failovers, such as 120000.",
        )


@rule("request-outlasts-socket")
def request_outlasts_socket(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    socket_ms = as_int(producer.get("socket.timeout.ms"))
    request_ms = as_int(producer.get("request.timeout.ms"))
    if socket_ms is not None and request_ms is not None and socket_ms <= request_ms:
        yield Problem(
            "producer",
            "socket.timeout.ms",
            "warning",
            f"socket.timeout.ms={socket_ms} does not exceed request.timeout.ms={request_ms}: the "
            "client gives up before the broker's own answer can come.",
            "Set socket.timeout.ms some seconds above request.timeout.ms.",
        )


@rule("unbounded-queue")
def unbounded_queue(subject: Subject) -> Iterator[Problem]:
    if as_int((subject.producer or {}).get("queue.buffering.max.messages")) == 0:
        yield Problem(
            "producer",
            "queue.buffering.max.messages",
            "warning",
            "queue.buffering.max.messages=0 takes the limit away: while no leader is there, "
            "memory fills instead of the application being slowed down.",
            "Set a limit that covers a failover at full rate.",
        )
