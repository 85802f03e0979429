"""A member of a share group (KIP-932): it acknowledges each record by itself.

There are no assignments and no offsets to commit: the brokers hand each record to one member and,
when that one does not acknowledge it in time, to another. Repeats are therefore permitted.
"""

from __future__ import annotations

from typing import Any, Final

from confluent_kafka import AcknowledgeType, KafkaException, Message, ShareConsumer

from harness.members.member import GATHER_S, Member, position_of
from harness.rundir.member_journal import SYNCHRONOUS, Step

_ANSWER_S: Final = 10.0
_REFUSED: Final = frozenset(
    {
        "allow.auto.create.topics",
        "auto.commit.interval.ms",
        "auto.offset.reset",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.partition.eof",
        "fetch.error.backoff.ms",
        "fetch.queue.backoff.ms",
        "group.protocol",
        "heartbeat.interval.ms",
        "isolation.level",
        "partition.assignment.strategy",
        "queued.max.messages.kbytes",
        "queued.min.messages",
        "session.timeout.ms",
    }
)
"""What librdkafka refuses for a share consumer, or what means nothing to one: the brokers keep a
share group's position, its isolation level and its timeouts."""


class Share(Member):
    """A member of a share group: it acknowledges each record by itself, and commits no offset."""

    def settings(self) -> dict[str, Any]:
        settings = super().settings()
        kept = {name: value for name, value in settings.items() if name not in _REFUSED}
        return {**kept, "share.acknowledgement.mode": "explicit"}

    def start(self) -> None:
        self.note(Step.STARTED)
        self.shared = self.made(ShareConsumer)
        self.shared.subscribe([self.topic])

    def leave(self) -> None:
        self.shared.close()

    def take(self) -> list[Message]:
        return self.handed_over(self.shared.poll(GATHER_S))

    def turn(self) -> None:
        records = self.take()
        if not records:
            return
        for record in records:
            self.process(*position_of(record))
            self.shared.acknowledge(record, AcknowledgeType.ACCEPT)
        try:
            answers = self.shared.commit_sync(_ANSWER_S)
        except KafkaException as error:
            self.say_error(error.args[0])
            return
        failed = {
            int(at.partition): error.args[0] for at, error in answers.items() if error is not None
        }
        for cause in failed.values():
            self.say_error(cause)
        for record in records:
            partition, offset = position_of(record)
            if partition not in failed:
                self.note(
                    Step.ACKNOWLEDGED,
                    partition=partition,
                    offset=offset,
                    detail=int(AcknowledgeType.ACCEPT),
                    flags=SYNCHRONOUS,
                )
