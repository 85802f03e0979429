"""Rules about topics: copies, who may lead, and how long records stay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.profiles.advice import MIN_ISR, REPLICATION_FACTOR, copies, of_copies, settings_of
from harness.profiles.model import as_int, is_true
from harness.profiles.rule import Change, Problem, Subject, rule

RETENTION_MS: Final = 7 * 24 * 3600 * 1000


@rule("replication-factor")
def replication_factor(subject: Subject) -> Iterator[Problem]:
    topic = subject.topic or {}
    factor = as_int(topic.get("replication.factor"))
    if factor is None:
        return
    if subject.brokers is not None and factor > subject.brokers:
        yield Problem(
            "topic",
            "replication.factor",
            "error",
            f"replication.factor={factor} on {subject.brokers} brokers: the topic cannot be made.",
            f"Have {factor} brokers."
            if subject.brokers <= REPLICATION_FACTOR
            else f"Have {factor} brokers, or set replication.factor={subject.brokers}.",
            (("", "brokers", factor),),
        )
    if factor in (1, 2):
        change = copies(topic, subject.brokers)
        yield Problem(
            "topic",
            "replication.factor",
            subject.decided() if factor == 1 else "warning",
            "replication.factor=1: one disk holds the only copy, and the partition is away "
            "whenever that broker is."
            if factor == 1
            else "replication.factor=2: either one broker away stops writing (min ISR 2), or one "
            "copy is enough to acknowledge (min ISR 1).",
            of_copies(change),
            change,
        )


@rule("min-isr-against-replication")
def min_isr_against_replication(subject: Subject) -> Iterator[Problem]:
    topic = subject.topic or {}
    factor, min_isr = (
        as_int(topic.get("replication.factor")),
        as_int(topic.get("min.insync.replicas")),
    )
    if factor is None or min_isr is None:
        return
    change: tuple[Change, ...] = copies(topic, subject.brokers)
    if min_isr > factor:
        yield Problem(
            "topic",
            "min.insync.replicas",
            "error",
            f"min.insync.replicas={min_isr} above replication.factor={factor}: acks=all can never "
            "be satisfied, and nothing can be written.",
            of_copies(change),
            change,
        )
    elif min_isr == factor and factor > 1:
        if factor > MIN_ISR:
            change = (("topic", "min.insync.replicas", factor - 1),)
        yield Problem(
            "topic",
            "min.insync.replicas",
            "error",
            f"min.insync.replicas={min_isr} equals replication.factor={factor}: one broker away, "
            "be it for a restart, stops every write with acks=all.",
            of_copies(change),
            change,
        )


@rule("min-isr-1")
def min_isr_1(subject: Subject) -> Iterator[Problem]:
    if subject.topic is None:
        return
    stated = subject.topic.get("min.insync.replicas")
    factor = as_int(subject.topic.get("replication.factor"))
    if factor == 1:
        return  # replication-factor says it
    change: tuple[Change, ...] = (("topic", "min.insync.replicas", MIN_ISR),)
    if factor is not None:
        change = copies(subject.topic, subject.brokers)
    if as_int(stated) == 1:
        yield Problem(
            "topic",
            "min.insync.replicas",
            subject.decided(),
            "min.insync.replicas=1: when the followers have fallen behind, acks=all is "
            "the leader alone, and an acknowledged record dies with it.",
            of_copies(change),
            change,
        )
    elif stated is None:
        yield Problem(
            "topic",
            "min.insync.replicas",
            "warning",
            "min.insync.replicas is not stated: the cluster's default decides, 1 unless changed.",
            of_copies(change),
            change,
        )


@rule("unclean-election")
def unclean_election(subject: Subject) -> Iterator[Problem]:
    if is_true((subject.topic or {}).get("unclean.leader.election.enable")):
        yield Problem(
            "topic",
            "unclean.leader.election.enable",
            subject.decided(),
            "unclean election is on: a replica without acknowledged records may become the leader, "
            "and the others then delete them too.",
            "Set unclean.leader.election.enable=false.",
            (("topic", "unclean.leader.election.enable", False),),
        )


@rule("no-retention")
def no_retention(subject: Subject) -> Iterator[Problem]:
    if subject.topic is None or "retention.ms" in subject.topic:
        return
    if str(subject.topic.get("cleanup.policy", "delete")).strip() == "compact":
        return
    change: tuple[Change, ...] = (("topic", "retention.ms", RETENTION_MS),)
    yield Problem(
        "topic",
        "retention.ms",
        "warning",
        "no retention.ms: the cluster's default decides when records are deleted, "
        "read or not (7 days unless changed).",
        f"Set retention.ms longer than the longest outage of a consumer, such as "
        f"{settings_of(change)}.",
        change,
    )


@rule("compacted")
def compacted(subject: Subject) -> Iterator[Problem]:
    if subject.topic is None or "no_lost" not in subject.promises:
        return
    if "compact" in str(subject.topic.get("cleanup.policy", "")):
        change: tuple[Change, ...] = (
            ("topic", "cleanup.policy", "delete"),
            ("topic", "retention.ms", subject.topic.get("retention.ms", RETENTION_MS)),
        )
        yield Problem(
            "topic",
            "cleanup.policy",
            "warning",
            "a compacted topic keeps the last record of each key only: no_lost is judged by that "
            "record, for what was compacted away cannot be distinguished from a loss.",
            f"Judge delivery on a topic with {settings_of(change)}, or give records keys (--keys).",
            change,
        )
