"""Rules about producers: who confirms a record, and what a retry does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.profiles.advice import (
    IN_FLIGHT,
    IN_FLIGHT_MAX,
    RETRIES_MAX,
    acks_all,
    idempotent,
    settings_of,
)
from harness.profiles.model import Settings, acks_of, as_int, is_true
from harness.profiles.rule import Change, Problem, Subject, rule

LIKE_JAVA: Final = ("murmur2", "murmur2_random")
"""Partitioners of librdkafka that put a key where Java's client does."""
PARTITIONER_CLASS: Final = "partitioner.class"
QUEUE_MESSAGES: Final = 100_000
RECORD_BYTES: Final = 1_000_000


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
    in_flight = as_int(producer.get(IN_FLIGHT))
    if in_flight is not None and in_flight > IN_FLIGHT_MAX:
        yield IN_FLIGHT, f"{in_flight} requests in flight"


@rule("acks-not-all")
def acks_not_all(subject: Subject) -> Iterator[Problem]:
    acks = acks_of(subject.producer or {})
    if acks in (None, "all"):
        return
    change = acks_all(subject.producer or {})
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
        f"Set {settings_of(change)} with min.insync.replicas=2 on the topic, or say "
        "`critical: false` where loss is accepted.",
        change,
    )


@rule("no-retries")
def no_retries(subject: Subject) -> Iterator[Problem]:
    if as_int((subject.producer or {}).get("retries")) == 0:
        yield Problem(
            "producer",
            "retries",
            subject.decided(),
            "retries=0: the first election or cut connection turns records in flight into failures "
            "that are not sent again.",
            f"Set retries={RETRIES_MAX} and bound the time by delivery.timeout.ms.",
            (("producer", "retries", RETRIES_MAX),),
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
    change = idempotent(producer)
    yield Problem(
        "producer",
        "enable.idempotence",
        "warning",
        "idempotence is off: a retry after a lost response writes records twice, and out of order.",
        f"Set {settings_of(change)}, or make every consumer recognise what it has seen.",
        change,
    )


@rule("idempotence-silently-off")
def idempotence_silently_off(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer
    if producer is None or subject.dialect != "java" or "enable.idempotence" in producer:
        return
    if producer.get("transactional.id"):
        return
    change = idempotent(producer)
    for name, what in _silent_off(producer):
        yield Problem(
            "producer",
            name,
            "warning",
            f"{what}: Java's client turns its idempotence off in silence, unless it was stated.",
            f"Set {settings_of(change)}; where idempotence is stated, the client refuses what "
            "contradicts it.",
            change,
        )


@rule("in-flight-with-idempotence")
def in_flight_with_idempotence(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    in_flight = as_int(producer.get(IN_FLIGHT))
    if in_flight is not None and in_flight > IN_FLIGHT_MAX and is_idempotent(subject):
        yield Problem(
            "producer",
            IN_FLIGHT,
            "error",
            f"{in_flight} requests in flight with idempotence: brokers remember the last "
            f"{IN_FLIGHT_MAX} batches only, and clients refuse this.",
            f"Set {IN_FLIGHT}={IN_FLIGHT_MAX}.",
            (("producer", IN_FLIGHT, IN_FLIGHT_MAX),),
        )


@rule("idempotence-without-acks-all")
def idempotence_without_acks_all(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    asked = is_true(producer.get("enable.idempotence")) or bool(producer.get("transactional.id"))
    if asked and acks_of(producer) not in (None, "all"):
        change = acks_all(producer)
        yield Problem(
            "producer",
            "acks",
            "error",
            f"idempotence with acks={acks_of(producer)}: a new leader would not know the sequence "
            "numbers, and clients refuse this.",
            f"Set {settings_of(change)}.",
            change,
        )


@rule("transactional-without-idempotence")
def transactional_without_idempotence(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    stated = producer.get("enable.idempotence")
    change = idempotent(producer)
    if producer.get("transactional.id") and stated is not None and not is_true(stated):
        yield Problem(
            "producer",
            "enable.idempotence",
            "error",
            "a transactional.id with idempotence off: transactions rest on sequence numbers, and "
            "clients refuse this.",
            f"Set {settings_of(change)}.",
            change,
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
            f"Set a limit that covers a failover at full rate, such as "
            f"queue.buffering.max.messages={QUEUE_MESSAGES}.",
            (("producer", "queue.buffering.max.messages", QUEUE_MESSAGES),),
        )


@rule("literal-transactional-id")
def literal_transactional_id(subject: Subject) -> Iterator[Problem]:
    identity = (subject.producer or {}).get("transactional.id")
    if not identity or subject.profile is not None:
        return  # a profile's id is a template, which the loader checks
    yield Problem(
        "producer",
        "transactional.id",
        "warning",
        f"transactional.id={identity} is the same for every instance that uses this file: a second "
        "one fences the first, and its open transaction is aborted.",
        "Take transactional.id out of the shared settings and let each instance set its own, such "
        "as its name with its ordinal.",
        (("producer", "transactional.id", None),),
    )


@rule("other-partitioner")
def other_partitioner(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer or {}
    stated = producer.get("partitioner")
    change: Change
    if stated is not None and str(stated).lower() not in LIKE_JAVA:
        name, change = "partitioner", ("producer", "partitioner", LIKE_JAVA[1])
        fix = f"Set {settings_of([change])} beside Java's clients."
    elif producer.get(PARTITIONER_CLASS):
        name, stated = PARTITIONER_CLASS, producer[PARTITIONER_CLASS]
        change = ("producer", PARTITIONER_CLASS, None)
        fix = f"Take {PARTITIONER_CLASS} out where records of a key have to stay together."
    else:
        return
    yield Problem(
        "producer",
        name,
        "warning",
        f"{name}={stated} is not the partitioner of Java's client: where both write, one key is on "
        "two partitions, and its order is lost. In a run it has no effect, because the harness "
        "chooses each record's partition itself.",
        fix,
        (change,),
    )


@rule("batch-above-topic-limit")
def batch_above_topic_limit(subject: Subject) -> Iterator[Problem]:
    producer = subject.producer
    limit = as_int((subject.topic or {}).get("max.message.bytes"))
    if producer is None or limit is None or subject.dialect == "java":
        return  # Java's client splits a batch that was too large and sends it again
    sizes = {
        name: RECORD_BYTES if stated is None else stated
        for name in ("batch.size", "message.max.bytes")
        for stated in (as_int(producer.get(name)),)
    }
    if sizes["message.max.bytes"] <= limit:
        return
    compressed = str(producer.get("compression.type", "none")).lower() != "none"
    change: tuple[Change, ...] = tuple(
        ("producer", name, limit) for name, size in sizes.items() if size > limit
    )
    if limit < 1000:  # the least that message.max.bytes can be
        change = (("topic", "max.message.bytes", max(sizes.values())),)
    full = min(sizes.values())
    batch = full > limit
    yield Problem(
        "producer",
        "batch.size" if batch else "message.max.bytes",
        "error" if batch and not compressed else "warning",
        (
            f"a full batch has up to {full} bytes, and the topic takes max.message.bytes={limit} "
            "for a batch: each record fits, the batch is refused, and its records fail."
            if batch
            else f"the client takes records of up to message.max.bytes={sizes['message.max.bytes']}"
            f", and the topic takes max.message.bytes={limit}: a record in between is refused."
        )
        + (" It is the size after compression that counts." if compressed else ""),
        f"Set {settings_of(change)}, or raise the topic's max.message.bytes.",
        change,
    )
