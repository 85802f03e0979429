"""The `consume:` part of a profile: read, checked, and what it means for the members' settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from harness.profiles.model import (
    CONSUME_MODES,
    GROUP_PROTOCOLS,
    ConsumePlan,
    DeliveryProfile,
)

FIELDS: Final = ("mode", "protocol", "members", "processing_ms", "send_offsets")
MEMBERS_MAX: Final = 64
PROCESSING_MS_MAX: Final = 60_000.0

Refuse = Callable[[str, str], Exception]


def consume_plan(stated: Any, base: ConsumePlan | None, refuse: Refuse) -> ConsumePlan | None:
    """The plan that a profile states, over the one that it extends.

    refuse: makes the error for (what is wrong, field); its results are raised.
    """
    if stated is None:
        return base
    if not isinstance(stated, Mapping):
        raise refuse(f"fields are expected here. Accepted: {', '.join(FIELDS)}.", "")
    for field in stated:
        if field not in FIELDS:
            raise refuse(f"unknown field. Accepted: {', '.join(FIELDS)}.", str(field))
    fields = {**(asdict(base) if base else {}), **stated}
    if "mode" not in fields:
        raise refuse(f"is missing. Accepted: {', '.join(CONSUME_MODES)}.", "mode")
    for field, accepted in (("mode", CONSUME_MODES), ("protocol", GROUP_PROTOCOLS)):
        if field in fields and fields[field] not in accepted:
            raise refuse(f"{fields[field]!r}: accepted are {', '.join(accepted)}.", field)
    members = fields.get("members", 1)
    if not isinstance(members, int) or isinstance(members, bool) or not 1 <= members <= MEMBERS_MAX:
        raise refuse(f"{members!r}: a whole number from 1 to {MEMBERS_MAX} is expected.", "members")
    processing_ms = fields.get("processing_ms", 0.0)
    if (
        not isinstance(processing_ms, int | float)
        or isinstance(processing_ms, bool)
        or not 0 <= processing_ms <= PROCESSING_MS_MAX
    ):
        raise refuse(
            f"{processing_ms!r}: a number from 0 to {PROCESSING_MS_MAX:g} is expected.",
            "processing_ms",
        )
    if not isinstance(fields.get("send_offsets", True), bool):
        raise refuse(f"{fields['send_offsets']!r}: true or false is expected.", "send_offsets")
    return ConsumePlan(**fields)


def consume_trouble(profile: DeliveryProfile) -> str | None:
    """Why a profile's plan does not fit its topics and its producer, or None."""
    plan = profile.consume
    if plan is None:
        return None
    if plan.mode == "transactional":
        if profile.topics != 2:
            return f"a pipeline has an input and an output topic: topics: 2, not {profile.topics}."
        if not profile.transactional:
            return "a pipeline writes in transactions: its producer states a transactional.id."
        return None
    if profile.topics != 1:
        return f"mode {plan.mode} has one input topic: topics: 1, not {profile.topics}."
    if not plan.send_offsets:
        return "send_offsets: false is for mode transactional, where offsets go with the output."
    return None
