"""What makes a scenario work with `locust -f` alone, headless and with the web page.

    arguments   --brokers, --delivery-profile, --rate … on the command line and in the page's form
    test start  a recorder process prepares its own run and starts the live reader
    test stop   the recorder drains and judges; the verdict table is printed, and the verdict
                decides the exit status of Locust

When HARNESS_RUN_DIR is set somebody else prepared the run and will judge it: then there is only
load. With --master, --worker or --processes the master does all of this but the load, which its
workers make (standalone_workers.py).
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from typing import Any, ClassVar, Final

import flask
import gevent
from locust import LoadTestShape
from locust.argument_parser import get_parser
from locust.runners import MasterRunner, WorkerRunner

from harness.errors import EXIT_HARNESS_FAILED, EXIT_INTERRUPTED_TWICE, HarnessError
from harness.kafka.environment import HarnessEnvironment
from harness.load.users import Load, ProducerUser
from harness.report.terminal import print_verdict
from harness.rundir.events import RunEvent
from harness.rundir.run_dir import RunDir
from harness.runs.load_and_faults import SETTLE_S
from harness.runs.locust_options import add_arguments, form_error, in_locust_names, run_options
from harness.runs.locust_request import check
from harness.runs.options import RunOptions
from harness.runs.page.pages import install
from harness.runs.page.shown import ShownRuns
from harness.runs.plan import WARM_UP_S
from harness.runs.recording import Recorder
from harness.runs.standalone_workers import MasterOfRuns, WorkerOfRuns
from harness.system.output import console

LOCUST_STOP_TIMEOUT_S: Final = 60.0
SPAWN_RATE_PER_S: Final = 100
SWARM_ENDPOINT: Final = "locust.swarm"
"""What the page's START button posts to."""

log = logging.getLogger(__name__)


