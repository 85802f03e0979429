"""A member of a share group (KIP-932): it acknowledges each record by itself.

There are no assignments and no offsets to commit: the brokers hand each record to one member and,
when that one does not acknowledge it in time, to another. Repeats are therefore permitted.
"""

from __future__ import annotations

from typing import Any, Final

from confluent_kafka import AcknowledgeType, KafkaException, Message, ShareConsumer

from harness.members.journal import SYNCHRONOUS, Step
from harness.members.member import GATHER_S, Member

_ANSWER_S: Final = 10.0
_NOT_SHARED: Final = (
    "auto.offset.reset",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "isolation.level",
    "max.poll.interval.ms",
    "group.protocol",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "partition.assignment.strategy",
)
"""Settings of consumers that read by position; a share group has its own, at the brokers."""


class Share(Member):
    """See above."""

    def settings(self) -> dict[str, Any]:
        settings = super().settings()
        for name in _NOT_SHARED:
            settings.pop(name, None)
        return {**settings, "share.acknowledgement.mode": "explicit"}

    def start(self) -> None:
        self.note(Step.STARTED)
        self.shared = ShareConsumer(self.settings())
        self.shared.subscribe([self.topic])

    def leave(self) -> None:
        self.shared.close()

    def take(self) -> list[Message]:
        records = []
        for message in self.shared.poll(GATHER_S):
            error = message.error()
            if error is None:
                records.append(message)
            else:
                self.say_error(error)
        self.note_polled(records)
        return records

    def turn(self) -> None:
        records = self.take()
        if not records:
            return
        for record in records:
            self.process(int(record.partition() or 0), int(record.offset() or 0))
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
            partition, offset = int(record.partition() or 0), int(record.offset() or 0)
            if partition not in failed:
                self.note(
                    Step.ACKNOWLEDGED,
                    partition=partition,
                    offset=offset,
                    detail=int(AcknowledgeType.ACCEPT),
                    flags=SYNCHRONOUS,
                )
