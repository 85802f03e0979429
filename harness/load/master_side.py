"""A Locust master's part in a run: who makes which load, from when, and whether all of it arrived.

    gather     wait for the workers that are expected
    assign     a share for each: clients, numbers of incarnations, the clock; on record before any
               of them produces
    start      once every client has connected: the instant of the first record, the same for all
    collect    after Locust's stop: the ledgers are closed, and what was written elsewhere is here

A worker that is lost in between takes its share with it: no other worker gets its clients, since it
may still be there and send. One that comes late has no part in the run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

import gevent
from locust.runners import STATE_MISSING, MasterRunner

from harness.errors import EnvironmentFailure
from harness.load import messages as m
from harness.load.arrivals import Arrivals
from harness.load.dispatch import Counts, FixedDispatcher, user_counts
from harness.load.introductions import ANSWER_S, POLL_S, Channel, Introductions
from harness.load.run_worker import LOST_AFTER_US, RunWorker
from harness.load.schedule import schedule_of
from harness.load.shares import shares
from harness.load.users import READY_TIMEOUT_S, START_DELAY_US, load_stopped
from harness.rundir.clock import Clock
from harness.rundir.events import RunEvent, WorkerEvent
from harness.rundir.run_dir import RunDir

ASSIGN_S: Final = 60.0
COME_BACK_S: Final = 10.0
"""So long a worker of which nothing is heard is awaited at the end, since it was lost."""
PROGRESS_S: Final = 60.0
"""A worker that is heard of and hands in nothing for so long is not waited for."""
_WATCH_S: Final = 0.5

log = logging.getLogger(__name__)


class MasterSide:
    """The workers of one run at a time, over the MasterRunner of a Locust environment.

    on_failure: called when a worker could not do its work, for a reason that is not Kafka's; dead:
    says of a process of this machine by its number that it is gone.
    """

    def __init__(
        self,
        runner: MasterRunner,
        *,
        on_failure: Callable[[str], None],
        stopped: Callable[[], bool] = lambda: False,
        dead: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self.runner = runner
        self.clock = Clock()
        self._channel = Channel(runner)
        self._there = Introductions(self._channel, self.clock, stopped)
        self.workers: list[RunWorker] = []
        self.run_dir: RunDir | None = None
        self.start_us: int | None = None
        self._stopped = stopped
        self._dead = dead
        self._on_failure = on_failure
        self._assigned: dict[int, m.Assigned] = {}
        self._late: set[str] = set()
        self._greenlets: list[Any] = []
        self._users: dict[str, Counts] = {}
        runner.environment.dispatcher_class = lambda **_: FixedDispatcher(lambda: self._users)
        self._arrivals = Arrivals(self._channel, lambda: self.workers)
        for kind, handler in (
            (m.Assigned, self._on_assigned),
            (m.Ready, self._on_ready),
            (m.Failed, self._on_failed),
            (m.LoadEnded, self._arrivals.on_ended),
            (m.Chunk, self._arrivals.on_chunk),
            (m.Complete, self._arrivals.on_complete),
        ):
            self._channel.listen(kind, handler)
        runner.environment.events.worker_connect.add_listener(self._on_connect)

    def gather(self, expected: int, wait_s: float | None, *, at_least: bool = False) -> bool:
        """Await workers, see Introductions.gather."""
        return self._there.gather(expected, wait_s, at_least=at_least)

    # -- late ones ---------------------------------------------------------------------------

    def _on_connect(self, client_id: str, **_: Any) -> None:
        """One that connects while a run is under way is reported once, and has no part in it."""
        known = {worker.client_id for worker in self.workers}
        if self.start_us is None or client_id in known or client_id in self._late:
            return
        self._late.add(client_id)
        gevent.spawn(self._tell_late, client_id)

    def _tell_late(self, client_id: str) -> None:
        run_dir = self.run_dir
        assert run_dir is not None
        for _ in range(int(ANSWER_S)):
            self._channel.send(client_id, self._there.who)
            gevent.sleep(1.0)
            if client_id in self._there.identities:
                break
        identity = self._there.identities.get(client_id)
        name = client_id if identity is None else identity.name
        log.warning("worker %s came late: it has no part in this run, only in the next", name)
        reason = "it came after the start; it takes part in the next run"
        run_dir.append(WorkerEvent(source="load", phase="late", name=name, reason=reason))

    # -- shares ----------------------------------------------------------------------------

    def assign(self, run_dir: RunDir, scenario: str) -> None:
        """Give each worker that is connected its share, and let Locust dispatch its users so.

        Where the end is asked for meanwhile, there are no workers afterwards.

        scenario: its name, or its file, as workers know it. Raises EnvironmentFailure when a worker
        cannot take part.
        """
        self.run_dir, self.start_us, self._users, self.workers = run_dir, None, {}, []
        self._assigned, self._late = {}, set()
        info = run_dir.read_info()
        profiles = [each.profile for each in info.profiles]
        clients = self._there.ask_who()
        most = len(profiles) * info.load.producers
        for spare in clients[most:]:
            log.warning("worker %s has no client in this run", self._there.identities[spare].name)
        clients = clients[:most]
        self.workers = [
            RunWorker(client_id, self._there.identities[client_id], share)
            for client_id, share in zip(
                clients, shares(profiles, info.load.producers, len(clients)), strict=True
            )
        ]
        text = run_dir.run_json.read_text(encoding="utf-8")
        for worker in self.workers:
            worker.offset = self._there.measure(worker.client_id) or worker.offset
            self._channel.send(
                worker.client_id, self._assignment(worker, info.run_id, text, scenario)
            )
        if not self._await_assigned():
            self.workers = []
        for worker in self.workers:
            run_dir.append(*worker.joined())
        self._users = {
            worker.client_id: user_counts(profiles, worker.share.pairs) for worker in self.workers
        }
        self._arrivals.begin(run_dir, info.run_id)

    def _assignment(
        self, worker: RunWorker, run_id: str, run_json: str, scenario: str
    ) -> m.Assignment:
        assert self.run_dir is not None
        share = worker.share
        return m.Assignment(
            run_id=run_id,
            run_json=run_json,
            run_dir=str(self.run_dir.path.resolve()),
            scenario=scenario,
            worker=share.worker,
            pairs=list(share.pairs),
            first=share.first,
            last=share.last,
            clock_offset_us=worker.offset.offset_us,
        )

    def _on_assigned(self, _: str, assigned: m.Assigned) -> None:
        self._assigned[assigned.worker] = assigned

    def _await_assigned(self) -> bool:
        """Wait until all have taken their shares; false when the end was asked for meanwhile."""
        deadline_us = self.clock.now_us() + int(ASSIGN_S * 1e6)
        for worker in self.workers:
            while worker.share.worker not in self._assigned:
                if self._stopped():
                    return False
                # One that imports on a busy machine is not heard for a while, and comes back.
                if self.clock.now_us() > deadline_us or self._dead(worker.identity.pid):
                    raise EnvironmentFailure(
                        f"worker {worker.identity.name} did not take its share of the load within "
                        f"{ASSIGN_S:g} s: see its log."
                    )
                gevent.sleep(POLL_S)
            worker.assigned = self._assigned[worker.share.worker]
            if worker.assigned.error:
                raise EnvironmentFailure(
                    f"worker {worker.identity.name} cannot take part: {worker.assigned.error}"
                )
        return True

    # -- the load --------------------------------------------------------------------------

    @property
    def clients(self) -> int:
        """How many users all workers run together."""
        return sum(len(worker.share.pairs) for worker in self.workers)

    def start(self) -> None:
        """Await that every client has connected, and let them all begin at one instant."""
        run_dir = self.run_dir
        assert run_dir is not None
        info = run_dir.read_info()
        deadline_us = self.clock.now_us() + int((READY_TIMEOUT_S + ANSWER_S) * 1e6)
        while any(not worker.ready and not self._gone(worker) for worker in self.workers):
            if self._stopped() or self.clock.now_us() > deadline_us:
                break
            gevent.sleep(0.01)
        if self._stopped():
            return
        slowest_us = max((worker.offset.error_us for worker in self.workers), default=0)
        self.start_us = self.clock.now_us() + START_DELAY_US + 4 * slowest_us
        run_dir.append(RunEvent(source="load", phase="load_started"))
        for worker in self.workers:
            self._channel.send(worker.client_id, m.LoadStart(info.run_id, self.start_us))
        self._greenlets = [
            gevent.spawn(self._tell_warmed_up, run_dir, info.load.warm_up_s),
            gevent.spawn(self._watch),
        ]

    def _on_ready(self, client_id: str, ready: m.Ready) -> None:
        for worker in self.workers:
            if (worker.client_id, worker.share.worker) == (client_id, ready.worker):
                worker.ready = True

    def _on_failed(self, client_id: str, failed: m.Failed) -> None:
        for worker in self.workers:
            if worker.client_id == client_id:
                self._on_failure(f"worker {worker.identity.name}: {failed.reason}")

    def _tell_warmed_up(self, run_dir: RunDir, warm_up_s: float) -> None:
        assert self.start_us is not None
        gevent.sleep((self.start_us - self.clock.now_us()) / 1e6 + warm_up_s)
        run_dir.append(RunEvent(source="load", phase="warmed_up"))

    @property
    def running_s(self) -> float:
        """How long records have been due; below 0 before the start."""
        return -1.0 if self.start_us is None else (self.clock.now_us() - self.start_us) / 1e6

    def _gone(self, worker: RunWorker) -> bool:
        """Whether nothing is heard of a worker now."""
        client = self.runner.clients.get(worker.client_id)
        return client is None or client.state == STATE_MISSING or self._is_dead(worker)

    def _is_dead(self, worker: RunWorker) -> bool:
        return worker.shared and self._dead(worker.identity.pid)

    def _watch(self) -> None:
        while True:
            self._look()
            gevent.sleep(_WATCH_S)

    def _look(self) -> None:
        """Note of which workers nothing is heard, and tell of those that are lost."""
        now_us = self.clock.now_us()
        run_dir = self.run_dir
        assert run_dir is not None
        for worker in self.workers:
            if not self._gone(worker) or worker.ended is not None:
                worker.lost_us = None
                continue
            worker.lost_us = worker.lost_us or now_us
            lost = self._is_dead(worker) or worker.lost_for_us(now_us) > LOST_AFTER_US
            if lost and not worker.reported_lost:
                worker.reported_lost = True
                log.warning("worker %s is lost; the run goes on", worker.identity.name)
                run_dir.append(worker.lost("nothing is heard of it any more"))

    # -- the end ---------------------------------------------------------------------------

    def collect(self) -> dict[str, int]:
        """After Locust's stop: await the record of every worker that is there; the records that
        were due and never attempted, by profile."""
        run_dir = self.run_dir
        assert run_dir is not None
        stopped_us = self.clock.now_us()
        gevent.killall(self._greenlets)
        for worker in self.workers:
            if not worker.shared and not self._gone(worker):
                worker.offset = self._there.measure(worker.client_id) or worker.offset
        while True:
            self._look()
            self._arrivals.ask_for_leftovers(self._there.identities)
            if not any(not each.over and self._is_worth_waiting(each) for each in self.workers):
                break
            gevent.sleep(POLL_S)
        for worker in self.workers:
            if not worker.over and not worker.reported_lost:
                run_dir.append(worker.lost(worker.rejected or "it did not hand in its record"))
        unsent = self._unsent(stopped_us)
        run_dir.append(load_stopped(unsent))
        self.start_us = None
        return unsent

    def _is_worth_waiting(self, worker: RunWorker) -> bool:
        now_us = self.clock.now_us()
        if self._is_dead(worker):
            return False
        if self._arrivals.idle_s(worker) < PROGRESS_S and self._arrivals.has_source(worker):
            return True
        if self._gone(worker) and worker.ended is None:
            return worker.lost_for_us(now_us) < COME_BACK_S * 1e6
        return self._arrivals.idle_s(worker) < (COME_BACK_S if self._gone(worker) else PROGRESS_S)

    def _unsent(self, stopped_us: int) -> dict[str, int]:
        """What was due up to the end of the load: of a worker that went earlier, all since then."""
        run_dir, start_us = self.run_dir, self.start_us
        assert run_dir is not None
        unsent: dict[str, int] = {}
        info = run_dir.read_info()
        end_us = max(
            (w.ended.at_us for w in self.workers if w.ended is not None), default=stopped_us
        )
        for worker in self.workers:
            for profile, count in (worker.ended.unsent if worker.ended else {}).items():
                unsent[profile] = unsent.get(profile, 0) + count
            left_us = worker.ended.at_us if worker.ended else worker.lost_us or stopped_us
            if start_us is None or (worker.ended and end_us - left_us < LOST_AFTER_US):
                continue  # they do not stop at the same instant
            for profile, instance in worker.share.pairs:
                schedule = schedule_of(info, instance)
                due = schedule.waiting(end_us - start_us) - schedule.waiting(left_us - start_us)
                unsent[profile] = unsent.get(profile, 0) + max(0, due)
        return unsent
