"""Profiles from files: the built-in ones, and those that a user adds with --profiles FILE.

    profiles:
      audit-log:
        extends: at-least-once        # every setting and promise of it, unless stated below
        summary: Audit events, never lost.
        producer: {linger.ms: 50}
        topic: {min.insync.replicas: 2}

Everything is checked here, before anything is started; an error names the file, the line, the
field and what is accepted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from harness.anomalies import PROMISES
from harness.errors import UsageError
from harness.profiles.consume import consume_plan, consume_trouble
from harness.profiles.documents import Located, read_yaml
from harness.profiles.model import PROFILE_NAME, DeliveryProfile, Setting
from harness.profiles.settings import check_consumer, check_producer, check_topic
from harness.suggest import nearest

BUILTIN: Final = Path(__file__).with_name("builtin.yaml")
FIELDS: Final = (
    "extends",
    "summary",
    "critical",
    "bare",
    "counted",
    "topics",
    "transaction_interval_ms",
    "abort_ratio",
    "consume",
    "producer",
    "consumer",
    "topic",
    "promises",
)
_RESERVED: Final = ("bare", "counted")


def load_builtin() -> dict[str, DeliveryProfile]:
    """The built-in profiles by name, in the order in which every table shows them."""
    return dict(_builtin())


@cache
def _builtin() -> Mapping[str, DeliveryProfile]:
    return _profiles(read_yaml(BUILTIN), {}, builtin=True)


def load_profiles(paths: Iterable[Path | str] = ()) -> dict[str, DeliveryProfile]:
    """The built-in profiles, then those of `paths`, by name.

    Raises UsageError for a file that cannot be read as profiles, naming the line and the field.
    """
    profiles = load_builtin()
    for path in paths:
        profiles |= _profiles(read_yaml(Path(path)), profiles)
    return profiles


def profiles_of(
    document: Located, known: Mapping[str, DeliveryProfile]
) -> dict[str, DeliveryProfile]:
    """Only the profiles that a document defines; `known` are those it may extend."""
    return _profiles(document, known)


def choose(
    names: Collection[str], profiles: Mapping[str, DeliveryProfile]
) -> list[DeliveryProfile]:
    """The profiles of these names. Raises UsageError that suggests the nearest name."""
    for name in names:
        if name not in profiles:
            raise UsageError(
                f"--profile {name}: there is no such profile{nearest(name, profiles)}. "
                f"Known: {', '.join(profiles)}."
            )
    return [profiles[name] for name in dict.fromkeys(names)]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One profile of a file, and where it stands."""

    name: str
    body: Mapping[str, Any]
    document: Located

    def where(self, *path: str) -> str:
        return self.document.where("profiles", self.name, *path)

    def refuse(self, what: str, *path: str) -> UsageError:
        return UsageError(f"{self.where(*path)}: {'.'.join((self.name, *path))}: {what}")


def _profiles(
    document: Located, known: Mapping[str, DeliveryProfile], *, builtin: bool = False
) -> dict[str, DeliveryProfile]:
    content = document.content
    bodies = content.get("profiles") if isinstance(content, Mapping) else None
    if not isinstance(bodies, Mapping) or not bodies:
        raise UsageError(
            f"{document.path}: `profiles:` with one entry a profile is expected here, such as\n"
            "    profiles:\n      audit-log:\n        extends: at-least-once\n"
            "        producer: {linger.ms: 50}"
        )
    for key in content:
        if key != "profiles" and not str(key).startswith("x-"):
            raise UsageError(
                f"{document.where(key)}: {key}: unknown{nearest(str(key), ['profiles'])}. "
                "Accepted at the top: profiles, and x-… for what YAML anchors refer to."
            )
    loaded: dict[str, DeliveryProfile] = {}
    waiting: list[str] = []

    def resolve(name: str) -> DeliveryProfile:
        if name in loaded:
            return loaded[name]
        body = bodies[name]
        entry = _Entry(name, body if isinstance(body, Mapping) else {}, document)
        if not PROFILE_NAME.match(name):
            raise entry.refuse(
                "a profile's name has up to 48 lower-case letters, digits and hyphens, "
                "since it becomes part of topic names."
            )
        if name in known:
            raise entry.refuse(
                f"there is a profile of this name already ({known[name].source}). "
                f"Choose another one and write `extends: {name}`."
            )
        if not isinstance(body, Mapping):
            raise entry.refuse(f"fields are expected here. Accepted: {_accepted(builtin)}.")
        if name in waiting:
            raise entry.refuse(f"extends itself: {' → '.join([*waiting, name])}.", "extends")
        waiting.append(name)
        parent = body.get("extends")
        if parent is None:
            base = None
        elif parent in bodies:
            base = resolve(str(parent))
        elif parent in known:
            base = known[parent]
        else:
            names = [*known, *(str(other) for other in bodies if other != name)]
            raise entry.refuse(
                f"{parent!r} is no profile{nearest(str(parent), names)}. "
                f"Known: {', '.join(names)}.",
                "extends",
            )
        waiting.pop()
        loaded[name] = _profile(entry, base, builtin)
        return loaded[name]

    for name in bodies:
        resolve(str(name))
    return {str(name): loaded[str(name)] for name in bodies}


