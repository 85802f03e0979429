"""The other half of a Locust run started by hand: topics, live reader, judgement.

    python -m harness.runs.recorder OPTIONS ANSWER

Locust patches its process, and neither admin clients nor a drain belong into one that is patched.
So scenarios/steady.py starts this process beside it. It takes the options of the run from the file
OPTIONS, which it removes, prepares a run, starts recording, writes `{"run_dir": …}` or
`{"error": …}` to the file ANSWER, and waits. SIGTERM ends the recording: the
run is drained and judged, and the exit status is the verdict's. When Locust is gone without a
word, it stops recording and judges nothing; `harness verify RUN_DIR` can do that.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import Final

from harness.brokers import Brokers, connect
from harness.brokers.kinds import LOCAL
from harness.brokers.running import brokers_with_id
from harness.errors import (
    EXIT_HARNESS_FAILED,
    EXIT_INCONCLUSIVE,
    HarnessError,
    scrub,
)
from harness.judge.judge import exit_code
from harness.kafka.client_check import check_connection
from harness.kafka.environment import HarnessEnvironment
from harness.profiles import Overrides
from harness.rundir.documents import write_json
from harness.rundir.events import RunEvent
from harness.rundir.run_dir import RunDir
from harness.runs.locust_options import in_locust_names
from harness.runs.locust_request import request_of
from harness.runs.options import RunOptions, options_from_json
from harness.runs.page.faults import PageFaults
from harness.runs.plan import BOOTSTRAP, address_of, overrides_of
from harness.runs.session import Session
from harness.system.lifeline import watch

DRAIN_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.5


def brokers_of(spec: str, overrides: Overrides) -> Brokers:
    """The brokers meant: the option or bootstrap.servers of the client settings, then
    HARNESS_CLUSTER, HARNESS_BROKERS, the kept cluster.

    Raises UsageError or ClusterError when there are none.
    """
    environment = HarnessEnvironment.read()
    cluster = environment.cluster
    if spec or BOOTSTRAP in overrides.connection:
        meant = address_of(spec, overrides)
    elif cluster:
        meant = address_of(LOCAL, overrides)
    else:
        meant = address_of(environment.brokers, overrides)
    settings = {**environment.client_config, **overrides.connection}
    if cluster and meant == LOCAL and not spec:
        meant = f"{LOCAL}:{cluster}"
    return connect(meant, settings)


def record(options: RunOptions, answer: Path) -> int:
    """Prepare, record, judge; the exit status of the verdict."""
    stopped, orphaned = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    watch(orphaned.set)
    overrides = overrides_of(options)
    request = request_of(options, overrides)
    brokers = brokers_of(options.brokers or "", overrides)
    check_connection(overrides.connection, overrides.origins)
    if brokers.control is not None:
        brokers.control.require_ready()
    run_dir = RunDir.create(request.out)
    _log_to(run_dir.logs / "recorder.log")
    session = Session.prepare(request, run_dir, brokers)
    try:
        session.start_recording()
        try:
            targets = brokers if brokers.control else brokers_with_id(session.facts.cluster_id)
            faults = PageFaults(session, answer.parent, request.experiments, targets)
            write_json(answer, {"run_dir": str(run_dir.path.resolve())})
            while not stopped.wait(_POLL_S) and not orphaned.is_set():
                session.check_recording()
                faults.step()
            faults.end(orphaned.is_set)
            session.await_experiments(_say, stop=orphaned.is_set)
        finally:
            session.stop_recording()
        if orphaned.is_set():
            run_dir.append(RunEvent(source="harness", phase="interrupted"))
            return EXIT_INCONCLUSIVE
        verdict = session.judge(drain_timeout_s=DRAIN_TIMEOUT_S, say=_say)
        run_dir.append(RunEvent(source="harness", phase="ended"))
        return exit_code(verdict)
    finally:
        if brokers.kind != "local" and not options.keep_topics and not orphaned.is_set():
            session.delete_topics(_say)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _log_to(path: Path) -> None:
    """From here on, what this process prints belongs to the run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for output in (1, 2):
        os.dup2(descriptor, output)
    os.close(descriptor)


def main(arguments: list[str]) -> int:
    """Record; an error goes into the answer as well."""
    asked, answer = map(Path, arguments)
    try:
        options = options_from_json(asked.read_bytes())
        asked.unlink()
        return record(options, answer)
    except HarnessError as error:
        print(error, file=sys.stderr)
        if answer.parent.is_dir():
            text = in_locust_names(str(error))
            write_json(answer, {"error": text, "exit_code": error.exit_code})
        return error.exit_code
    except Exception as error:
        # Its status becomes Locust's, where 1 means a broken promise.
        traceback.print_exc()
        if answer.parent.is_dir() and not answer.exists():
            text = f"a defect of the harness: {type(error).__name__}: {scrub(str(error))}"
            write_json(answer, {"error": text, "exit_code": EXIT_HARNESS_FAILED})
        return EXIT_HARNESS_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
