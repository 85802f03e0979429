"""A run whose subject is a function of the user's own, in the process that calls it.

Brokers, topics, observer, live reader, experiments, drain and judgement are those of every run.
Only the load differs: harness/load/own_load.py calls the function, and makes the controls' load.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from harness.errors import HarnessError, UsageError
from harness.faults.run import start_experiment
from harness.load.own_load import OwnLoad
from harness.load.own_producer import Produce
from harness.profiles import DeliveryProfile, load_builtin
from harness.profiles.model import PROFILE_NAME
from harness.rundir.events import RunEvent
from harness.rundir.verdict import Verdict
from harness.runs.load_and_faults import SETTLE_S, await_experiment
from harness.runs.options import RunOptions
from harness.runs.plan import RunPlan, controls_for, plan
from harness.runs.progress import Progress
from harness.runs.run import run_plan
from harness.runs.session import RunRequest, Session
from harness.runs.stop import Stop
from harness.system.progress import OnProgress

_POLL_S: Final = 0.05
NOT_FOR_OWN_CODE: Final = {
    "until_bound": "--until-bound",
    "workers": "--workers",
    "expect_workers": "--expect-workers",
    "scenario": "--scenario",
}
"""Fields of RunOptions that are about the harness's own load."""


class OwnCodeFailed(HarnessError):
    """The function under test never came to an acknowledged record."""


@dataclass(frozen=True, slots=True)
class OwnCode:
    """produce: called for each attempt. flush: called once nothing more is to be sent."""

    produce: Produce
    flush: Callable[[], object] | None = None
    name: str = "own-code"


def run_own_code(
    options: RunOptions, own: OwnCode, on_progress: OnProgress | None, stop: Stop
) -> Verdict:
    """One run of the function, from its plan to its verdict.

    Raises UsageError for what cannot be run, OwnCodeFailed where every call of the function raised.
    """
    planned = plan_own_code(options, own)

    def work(session: Session, request: RunRequest, progress: Progress, stop: Stop) -> None:
        load_own_code(session, request, progress, stop, own)

    return run_plan(planned, on_progress, stop, work)


def plan_own_code(options: RunOptions, own: OwnCode) -> RunPlan:
    """The plan of a run whose subject is the function. Raises UsageError for what cannot be run."""
    for field, option in NOT_FOR_OWN_CODE.items():
        if getattr(options, field):
            raise UsageError(
                f"{option} ({field}): is about the load that the harness makes, and here a "
                "function of the caller's makes it. Leave it out."
            )
    if not PROFILE_NAME.match(own.name):
        raise UsageError(
            f"name {own.name!r}: lower-case letters, digits and hyphens are accepted, at most 48; "
            "it becomes part of a topic's name."
        )
    builtin = load_builtin()
    if own.name in builtin:
        raise UsageError(
            f"name {own.name}: is that of a built-in profile, which may be a control of this run. "
            "Choose another one."
        )
    planned = plan(options)
    request = planned.request
    subject = subject_of(request.subjects, own.name)
    request.subjects = [subject]
    request.controls = controls_for(request.aims, [subject], builtin) if options.control else []
    return planned


def subject_of(chosen: list[DeliveryProfile], name: str) -> DeliveryProfile:
    """The function as a profile: the topic and the promises of the chosen one, under its own name.

    Raises UsageError where more than one is chosen, or one that only producers of ours can be.
    """
    if len(chosen) != 1:
        raise UsageError(
            f"profiles: {len(chosen)} are chosen; name the one profile to whose promises the "
            'function is held, such as profiles=("at-least-once",).'
        )
    profile = chosen[0]
    if profile.transactional or profile.consume is not None or profile.topics > 1:
        raise UsageError(
            f"profile {profile.name}: has transactions, consumers or several topics; a function "
            "that produces one record at a time is held to a profile without them, such as "
            "idempotent or at-least-once."
        )
    return replace(
        profile,
        name=name,
        summary=f"the caller's own code, held to the promises of {profile.name}",
        counted=True,
    )


def load_own_code(
    session: Session, request: RunRequest, progress: Progress, stop: Stop, own: OwnCode
) -> None:
    """Let the function and the controls make load, and carry out the experiments meanwhile."""
    run_dir = session.run_dir
    load = OwnLoad(
        run_dir,
        own.name,
        own.produce,
        flush=own.flush,
        connection=session.brokers.client_config,
    )
    progress.stage(f"warming up {own.name}")
    load.start()
    try:
        while not load.warm and not load.ended and not stop():
            time.sleep(_POLL_S)
        run_dir.append(RunEvent(source="load", phase="warmed_up"))
        warmed_up = time.monotonic()
        for number, experiment in enumerate(request.experiments, 1):
            if load.ended or stop():
                break
            progress.stage(f"experiment {experiment.name}")
            child = stop.watch_over(
                start_experiment(experiment, run_dir, number, session.environment())
            )
            await_experiment(child, lambda: load.ended, session, progress, stop, experiment)
        until = time.monotonic() + (SETTLE_S if request.experiments else 0.0)
        if request.load.duration_s is not None:
            until = max(until, warmed_up + request.load.duration_s)
        progress.stage("load goes on")
        while time.monotonic() < until and not stop() and not load.ended:
            time.sleep(_POLL_S)
            progress.follow(run_dir)
    finally:
        progress.stage(f"stopping {own.name}")
        load.stop()
    if load.raised:
        last = load.raised.strip().splitlines()[-1]
        progress.note(f"  raised   {own.name}: {load.calls_raised} calls raised, first: {last}")
        if load.calls_raised == load.calls:
            raise OwnCodeFailed(
                f"{own.name}: each of its {load.calls} calls raised, the first one:\n{load.raised}"
            )
