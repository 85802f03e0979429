"""Rules about the members of a group: how long they work, and by which name they are known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.profiles.advice import settings_of
from harness.profiles.consume import HANDED_AT_ONCE
from harness.profiles.model import as_int
from harness.profiles.rule import Change, Problem, Subject, rule

POLL_MS: Final = 300_000
"""Both clients' default of max.poll.interval.ms."""
POLL_MS_MAX: Final = 86_400_000
SESSION_MS: Final = 45_000
"""librdkafka's default of session.timeout.ms."""


def _poll_ms(subject: Subject) -> int:
    stated = as_int((subject.consumer or {}).get("max.poll.interval.ms"))
    return POLL_MS if stated is None else stated


@rule("work-longer-than-poll")
def work_longer_than_poll(subject: Subject) -> Iterator[Problem]:
    plan = subject.profile.consume if subject.profile is not None else None
    if plan is None or plan.mode == "share":
        return
    poll_ms, one_ms = _poll_ms(subject), plan.processing_ms
    all_ms = one_ms * HANDED_AT_ONCE
    if all_ms < poll_ms:
        return
    change: tuple[Change, ...] = (
        ("consumer", "max.poll.interval.ms", min(POLL_MS_MAX, int(all_ms * 2) + 1)),
    )
    stuck = one_ms >= poll_ms
    yield Problem(
        "consumer",
        "max.poll.interval.ms",
        "error" if stuck else "warning",
        (
            f"processing_ms={one_ms:g} is not below max.poll.interval.ms={poll_ms}: a member is "
            "put out of its group before it has processed one record, and the next member gets "
            "the same record, without end."
            if stuck
            else f"a member is handed up to {HANDED_AT_ONCE} records at once, and with "
            f"processing_ms={one_ms:g} works on them for {all_ms:g} ms: longer than "
            f"max.poll.interval.ms={poll_ms}, so it is put out of its group in the middle."
        ),
        f"Set {settings_of(change)}, or a shorter processing_ms.",
        change,
    )


@rule("poll-shorter-than-session")
def poll_shorter_than_session(subject: Subject) -> Iterator[Problem]:
    if subject.dialect != "librdkafka" or subject.consumer is None:
        return
    plan = subject.profile.consume if subject.profile is not None else None
    protocol = subject.consumer.get("group.protocol", plan.protocol if plan else "classic")
    if str(protocol).lower() != "classic" or (plan is None and subject.profile is not None):
        return
    stated = as_int(subject.consumer.get("session.timeout.ms"))
    session_ms, poll_ms = SESSION_MS if stated is None else stated, _poll_ms(subject)
    if poll_ms < session_ms:
        change: tuple[Change, ...] = (("consumer", "max.poll.interval.ms", session_ms),)
        yield Problem(
            "consumer",
            "max.poll.interval.ms",
            "error",
            f"max.poll.interval.ms={poll_ms} is below session.timeout.ms={session_ms}: librdkafka "
            "refuses this.",
            f"Set {settings_of(change)}, or a shorter session.timeout.ms.",
            change,
        )


@rule("literal-instance-id")
def literal_instance_id(subject: Subject) -> Iterator[Problem]:
    identity = (subject.consumer or {}).get("group.instance.id")
    if not identity:
        return
    plan = subject.profile.consume if subject.profile is not None else None
    if subject.profile is not None and (plan is None or plan.members == 1):
        return
    yield Problem(
        "consumer",
        "group.instance.id",
        "warning" if plan is None else "error",
        (
            f"group.instance.id={identity} is the same for every member that uses this file: "
            if plan is None
            else f"group.instance.id={identity} for {plan.members} members: "
        )
        + "a second member of that name fences the first, or is refused.",
        "Take group.instance.id out of the shared settings, and let each member set its own where "
        "it needs one.",
        (("consumer", "group.instance.id", None),),
    )


_CLASSIC: Final = (
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "partition.assignment.strategy",
    "group.protocol.type",
)


@rule("classic-setting")
def classic_setting(subject: Subject) -> Iterator[Problem]:
    consumer = subject.consumer or {}
    if subject.profile is not None or str(consumer.get("group.protocol")).lower() != "consumer":
        return  # members of a profile are given these in the classic protocol only
    for name in _CLASSIC:
        if name in consumer:
            yield Problem(
                "consumer",
                name,
                "error",
                f"{name} belongs to the classic group protocol: with group.protocol=consumer the "
                "brokers decide it, and clients refuse it.",
                f"Take {name} out.",
                (("consumer", name, None),),
            )
