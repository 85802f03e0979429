"""Locust users that are Kafka producers: one class per delivery profile, one client per user.

A user's task is one slot of 250 ms of its schedule, after which it fires one Locust event: a
Locust request represents a slot, not for a record (one event a record would cost more than the
record). The event's response time is the mean time from intended send time to acknowledgement of
the records acknowledged in the slot, its length their number of bytes, and it is a failure when a
record of the slot failed or its outcome is unknown. This is for Locust's live page; what a verdict
says comes from the ledger and the HDR logs.

All users of a run have one clock and one start in common. They live in one Locust process, or are
shared among Locust's workers (share_load.py): each has some of the pairs of profile and instance.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final

import gevent
from gevent.event import Event
from gevent.threadpool import ThreadPool
from locust import User
from locust.exception import StopUser

from harness.errors import HarnessError
from harness.load.client import Client
from harness.load.context import Call, LoadContext, call_now
from harness.load.pace import TICK_US, Pace
from harness.load.schedule import schedule_of
from harness.load.shares import Pair
from harness.load.transactions import TransactionalClient
from harness.rundir.events import RunEvent
from harness.rundir.load_events import SLOT_US
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ProfileRun

POLL_S: Final = 0.002
CLIENT_TICK_US: Final = 2_000
"""With few clients the ticks are shorter, for about the same work altogether."""
READY_TIMEOUT_S: Final = 40.0
START_DELAY_US: Final = 100_000
STOP_TIMEOUT_S: Final = 30.0
"""How long open records are awaited once the schedule has stopped."""

SLOT_ROW: Final = "slot of 250 ms"
NOT_RECORDS: Final = " (slots, not records)"
"""In the rows of Locust's tables and of its --csv and --html, which count Locust's requests."""

log = logging.getLogger(__name__)


class _PoolCall:
    """A call on gevent's thread pool."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def done(self) -> bool:
        return bool(self._result.ready())

    def result(self) -> Any:
        return self._result.get(block=False).result()


