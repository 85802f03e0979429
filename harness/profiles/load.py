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
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from harness.anomalies import PROMISES
from harness.errors import UsageError
from harness.profiles.consume import consume_plan, consume_trouble
from harness.profiles.documents import Located, read_yaml
from harness.profiles.model import PROFILE_NAME, DeliveryProfile, Setting
from harness.profiles.refusal import Refusal, placeholder, raise_all, unfilled
from harness.profiles.settings import canonical, check_consumer, check_producer, check_topic
from harness.profiles.threshold import parse, thresholds_of, why_not
from harness.system.suggest import nearest

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
    "require",
)
_RESERVED: Final = ("bare", "counted")


def load_builtin() -> dict[str, DeliveryProfile]:
    """The built-in profiles by name, in the order in which every table shows them."""
    return dict(_builtin())


@cache
def _builtin() -> Mapping[str, DeliveryProfile]:
    loaded = _Loader(read_yaml(BUILTIN), {}, builtin=True).load()
    raise_all(loaded.refusals)
    return loaded.profiles


def load_profiles(paths: Iterable[Path | str] = ()) -> dict[str, DeliveryProfile]:
    """The built-in profiles, then those of `paths`, by name.

    Raises UsageError that names the line and the field of everything that cannot be taken.
    """
    profiles = load_builtin()
    for path in paths:
        loaded = profiles_of(read_yaml(Path(path)), profiles)
        raise_all(loaded.refusals)
        profiles |= loaded.profiles
    return profiles


@dataclass(slots=True)
class Loaded:
    """The profiles that a document defines, and what of it cannot be taken."""

    profiles: dict[str, DeliveryProfile] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    unknown: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    """profile → part → settings that it states with a value that is not known"""


def profiles_of(document: Located, known: Mapping[str, DeliveryProfile]) -> Loaded:
    """Only the profiles that a document defines; `known` are those it may extend.

    Raises UsageError for a document without profiles.
    """
    return _Loader(document, known).load()


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
    """One profile of a file, where it is, and what of it cannot be taken."""

    name: str
    body: Mapping[str, Any]
    document: Located
    refusals: list[Refusal]
    unknown: dict[str, set[str]]

    def where(self, *path: str) -> str:
        return self.document.where("profiles", self.name, *path)

    def refuse(self, what: str, *path: str, kind: str = "malformed") -> None:
        origin = f"{self.where(*path)}: {'.'.join((self.name, *path))}"
        self.refusals.append(Refusal(kind, origin, *_split(what)))

    def unfilled(self, value: str, *path: str) -> None:
        origin = f"{self.where(*path)}: {'.'.join((self.name, *path))}"
        self.refusals.append(unfilled(origin, path[-1], value))


def _split(what: str) -> tuple[str, str]:
    """What is wrong, and what is accepted."""
    message, accepted, rest = what.partition(" Accepted")
    return message, (accepted + rest).strip()


class _Loader:
    """Reads the profiles of one document; a profile that cannot be is left out."""

    def __init__(
        self, document: Located, known: Mapping[str, DeliveryProfile], *, builtin: bool = False
    ) -> None:
        self.document, self.known, self.builtin = document, known, builtin
        self.result = Loaded(refusals=list(document.refusals))
        self.bodies: Mapping[str, Any] = {}
        self.waiting: list[str] = []
        self.impossible: set[str] = set()

    def load(self) -> Loaded:
        content = self.document.content
        bodies = content.get("profiles") if isinstance(content, Mapping) else None
        if not isinstance(bodies, Mapping) or not bodies:
            raise UsageError(
                f"{self.document.path}: `profiles:` with one entry a profile is expected here, "
                "such as\n    profiles:\n      audit-log:\n        extends: at-least-once\n"
                "        producer: {linger.ms: 50}"
            )
        self.bodies = {str(name): body for name, body in bodies.items()}
        for key in content:
            if key != "profiles" and not str(key).startswith("x-"):
                self.result.refusals.append(
                    Refusal(
                        "malformed",
                        f"{self.document.where(key)}: {key}",
                        f"unknown{nearest(str(key), ['profiles'])}.",
                        "Accepted at the top: profiles, and x-… for what YAML anchors refer to.",
                    )
                )
        for name in self.bodies:
            self._resolve(name)
        loaded = self.result.profiles
        self.result.profiles = {name: loaded[name] for name in self.bodies if name in loaded}
        return self.result

    def _resolve(self, name: str) -> DeliveryProfile | None:
        """The profile of this name; None when it, or what it extends, cannot be read as one."""
        loaded = self.result.profiles
        if name in loaded or name in self.impossible:
            return loaded.get(name)
        body = self.bodies[name]
        entry = _Entry(
            name,
            body if isinstance(body, Mapping) else {},
            self.document,
            self.result.refusals,
            {"producer": set(), "consumer": set(), "topic": set()},
        )
        if not self._possible(entry, body):
            self.impossible.add(name)
            return None
        self.waiting.append(name)
        parent, base = entry.body.get("extends"), None
        if parent is not None:
            base = self._base(entry, str(parent))
        self.waiting.pop()
        profile = _profile(entry, base, self.builtin)
        if parent is not None and base is None:
            self.impossible.add(name)
            return None
        loaded[name] = profile
        inherited = self.result.unknown.get(str(parent), {})
        for part, names in entry.unknown.items():
            stated = {canonical(str(each)) for each in _mapping(entry.body.get(part))}
            names |= inherited.get(part, set()) - stated
        self.result.unknown[name] = entry.unknown
        return profile

    def _possible(self, entry: _Entry, body: Any) -> bool:
        name = entry.name
        if not PROFILE_NAME.match(name):
            entry.refuse(
                "a profile's name has up to 48 lower-case letters, digits and hyphens, "
                "since it becomes part of topic names."
            )
        elif name in self.known:
            entry.refuse(
                f"there is a profile of this name already ({self.known[name].source}). "
                f"Choose another one and write `extends: {name}`."
            )
        elif not isinstance(body, Mapping):
            entry.refuse(f"fields are expected here. Accepted: {_accepted(self.builtin)}.")
        elif name in self.waiting:
            entry.refuse(f"extends itself: {' → '.join([*self.waiting, name])}.", "extends")
        else:
            return True
        return False

    def _base(self, entry: _Entry, parent: str) -> DeliveryProfile | None:
        if parent in self.bodies:
            return self._resolve(parent)
        if parent in self.known:
            return self.known[parent]
        names = [*self.known, *(other for other in self.bodies if other != entry.name)]
        entry.refuse(
            f"{parent!r} is no profile{nearest(parent, names)}. Known: {', '.join(names)}.",
            "extends",
        )
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _accepted(builtin: bool) -> str:
    return ", ".join(name for name in FIELDS if builtin or name not in _RESERVED)


