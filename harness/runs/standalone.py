"""What makes a scenario work with `locust -f` alone, headless and with the web page.

    arguments   --brokers, --delivery-profile, --rate … on the command line and in the page's form
    test start  a recorder process prepares its own run and starts the live reader
    test stop   the recorder drains and judges; the verdict table is printed, and the verdict
                decides the exit status of Locust

When HARNESS_RUN_DIR is set somebody else prepared the run and will judge it: then there is only
load. All producers of a run have to live in one Locust process, so a distributed Locust is
refused.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, ClassVar, Final

import flask
import gevent
from locust import LoadTestShape
from locust.argument_parser import get_parser
from locust.runners import LocalRunner

from harness.errors import (
    EXIT_HARNESS_FAILED,
    EXIT_INTERRUPTED_TWICE,
    EXIT_USAGE,
    HarnessError,
    UsageError,
)
from harness.kafka.environment import HarnessEnvironment
from harness.load.users import Load, ProducerUser
from harness.report.terminal import print_verdict
from harness.rundir.documents import read_json
from harness.rundir.events import RunEvent
from harness.rundir.run_dir import RunDir
from harness.runs.announced import WAITING
from harness.runs.locust_options import (
    add_arguments,
    distributed,
    form_error,
    in_locust_names,
    refuse_distributed,
    run_options,
)
from harness.runs.locust_request import check
from harness.runs.options import RunOptions, options_to_json
from harness.system.lifeline import Child
from harness.system.output import console

PREPARE_TIMEOUT_S: Final = 90.0
PROGRESS_S: Final = 30.0
"""So often it is said that judging goes on."""
LOCUST_STOP_TIMEOUT_S: Final = 60.0
SPAWN_RATE_PER_S: Final = 100
SWARM_ENDPOINT: Final = "locust.swarm"
"""What the page's START button posts to."""

log = logging.getLogger(__name__)


class Recorder:
    """The recorder process of one test."""

    def __init__(self, options: RunOptions) -> None:
        # Its mode is 0700: the options may hold secrets, which no command line may show.
        self._folder = tempfile.TemporaryDirectory(prefix="harness-")
        self._answer = Path(self._folder.name) / "answer.json"
        asked = Path(self._folder.name) / "options.json"
        asked.write_bytes(options_to_json(options))
        self._child = Child(
            [sys.executable, "-m", "harness.runs.recorder", str(asked), str(self._answer)],
            log=Path(self._folder.name) / "recorder.log",
        )

    def await_run_dir(self) -> RunDir:
        """The prepared run. Raises HarnessError with what the recorder had to say."""
        started = time.monotonic()
        ended = False
        while not self._answer.exists() and not ended:
            # It may end right after its answer, so the answer is looked for once more.
            ended = self._child.process.poll() is not None
            if time.monotonic() > started + PREPARE_TIMEOUT_S:
                raise HarnessError(
                    f"the run was not prepared within {PREPARE_TIMEOUT_S:g} s:\n"
                    f"{self._child.tail()}"
                )
            gevent.sleep(0.05)
        if not self._answer.exists():
            raise HarnessError(
                f"the process that prepares the run ended after {time.monotonic() - started:.1f} s "
                f"with status {self._child.process.returncode}:\n{self._child.tail()}"
            )
        answer = read_json(self._answer, "the recorder's answer")
        if "error" in answer:
            error = UsageError if answer["exit_code"] == EXIT_USAGE else HarnessError
            raise error(answer["error"])
        return RunDir(Path(answer["run_dir"]))

    def judge(self, run_dir: RunDir) -> int:
        """End the recording and await the verdict, however long reading takes; its exit status."""
        self._child.process.terminate()
        started = told = time.monotonic()
        waiting = False
        while self._child.process.poll() is None:
            gevent.sleep(0.05)
            if not waiting and (line := waited_for(run_dir)):
                waiting = True
                log.info("%s", line)
            if time.monotonic() > told + PROGRESS_S:
                told = time.monotonic()
                log.info("still reading and judging after %.0f s; Ctrl-C ends it", told - started)
        return self._child.stop(grace_s=0)

    def close(self) -> None:
        """Safe to call again."""
        self._child.stop(grace_s=15)
        self._folder.cleanup()


def waited_for(run_dir: RunDir) -> str:
    """What the recorder says of an experiment whose end it awaits; empty while it awaits none."""
    try:
        lines = (run_dir.logs / "recorder.log").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(WAITING)), "")