def _accepted(builtin: bool) -> str:
    return ", ".join(name for name in FIELDS if builtin or name not in _RESERVED)


def _profile(entry: _Entry, base: DeliveryProfile | None, builtin: bool) -> DeliveryProfile:
    body = entry.body
    for key in body:
        if key not in FIELDS or (key in _RESERVED and not builtin):
            raise entry.refuse(
                f"unknown field{nearest(str(key), FIELDS)}. Accepted: {_accepted(builtin)}.",
                str(key),
            )
    producer = _settings(entry, "producer", base.producer if base else {})
    consumer = _settings(entry, "consumer", base.consumer if base else {})
    topic = _settings(entry, "topic", base.topic if base else {})
    profile = DeliveryProfile(
        name=entry.name,
        summary=_typed(entry, "summary", str, base.summary if base else ""),
        producer=producer,
        consumer=consumer,
        topic=topic,
        promises=_promises(entry, base),
        topics=_typed(entry, "topics", int, base.topics if base else 1),
        critical=_typed(entry, "critical", bool, base.critical if base else True),
        bare=_typed(entry, "bare", bool, True),
        counted=_typed(entry, "counted", bool, base.counted if base else True),
        transaction_interval_ms=_typed(
            entry, "transaction_interval_ms", float, base.transaction_interval_ms if base else None
        ),
        abort_ratio=_typed(entry, "abort_ratio", float, base.abort_ratio if base else 0.0),
        consume=consume_plan(
            entry.body.get("consume"),
            base.consume if base else None,
            lambda what, field: entry.refuse(what, "consume", *([field] if field else [])),
        ),
        source="built in" if builtin else entry.where(),
    )
    _check_transactions(entry, profile)
    _check_consume(entry, profile)
    return profile


def _typed(entry: _Entry, key: str, kind: type, default: Any) -> Any:
    value = entry.body.get(key, default)
    if value is default:
        return default
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        words = {str: "text", int: "a whole number", bool: "true or false", float: "a number"}
        raise entry.refuse(f"{value!r}: {words[kind]} is expected here.", key)
    return value


def _settings(entry: _Entry, part: str, base: Mapping[str, Setting]) -> dict[str, Setting]:
    stated = entry.body.get(part) or {}
    if not isinstance(stated, Mapping):
        raise entry.refuse("`name: value` settings are expected here.", part)
    check = {"producer": check_producer, "consumer": check_consumer, "topic": check_topic}[part]
    settings = dict(base)
    for name, value in stated.items():
        canonical, wrong = check(str(name), value)
        if wrong:
            raise entry.refuse(wrong, part, str(name))
        settings[canonical] = value
    return settings


def _promises(entry: _Entry, base: DeliveryProfile | None) -> tuple[str, ...]:
    if "promises" not in entry.body:
        return base.promises if base else ()
    stated = entry.body["promises"]
    if not isinstance(stated, list):
        raise entry.refuse(f"a list is expected here. Accepted: {', '.join(PROMISES)}.", "promises")
    for promise in stated:
        if promise not in PROMISES:
            raise entry.refuse(
                f"{promise!r} is no promise{nearest(str(promise), PROMISES)}. "
                f"Accepted: {', '.join(PROMISES)}.",
                "promises",
            )
    return tuple(promise for promise in PROMISES if promise in stated)


def _check_transactions(entry: _Entry, profile: DeliveryProfile) -> None:
    if not 1 <= profile.topics <= 26:
        raise entry.refuse(f"{profile.topics}: 1 to 26 topics are possible.", "topics")
    if not 0 <= profile.abort_ratio < 1:
        raise entry.refuse(
            f"{profile.abort_ratio}: a share from 0 up to, but not including, 1.", "abort_ratio"
        )
    interval = profile.transaction_interval_ms
    if interval is not None and interval <= 0:
        raise entry.refuse(f"{interval}: more than 0 ms is expected.", "transaction_interval_ms")
    identity = profile.producer.get("transactional.id")
    if identity is None:
        return
    if interval is None:
        raise entry.refuse(
            "a transactional profile states how long a transaction stays open, such as "
            "`transaction_interval_ms: 100`.",
            "transaction_interval_ms",
        )
    for placeholder in ("{run_id}", "{instance}"):
        if placeholder not in str(identity):
            raise entry.refuse(
                f"{identity!r} lacks {placeholder}: two clients with one id fence each other. "
                'Accepted: a template such as "harness-{run_id}-{profile}-{instance}".',
                "producer",
                "transactional.id",
            )


def _check_consume(entry: _Entry, profile: DeliveryProfile) -> None:
    trouble = consume_trouble(profile)
    if trouble is not None:
        raise entry.refuse(trouble, "consume")