def _profile(entry: _Entry, base: DeliveryProfile | None, builtin: bool) -> DeliveryProfile:
    body = entry.body
    for key in body:
        if key not in FIELDS or (key in _RESERVED and not builtin):
            entry.refuse(
                f"unknown field{nearest(str(key), FIELDS)}. Accepted: {_accepted(builtin)}.",
                str(key),
                kind="unknown-setting",
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
        require=thresholds_of(
            entry.body.get("require"),
            base.require if base else (),
            lambda what, kind: entry.refuse(what, "require", kind=kind),
        ),
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
    _check_require(entry, profile)
    return profile


def _typed(entry: _Entry, key: str, kind: type, default: Any) -> Any:
    value = entry.body.get(key, default)
    if value is default:
        return default
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        words = {str: "text", int: "a whole number", bool: "true or false", float: "a number"}
        entry.refuse(f"{value!r}: {words[kind]} is expected here.", key, kind="refused-value")
        return default
    return value


def _settings(entry: _Entry, part: str, base: Mapping[str, Setting]) -> dict[str, Setting]:
    stated = entry.body.get(part) or {}
    settings = dict(base)
    if not isinstance(stated, Mapping):
        entry.refuse("`name: value` settings are expected here.", part)
        return settings
    check = {"producer": check_producer, "consumer": check_consumer, "topic": check_topic}[part]
    for name, value in stated.items():
        first, wrong = check(str(name), value)
        if wrong is not None and placeholder(str(name), value) and wrong.kind == "refused-value":
            wrong = None
        if wrong is not None:
            entry.refuse(wrong.text, part, str(name), kind=wrong.kind)
        elif placeholder(str(name), value):
            entry.unfilled(str(value), part, str(name))
        else:
            settings[first] = value
            continue
        entry.unknown[part].add(first)
    return settings


def _promises(entry: _Entry, base: DeliveryProfile | None) -> tuple[str, ...]:
    if "promises" not in entry.body:
        return base.promises if base else ()
    stated = entry.body["promises"]
    if not isinstance(stated, list):
        entry.refuse(f"a list is expected here. Accepted: {', '.join(PROMISES)}.", "promises")
        return base.promises if base else ()
    for promise in stated:
        if promise not in PROMISES:
            entry.refuse(
                f"{promise!r} is no promise{nearest(str(promise), PROMISES)}. "
                f"Accepted: {', '.join(PROMISES)}.",
                "promises",
            )
    return tuple(promise for promise in PROMISES if promise in stated)


def _check_transactions(entry: _Entry, profile: DeliveryProfile) -> None:
    if not 1 <= profile.topics <= 26:
        entry.refuse(f"{profile.topics}: 1 to 26 topics are possible.", "topics")
    if not 0 <= profile.abort_ratio < 1:
        entry.refuse(
            f"{profile.abort_ratio}: a share from 0 up to, but not including, 1.", "abort_ratio"
        )
    interval = profile.transaction_interval_ms
    if interval is not None and interval <= 0:
        entry.refuse(f"{interval}: more than 0 ms is expected.", "transaction_interval_ms")
    identity = profile.producer.get("transactional.id")
    if identity is None:
        return
    if interval is None:
        entry.refuse(
            "a transactional profile states how long a transaction stays open, such as "
            "`transaction_interval_ms: 100`.",
            "transaction_interval_ms",
        )
    for filled_in in ("{run_id}", "{instance}"):
        if filled_in not in str(identity):
            entry.refuse(
                f"{identity!r} lacks {filled_in}: two clients with one id fence each other. "
                'Accepted: a template such as "harness-{run_id}-{profile}-{instance}".',
                "producer",
                "transactional.id",
            )


def _check_consume(entry: _Entry, profile: DeliveryProfile) -> None:
    trouble = consume_trouble(profile)
    if trouble is not None:
        entry.refuse(trouble, "consume")


def _check_require(entry: _Entry, profile: DeliveryProfile) -> None:
    for text in profile.require if "require" in entry.body else ():
        why = why_not(parse(text).figure, acks=profile.acks, consumes=profile.consume is not None)
        if why:
            entry.refuse(f"{text}: {why}, so there is no such figure.", "require",
                         kind="refused-value")  # fmt: skip
