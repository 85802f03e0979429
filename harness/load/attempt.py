"""One record that a user's own code is to produce, and the place to report what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from harness.load.outcomes import NO_OFFSET

ACKED: Final = "acked"
FAILED: Final = "failed"
UNKNOWN: Final = "unknown"

Outcome: TypeAlias = tuple["Attempt", str, int, str]
"""(attempt, ACKED or FAILED or UNKNOWN, offset, reason)"""


class Attempt:
    """One record to produce: `value` to `topic`, at `partition`.

    The value carries the record's identity and a checksum, so it has to arrive as it is. A value of
    the json codec may be parsed and written anew, as long as its four members stay what they are.

    What became of the record is reported by one of `acked`, `failed`, `unknown` and `on_delivery`,
    from any thread. The first report counts. An attempt without any report is of unknown outcome.
    """

    __slots__ = (
        "_report",
        "intended_us",
        "key",
        "partition",
        "producer",
        "sequence",
        "topic",
        "topic_index",
        "value",
    )

    def __init__(
        self,
        *,
        topic: str,
        topic_index: int,
        partition: int,
        key: bytes | None,
        value: bytes,
        producer: int,
        sequence: int,
        intended_us: int,
        report: Callable[[Outcome], None],
    ) -> None:
        self.topic = topic
        self.topic_index = topic_index
        self.partition = partition
        self.key = key
        """None where the run has no keys."""
        self.value = value
        self.producer = producer
        """Which of the function's threads makes this attempt, from 0: one producer client each."""
        self.sequence = sequence
        self.intended_us = intended_us
        """When the record was due, µs since the epoch."""
        self._report = report

    def __repr__(self) -> str:
        return (
            f"Attempt(topic={self.topic!r}, partition={self.partition}, producer={self.producer}, "
            f"sequence={self.sequence})"
        )

    def acked(self, offset: int | None = None) -> None:
        """The brokers acknowledged the record; offset: where, if the client says."""
        self._report((self, ACKED, NO_OFFSET if offset is None else max(offset, NO_OFFSET), ""))

    def failed(self, reason: str = "refused") -> None:
        """The record is certainly absent: it never left the client. If in doubt it is `unknown`."""
        self._report((self, FAILED, NO_OFFSET, reason))

    def unknown(self, reason: str = "unknown") -> None:
        """The record may be in the topic or not: a timeout, a broken connection, a refusal by a
        broker after which the client may have tried again."""
        self._report((self, UNKNOWN, NO_OFFSET, reason))

    def on_delivery(self, error: Any, message: Any) -> None:
        """A delivery callback of confluent-kafka: `producer.produce(…, on_delivery=…)`."""
        if error is None:
            self.acked(message.offset())
        else:
            self.unknown(error.name())
