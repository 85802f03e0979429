"""Which settings exist, what they accept, and which part of a run each one belongs to.

The names and ranges are data (known_settings.yaml), so a mistyped setting is refused with a
suggestion before any client exists, and nothing here imports the client library.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from harness.errors import UsageError, is_secret, remember_secret
from harness.profiles.model import FALSE, TRUE, DeliveryProfile, Setting, text
from harness.profiles.refusal import placeholder
from harness.profiles.value_references import resolved
from harness.system.suggest import nearest

_KNOWN: Final = Path(__file__).with_name("known_settings.yaml")

CONNECTION_PREFIXES: Final = ("security.", "sasl.", "ssl.", "https.ca.")
CONNECTION_NAMES: Final = frozenset(
    {
        "bootstrap.servers",
        "broker.address.family",
        "broker.address.ttl",
        "client.dns.lookup",
        "client.id",
        "debug",
        "enable.sasl.oauthbearer.unsecure.jwt",
        "enable.ssl.certificate.verification",
        "log_level",
        "metadata.recovery.rebootstrap.trigger.ms",
        "metadata.recovery.strategy",
        "socket.connection.setup.timeout.ms",
    }
)
"""How a client reaches the brokers; the same for every client, and no part of a profile."""

OWNED: Final[Mapping[str, str]] = {
    "client.rack": "records are read from leaders, since a follower may be behind",
    "delivery.report.only.error": "every record needs its delivery report",
    "enable.partition.eof": "a drain is complete only when the end of each partition was reached",
    "group.id": "the harness reads by assignment, without a group",
    "statistics.interval.ms": "measurements are taken by the harness itself",
}
"""Settings on which the verification rests; stated in a profile they are refused, with the why."""
VERIFICATION: Final = frozenset(
    {*OWNED, "auto.offset.reset", "enable.auto.commit", "enable.auto.offset.store"}
)
"""What the reader decides itself, whatever is asked for on the command line."""
_OWNED_VALUES: Final[Mapping[str, str]] = {
    "delivery.report.only.error": "false",
    "enable.partition.eof": "true",
}


@dataclass(frozen=True, slots=True)
class KnownSetting:
    """One setting: `used_by` is producer, consumer, both or topic."""

    name: str
    used_by: str
    accepts: str

    def refusal(self, value: Any) -> str | None:
        """Why this value is not accepted, or None. A secret's value is never repeated."""
        if isinstance(value, (Mapping, list)) or value is None:
            return f"one value is expected here{self._accepted()}."
        spelled = text(value).strip()
        if not self._takes(spelled):
            shown = "its value" if is_secret(self.name) else repr(spelled)
            return f"{shown} is not accepted{self._accepted()}."
        return None

    def _accepted(self) -> str:
        return f". Accepted: {self.accepts.replace('|', ',')}" if self.accepts else ""

    def _takes(self, spelled: str) -> bool:
        if not self.accepts:
            return True
        if " .. " in self.accepts:
            low, high = self.accepts.split(" .. ")
            number = float if "." in low else int
            try:
                return number(low) <= number(spelled) <= number(high)
            except ValueError:
                return False
        words = self.accepts.split(", ")
        if words == ["true", "false"]:
            return spelled.lower() in TRUE | FALSE
        if self.name == "cleanup.policy":
            return all(part.strip() in words for part in spelled.split(","))
        return spelled.lower() in {word.lower() for word in words}


@cache
def _known() -> tuple[dict[str, KnownSetting], dict[str, str], dict[str, KnownSetting]]:
    content = yaml.safe_load(_KNOWN.read_text(encoding="utf-8"))
    clients = {
        name: KnownSetting(name, fields["used_by"], fields.get("accepts", ""))
        for name, fields in content["settings"].items()
    }
    topics = {
        name: KnownSetting(name, "topic", fields.get("accepts", ""))
        for name, fields in content["topic"].items()
    }
    return clients, content["aliases"], topics


def client_settings() -> dict[str, KnownSetting]:
    """librdkafka's settings by their first name."""
    return dict(_known()[0])


def topic_settings() -> dict[str, KnownSetting]:
    """Kafka's topic-level settings, and replication.factor."""
    return dict(_known()[2])


def canonical(name: str) -> str:
    """The first name of a setting that has two; other names as they are."""
    return _known()[1].get(name, name)


def is_connection(name: str) -> bool:
    """Whether a setting tells how to reach the brokers."""
    return name in CONNECTION_NAMES or name.startswith(CONNECTION_PREFIXES)


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why a setting cannot be taken: the kind of it (`harness.profiles.refusal`), and a text."""

    kind: str
    text: str


def _value(setting: KnownSetting, value: Any) -> Wrong | None:
    refusal = setting.refusal(value)
    return None if refusal is None else Wrong("refused-value", refusal)


def _check(part: str, name: str, value: Any) -> tuple[str, Wrong | None]:
    clients, aliases, _ = _known()
    first = canonical(name)
    setting = clients.get(first)
    if setting is None or setting.used_by not in (part, "both"):
        if setting is not None:
            return first, Wrong(
                "misplaced-setting",
                f"is a {setting.used_by} setting; write it under `{setting.used_by}:`.",
            )
        mine = [n for n, s in clients.items() if s.used_by in (part, "both")]
        return first, Wrong(
            "unknown-setting",
            f"librdkafka has no such {part} setting{nearest(name, [*mine, *aliases])}. "
            "Its names are listed in librdkafka's CONFIGURATION.md.",
        )
    if is_connection(first):
        return first, Wrong(
            "misplaced-setting",
            "tells how to reach the brokers, which is no part of a profile: "
            "give it by --properties FILE or --config.",
        )
    if first in OWNED and text(value).lower() != _OWNED_VALUES.get(first):
        return first, Wrong("misplaced-setting", f"cannot be changed: {OWNED[first]}.")
    return first, _value(setting, value)


def check_producer(name: str, value: Any) -> tuple[str, Wrong | None]:
    """(first name of the setting, why it is refused or None) for a profile's producer."""
    return _check("producer", name, value)


