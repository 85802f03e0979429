"""A run without experiments, as a scenario under `locust -f` asks for it. It starts nothing."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from harness.brokers.foreign import capabilities_of
from harness.cli.main import add_run_arguments
from harness.errors import UsageError, redact_argv
from harness.kafka.client_check import check_connection, check_producer
from harness.profiles import Overrides, load_profiles
from harness.rundir.run import new_run_id
from harness.runs import options
from harness.runs.session import RunRequest


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """An error of the parser is one of the user's like any other."""
        raise UsageError(message)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments of `harness run`. Raises UsageError; unlike argparse it never exits."""
    parser = _Parser(prog="locust", add_help=False, allow_abbrev=False)
    add_run_arguments(parser)
    parser.set_defaults(brokers="")
    return parser.parse_args(arguments)


def overrides_of(args: argparse.Namespace) -> Overrides:
    """The client settings that were given."""
    overrides = options.overrides_of(args.config, args.properties)
    if args.compression:
        overrides.producer["compression.type"] = options.compression(args.compression)
    return overrides


def request_of(args: argparse.Namespace, overrides: Overrides) -> RunRequest:
    """A run without experiments. Raises UsageError for what cannot be run."""
    known = load_profiles([args.profiles] if args.profiles else [])
    run_id = new_run_id()
    seed = secrets.randbelow(2**31) if args.seed is None else args.seed
    return RunRequest(
        subjects=[overrides.apply(each) for each in options.selected(args, known)],
        controls=[],
        load=options.load_plan(args),
        experiments=[],
        seed=seed,
        run_id=run_id,
        out=Path(args.out) if args.out else Path("reports") / "runs" / run_id,
        command=command_of(args, seed),
    )


def check(arguments: Sequence[str]) -> RunRequest:
    """The request that these arguments of `harness run` make, checked as far as it can be.

    Raises UsageError. No broker is asked.
    """
    args = parse(arguments)
    overrides = overrides_of(args)
    request = request_of(args, overrides)
    if args.brokers:
        capabilities_of(options.address_of(args.brokers, overrides))
    check_connection(overrides.connection, overrides.places)
    for subject in request.subjects:
        check_producer(subject, overrides.places)
    return request


def command_of(args: argparse.Namespace, seed: int) -> list[str]:
    """The command that repeats the run, without its page."""
    command = ["locust", "-f", "scenarios/steady.py", "--headless", "--seed", str(seed)]
    for name in ("rate", "schedule", "message_size", "keys", "partitions", "producers"):
        command += [f"--{name.replace('_', '-')}", str(getattr(args, name))]
    for option, value in (
        ("--delivery-profile", ",".join(args.profile or [])),
        ("--profiles-file", args.profiles),
        ("--compression", args.compression),
        ("--duration", args.duration),
        ("--brokers", args.brokers),
        ("--properties", args.properties),
    ):
        if value:
            command += [option, str(value)]
    for setting in args.config:
        command += ["--client-config", setting]
    return redact_argv(command)
