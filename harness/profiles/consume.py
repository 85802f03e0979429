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
HANDED_AT_ONCE: Final = 500
"""Records that a member asks its client for at once and then processes one by one."""

Note = Callable[[str, str], None]
"""Takes what is wrong, and the field."""


def consume_plan(stated: Any, base: ConsumePlan | None, note: Note) -> ConsumePlan | None:
    """The plan that a profile states, over the one that it extends.

    What cannot be taken is noted, and the value of the extended plan stays.
    """
    if stated is None:
        return base
    if not isinstance(stated, Mapping):
        note(f"fields are expected here. Accepted: {', '.join(FIELDS)}.", "")
        return base
    fields = asdict(base) if base else {}
    for field, value in stated.items():
        trouble = _field_trouble(str(field), value)
        if trouble is None:
            fields[str(field)] = value
        else:
            note(trouble, str(field))
    if "mode" not in fields:
        if "mode" not in stated:
            note(f"is missing. Accepted: {', '.join(CONSUME_MODES)}.", "mode")
        return base
    return ConsumePlan(**fields)


def _field_trouble(field: str, value: Any) -> str | None:
    """Why a field or its value cannot be taken, or None."""
    if field not in FIELDS:
        return f"unknown field. Accepted: {', '.join(FIELDS)}."
    if field in ("mode", "protocol"):
        accepted = CONSUME_MODES if field == "mode" else GROUP_PROTOCOLS
        return None if value in accepted else f"{value!r}: accepted are {', '.join(accepted)}."
    if field == "send_offsets":
        return None if isinstance(value, bool) else f"{value!r}: true or false is expected."
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if field == "members":
        taken = isinstance(value, int) and number and 1 <= value <= MEMBERS_MAX
        return None if taken else f"{value!r}: a whole number from 1 to {MEMBERS_MAX} is expected."
    if number and 0 <= value <= PROCESSING_MS_MAX:
        return None
    return f"{value!r}: a number from 0 to {PROCESSING_MS_MAX:g} is expected."


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