def check_consumer(name: str, value: Any) -> tuple[str, Wrong | None]:
    """(first name of the setting, why it is refused or None) for a profile's consumer."""
    return _check("consumer", name, value)


def check_topic(name: str, value: Any) -> tuple[str, Wrong | None]:
    """(name, why it is refused or None) for a topic-level setting."""
    topics = _known()[2]
    setting = topics.get(name)
    if setting is None:
        return name, Wrong(
            "unknown-setting",
            f"Kafka has no such topic-level setting{nearest(name, topics)}. "
            f"Accepted: {', '.join(topics)}.",
        )
    return name, _value(setting, value)


@dataclass(slots=True)
class Overrides:
    """Settings by the part of a run that they belong to."""

    connection: dict[str, str] = field(default_factory=dict)
    producer: dict[str, Setting] = field(default_factory=dict)
    consumer: dict[str, Setting] = field(default_factory=dict)
    topic: dict[str, Setting] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    """Where each client setting was given, for messages about it."""

    def apply(self, profile: DeliveryProfile) -> DeliveryProfile:
        """The profile with these producer, consumer and topic settings."""
        return profile.override(producer=self.producer, consumer=self.consumer, topic=self.topic)

    def add(self, name: str, value: str, where: str) -> None:
        """Sort one setting in. Raises UsageError that names `where` and what is accepted."""
        if is_secret(name):
            remember_secret(value)
        clients, aliases, topics = _known()
        part, bare = "", name
        head, dot, tail = name.partition(".")
        if canonical(name) not in clients and dot and head in ("topic", "consumer", "producer"):
            part, bare = head, tail
        first = canonical(bare)
        wrong: str | None
        if part == "topic":
            wrong = _text(check_topic(bare, value)[1])
        elif first not in clients:
            offered = [*clients, *aliases, *(f"topic.{topic}" for topic in topics)]
            wrong = (
                f"unknown setting{nearest(name, offered)}. Accepted: librdkafka's names, "
                "`topic.` and a topic-level setting of Kafka, `consumer.` and a librdkafka name."
            )
        elif is_connection(first):
            wrong = clients[first].refusal(value)
            part = "connection"
        else:
            used_by = clients[first].used_by
            if part and used_by not in (part, "both"):
                wrong = f"is a {used_by} setting."
            else:
                part = part or used_by
                checked = _check("consumer" if part == "consumer" else "producer", first, value)
                wrong = _text(checked[1])
                if wrong is None and first in VERIFICATION and first not in OWNED:
                    wrong = "cannot be changed: the harness reads everything, from the start."
        if wrong is None and first == "transactional.id":
            wrong = (
                "belongs into a profile (--profiles FILE), where its transactions are described."
            )
        known = first in clients or part == "topic"
        if known and placeholder(first, value) and first != "transactional.id":
            wrong = (
                "a placeholder is not replaced here. Write the value itself, or give the "
                f"setting as --config {name}=env:VARIABLE or {name}=file:PATH."
            )
        if wrong is not None:
            raise UsageError(f"{where}: {name}: {wrong}")
        self.origins[first] = f"{where}: {name}"
        if part == "connection":
            self.connection[first] = value
        if part == "topic":
            self.topic[bare] = value
        if part in ("producer", "both"):
            self.producer[first] = value
        if part in ("consumer", "both"):
            self.consumer[first] = value


def _text(wrong: Wrong | None) -> str | None:
    return None if wrong is None else wrong.text


def split_settings(pairs: Iterable[str], *, into: Overrides | None = None) -> Overrides:
    """Sort `--config key=value` texts by what they belong to.

    A plain name goes to the clients that use it, `topic.NAME` to the topics, `consumer.NAME` and
    `producer.NAME` to that client alone; how to reach the brokers is kept apart, as `connection`.
    A value `env:NAME` is read from the environment, `file:PATH` from a file.
    Raises UsageError for anything unknown, with the nearest known name.
    """
    overrides = into or Overrides()
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            shown = "" if is_secret(pair) else f" {pair}"
            raise UsageError(f"--config{shown}: key=value is expected, such as linger.ms=5.")
        bare = name.strip()
        found = resolved(bare, value.strip(), "--config")
        if found != value.strip() and is_connection(canonical(bare)):
            remember_secret(found)
        overrides.add(bare, found, "--config")
    return overrides
