"""Members that process records one by one and differ in when their offsets are committed."""

from __future__ import annotations

from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from harness.members.member import Member, position_of, positions
from harness.rundir.member_journal import Step


class CommitBefore(Member):
    """At most once: commits what it was handed, and processes it once that is certain.

    What was not committed with certainty is not processed: another member may do it, or none.
    """

    def turn(self) -> None:
        records = self.take()
        if not records:
            return
        committed = self.commit(positions(records))
        for record in records:
            partition, offset = position_of(record)
            if partition in committed:
                self.process(partition, offset)


class CommitAfter(Member):
    """At least once: processes what it was handed, and commits it then."""

    def turn(self) -> None:
        records = self.take()
        for record in records:
            self.process(*position_of(record))
        if records:
            self.commit(positions(records))


class AutoCommit(Member):
    """The client commits on a timer what it has handed over, whatever became of it."""

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "on_commit": self._on_commit}

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        self.note_commits(partitions, error, 0)

    def turn(self) -> None:
        for record in self.take():
            self.process(*position_of(record))


class StoredOffsets(AutoCommit):
    """The client commits on a timer what the member said was processed."""

    def turn(self) -> None:
        for record in self.take():
            partition, offset = position_of(record)
            self.process(partition, offset)
            try:
                self.consumer.store_offsets(
                    offsets=[TopicPartition(self.topic, partition, offset + 1)]
                )
            except KafkaException as error:
                self.say_error(error.args[0])  # no longer its own: the next owner does it again
                continue
            self.note(Step.STORED, partition=partition, offset=offset + 1)
