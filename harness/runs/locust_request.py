"""A run without experiments, as a scenario under `locust -f` asks for it. It starts nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.brokers.kinds import capabilities_of
from harness.errors import redact_argv
from harness.kafka.client_check import check_connection, check_producer
from harness.profiles import Overrides
from harness.rundir.run_info import new_run_id
from harness.runs.options import RunOptions
from harness.runs.plan import address_of, load_plan, overrides_of, seed_of, selected
from harness.runs.session import RunRequest
from harness.runs.thresholds import Bearer, required_of


def request_of(options: RunOptions, overrides: Overrides) -> RunRequest:
    """A run without experiments. Raises UsageError for what cannot be run."""
    run_id = new_run_id()
    seed = seed_of(options)
    load = load_plan(options)
    subjects = [overrides.apply(each) for each in selected(options)]
    bearers = [Bearer(each.name, each.acks, each.consume is not None) for each in subjects]
    asked = required_of(options.require, bearers)
    load.workers = options.expect_workers or 0
    return RunRequest(
        subjects=[
            replace(each, require=tuple(dict.fromkeys([*each.require, *asked[each.name]])))
            for each in subjects
        ],
        controls=[],
        load=load,
        experiments=[],
        seed=seed,
        run_id=run_id,
        out=options.out or Path("reports") / "runs" / run_id,
        command=command_of(options, seed),
    )


def check(options: RunOptions) -> RunRequest:
    """The request that these options make, checked as far as it can be.

    Raises UsageError. No broker is asked.
    """
    overrides = overrides_of(options)
    request = request_of(options, overrides)
    if options.brokers:
        capabilities_of(address_of(options.brokers, overrides))
    check_connection(overrides.connection, overrides.origins)
    for subject in request.subjects:
        check_producer(subject, overrides.origins)
    return request


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
