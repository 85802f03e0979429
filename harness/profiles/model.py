"""A delivery profile: named producer, consumer and topic settings with the promises they make.

Settings carry librdkafka's names (producer, consumer) and Kafka's topic-level names (topic, with
`replication.factor` beside them). They are data; what they mean for delivery is judged by the
lint, and whether the promises held by `harness.judge`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias, get_args

Setting: TypeAlias = str | int | float | bool
Settings: TypeAlias = Mapping[str, Setting]

PROFILE_NAME: Final = re.compile(r"^[a-z0-9][a-z0-9-]{0,47}$")
"""A profile's name becomes part of topic and file names."""

TRUE: Final = frozenset({"true", "t", "1"})
FALSE: Final = frozenset({"false", "f", "0"})


def text(value: Setting) -> str:
    """A setting as clients and brokers take it: booleans in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def is_true(value: Setting | None) -> bool:
    """Whether a boolean setting is on, in any spelling that librdkafka takes; unset is off."""
    return value is not None and text(value).lower() in TRUE


def as_int(value: Setting | None) -> int | None:
    """A whole number, or None when the setting is unset or is no number."""
    try:
        return None if value is None else int(text(value))
    except ValueError:
        return None


def acks_of(producer: Settings) -> str | None:
    """`0`, `1`, another number, or `all`; None when the producer settings do not say."""
    value = producer.get("acks", producer.get("request.required.acks"))
    if value is None:
        return None
    spelled = text(value).lower()
    return "all" if spelled in ("-1", "all") else spelled


ConsumeMode: TypeAlias = Literal[
    "commit-before", "commit-after", "auto", "stored", "transactional", "share"
]
GroupProtocol: TypeAlias = Literal["classic", "consumer"]
CONSUME_MODES: Final[tuple[str, ...]] = get_args(ConsumeMode)
GROUP_PROTOCOLS: Final[tuple[str, ...]] = get_args(GroupProtocol)


@dataclass(frozen=True, slots=True)
class ConsumePlan:
    """What the group members of a profile do with the records of its input topic."""

    mode: ConsumeMode
    """When offsets are committed: before or after processing; on a timer, of what was handed over
    (auto) or of what was processed (stored); in the transaction that holds the output; or, in a
    share group, record by record."""
    protocol: GroupProtocol = "classic"
    """How the group agrees on its assignment: classic, or consumer (KIP-848)."""
    members: int = 2
    processing_ms: float = 1.0
    """How long the processing of one record takes."""
    send_offsets: bool = True
    """transactional: are the input offsets part of the transaction? Without it, the pipeline is
    exactly-once on paper only: offsets are committed after the transaction."""


@dataclass(frozen=True, slots=True)
class DeliveryProfile:
    """One profile, whole: what `harness.profiles.load` returns and a run uses."""

    name: str
    summary: str
    producer: Settings
    consumer: Settings
    topic: Settings
    """Topic-level settings and `replication.factor`."""
    promises: tuple[str, ...]
    require: tuple[str, ...] = ()
    """Thresholds, such as `p99_ack_ms<200`: see harness/profiles/threshold.py."""
    topics: int = 1
    """How many topics one instance of it writes to."""
    critical: bool = True
    """Must acknowledged data survive? Decides whether weak settings are errors or warnings."""
    bare: bool = True
    """Does `harness run` without --profile and without --all take it?"""
    counted: bool = True
    """May its verdict decide the run's verdict?"""
    transaction_interval_ms: float | None = None
    """How long a transaction stays open before it is ended; None without transactions."""
    abort_ratio: float = 0.0
    """Share of transactions that are aborted on purpose, 0 … 1."""
    consume: ConsumePlan | None = None
    """What group members do with its first topic; None when only the reader reads it."""
    source: str = field(default="built in", compare=False)
    """Where it was defined: `built in` or `FILE:LINE`."""

    @property
    def transactional(self) -> bool:
        """Whether its producer works in transactions."""
        return bool(self.producer.get("transactional.id"))

    @property
    def acks(self) -> str:
        """`0`, `1` or `all`; librdkafka's default is all."""
        return acks_of(self.producer) or "all"

    @property
    def replication_factor(self) -> int | None:
        """Copies of each partition; None when the topic settings leave it to the cluster."""
        return as_int(self.topic.get("replication.factor"))

    def topic_config(self) -> dict[str, str]:
        """The topic's own settings as a CreateTopics request takes them."""
        return {
            name: text(value) for name, value in self.topic.items() if name != "replication.factor"
        }

    def override(
        self,
        *,
        producer: Settings | None = None,
        consumer: Settings | None = None,
        topic: Settings | None = None,
    ) -> DeliveryProfile:
        """The same profile and promises with some settings replaced."""
        return replace(
            self,
            producer={**self.producer, **(producer or {})},
            consumer={**self.consumer, **(consumer or {})},
            topic={**self.topic, **(topic or {})},
        )

    def to_json(self) -> dict[str, Any]:
        """All fields; `settings` may hold secrets only if a user wrote them into a profile."""
        return asdict(self)
