"""One member of a consumer group: its client, its journal, and what all kinds of members share.

A member does one thing at a time: it asks the client for records, works on them, says how far it
got. Rebalance callbacks run inside the asking, so never in the middle of its work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar

import numpy as np
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from harness.errors import REDACTED, HarnessError
from harness.record.codec import run_hash
from harness.rundir.clock import Clock
from harness.rundir.events import ClientErrorEvent, RebalanceEvent
from harness.rundir.member_journal import (
    ENTRY,
    NO_POSITION,
    SYNCHRONOUS,
    JournalWriter,
    Step,
    journal_path,
)
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ConsumeRun, ProfileRun, RunInfo

Client = TypeVar("Client")

RECORDS_MAX: Final = 500
"""So many records are taken at once."""
GATHER_S: Final = 1.0
"""So long they are waited for."""
STILL_US: Final = 1_000_000
"""A step that takes so much longer than it should is taken for a pause of the whole process."""
_SAID_AGAIN_S: Final = 1.0
_CLASSIC_ONLY: Final = (
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "partition.assignment.strategy",
)
_REFUSALS: Final = frozenset(
    (
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.OFFSET_METADATA_TOO_LARGE,
        KafkaError.INVALID_COMMIT_OFFSET_SIZE,
        KafkaError._STATE,
        KafkaError._NO_OFFSET,
        KafkaError._UNKNOWN_PARTITION,
    )
)
"""Codes that say that a commit did not happen; after any other it may have."""


@dataclass(frozen=True, slots=True)
class MemberIdentity:
    """Who a member is.

    number: counted up in its profile, never used twice. slot: its number in the group; the one who
    takes a dead member's place has the same.
    """

    profile: ProfileRun
    consume: ConsumeRun
    number: int
    slot: int


class Member:
    """Joins its group, takes records, and leaves; `turn` is what kinds of members differ in."""

    def __init__(
        self,
        run_dir: RunDir,
        info: RunInfo,
        identity: MemberIdentity,
        clock: Clock,
        connection: Mapping[str, Any],
    ) -> None:
        """Raises RunDirError when a member of this number has been."""
        self.run_dir = run_dir
        self.info = info
        self.profile = identity.profile
        self.consume = identity.consume
        self.number = identity.number
        self.slot = identity.slot
        self.clock = clock
        self.connection = connection
        self.topic = self.profile.topics[0]
        self.topic_index = info.topics.index(self.topic)
        self.assigned: set[int] = set()
        self.stopping = False
        self.failure: str | None = None
        """Why it cannot go on, once it cannot."""
        self._said: dict[object, float] = {}
        self.journal = JournalWriter(
            journal_path(run_dir.members, self.profile.profile, self.number),
            run=run_hash(info.run_id),
            member=self.number,
        )

    # -- the client ------------------------------------------------------------------------

    def settings(self) -> dict[str, Any]:
        """All settings of its consumer."""
        stated = {key: value for key, value in self.profile.consumer.items() if value != REDACTED}
        protocol = self.consume.protocol
        if protocol == "consumer":
            for name in _CLASSIC_ONLY:  # the brokers decide these, and librdkafka refuses them
                stated.pop(name, None)
        return {
            "client.id": self.name,
            **stated,
            "group.protocol": protocol,
            "group.id": self.consume.group,
            "error_cb": self.say_error,
            "log_level": 2,
            **self.connection,
        }

    @property
    def name(self) -> str:
        """As it is called in messages and at the brokers."""
        return f"harness-{self.profile.profile}-member-{self.number}"

    def made(self, kind: Callable[[dict[str, Any]], Client]) -> Client:
        """A client of that kind. Raises HarnessError when it refuses the settings."""
        try:
            return kind(self.settings())
        except (KafkaException, ValueError, TypeError) as error:
            raise HarnessError(
                f"profile {self.profile.profile}: librdkafka refuses its consumer settings "
                f"({error}). Correct them in the profile or in --config."
            ) from None

    def start(self) -> None:
        """Make the client and join the group."""
        self.note(Step.STARTED)
        self.consumer = self.made(Consumer)
        self.consumer.subscribe(
            [self.topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def run(self) -> None:
        """Work until `stop` or until it cannot go on; then leave the group."""
        self.start()
        try:
            while not self.stopping and self.failure is None:
                self.turn()
        except KafkaException as error:
            self.failure = str(error)
            self.say_error(error.args[0])
        finally:
            self.leave()
        self.note(Step.CLOSED)
        self.journal.close()

    def turn(self) -> None:
        """Take some records and deal with them."""
        raise NotImplementedError

    def stop(self) -> None:
        """Leave soon; safe from a signal handler and from another thread."""
        self.stopping = True

    def leave(self) -> None:
        """Leave the group; the client gives up what it was assigned."""
        self.consumer.close()

    # -- rebalances ------------------------------------------------------------------------

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            offset = each.offset if each.offset >= 0 else NO_POSITION
            self.note(Step.ASSIGNED, partition=each.partition, offset=offset)
            self.assigned.add(each.partition)
        self._say_rebalance("assigned", partitions)

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._gone(Step.REVOKED, "revoked", partitions)

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._gone(Step.LOST, "lost", partitions)

    def _gone(
        self, step: Step, phase: Literal["revoked", "lost"], partitions: list[TopicPartition]
    ) -> None:
        for each in partitions:
            self.note(step, partition=each.partition)
            self.assigned.discard(each.partition)
        self._say_rebalance(phase, partitions)

    def _say_rebalance(
        self, phase: Literal["assigned", "revoked", "lost"], partitions: list[TopicPartition]
    ) -> None:
        self.run_dir.append(
            RebalanceEvent(
                source="member",
                profile=self.profile.profile,
                member=self.number,
                phase=phase,
                partitions=[f"{each.topic}/{each.partition}" for each in partitions],
            )
        )

    # -- records ---------------------------------------------------------------------------

    def take(self) -> list[Message]:
        """Records that the client hands over, each on record as POLLED."""
        began = time.monotonic()
        messages = self.consumer.consume(RECORDS_MAX, GATHER_S)
        self._see_pause(began, GATHER_S)
        return self.handed_over(messages)

    def handed_over(self, messages: Iterable[Message]) -> list[Message]:
        """The records among what the client returned, put on record with one write; errors are
        said."""
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(message)
            elif error.code() != KafkaError._PARTITION_EOF:
                self.say_error(error)
        if not records:
            return records
        entries = np.zeros(len(records), dtype=ENTRY)
        entries["at_us"] = self.clock.now_us()
        entries["offset"] = [record.offset() for record in records]
        entries["partition"] = [record.partition() for record in records]
        entries["topic"], entries["step"] = self.topic_index, Step.POLLED
        self.journal.write_all(entries)
        return records

    def work(self, partition: int, offset: int) -> None:
        """Process one record up to its effect, which the caller brings about."""
        self.note(Step.BEGIN, partition=partition, offset=offset)
        began = time.monotonic()
        time.sleep(self.consume.processing_ms / 1000)
        self._see_pause(began, self.consume.processing_ms / 1000)

    def process(self, partition: int, offset: int) -> None:
        """Process one record; its effect is the entry that says so."""
        self.work(partition, offset)
        self.note(Step.EFFECT, partition=partition, offset=offset)

    def _see_pause(self, began: float, expected_s: float) -> None:
        still_us = int((time.monotonic() - began - expected_s) * 1e6)
        if still_us >= STILL_US:
            self.note(Step.PAUSED_SEEN, offset=still_us)

    # -- commits ---------------------------------------------------------------------------

    def commit(self, offsets: Mapping[int, int]) -> set[int]:
        """Commit the next offset of each partition and wait for it; where it succeeded."""
        for partition, offset in offsets.items():
            self.note(Step.COMMIT_CALLED, partition=partition, offset=offset)
        asked = [TopicPartition(self.topic, *each) for each in offsets.items()]
        try:
            answers = self.consumer.commit(offsets=asked, asynchronous=False)
        except KafkaException as error:
            self.note_commits(asked, error.args[0], SYNCHRONOUS)
            self.say_error(error.args[0])
            return set()
        return self.note_commits(answers or [], None, SYNCHRONOUS)

    def note_commits(
        self, answers: Sequence[TopicPartition], error: KafkaError | None, flags: int
    ) -> set[int]:
        """Put on record what became of a commit, of all and of each; where it succeeded."""
        done: set[int] = set()
        for each in answers:
            failed = error or each.error
            if each.offset < 0:
                continue  # the client had nothing to commit there
            step, detail = Step.COMMITTED, 0
            if failed is not None:
                refused = failed.code() in _REFUSALS
                step = Step.COMMIT_FAILED if refused else Step.COMMIT_UNKNOWN
                detail = failed.code()
            else:
                done.add(each.partition)
            self.note(
                step, partition=each.partition, offset=each.offset, detail=detail, flags=flags
            )
        return done

    # -- what is on record -----------------------------------------------------------------

    def note(
        self, step: Step, *, partition: int = 0, offset: int = -1, detail: int = 0, flags: int = 0
    ) -> None:
        """Append one entry to the journal."""
        self.journal.write(
            step,
            self.clock.now_us(),
            topic=self.topic_index,
            partition=partition,
            offset=offset,
            detail=detail,
            flags=flags,
        )

    def say_error(self, error: KafkaError) -> None:
        """One timeline event a second for each kind of error; a fatal one ends the member."""
        if error.fatal():
            self.failure = self.failure or f"{error.name()}: {error.str()}"
        if time.monotonic() - self._said.get(error.code(), -_SAID_AGAIN_S) < _SAID_AGAIN_S:
            return
        self._said[error.code()] = time.monotonic()
        self.run_dir.append(
            ClientErrorEvent(
                source="member",
                profile=self.profile.profile,
                incarnation=None,
                member=self.number,
                code=error.name(),
                reason=error.str(),
                fatal=error.fatal(),
            )
        )


def position_of(record: Message) -> tuple[int, int]:
    """(partition, offset) of a record that was read."""
    partition, offset = record.partition(), record.offset()
    assert partition is not None
    assert offset is not None
    return partition, offset


def positions(records: Sequence[Message]) -> dict[int, int]:
    """The next offset of each partition after these records."""
    after: dict[int, int] = {}
    for record in records:
        partition, offset = position_of(record)
        after[partition] = max(after.get(partition, 0), offset + 1)
    return after