class Load:
    """All the producers of one run: their common start, their slots, their end.

    on_failure: called once when a user could not do its work.
    """

    def __init__(
        self,
        run_dir: RunDir,
        *,
        on_failure: Callable[[str], None],
        pairs: Sequence[Pair] | None = None,
        **context: Any,
    ) -> None:
        """pairs: which ones are made here; without it all. context: fields of the LoadContext."""
        info = run_dir.read_info()
        everybody = [
            (profile, instance)
            for instance in range(info.load.producers)
            for profile in info.profiles
        ]
        self.instances = [
            (profile, instance)
            for profile, instance in everybody
            if pairs is None or (profile.profile, instance) in pairs
        ]
        self._pool = ThreadPool(len(self.instances) + 2)
        self.context = LoadContext.of(run_dir, start_call=self._start_call, **context)
        self.run_dir = run_dir
        self.info = info
        self.stop_timeout_s = STOP_TIMEOUT_S
        # All clients of the run count, wherever they are: batches are as large on several workers
        # as in one process, and so is the work for a record.
        self.poll_s = POLL_S * max(1.0, len(everybody) / 10)
        """With many clients each is polled less often: a poll costs the same every time."""
        self._tick_us = min(TICK_US, CLIENT_TICK_US * len(everybody))
        self.failure: str | None = None
        self._on_failure = on_failure
        self._clients: list[Client] = []
        self._started = Event()
        self._start_us = 0
        self._greenlets = [self._spawn(self._begin)]
        self._unsent: Counter[str] = Counter()
        self._stopping = False
        self._ended = False

    def _start_call(self, function: Callable[[], Any]) -> Call:
        # `call_now` keeps what the call raised; gevent would print it to the log as well.
        return _PoolCall(self._pool.spawn(call_now, function))

    def _spawn(self, function: Callable[[], None]) -> Any:
        greenlet = gevent.spawn(function)
        greenlet.link_exception(lambda failed: self.fail(str(failed.exception)))
        return greenlet

    # -- the start -------------------------------------------------------------------------

    def user_classes(self, base: type[ProducerUser]) -> list[type[ProducerUser]]:
        """One class for each profile of the run, each with as many users as it has instances."""
        return [
            user_class(
                base,
                profile,
                [instance for each, instance in self.instances if each is profile],
                self,
            )
            for profile in self.info.profiles
        ]

    def join(self, profile: ProfileRun, instance: int) -> Pace | None:
        """Make a client and wait until all are ready: the schedules of a run start together.

        None when the load was stopped before it began.
        """
        kind = TransactionalClient if profile.transactional else Client
        client = kind(self.context, profile, instance)
        client.prepare()
        self._clients.append(client)
        self._started.wait()
        if self._stopping:
            return None
        schedule = schedule_of(self.info, instance)
        return Pace(client, schedule, self._start_us, self._tick_us)

    def _begin(self) -> None:
        if not self.await_clients():
            return
        self.run_dir.append(RunEvent(source="load", phase="load_started"))
        self.start_at(self.context.clock.now_us() + START_DELAY_US)
        gevent.sleep((self.context.warm_until_us - self.context.clock.now_us()) / 1e6)
        self.run_dir.append(RunEvent(source="load", phase="warmed_up"))

    def await_clients(self) -> bool:
        """Wait until every client has connected; false when the load was stopped meanwhile."""
        deadline_us = self.context.clock.now_us() + int(READY_TIMEOUT_S * 1e6)
        while not self._everybody_ready():
            if self._stopping:
                return False
            if self.context.clock.now_us() > deadline_us:
                break  # an unreachable cluster is for the judge: the load starts all the same
            gevent.sleep(0.01)
        return True

    def start_at(self, start_us: int) -> None:
        """Let the users go on: their first records are due at this instant."""
        self._start_us = start_us
        self.context.warm_until_us = start_us + int(self.info.load.warm_up_s * 1e6)
        self._greenlets.append(self._spawn(self._write_slots))
        self._started.set()

    @property
    def running_s(self) -> float:
        """How long records have been due; below 0 before the common start."""
        if not self._start_us:
            return -1.0
        return (self.context.clock.now_us() - self._start_us) / 1e6

    def _everybody_ready(self) -> bool:
        if len(self._clients) < len(self.instances):
            return False
        # Asking is what makes a client advance, so each is asked.
        waiting = [client for client in self._clients if not client.ready]
        return not waiting

    def _write_slots(self) -> None:
        while True:
            gevent.sleep(SLOT_US / 1e6)
            self.context.slots.flush(self.context.clock.now_us())

    # -- the end ---------------------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        """Whether nothing more is to be sent."""
        return self._stopping

    def stop(self) -> None:
        """Let go of the users that still wait for the start."""
        self._stopping = True
        self._started.set()

    def leave(self, pace: Pace) -> None:
        """Stop a client: await what is open, within a bound; the rest becomes unknown."""
        clock = self.context.clock
        client = pace.client
        self._unsent[client.profile.profile] += pace.unsent(clock.now_us())
        client.begin_stop()
        deadline_us = clock.now_us() + int(self.stop_timeout_s * 1e6)
        while not client.settled and clock.now_us() < deadline_us:
            client.poll()
            client.settle()
            gevent.sleep(self.poll_s)
        left = client.incarnation.open_records
        client.close("stopped" if not left else f"stopped with {left} records open")

    def fail(self, reason: str) -> None:
        """A user cannot go on for a reason that is not Kafka's: the whole load ends."""
        if self.failure is None:
            self.failure = reason
            self._on_failure(reason)

    def end(self) -> None:
        """Close whatever is not closed and write the last events. Safe to call again."""
        if self._ended:
            return
        self._ended = True
        gevent.killall(self._greenlets)
        for client in self._clients:
            client.close("ended")
        self.context.close()
        self._tell_end()

    @property
    def unsent(self) -> dict[str, int]:
        """Records that were due and never attempted, by profile, where there are any."""
        return {name: count for name, count in self._unsent.items() if count}

    def _tell_end(self) -> None:
        self.run_dir.append(load_stopped(self.unsent))


