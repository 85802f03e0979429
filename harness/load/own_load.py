"""The load of a run whose subject is a user's own function: its threads, and the controls.

Everything runs in the process of the user's code. The function has a thread for each producer of
the run. The controls, which are producers of the harness, share one thread more.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from harness.load.client import Client
from harness.load.context import LoadContext
from harness.load.own_producer import OwnProducer, Produce
from harness.load.pace import Pace
from harness.load.schedule import schedule_of
from harness.load.slots import Slots
from harness.rundir.clock import Clock
from harness.rundir.events import RunEvent
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ProfileRun

START_DELAY_US: Final = 200_000
STOP_TIMEOUT_S: Final = 30.0
"""How long open records are awaited once the schedule has stopped."""
_POLL_S: Final = 0.002


class OwnLoad:
    """Begins with `start`; `stop` ends it and completes what it recorded."""

    def __init__(
        self,
        run_dir: RunDir,
        subject: str,
        produce: Produce,
        *,
        flush: Callable[[], object] | None,
        connection: Mapping[str, Any],
    ) -> None:
        """subject: the profile that the function is; every other one is a control.

        flush: called once nothing more is to be sent, by the first thread of the function.
        connection: librdkafka's settings for the controls; may hold secrets.
        """
        info = run_dir.read_info()
        self._run_dir = run_dir
        self._connection = connection
        self._clock = Clock()
        self._stopping = threading.Event()
        self._flush = flush
        self._info = info
        self._start_us = 0
        self.failures: list[str] = []
        """What went wrong in the harness's own threads, as tracebacks."""
        own = next(each for each in info.profiles if each.profile == subject)
        self._own = own
        self.producers = [
            OwnProducer(self._context(), own, instance, produce)
            for instance in range(info.load.producers)
        ]
        controls = [each for each in info.profiles if each.profile != subject]
        self._control_context = self._context()
        self._clients = [
            Client(self._control_context, profile, instance)
            for profile in controls
            for instance in range(info.load.producers)
        ]
        self._unsent: dict[str, int] = {}
        self._threads: list[threading.Thread] = []

    def _context(self) -> LoadContext:
        """One for each thread: neither slots nor latency logs may be shared."""
        return LoadContext(
            run_dir=self._run_dir,
            info=self._info,
            connection=self._connection,
            clock=self._clock,
            slots=Slots(self._run_dir, self._info),
        )

    @property
    def raised(self) -> str:
        """The first exception of the function, as a traceback; empty where it raised none."""
        return next((each.failure for each in self.producers if each.failure), "")

    @property
    def calls(self) -> int:
        """How often the function was called."""
        return sum(each.calls for each in self.producers)

    @property
    def calls_raised(self) -> int:
        """How many of the calls raised."""
        return sum(each.raised for each in self.producers)

    # -- the start -------------------------------------------------------------------------

    def start(self) -> None:
        """Connect the controls, then start all threads with one schedule."""
        for client in self._clients:
            client.prepare()
        self._run_dir.append(RunEvent(source="load", phase="load_started"))
        self._start_us = self._clock.now_us() + START_DELAY_US
        warm_until_us = self._start_us + int(self._info.load.warm_up_s * 1e6)
        for context in [self._control_context, *(each.context for each in self.producers)]:
            context.warm_until_us = warm_until_us
        works: list[Callable[[], None]] = [
            partial(self._produce, producer) for producer in self.producers
        ]
        if self._clients:
            works.append(self._control)
        for number, work in enumerate(works):
            thread = threading.Thread(
                target=self._guarded, args=(work,), name=f"harness-load-{number}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    @property
    def warm(self) -> bool:
        """Whether the warm-up is over."""
        return self._clock.now_us() >= self._start_us + int(self._info.load.warm_up_s * 1e6)

    @property
    def ended(self) -> bool:
        """Whether a thread ended by itself."""
        return any(not thread.is_alive() for thread in self._threads)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            self.failures.append(traceback.format_exc())

    # -- the threads -----------------------------------------------------------------------

    def _produce(self, producer: OwnProducer) -> None:
        producer.run(self._start_us, self._stopping.is_set)
        self._count_unsent(self._own, producer.unsent(self._start_us))
        if self._flush is not None and producer is self.producers[0]:
            try:
                self._flush()
            except Exception:
                self.failures.append(traceback.format_exc())
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while producer.open_records and time.monotonic() < deadline:
            producer.settle()
            time.sleep(_POLL_S)
        producer.close()

    def _control(self) -> None:
        paces = [
            Pace(client, schedule_of(self._info, client.instance), self._start_us)
            for client in self._clients
        ]
        slots, now_us = self._control_context.slots, self._clock.now_us
        flush_us = 0
        while not self._stopping.is_set():
            for pace in paces:
                pace.step()
            if now_us() >= flush_us:
                slots.flush(now_us())
                flush_us = now_us() + 250_000
            time.sleep(0 if any(pace.behind for pace in paces) else _POLL_S)
        for pace in paces:
            self._count_unsent(pace.client.profile, pace.unsent(now_us()))
            pace.client.begin_stop()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline and not all(each.settled for each in self._clients):
            for client in self._clients:
                client.poll()
                client.settle()
            time.sleep(_POLL_S)
        for client in self._clients:
            client.close()
        self._control_context.close()

    def _count_unsent(self, profile: ProfileRun, count: int) -> None:
        if count:
            self._unsent[profile.profile] = self._unsent.get(profile.profile, 0) + count

    # -- the end ---------------------------------------------------------------------------

    def stop(self) -> None:
        """End the threads and complete the ledgers; what hangs is said in the timeline."""
        self._stopping.set()
        deadline = time.monotonic() + 2 * STOP_TIMEOUT_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            self.failures.append(
                f"the function under test did not return within {2 * STOP_TIMEOUT_S:g} s"
            )
        if self.failures:
            self._run_dir.append(
                RunEvent(
                    source="harness",
                    phase="load_died",
                    reason=self.failures[0].strip().splitlines()[-1],
                )
            )
        self._run_dir.append(
            RunEvent(
                source="load",
                phase="load_stopped",
                unsent=sum(self._unsent.values()),
                unsent_by=dict(self._unsent),
            )
        )
