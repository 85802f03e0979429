"""The command that a report prints can be pasted: the parser reads the same options from it."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from harness.cli.main import build_parser
from harness.errors import redact_argv
from harness.report.repeat import repeat_command


def options(argv: list[str]) -> dict[str, Any]:
    return vars(build_parser().parse_args(argv[1:]))


@pytest.mark.parametrize(
    "argv",
    [
        ["harness", "run", "--seed", "5"],
        ["harness", "run", "--out", "/tmp/a b/it's", "--seed", "5", "--config", "client.id=a b$c"],
        ["harness", "run", "--config=linger.ms=5", "--rate", "100", "--profile", "idempotent"],
        ["harness", "run", "--experiment", "my file;rm.yaml", "--brokers", "[::1]:1,b:2"],
    ],
)
def test_a_printed_command_has_the_options_that_were_given(argv: list[str]) -> None:
    command, variables = repeat_command(redact_argv(argv))
    assert options(shlex.split(command)) == options(argv)
    assert variables == []


@pytest.mark.parametrize(
    "given", [["--config", "sasl.password=hunter2"], ["--config=sasl.password=hunter2"]]
)
def test_a_secret_is_asked_for_by_a_variable_and_never_run_with_a_made_up_value(
    given: list[str],
) -> None:
    command, variables = repeat_command(redact_argv(["harness", "run", *given]))
    assert "hunter2" not in command
    assert "redacted" not in command
    assert options(shlex.split(command))["config"] == ["sasl.password=env:SASL_PASSWORD"]
    assert variables == ["SASL_PASSWORD"]


def test_a_reference_to_a_secret_is_printed_as_it_was_given() -> None:
    argv = ["harness", "run", "--config", "sasl.password=env:MINE"]
    assert repeat_command(redact_argv(argv)) == (shlex.join(argv), [])
