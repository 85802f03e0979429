"""Guardrails: what is wrong with settings before anything is run.

A rule reads one `Subject` (a profile, a topic, or what a properties file says of a client) and
yields findings; it knows nothing of files. Each rule has an id; docs/profiles.md gives
its reason. `error` means that data is lost, refused or readable by strangers when the
expected happens; `warning` means that somebody should have decided this on purpose.

Pure: no client library, no files.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from harness.profiles import (  # noqa: F401  (each module enters its rules)
    rules_connection,
    rules_consumer,
    rules_members,
    rules_producer,
    rules_promises,
    rules_time,
    rules_topic,
)
from harness.profiles.model import DeliveryProfile, Setting
from harness.profiles.rule import (
    RULES,
    Check,
    Finding,
    NotKnown,
    PartlyKnown,
    Problem,
    Subject,
)

__all__ = ["RULES", "Finding", "Subject", "lint", "lint_subject"]


def lint(
    profile: DeliveryProfile,
    *,
    brokers: int | None = None,
    bootstrap: str | None = None,
    connection: Mapping[str, Setting] | None = None,
    locate: Callable[..., str] | None = None,
    unknown: Mapping[str, Collection[str]] | None = None,
) -> list[Finding]:
    """Findings about a profile, errors first.

    brokers: how many there are, when known. bootstrap, connection: how they are reached.
    unknown: part → settings whose value is not known; no rule that needs one of them speaks.
    """
    if unknown:
        profile = replace(
            profile,
            producer=PartlyKnown(profile.producer, unknown.get("producer", ())),
            consumer=PartlyKnown(profile.consumer, unknown.get("consumer", ())),
            topic=PartlyKnown(profile.topic, unknown.get("topic", ())),
        )
    reached = dict(connection or {})
    if bootstrap is not None:
        reached["bootstrap.servers"] = bootstrap
    return lint_subject(
        Subject(
            name=profile.name,
            producer=profile.producer,
            consumer=profile.consumer,
            topic=profile.topic,
            connection=reached,
            promises=frozenset(profile.promises),
            critical=profile.critical,
            brokers=brokers,
            profile=profile,
            locate=locate,
        )
    )


def lint_subject(subject: Subject) -> list[Finding]:
    """Findings about anything, errors first, otherwise in the order of the rules."""
    findings = [
        Finding(
            identity,
            problem.severity,
            subject.where(problem.part, problem.setting),
            problem.message,
            problem.fix,
            problem.change,
        )
        for identity, check in RULES.items()
        for problem in _problems(check, subject)
    ]
    return sorted(findings, key=lambda finding: finding.severity != "error")


def _problems(check: Check, subject: Subject) -> Iterator[Problem]:
    """What a rule finds before it asks for a value that is not known."""
    try:
        yield from check(subject)
    except NotKnown:
        return
