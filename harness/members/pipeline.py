"""A member that consumes, transforms and produces, the input offsets in the output's transaction.

    records ─ begin ─ process, produce ─ send_offsets ─ commit ┬ success
                                                               ├ must abort → abort, go back
                                                               └ else → new producer, go back

To go back means to read again from the group's committed offsets, once the producer has been
registered anew: that awaits, or aborts, whatever transaction was left (KIP-447). A producer that
was fenced, by whoever took this member's place or by the coordinator because its transaction had
timed out, is replaced as well, and its transaction never commits.

Without `send_offsets` the offsets are committed after the transaction instead: the control.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, Literal

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from harness.members.member import Member, position_of, positions
from harness.members.output import Output
from harness.rundir.events import IncarnationEvent
from harness.rundir.member_journal import SYNCHRONOUS, Step

_ANSWER_S: Final = 10.0
_PAUSE_S: Final = 0.2
_FENCED: Final = frozenset(
    (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)
)


class Pipeline(Member):
    """A member that writes one output record for each input record, in transactions that also hold
    its offsets, or without them where the profile says so."""

    _output: Output | None = None
    _back: bool = False
    """Must reading go back to the committed offsets?"""

    def turn(self) -> None:
        output = self._ready_output()
        if output is None:
            return
        if self._back and not self._go_back():
            time.sleep(_PAUSE_S)
            return
        records = self.take()
        if not records:
            return
        offsets = positions(records)
        made = False
        committing = False
        try:
            self._note_txn(Step.TXN_BEGIN, number=output.number + 1)
            output.begin()
            made = True
            attempts = output.attempt(self.topic_index, records)
            for record, (sequence, value) in zip(records, attempts, strict=True):
                partition, offset = position_of(record)
                self.work(partition, offset)
                output.send(partition, sequence, value)
                self.note(Step.EFFECT, partition=partition, offset=offset, detail=sequence)
            if self.consume.send_offsets:
                self._note_offsets(Step.COMMIT_CALLED, offsets)
                asked = [TopicPartition(self.topic, *each) for each in offsets.items()]
                output.send_offsets(asked, self.consumer)
            output.commit_called()
            self._note_txn(Step.TXN_COMMIT_CALLED)
            committing = True
            output.commit()
        except (KafkaException, BufferError) as error:
            self._not_committed(output, error, offsets, begun=made, committing=committing)
            return
        self._note_txn(Step.TXN_COMMITTED)
        if self.consume.send_offsets:
            self._note_offsets(Step.COMMITTED, offsets, flags=SYNCHRONOUS)
        else:
            self.commit(offsets)

    # -- when a transaction does not commit ------------------------------------------------

    def _not_committed(
        self,
        output: Output,
        error: KafkaException | BufferError,
        offsets: Mapping[int, int],
        *,
        begun: bool,
        committing: bool,
    ) -> None:
        """Abort where the client says that this is left, else give the producer up."""
        cause = error.args[0] if isinstance(error, KafkaException) else None
        if isinstance(cause, KafkaError):
            # Its producer alone is at its end, not the member.
            self.say_output_error(cause)
            if cause.code() in _FENCED or "fenced" in cause.str().lower():
                self._note_txn(Step.FENCED, detail=cause.code())
        self._back = True
        fatal = isinstance(cause, KafkaError) and cause.fatal()
        aborts = isinstance(cause, KafkaError) and cause.txn_requires_abort()
        # Before its commit was called, a transaction can always be aborted, unless all is lost.
        if begun and not fatal and (aborts or not committing):
            self._note_txn(Step.TXN_ABORT_CALLED)
            try:
                output.abort()
            except KafkaException as failed:
                self.say_output_error(failed.args[0])
                if failed.args[0].code() in _FENCED:
                    self._note_txn(Step.FENCED, detail=failed.args[0].code())
            else:
                self._note_txn(Step.TXN_ABORTED)
                if self.consume.send_offsets:
                    self._note_offsets(Step.COMMIT_FAILED, offsets, detail=_code(cause))
                return
        self._note_txn(Step.TXN_UNKNOWN)
        if self.consume.send_offsets:
            self._note_offsets(Step.COMMIT_UNKNOWN, offsets, detail=_code(cause))
        self._replace(str(error))

    def _replace(self, reason: str) -> None:
        output, self._output = self._output, None
        if output is not None:
            self._say_incarnation(output, "replaced", reason)
            output.close()

    def _ready_output(self) -> Output | None:
        """Its producer, registered; None while the coordinator does not answer."""
        if self._output is not None:
            return self._output
        output = Output(
            self.run_dir,
            self.info,
            self.profile,
            self.slot,
            self.clock,
            self.connection,
            self.say_output_error,
        )
        self._say_incarnation(output, "started", "")
        try:
            output.init()
        except KafkaException as error:
            self.say_output_error(error.args[0])
            self._say_incarnation(output, "replaced", f"init: {error}")
            output.close()
            time.sleep(_PAUSE_S)
            return None
        self._output = output
        return output

    def _go_back(self) -> bool:
        """Read on from the committed offsets; False while that is not possible."""
        mine = [TopicPartition(self.topic, partition) for partition in sorted(self.assigned)]
        if mine:
            try:
                for each in self.consumer.committed(mine, timeout=_ANSWER_S):
                    if each.error is not None:
                        self.say_error(each.error)
                        return False
                    start = max(0, each.offset)
                    self.consumer.seek(TopicPartition(self.topic, each.partition, start))
                    self.note(Step.ASSIGNED, partition=each.partition, offset=start)
            except KafkaException as error:
                self.say_error(error.args[0])
                # A rebalance may wait to be heard of. What is handed over meanwhile is put on
                # record, not worked on, and read again from the committed offsets.
                self.take()
                return False
        self._back = False
        return True

    # -- what is on record -----------------------------------------------------------------

    def _note_txn(
        self, step: Step, *, number: int | None = None, detail: int | None = None
    ) -> None:
        output = self._output
        assert output is not None
        self.note(
            step,
            offset=output.number if number is None else number,
            detail=output.incarnation if detail is None else detail,
        )

    def _note_offsets(
        self, step: Step, offsets: Mapping[int, int], *, detail: int = 0, flags: int = 0
    ) -> None:
        for partition, offset in offsets.items():
            self.note(step, partition=partition, offset=offset, detail=detail, flags=flags)

    def say_output_error(self, error: KafkaError) -> None:
        """As `say_error`, but a fatal error of the producer does not end the member."""
        failure = self.failure
        self.say_error(error)
        self.failure = failure

    def _say_incarnation(
        self, output: Output, phase: Literal["started", "closed", "replaced"], reason: str
    ) -> None:
        self.run_dir.append(
            IncarnationEvent(
                source="member",
                profile=self.profile.profile,
                incarnation=output.incarnation,
                phase=phase,
                reason=reason,
                member=self.number,
            )
        )

    def leave(self) -> None:
        output, self._output = self._output, None
        if output is not None:
            self._say_incarnation(output, "closed", "stopped")
            output.close()
        super().leave()


def _code(cause: object) -> int:
    return cause.code() if isinstance(cause, KafkaError) else 0
