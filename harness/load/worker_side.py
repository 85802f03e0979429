"""A Locust worker's part in a run: it takes its share, makes the load, and hands in its record.

It answers the master's messages (messages.py). One process can serve several runs in turn: each
begins with an assignment.
"""

from __future__ import annotations

import logging
import os
import platform
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaException, Producer
from gevent.event import Event
from gevent.threadpool import ThreadPool

from harness.errors import ClusterError, HarnessError
from harness.kafka.environment import HarnessEnvironment
from harness.load import messages as m
from harness.load.context import call_now
from harness.load.handing_in import HandingIn
from harness.load.left_over import LockedFolder, WorkFolder, left_over
from harness.load.share_load import SharedLoad
from harness.load.users import ProducerUser
from harness.rundir.clock import Clock
from harness.rundir.partial import WORKER_LOG
from harness.rundir.run_dir import RunDir
from harness.system.machine import machine_id
from harness.version import __version__

REACH_S: Final = 20.0
LOG_BYTES_MAX: Final = 4 * 1024 * 1024

log = logging.getLogger(__name__)

ScenarioNamed = Callable[[str], type[ProducerUser]]


class WorkerSide:
    """Listens to one master, over the WorkerRunner of a Locust environment.

    scenario: the user class that a master's scenario means here; raises UsageError where there is
    none. work: where partial run directories are made. log_file: what this process prints.
    """

    def __init__(
        self,
        environment: Any,
        scenario: ScenarioNamed,
        work: WorkFolder,
        *,
        apart: bool = False,
        number: int = 0,
        log_file: Path | None = None,
    ) -> None:
        self.environment = environment
        self.load: SharedLoad | None = None
        self.clock = Clock()
        self.handed_in = Event()
        """Set while there is nothing that a master still has to get."""
        self.handed_in.set()
        self._scenario = scenario
        self._work = work
        self._apart = apart
        self._number = number
        self._log_file = log_file
        self._assignment: m.Assignment | None = None
        self._with_master = False
        """Is this the master's machine? Then the master's clock is this worker's too."""
        self._run_dir: RunDir | None = None
        self._partial: LockedFolder | None = None
        self._threads = ThreadPool(1)
        self._handing_in = HandingIn(self._send)
        for kind, handler, apart in (
            (m.Who, self._on_who, False),
            (m.ClockAsked, self._on_clock, False),
            (m.Assignment, self._on_assignment, True),
            (m.LoadStart, self._on_start, False),
            (m.Received, self._handing_in.on_received, False),
            (m.Merged, self._handing_in.on_merged, False),
            (m.LeftoverWanted, self._on_leftover, True),
        ):
            self._listen(kind, handler, apart)
        environment.events.test_stopping.add_listener(self._on_stopping)
        environment.events.test_stop.add_listener(self._on_stop)

    def _listen(self, kind: type[m.LoadMessage], handler: Any, apart: bool) -> None:
        def listener(msg: Any, **_: Any) -> None:
            handler(m.unpack(kind, msg.data))

        self.environment.runner.register_message(kind.NAME, listener, concurrent=apart)

    def _send(self, message: m.LoadMessage) -> None:
        self.environment.runner.send_message(message.NAME, m.pack(message))

    # -- before the load -------------------------------------------------------------------

    def _on_who(self, who: m.Who) -> None:
        self._with_master = who.machine == machine_id()
        self.clock = Clock(who.epoch_ns) if self._with_master else Clock()
        self._send(
            m.Identity(
                host=platform.node(),
                pid=os.getpid(),
                machine=machine_id(),
                version=__version__,
                protocol=m.PROTOCOL,
                number=self._number,
                leftovers=left_over(self._work),
            )
        )

    def _on_clock(self, asked: m.ClockAsked) -> None:
        self._send(m.ClockAnswer(asked.sent_us, self.clock.now_us()))

    def _on_assignment(self, assignment: m.Assignment) -> None:
        self.end()
        answer = m.Assigned(run_id=assignment.run_id, worker=assignment.worker)
        try:
            shared = self._take(assignment)
            answer = m.Assigned(answer.run_id, answer.worker, shared=shared)
        except (HarnessError, OSError) as error:
            log.error("%s", error)
            self.load = None
            answer = m.Assigned(answer.run_id, answer.worker, error=str(error))
        self._send(answer)

    def _take(self, given: m.Assignment) -> bool:
        """Prepare for a share; whether it is written into the run directory itself."""
        scenario = self._scenario(given.scenario)
        run_dir = RunDir(Path(given.run_dir))
        shared = self._with_master and not self._apart
        shared = shared and _reads(run_dir.run_json) == given.run_json
        self._partial = None
        if not shared:
            name = f"{given.run_id}-{given.first}-{given.last}"
            self._partial = LockedFolder(self._work.made() / name)
            run_dir = RunDir.create(self._partial.path)
            run_dir.run_json.write_text(given.run_json, encoding="utf-8")
            self._partial.lock()
        info = run_dir.read_info()
        if info.cluster_id:
            self._check_cluster(info.bootstrap, info.cluster_id)
        offset_ns = given.clock_offset_us * 1000
        self._assignment, self._run_dir = given, run_dir
        # Locust chooses among the tasks of a user, and a scenario may choose more.
        random.seed(info.seed * 1_000_003 + given.worker)
        self.load = SharedLoad(
            run_dir,
            pairs=given.pairs,
            clock=self.clock if self._with_master else Clock(self.clock.epoch_ns - offset_ns),
            numbers=range(given.first, given.last + 1),
            on_ready=lambda: self._send(m.Ready(given.run_id, given.worker)),
            on_failure=lambda why: self._send(m.Failed(given.run_id, given.worker, why)),
        )
        self.environment.user_classes = self.load.user_classes(scenario)
        clients = ", ".join(f"{profile}/{instance}" for profile, instance in given.pairs)
        log.info("run %s: worker %d makes the load of %s", given.run_id, given.worker, clients)
        return shared

    def _check_cluster(self, bootstrap: str, cluster_id: str) -> None:
        """Raises ClusterError when the brokers that this worker reaches are not the run's."""
        settings = HarnessEnvironment.read().connection(bootstrap)
        where = settings["bootstrap.servers"]

        def ask() -> str:
            return str(Producer(settings).list_topics(timeout=REACH_S).cluster_id)

        try:
            found = self._threads.apply(call_now, (ask,)).result()
        except (KafkaException, ValueError, TypeError) as error:
            why = error.args[0].str() if isinstance(error, KafkaException) else error
            raise ClusterError(f"the brokers at {where} do not answer it: {why}.") from None
        if found != cluster_id:
            raise ClusterError(
                f"the brokers at {where} are cluster {found}, and the run's are {cluster_id}. "
                "Start the worker with the --brokers of the run."
            )

    # -- the load --------------------------------------------------------------------------

    def _on_start(self, start: m.LoadStart) -> None:
        if self.load is not None and self._run_of_load == start.run_id:
            self.load.start_at(start.start_us)

    @property
    def _run_of_load(self) -> str:
        return "" if self._assignment is None else self._assignment.run_id

    def _on_stopping(self, **_: Any) -> None:
        if self.load is not None:
            self.load.stop()

    def _on_stop(self, environment: Any, **_: Any) -> None:
        # Before it is ready for the next test Locust would wait for so long once more.
        environment.stop_timeout = 0
        self.end()

    def end(self) -> None:
        """Close the load, say so, and begin to hand in its record. Safe to call again."""
        load, given, run_dir = self.load, self._assignment, self._run_dir
        if load is None or given is None or run_dir is None:
            return
        self.load = None
        load.stop()
        load.end()
        self._send(
            m.LoadEnded(given.run_id, given.worker, load.context.clock.now_us(), load.unsent)
        )
        if self._partial is not None:
            self._keep_log(run_dir)
            self._hand_in(self._partial, given.run_id, given.first)
            self._partial = None

    def _keep_log(self, run_dir: RunDir) -> None:
        if self._log_file is not None and self._log_file.is_file():
            with self._log_file.open("rb") as printed:
                printed.seek(max(0, printed.seek(0, os.SEEK_END) - LOG_BYTES_MAX))
                target = run_dir.path / WORKER_LOG
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(printed.read(LOG_BYTES_MAX))

    def _hand_in(self, partial: LockedFolder, run_id: str, first: int) -> None:
        self.handed_in.clear()

        def done(error: str) -> None:
            if error:
                log.error("what was recorded stays in %s: %s", partial.path, error)
            else:
                shutil.rmtree(partial.path, ignore_errors=True)
            partial.release()
            self.handed_in.set()

        self._handing_in.begin(partial.path, run_id, first, done)

    def _on_leftover(self, wanted: m.LeftoverWanted) -> None:
        for each in left_over(self._work):
            if (each.run_id, each.first) == (wanted.run_id, wanted.first):
                name = f"{each.run_id}-{each.first}-{each.last}"
                partial = LockedFolder(self._work.made() / name)
                partial.lock()
                self._hand_in(partial, each.run_id, each.first)


def _reads(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
