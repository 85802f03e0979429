"""A client that writes in transactions, and the log of what they held.

In a transaction a delivery report is no acknowledgement. Its records become ACKED when commit
returns success, FAILED when abort does, UNKNOWN when the outcome is unknown:

    begin ─ records for `transaction_interval_ms` ┬ commit ┬ success                 → ACKED
                                                  │        ├ has to be aborted       → abort
                                                  │        └ timed out, any other    → UNKNOWN *
                                                  └ abort ─┬ success                 → FAILED
                                                           └ any other error         → UNKNOWN *

    * the producer is not used again: a new incarnation with the same transactional.id fences the
      old one, and its init_transactions awaits or aborts what was left.

A transaction in which produce refused a record is aborted: an application that cannot write all
of it must not commit a part. A deliberate abort waits until the records of the transaction were
delivered. That is the abort worth testing, since the records are in the log and must not be seen;
and librdkafka may send an abort for partitions that the coordinator has not added yet, which a
coordinator that still completes the transaction before refuses with INVALID_TXN_STATE, a fatal
error. While a transaction ends, records that are due wait and go into the
next one; their intended send time shows the wait.
"""

from __future__ import annotations

import random
from enum import Enum, auto
from typing import Final

import numpy as np
from confluent_kafka import KafkaError, KafkaException

from harness.arrays import I64
from harness.load.client import OPEN_RECORDS_MAX, Client
from harness.load.context import Call, LoadContext
from harness.load.outcomes import Delivered
from harness.load.transaction import Transaction
from harness.rundir.columns import ACKED_NO_OFFSET, FAILED, UNKNOWN
from harness.rundir.load_events import ABORTED_AFTER_ERROR, ABORTED_ON_PURPOSE
from harness.rundir.run_info import ProfileRun
from harness.rundir.transaction_steps import TransactionLogWriter

RECORDS_MAX: Final = OPEN_RECORDS_MAX
"""A transaction takes no more than this; after a stall the rest goes into the next one."""
INTERVAL_MS: Final = 100.0
INIT_TIMEOUT_S: Final = 30.0
END_MARGIN_S: Final = 5.0


class State(Enum):
    """What a client's transactions are at; `CALLS` are those in which a call is under way."""

    NEW = auto()
    """The transactional.id is not registered yet."""
    REGISTERING = auto()
    IDLE = auto()
    """No transaction is open."""
    OPEN = auto()
    """The transaction takes records."""
    DELIVERING = auto()
    """It takes no more records and is aborted once those that it has were delivered."""
    COMMITTING = auto()
    ABORTING = auto()
    CLOSED = auto()
    """Its incarnation has ended, and nothing follows."""


CALLS: Final = {State.REGISTERING: "init", State.COMMITTING: "commit", State.ABORTING: "abort"}
"""The call that is under way in a state, as the log and messages name it."""