class Standalone:
    """The listeners of one Locust process, and the test that runs."""

    def __init__(self, scenario: type[ProducerUser]) -> None:
        self.scenario = scenario
        self.environment: Any = None
        self.load: Load | None = None
        self.master: MasterOfRuns | None = None
        """Set where workers make the load."""
        self.worker: WorkerOfRuns | None = None
        """Set where this process is one of them."""
        self.recorder: Recorder | None = None
        self.run_dir: RunDir | None = None
        self.shown: ShownRuns | None = None
        """Set where there is a page."""
        self.failed = False
        self.stop_asked = False
        self._judging: Any = None

    def user_count(self) -> int:
        """One user for each client. Raises UsageError for what cannot be run."""
        if self.load is not None:
            return len(self.load.instances)
        if self.master is not None and self.master.side.workers:
            return self.master.side.clients
        request = check(self._options())
        return len(request.profiles) * request.load.producers

    def _options(self) -> RunOptions:
        options = run_options(self.environment.parsed_options)
        return options if self.master is None else self.master.with_own(options)

    # -- listeners -------------------------------------------------------------------------

    def on_init(self, environment: Any, **_: Any) -> None:
        """Refuse what cannot be run, and give users the time to await what is open."""
        self.environment = environment
        environment.stop_timeout = max(environment.stop_timeout or 0, LOCUST_STOP_TIMEOUT_S)
        try:
            if isinstance(environment.runner, WorkerRunner):
                self.worker = WorkerOfRuns(environment, self.scenario)
                return
        except HarnessError as error:
            log.error("%s", error)
            sys.exit(error.exit_code)
        if isinstance(environment.runner, MasterRunner):
            self.master = MasterOfRuns(environment, self.scenario, self._fail, self.over)
        if environment.web_ui is not None:
            environment.web_ui.app.before_request(self.refuse_form)
            self.shown = ShownRuns()
            install(environment, self.shown)
        if environment.shape_class is not None:
            environment.shape_class.standalone = self
        # Headless with a shape, Locust would install its own handler only after the test.
        # Ctrl-C as an exception would strike in the middle of some user's work.
        for number in (signal.SIGTERM, signal.SIGINT):
            gevent.signal_handler(number, self._on_signal)

    def refuse_form(self) -> Any:
        """Answer a START whose form holds a wrong value, before Locust takes it over.

        The page shows the message, and the next START finds everything as it was.
        """
        if flask.request.method != "POST" or flask.request.endpoint != SWARM_ENDPOINT:
            return None
        options = self.environment.parsed_options
        error = form_error(get_parser(), options, flask.request.form.to_dict(flat=False))
        if error is None:
            return None
        log.error("%s", error)
        return flask.jsonify({"success": False, "message": error, "host": self.environment.host})

    def begin(self) -> None:
        """A test is asked for: what ended the one before does not end it."""
        self.failed = False

    def on_test_start(self, environment: Any, **_: Any) -> None:
        """Prepare a run and make its users."""
        if self.worker is not None:
            return  # its master has assigned them
        if self._judging is not None:
            self._judging.join()
        if self.shown is not None:
            self.shown.begin()
        try:
            given = HarnessEnvironment.read().run_dir
            if given is not None:
                self.run_dir = RunDir(given)
            else:
                self.recorder = Recorder(self._options())
                self.run_dir = self.recorder.await_run_dir()
                log.info("run directory %s", self.run_dir.path)
                if self.shown is not None:
                    self.shown.prepared(self.run_dir, self.recorder)
            if self.master is not None:
                environment.user_classes = self.master.begin(self.run_dir)
                return
            self.load = Load(self.run_dir, on_failure=self._fail)
            environment.user_classes = self.load.user_classes(self.scenario)
        except HarnessError as error:
            self._fail(str(error), error.exit_code)

    def on_test_stop(self, environment: Any, **_: Any) -> None:
        """Close the load and judge: at once without a page, beside the page with one."""
        if self.load is not None:
            self.load.end()
            self.load = None
        if self.worker is not None:
            return
        if self.master is not None:
            self.master.end()
        environment.user_classes = [self.scenario]
        if self.recorder is not None:
            # Taken at once: Locust can fire this a second time when a signal ends it.
            recorder, self.recorder = self.recorder, None
            self._judging = gevent.spawn(self._judge, recorder)
            if environment.web_ui is None:
                self._judging.join()

    def on_test_stopping(self, **_: Any) -> None:
        """Users that still wait for the common start must not hold up the end."""
        if self.load is not None:
            self.load.stop()

    def on_quitting(self, environment: Any, **_: Any) -> None:
        """Locust reads its exit status right after this, so the verdict has to be there."""
        environment.runner.stop()
        if self._judging is not None:
            self._judging.join()
        if self.recorder is not None:
            self.recorder.close()
            self.recorder = None

    def _judge(self, recorder: Recorder) -> None:
        run_dir = self.run_dir
        try:
            if self.failed or run_dir is None:
                return
            log.info("reading every record back and judging")
            status = recorder.judge(run_dir)
            self.environment.process_exit_code = status
            path = run_dir.verdict(1)
            if not path.exists():
                tail = "".join((run_dir.logs / "recorder.log").read_text().splitlines(True)[-5:])
                self._say(f"the run was not judged (status {status}):\n{tail}")
                return
            out = console()
            print_verdict(json.loads(path.read_text(encoding="utf-8")), out)
            out.print(f"verdict  {path}\nreport   {run_dir.report_html}", soft_wrap=True)
            for event in run_dir.events(RunEvent):
                if event.phase == "topics_left":
                    log.error("topics that are still there: %s", ", ".join(event.topics or ()))
        finally:
            if self.shown is not None:
                self.shown.over()
            recorder.close()

    def _say(self, problem: str) -> None:
        log.error("%s", problem)
        if self.shown is not None:
            self.shown.failed(problem)

    def _fail(self, reason: str, status: int = EXIT_HARNESS_FAILED) -> None:
        """End the test; the shape sees it at its next tick."""
        self._say(in_locust_names(reason))
        self.failed = True
        self.environment.process_exit_code = status

    def _on_signal(self) -> None:
        if self.stop_asked:
            # The recorder reads the end of its lifeline and goes too.
            os._exit(EXIT_INTERRUPTED_TWICE)
        self.stop_asked = True
        if self.environment.web_ui is not None:
            self.environment.runner.stop()
            self.environment.runner.quit()
            self.environment.web_ui.stop()

    def over(self) -> bool:
        """Whether the test has failed, or its time is up."""
        options = self.environment.parsed_options
        if self.failed or self.stop_asked:
            return True
        producing = self.master.side if self.master is not None else self.load
        if producing is None or self.run_dir is None:
            return False
        running_s = producing.running_s
        if options.run_time and running_s > float(options.run_time):
            return True
        if self.recorder is not None and self.recorder.options.experiments:
            # They come to their end first, and what follows them is on record.
            if not self.recorder.experiments_over_for(SETTLE_S):
                return False
            return running_s > (options.duration or 0) + WARM_UP_S
        return bool(options.duration) and running_s > options.duration + WARM_UP_S


class Producers(LoadTestShape):  # type: ignore[misc]
    """As many users as the run has clients, from start to end."""

    standalone: ClassVar[Standalone | None] = None

    def reset_time(self) -> None:
        """Locust calls this when a test is started."""
        super().reset_time()
        if self.standalone is not None:
            self.standalone.begin()

    def tick(self) -> tuple[int, float] | None:
        """Asked once a second; None ends the test."""
        standalone = self.standalone
        assert standalone is not None
        if standalone.over():
            if standalone.master is not None:
                # Without a page Locust quits after this, and then it does not stop its workers.
                standalone.environment.runner.stop()
            return None
        try:
            return standalone.user_count(), SPAWN_RATE_PER_S
        except HarnessError as error:
            standalone._fail(str(error), error.exit_code)
            return None


def take_part(events: Any, scenario: type[ProducerUser]) -> Standalone:
    """Register a scenario's users with Locust's events."""
    standalone = Standalone(scenario)
    events.init_command_line_parser.add_listener(add_arguments)
    events.init.add_listener(standalone.on_init)
    events.test_start.add_listener(standalone.on_test_start)
    events.test_stopping.add_listener(standalone.on_test_stopping)
    events.test_stop.add_listener(standalone.on_test_stop)
    events.quitting.add_listener(standalone.on_quitting)
    return standalone
