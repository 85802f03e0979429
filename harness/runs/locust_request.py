"""A run as a scenario under `locust -f` asks for it. It starts nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harness.brokers.kinds import capabilities_of, kind_of
from harness.errors import UsageError, redact_argv
from harness.faults.experiments import load_experiment, validate_for
from harness.kafka.client_check import check_connection, check_producer
from harness.kafka.environment import HarnessEnvironment
from harness.profiles import Overrides, load_builtin
from harness.rundir.run_info import new_run_id
from harness.runs.options import RunOptions
from harness.runs.plan import (
    address_of,
    aims_of,
    check_transactions,
    controls_for,
    load_plan,
    overrides_of,
    seed_of,
    selected,
)
from harness.runs.session import RunRequest
from harness.runs.thresholds import Bearer, required_of


def request_of(options: RunOptions, overrides: Overrides) -> RunRequest:
    """A run with the experiments that were asked for, if any, and then with their controls.

    Raises UsageError for what cannot be run.
    """
    run_id = new_run_id()
    seed = seed_of(options)
    load = load_plan(options)
    subjects = [overrides.apply(each) for each in selected(options)]
    bearers = [Bearer(each.name, each.acks, each.consume is not None) for each in subjects]
    asked = required_of(options.require, bearers)
    load.workers = options.expect_workers or 0
    with named_option("--experiment"):
        experiments = [load_experiment(name) for name in options.experiments]
        check_transactions(subjects, experiments)
    aims = aims_of(experiments)
    return RunRequest(
        subjects=[
            replace(each, require=tuple(dict.fromkeys([*each.require, *asked[each.name]])))
            for each in subjects
        ],
        controls=controls_for(aims, subjects, load_builtin()),
        load=load,
        experiments=experiments,
        seed=seed,
        run_id=run_id,
        out=options.out or Path("reports") / "runs" / run_id,
        command=command_of(options, seed),
        aims=aims,
    )


def check(options: RunOptions) -> RunRequest:
    """The request that these options make, checked as far as it can be.

    Raises UsageError. No broker is asked.
    """
    overrides = overrides_of(options)
    request = request_of(options, overrides)
    environment = HarnessEnvironment.read()
    if options.brokers:
        capabilities_of(address_of(options.brokers, overrides))
    if request.experiments:
        where = options.brokers or ("" if environment.cluster else environment.brokers)
        address = address_of(where, overrides)
        consuming = any(each.consume is not None for each in request.subjects)
        capabilities, kind = capabilities_of(address), kind_of(address)
        with named_option("--experiment"):
            for experiment in request.experiments:
                validate_for(experiment, capabilities, kind, members=consuming)
    check_connection(overrides.connection, overrides.origins)
    for subject in request.subjects:
        check_producer(subject, overrides.origins)
    return request


@contextlib.contextmanager
def named_option(option: str) -> Iterator[None]:
    """A refusal within the block names the option whose value is refused."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from None


def command_of(options: RunOptions, seed: int) -> list[str]:
    """The command that repeats the run, without its page."""
    command = ["locust", "-f", "scenarios/steady.py", "--headless", "--seed", str(seed)]
    for option, value in (
        ("--rate", options.rate_per_s),
        ("--schedule", options.schedule),
        ("--message-size", options.message_bytes),
        ("--keys", options.keys),
        ("--partitions", options.partitions),
        ("--producers", options.producers),
    ):
        command += [option, str(value)]
    for option, given in (
        ("--delivery-profile", ",".join(options.profiles)),
        ("--experiment", ",".join(options.experiments)),
        ("--profiles-file", options.profiles_file),
        ("--compression", options.compression),
        ("--duration", options.duration_s),
        ("--brokers", options.brokers),
        ("--properties", options.properties),
        ("--processes", options.expect_workers),
    ):
        if given:
            command += [option, str(given)]
    for text in options.require:
        command += ["--require", text]
    for setting in options.config:
        command += ["--client-config", setting]
    return redact_argv(command)
