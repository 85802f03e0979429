"""The load process of a run, and the experiments that run one after the other while it does."""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable
from typing import Final

from harness.errors import EXIT_HARNESS_FAILED, EnvironmentFailure, HarnessError
from harness.faults.experiments import Experiment
from harness.faults.run import start_experiment
from harness.rundir.events import RunEvent
from harness.runs.progress import Progress
from harness.runs.rounds import Rounds
from harness.runs.session import RunRequest, Session, wait_for_event
from harness.runs.stop import Stop
from harness.runs.workers import load_command
from harness.system.lifeline import Child

SETTLE_S: Final = 3.0
"""Load that goes on after the last experiment, so that recovery is on record."""
EXPERIMENT_TIMEOUT_S: Final = 900.0
HEALING_TIMEOUT_S: Final = 60.0
WARM_UP_TIMEOUT_S: Final = 60.0
WORKERS_START_S: Final = 120.0
"""Workers have so long to connect and to take their shares; the master itself says who did not."""
WORKERS_STOP_S: Final = 600.0
"""What workers elsewhere recorded has to come over first; the master itself gives up on a worker
that hands in nothing for a minute."""


def load_and_break(session: Session, request: RunRequest, progress: Progress, stop: Stop) -> None:
    """Run the load, and the experiments one after the other while it runs."""
    run_dir = session.run_dir
    load = stop.watch_over(
        Child(
            load_command(run_dir.path, request.scenario, request.workers),
            log=run_dir.logs / "load.log",
            environment=session.environment(),
        )
    )
    try:
        if not await_warm_up(session, request, load, progress, stop):
            return
        warmed_up = time.monotonic()
        rounds = Rounds(session, request, warmed_up)
        while True:
            for experiment in request.experiments:
                progress.stage(f"experiment {experiment.name}{rounds.suffix()}")
                child = stop.watch_over(
                    start_experiment(
                        experiment, run_dir, rounds.next_journal(), session.environment()
                    )
                )
                await_experiment(
                    child,
                    lambda: load.process.poll() is not None,
                    session,
                    progress,
                    stop,
                    experiment,
                )
                if stop():
                    return
            if load.process.poll() is not None or rounds.enough(progress.note):
                break
        until = time.monotonic() + (SETTLE_S if request.experiments else 0.0)
        if request.load.duration_s is not None and request.until_bound is None:
            until = max(until, warmed_up + request.load.duration_s)
        progress.stage("load goes on")
        while time.monotonic() < until and not stop() and load.process.poll() is None:
            time.sleep(0.1)
            progress.follow(run_dir)
    finally:
        progress.stage("stopping the load")
        status = load.stop(grace_s=60 if request.workers is None else WORKERS_STOP_S)
        if status != 0:
            run_dir.append(
                RunEvent(
                    source="harness",
                    phase="load_died",
                    reason=f"the load process ended with status {status}: {load.tail(3)}",
                )
            )


def await_warm_up(
    session: Session, request: RunRequest, load: Child, progress: Progress, stop: Stop
) -> bool:
    """Await the end of the warm-up; false when `stop` said so first.

    Raises HarnessError when the load does not come that far.
    """
    workers = request.workers
    timeout_s = WARM_UP_TIMEOUT_S if workers is None else WARM_UP_TIMEOUT_S + WORKERS_START_S
    if workers is None or not workers.expected:
        progress.stage("warming up the load")
    else:
        progress.stage(workers.waiting_for)
        timeout_s += math.inf if workers.wait_s is None else workers.wait_s
    try:
        return wait_for_event(
            session.run_dir,
            load,
            RunEvent,
            "warmed_up",
            what="the load",
            stop=stop,
            timeout_s=timeout_s,
        )
    except HarnessError:
        if workers is None or load.process.poll() != EXIT_HARNESS_FAILED:
            raise
        # The master says in one sentence what it lacks.
        raise EnvironmentFailure(load.tail(1)) from None


def await_experiment(
    child: Child,
    load_ended: Callable[[], bool],
    session: Session,
    progress: Progress,
    stop: Stop,
    experiment: Experiment,
) -> None:
    """Wait for an experiment; a stop asks it to heal and end, a dead load ends it too."""
    deadline = time.monotonic() + EXPERIMENT_TIMEOUT_S + experiment.commands_s
    asked = False
    while child.process.poll() is None:
        ending = stop() or load_ended() or time.monotonic() > deadline
        if ending and not asked:
            asked = True
            with contextlib.suppress(ProcessLookupError):
                child.process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + HEALING_TIMEOUT_S + experiment.healing_s
        elif asked and time.monotonic() > deadline:
            child.process.kill()
        session.check_recording()
        progress.follow(session.run_dir)
        time.sleep(0.1)
    child.release()