class TransactionalClient(Client):
    """Writes all its records in transactions, to all topics of its profile."""

    def __init__(self, context: LoadContext, profile: ProfileRun, instance: int) -> None:
        super().__init__(context, profile, instance)
        self._random = random.Random(f"{context.info.seed}/{profile.profile}/{instance}")
        self._timeout_s = profile.transaction_timeout_ms / 1000
        self._interval_us = (profile.transaction_interval_ms or INTERVAL_MS) * 1000
        self._state = State.NEW
        self._call: Call | None = None
        """The call that is under way, or the last one that was."""
        self._transaction: Transaction | None = None
        self._delivered: list[Delivered] = []
        self._number = 0
        self._end_error = ""
        """The code of the error with which its transaction did not end."""
        self._log = self._open_log()

    def _open_log(self) -> TransactionLogWriter:
        ledger = self.incarnation.ledger.path
        return TransactionLogWriter(ledger.with_name(f"{self.incarnation.number}.txn.ndjson"))

    # -- calls -----------------------------------------------------------------------------

    def _start(self, state: State) -> None:
        """Make the blocking call of a state, bounded, on another thread."""
        producer = self.incarnation.producer
        bound_s = self._timeout_s + END_MARGIN_S
        self._state = state
        match state:
            case State.REGISTERING:
                call = self.context.start_call(lambda: producer.init_transactions(INIT_TIMEOUT_S))
            case State.COMMITTING:
                call = self.context.start_call(lambda: producer.commit_transaction(bound_s))
            case State.ABORTING:
                call = self.context.start_call(lambda: producer.abort_transaction(bound_s))
            case _:
                raise ValueError(f"no call is made in the state {state}")
        self._call = call

    def prepare(self) -> None:
        """Begin to connect and to register the transactional.id."""
        self._start(State.REGISTERING)

    @property
    def ready(self) -> bool:
        self._advance()
        return self._state not in (State.NEW, State.REGISTERING) or self._resume_us > 0

    # -- sending ---------------------------------------------------------------------------

    @property
    def room(self) -> int:
        transaction = self._transaction
        if self._state is not State.OPEN or transaction is None:
            return 0
        return min(super().room, RECORDS_MAX - transaction.records)

    def send(self, intended_us: I64) -> None:
        transaction = self._transaction
        assert transaction is not None
        topics, partitions, keys = self.lanes.take(len(intended_us))
        at_us = self.context.clock.now_us()
        ranges = self.incarnation.produce(topics, partitions, intended_us, keys)
        transaction.add(ranges, at_us)
        self._check()

    def _begin(self) -> None:
        """Open a transaction for what comes; the brokers hear of it with its first record."""
        self._number += 1
        self._log.write(self._number, "begin", self.context.clock.now_us())
        try:
            self.incarnation.producer.begin_transaction()
        except KafkaException as error:
            self.replace(f"begin_transaction: {error}")
            return
        self._transaction = Transaction(self._number, refused_before=self.incarnation.refused)
        self._state = State.OPEN

    # -- advancing -------------------------------------------------------------------------

    def poll(self, wait_s: float = 0.0) -> None:
        """Serve callbacks, end the transaction when its time has come, act on the result."""
        # A call under way serves the callbacks itself.
        if self._state not in CALLS:
            super().poll(wait_s)
        self._advance()

    def settle(self) -> None:
        """Collect what was reported; nothing is decided before the transaction ends."""
        self._collect()
        self._check()

    def _check(self) -> None:
        if self.incarnation.fatal is not None and self._state not in CALLS:
            self.replace(self.incarnation.fatal)

    def _collect(self) -> None:
        delivered, errored = self.incarnation.take_reports()
        self._delivered += delivered
        if self._transaction is not None:
            self._transaction.reported += sum(len(part.sequences) for part in delivered)
            self._transaction.must_abort |= bool(errored)

    def _advance(self) -> None:
        """One step of the state machine; never waits."""
        match self._state:
            case State.NEW:
                if self.context.clock.now_us() >= self._resume_us and not self.stopping:
                    self._start(State.REGISTERING)
            case State.REGISTERING | State.COMMITTING | State.ABORTING:
                assert self._call is not None
                if self._call.done():
                    self._ended(self._call)
            case State.IDLE:
                if not self.stopping:
                    self._begin()
            case State.OPEN:
                self._end_when_due()
            case State.DELIVERING:
                self._abort_when_delivered()
            case State.CLOSED:
                pass

    def _end_when_due(self) -> None:
        """End the transaction that takes records, when its time has come or one of them failed."""
        transaction, now_us = self._transaction, self.context.clock.now_us()
        assert transaction is not None
        if not transaction.records:
            return
        over = now_us - transaction.began_us >= self._interval_us or self.stopping
        if transaction.must_abort:
            self._call_end(State.ABORTING, transaction, now_us)
        elif over or transaction.records >= RECORDS_MAX:
            # Drawn for every transaction, so that one refusal does not change all that follow.
            on_purpose = self._random.random() < self.profile.abort_ratio
            if on_purpose or self._refused(transaction):
                transaction.on_purpose = on_purpose and not self._refused(transaction)
                self._state = State.DELIVERING
            else:
                self._call_end(State.COMMITTING, transaction, now_us)

    def _abort_when_delivered(self) -> None:
        transaction = self._transaction
        assert transaction is not None
        if not transaction.must_abort:
            self._collect()
            if transaction.reported < transaction.records - self._refused(transaction):
                return
        self._call_end(State.ABORTING, transaction, self.context.clock.now_us())

    def _refused(self, transaction: Transaction) -> int:
        return self.incarnation.refused - transaction.refused_before

    def _call_end(self, state: State, transaction: Transaction, now_us: int) -> None:
        """Call commit or abort, as the state says, once the log holds that it is called."""
        self._log.write(transaction.number, f"{CALLS[state]}_called", now_us, transaction.ranges)
        transaction.end_called = True
        self._start(state)

    def _ended(self, call: Call) -> None:
        """A call returned: decide about its transaction."""
        state, self._state = self._state, State.IDLE
        try:
            call.result()
        except KafkaException as error:
            self._not_ended(state, error)
            return
        now_us = self.context.clock.now_us()
        if state is State.REGISTERING:
            return
        self._end_error = ""
        transaction, self._transaction = self._transaction, None
        assert transaction is not None
        step = "committed" if state is State.COMMITTING else "aborted"
        self._log.write(transaction.number, step, now_us)
        self._collect()
        if state is State.COMMITTING:
            self._committed(transaction, now_us)
        else:
            self._aborted(transaction, now_us)
        self._delivered.clear()
        self._check()

    def _not_ended(self, state: State, error: KafkaException) -> None:
        name = CALLS[state]
        cause = error.args[0] if error.args else None
        reason = f"{name}: {error}"
        if isinstance(cause, KafkaError):
            self.context.slots.error(
                self.profile.profile,
                self.incarnation.number,
                cause.name(),
                f"{name}: {cause.str()}",
                cause.fatal(),
            )
            transaction = self._transaction
            self._end_error = cause.name()
            aborts = cause.txn_requires_abort() and not cause.fatal()
            if state is State.COMMITTING and aborts and transaction is not None:
                self._call_end(State.ABORTING, transaction, self.context.clock.now_us())
                return
            if state is State.REGISTERING and cause.retriable() and not cause.fatal():
                self._state = State.NEW
                self._resume_us = self.context.clock.now_us() + 1
                return
        self.replace(reason)

    # -- results ---------------------------------------------------------------------------

    def _committed(self, transaction: Transaction, now_us: int) -> None:
        ledger = self.incarnation.ledger
        reported = 0
        for part in self._delivered:
            ledger.acked(part.topic, part.partition, part.sequences, part.offsets)
            reported += len(part.sequences)
            ended = Delivered(
                part.topic,
                part.partition,
                part.sequences,
                part.intended_us,
                part.offsets,
                np.full(len(part.sequences), now_us, dtype=np.int64),
                transaction.service_us(part, now_us),
            )
            self.incarnation.record_acknowledged(ended)
        if reported < transaction.records:
            # Success holds for all of them, also for those whose report has not come.
            for (topic, partition), (first, last) in transaction.ranges.items():
                count = ledger.settle_range(topic, partition, first, last, ACKED_NO_OFFSET)
                self.incarnation.open_records -= count
                if count:
                    self.context.slots.acked(topic, partition, now_us, count, 0)

    def _aborted(self, transaction: Transaction, now_us: int) -> None:
        chosen = transaction.on_purpose and not transaction.must_abort
        why = ABORTED_ON_PURPOSE if chosen else ABORTED_AFTER_ERROR
        self._settle_all(transaction, now_us, FAILED, why)

    def _settle_all(self, transaction: Transaction, now_us: int, state: int, why: str) -> None:
        slots = self.context.slots
        for (topic, partition), (first, last) in transaction.ranges.items():
            count = self.incarnation.ledger.settle_range(topic, partition, first, last, state)
            self.incarnation.open_records -= count
            if count:
                note = slots.failed if state == FAILED else slots.unknown
                note(topic, partition, now_us, count, why)

    # -- successors and the end ------------------------------------------------------------

    def _take_last_reports(self) -> None:
        """The transaction that is open is given up: nothing in it was acknowledged."""
        self._state = State.CLOSED
        self.incarnation.poll()
        self._collect()
        transaction, self._transaction = self._transaction, None
        if transaction is not None and transaction.records:
            now_us = self.context.clock.now_us()
            ranges = None if transaction.end_called else transaction.ranges
            self._log.write(transaction.number, "unknown", now_us, ranges)
            why = self._end_error or self.incarnation.why_open
            self._settle_all(transaction, now_us, UNKNOWN, why)
        self._delivered.clear()
        self._log.close()

    def replace(self, reason: str) -> None:
        before = self.incarnation
        super().replace(reason)
        if self.incarnation is not before:
            self._state = State.NEW
            self._number = 0
            self._end_error = ""
            self._log = self._open_log()

    @property
    def settled(self) -> bool:
        ending = self._state in (State.COMMITTING, State.ABORTING)
        waiting = self._transaction is not None and self._transaction.records > 0
        return not waiting and not ending
