"""A scenario under `locust --master`, `--worker` and `--processes`.

The master prepares, records and judges, as a single Locust does; its workers make the load. They
resolve brokers and client settings by their own options: Locust sends the master's options to its
workers, so those that may hold a secret are taken out of them first.
"""

from __future__ import annotations

import inspect
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import gevent

from harness.errors import EnvironmentFailure, HarnessError, UsageError
from harness.load.left_over import WorkFolder
from harness.load.master import master_classes
from harness.load.master_side import MasterSide
from harness.load.scenario import scenario_name
from harness.load.users import ProducerUser
from harness.load.worker_side import WorkerSide
from harness.rundir.run_dir import RunDir
from harness.runs.options import RunOptions
from harness.runs.worker_brokers import worker_environment

EARLIER_S: Final = 0.3
"""So much before Locust gives up on workers that do not come."""
HAND_IN_S: Final = 120.0
"""A worker that is asked to end hands in what it recorded within this time, or keeps it."""

log = logging.getLogger(__name__)


class MasterOfRuns:
    """The master's part, one test after the other."""

    def __init__(
        self,
        environment: Any,
        scenario: type[ProducerUser],
        on_failure: Callable[[str], None],
        stopped: Callable[[], bool],
    ) -> None:
        self._scenario = scenario
        self._on_failure = on_failure
        self._runner = environment.runner
        self._starting: Any = None
        options = environment.parsed_options
        self._config = tuple(options.client_config)
        options.client_config = []
        self.side = MasterSide(self._runner, on_failure=on_failure, stopped=stopped)
        if options.expect_workers_max_wait and (options.headless or options.autostart):
            gevent.spawn(
                self._await_workers, options.expect_workers, options.expect_workers_max_wait
            )
        # The last listener is called first: the workers are stopped in order before Locust quits.
        environment.events.quitting.add_listener(lambda **_: self._runner.stop())

    def _await_workers(self, expected: int, wait_s: float) -> None:
        """Locust gives up by itself, with exit code 1: that of a broken promise."""
        try:
            self.side.gather(expected, max(0.0, wait_s - EARLIER_S))
        except EnvironmentFailure as error:
            log.error("%s", error)
            self._runner.quit()
            sys.exit(error.exit_code)  # gevent ends the main greenlet with it

    def with_own(self, options: RunOptions) -> RunOptions:
        """The options of a run, with those that do not travel to workers."""
        return replace(
            options, config=self._config, expect_workers=len(self._runner.clients.ready) or None
        )

    def begin(self, run_dir: RunDir) -> list[type[ProducerUser]]:
        """Assign shares of a prepared run; the user classes that Locust is to dispatch.

        Raises EnvironmentFailure when a worker cannot take part.
        """
        self.side.assign(run_dir, scenario_name(_file_of(self._scenario)))
        self._starting = gevent.spawn(self._start)
        return master_classes(run_dir, self._scenario)

    def _start(self) -> None:
        try:
            self.side.start()
        except (HarnessError, OSError) as error:
            self._on_failure(str(error))

    def end(self) -> None:
        """Await what the workers recorded. Safe to call again."""
        starting, self._starting = self._starting, None
        if starting is None:
            return
        starting.kill()
        self.side.collect()
        if self.side.workers and all(worker.reported_lost for worker in self.side.workers):
            self._on_failure("all workers were lost")


class WorkerOfRuns:
    """A worker's part, one test after the other."""

    def __init__(self, environment: Any, scenario: type[ProducerUser]) -> None:
        """Raises UsageError or ClusterError for brokers that cannot be found."""
        options = environment.parsed_options
        properties = Path(options.properties) if options.properties else None
        os.environ.update(
            worker_environment(options.brokers, tuple(options.client_config), properties)
        )
        own = _file_of(scenario)

        def named(name: str) -> type[ProducerUser]:
            if scenario_name(own) != name:
                raise UsageError(
                    f"its Locust file {own.name} is not the one of the master. Start both with "
                    "the same file."
                )
            return scenario

        self._work = WorkFolder()
        self._side = WorkerSide(environment, named, self._work)
        self._runner = environment.runner
        # The last listener is called first: before Locust tells the master that this worker quits.
        environment.events.quitting.add_listener(self._on_quitting)

    def _on_quitting(self, **_: Any) -> None:
        self._runner.stop()
        self._side.end()
        if not self._side.handed_in.wait(HAND_IN_S) or not self._work.remove():
            log.error("what was not handed in stays in %s", self._work.path)


def _file_of(scenario: type[ProducerUser]) -> Path:
    """The Locust file that defines it."""
    module = sys.modules.get(scenario.__module__)
    if module is not None and module.__file__:
        return Path(module.__file__)
    return Path(inspect.getsourcefile(scenario.tasks[0]) or scenario.__module__)