class Standalone:
    """The listeners of one Locust process, and the test that runs."""

    def __init__(self, scenario: type[ProducerUser]) -> None:
        self.scenario = scenario
        self.environment: Any = None
        self.load: Load | None = None
        self.recorder: Recorder | None = None
        self.run_dir: RunDir | None = None
        self.failed = False
        self.stop_asked = False
        self._judging: Any = None

    def user_count(self) -> int:
        """One user for each client. Raises UsageError for what cannot be run."""
        if self.load is not None:
            return len(self.load.instances)
        request = check(run_options(self.environment.parsed_options))
        return len(request.subjects) * request.load.producers

    # -- listeners -------------------------------------------------------------------------

    def on_init(self, environment: Any, **_: Any) -> None:
        """Refuse what cannot be run, and give users the time to await what is open."""
        self.environment = environment
        environment.stop_timeout = max(environment.stop_timeout or 0, LOCUST_STOP_TIMEOUT_S)
        if not isinstance(environment.runner, LocalRunner):
            log.error("%s", refuse_distributed("this runner"))
            sys.exit(EXIT_USAGE)
        if environment.web_ui is not None:
            environment.web_ui.app.before_request(self.refuse_form)
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
        if self._judging is not None:
            self._judging.join()
        try:
            given = HarnessEnvironment.read().run_dir
            if given is not None:
                self.run_dir = RunDir(given)
            else:
                self.recorder = Recorder(run_options(environment.parsed_options))
                self.run_dir = self.recorder.await_run_dir()
                log.info("run directory %s", self.run_dir.path)
            self.load = Load(self.run_dir, on_failure=self._fail)
            environment.user_classes = self.load.user_classes(self.scenario)
        except HarnessError as error:
            self._fail(str(error), error.exit_code)

    def on_test_stop(self, environment: Any, **_: Any) -> None:
        """Close the load and judge: at once without a page, beside the page with one."""
        if self.load is not None:
            self.load.end()
            self.load = None
        environment.user_classes = [self.scenario]
        if self.recorder is not None:
            self._judging = gevent.spawn(self._judge)
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

    def _judge(self) -> None:
        recorder, run_dir = self.recorder, self.run_dir
        assert recorder is not None
        self.recorder = None
        try:
            if self.failed or run_dir is None:
                return
            log.info("reading every record back and judging")
            status = recorder.judge(run_dir)
            self.environment.process_exit_code = status
            path = run_dir.verdict(1)
            if not path.exists():
                tail = "".join((run_dir.logs / "recorder.log").read_text().splitlines(True)[-5:])
                log.error("the run was not judged (status %d):\n%s", status, tail)
                return
            out = console()
            print_verdict(json.loads(path.read_text(encoding="utf-8")), out)
            out.print(f"verdict  {path}\nreport   {run_dir.report_html}", soft_wrap=True)
            for event in run_dir.events(RunEvent):
                if event.phase == "topics_left":
                    log.error("topics that are still there: %s", ", ".join(event.topics or ()))
        finally:
            recorder.close()

    def _fail(self, reason: str, status: int = EXIT_HARNESS_FAILED) -> None:
        """End the test; the shape sees it at its next tick."""
        log.error("%s", in_locust_names(reason))
        self.failed = True
        self.environment.process_exit_code = status

    def _on_signal(self) -> None:
        if self.stop_asked:
            # The recorder reads the end of its lifeline and goes too.
            os._exit(EXIT_INTERRUPTED_TWICE)
        self.stop_asked = True
        if self.environment.web_ui is not None:
            self.environment.runner.quit()
            self.environment.web_ui.stop()

    def over(self) -> bool:
        """Whether the test has failed, or its time is up."""
        options = self.environment.parsed_options
        if self.failed or self.stop_asked:
            return True
        if self.load is None:
            return False
        limits = [float(options.run_time)] if options.run_time else []
        if options.duration:
            limits.append(options.duration + self.load.info.load.warm_up_s)
        return bool(limits) and self.load.running_s > min(limits)


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
            return None
        try:
            return standalone.user_count(), SPAWN_RATE_PER_S
        except HarnessError as error:
            standalone._fail(str(error), error.exit_code)
            return None


def take_part(events: Any, scenario: type[ProducerUser]) -> Standalone:
    """Register a scenario's users with Locust's events."""
    option = distributed(sys.argv[1:], os.environ)
    if option is not None:
        # A worker would wait for its master before it asks anything of ours.
        log.error("%s", refuse_distributed(option))
        sys.exit(EXIT_USAGE)
    standalone = Standalone(scenario)
    events.init_command_line_parser.add_listener(add_arguments)
    events.init.add_listener(standalone.on_init)
    events.test_start.add_listener(standalone.on_test_start)
    events.test_stopping.add_listener(standalone.on_test_stopping)
    events.test_stop.add_listener(standalone.on_test_stop)
    events.quitting.add_listener(standalone.on_quitting)
    return standalone