class ProducerUser(User):  # type: ignore[misc]
    """A producer client of one profile. `Load.user_classes` makes the concrete classes."""

    abstract = True
    load: ClassVar[Load | None] = None
    profile: ClassVar[ProfileRun]
    instances: ClassVar[Iterator[int]]
    pace: Pace | None = None
    _slot_end_us = 0

    def on_start(self) -> None:
        """Connect, and wait for the common start."""
        if self.load is None:
            return  # the run could not be prepared; the reason was logged
        instance = next(self.instances, None)
        if instance is None:
            # More users than instances: somebody raised the number on Locust's page.
            log.warning("%s: has all its producers already", self.profile.profile)
            return
        try:
            self.pace = self.load.join(self.profile, instance)
        except (HarnessError, OSError) as error:
            self.load.fail(str(error))
        if self.pace is not None:
            self._slot_end_us = self.pace.start_us

    def send_what_is_due(self) -> None:
        """One slot of the schedule, then one Locust event for it."""
        pace = self.pace
        if pace is None or self.load is None:
            raise StopUser
        now_us = pace.client.context.clock.now_us
        self._slot_end_us += SLOT_US
        try:
            while now_us() < self._slot_end_us:
                pace.step()
                gevent.sleep(0 if pace.behind else self.load.poll_s)
        except (HarnessError, OSError) as error:
            self.load.fail(f"profile {self.profile.profile}: {error}")
            raise StopUser from error
        self._fire(pace.client, self.load.info.load.message_bytes)

    def send(self, count: int) -> None:
        """`count` records beside the schedule, all due now; the schedule is kept meanwhile.

        Where the client has no room for them they wait, and their latency counts from now. What
        has not been sent when the load ends is not sent.
        """
        pace, load = self.pace, self.load
        if pace is None or load is None:
            raise StopUser
        due_us = pace.client.context.clock.now_us()
        try:
            while count > 0 and not load.stopping:
                pace.step()
                sent = pace.send_beside(count, due_us)
                count -= sent
                gevent.sleep(0 if sent else load.poll_s)
        except (HarnessError, OSError) as error:
            load.fail(f"profile {self.profile.profile}: {error}")
            raise StopUser from error
        self._fire(pace.client, load.info.load.message_bytes)

    def _fire(self, client: Client, message_bytes: int) -> None:
        incarnation = client.incarnation
        acked, errored = incarnation.acked_in_slot, incarnation.errored_in_slot
        mean_ms = incarnation.ack_us_in_slot / acked / 1000 if acked else 0.0
        incarnation.acked_in_slot = incarnation.errored_in_slot = incarnation.ack_us_in_slot = 0
        if acked or errored:
            self.environment.events.request.fire(
                request_type=SLOT_ROW,
                name=f"{self.profile.profile}{NOT_RECORDS}",
                response_time=mean_ms,
                response_length=acked * message_bytes,
                exception=Exception("records failed or of unknown outcome") if errored else None,
                context={},
            )

    def on_stop(self) -> None:
        """Await what is open, then close the ledger."""
        if self.pace is not None and self.load is not None:
            self.load.leave(self.pace)


def user_class(
    base: type[ProducerUser],
    profile: ProfileRun,
    instances: Sequence[int],
    load: Load | None = None,
) -> type[ProducerUser]:
    """The users of a profile. load: None on a master, which has no users of its own."""
    return type(
        profile.profile,
        (base,),
        {
            "load": load,
            "profile": profile,
            "fixed_count": len(instances),
            "instances": iter(instances),
            "__doc__": profile.summary,
            "__module__": base.__module__,
        },
    )


def load_stopped(unsent: Mapping[str, int]) -> RunEvent:
    """The last word of a load."""
    return RunEvent(
        source="load",
        phase="load_stopped",
        unsent=sum(unsent.values()),
        unsent_by=dict(unsent),
    )
