"""What rules advise, made so that following one advice never leads to the next error.

An advice is a text and the changes that it names, so that a test can follow it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from harness.profiles.model import Setting, Settings, acks_of, as_int, is_true, text
from harness.profiles.rule import Change, NotKnown

IN_FLIGHT: Final = "max.in.flight.requests.per.connection"
IN_FLIGHT_MAX: Final = 5
"""Batches of a producer and partition whose sequence numbers a broker remembers (KIP-185)."""
RETRIES_MAX: Final = 2_147_483_647
REPLICATION_FACTOR: Final = 3
MIN_ISR: Final = 2


class Stated(Mapping[str, Setting]):
    """Settings for an advice, which is given whether or not every other value is known."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __getitem__(self, name: str) -> Setting:
        try:
            return self._settings[name]
        except NotKnown:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)


def settings_of(changes: Iterable[Change]) -> str:
    """`acks=all and linger.ms=5`, as a text names changes."""
    words = [f"{name}={text(value)}" for _, name, value in changes if value is not None]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def idempotent(producer: Settings) -> tuple[Change, ...]:
    """Idempotence on, and what contradicts it put right."""
    producer = Stated(producer)
    changes: list[Change] = [("producer", "enable.idempotence", True)]
    if acks_of(producer) not in (None, "all"):
        changes.append(("producer", "acks", "all"))
    in_flight = as_int(producer.get(IN_FLIGHT))
    if in_flight is not None and in_flight > IN_FLIGHT_MAX:
        changes.append(("producer", IN_FLIGHT, IN_FLIGHT_MAX))
    if as_int(producer.get("retries")) == 0:
        changes.append(("producer", "retries", RETRIES_MAX))
    return tuple(changes)


def acks_all(producer: Settings) -> tuple[Change, ...]:
    """acks=all; where idempotence is asked for, nothing else that contradicts it."""
    producer = Stated(producer)
    asked = is_true(producer.get("enable.idempotence")) or bool(producer.get("transactional.id"))
    others = [
        change
        for change in (idempotent(producer) if asked else ())
        if change[1] not in ("enable.idempotence", "acks")
    ]
    return ("producer", "acks", "all"), *others


def copies(topic: Settings, brokers: int | None) -> tuple[Change, ...]:
    """Three copies of which two acknowledge, and as many brokers as that needs."""
    topic = Stated(topic)
    changes: list[Change] = []
    factor = as_int(topic.get("replication.factor"))
    if factor is None or factor < REPLICATION_FACTOR:
        changes.append(("topic", "replication.factor", REPLICATION_FACTOR))
        if brokers is not None and brokers < REPLICATION_FACTOR:
            changes.append(("", "brokers", REPLICATION_FACTOR))
    if as_int(topic.get("min.insync.replicas")) != MIN_ISR:
        changes.append(("topic", "min.insync.replicas", MIN_ISR))
    return tuple(changes)


def of_copies(changes: Iterable[Change]) -> str:
    """The text of `copies`."""
    stated = [change for change in changes if change[1] != "brokers"]
    more = "" if len(stated) == len(list(changes)) else f"Have {REPLICATION_FACTOR} brokers. "
    return f"{more}Set {settings_of(stated)}."
