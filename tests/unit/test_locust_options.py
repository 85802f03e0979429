"""What a person types on the command line of `locust -f`, or into its page, and what is refused."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import build_parser
from harness.errors import UsageError
from harness.profiles import load_builtin
from harness.runs import locust_options
from harness.runs.locust_options import (
    form_error,
    in_locust_names,
    profile_names,
    run_options,
)
from harness.runs.locust_request import check
from harness.runs.options import RunOptions, options_from_json, options_to_json

SCENARIO = Path(__file__).parents[2] / "scenarios" / "steady.py"


class Parser(ArgumentParser):
    """Locust's own parser in what the options need: importing Locust would patch this process."""

    def add_argument(self, *names: Any, **settings: Any) -> Any:
        shown = settings.pop("include_in_web_ui", True)
        settings.pop("is_multiple", None)
        action = super().add_argument(*names, **settings)
        action.include_in_web_ui = shown  # type: ignore[attr-defined]
        return action


@pytest.fixture
def parser() -> Parser:
    parser = Parser()
    locust_options.add_arguments(parser)
    return parser


def options_of(parser: Parser, *arguments: str, profile: str | None = None) -> Namespace:
    options = parser.parse_args(arguments)
    options.profile = profile
    return options


def test_without_options_every_producer_profile_of_the_built_in_ones_is_asked_for(
    parser: Parser,
) -> None:
    request = check(run_options(options_of(parser)))
    bare = [name for name, profile in load_builtin().items() if profile.bare]
    assert [each.name for each in request.subjects] == bare


@pytest.mark.parametrize(
    ("arguments", "label", "names"),
    [
        (["--delivery-profile", "idempotent,leader-ack"], None, ["idempotent", "leader-ack"]),
        (["--delivery-profile", "idempotent", "--delivery-profile", "leader-ack"], None,
         ["idempotent", "leader-ack"]),
        ([], "idempotent", ["idempotent"]),
        (["--delivery-profile", "idempotent"], "idempotent", ["idempotent"]),
        ([], None, []),
    ],
)  # fmt: skip
def test_a_profile_is_chosen_by_our_option_or_by_the_label_of_locust(
    parser: Parser, arguments: list[str], label: str | None, names: list[str]
) -> None:
    assert profile_names(options_of(parser, *arguments, profile=label)) == names


def test_two_options_that_choose_different_profiles_are_refused(parser: Parser) -> None:
    options = options_of(parser, "--delivery-profile", "idempotent", profile="leader-ack")
    with pytest.raises(UsageError, match="--profile leader-ack and --delivery-profile idempotent"):
        profile_names(options)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"rate": ["abc"]}, "--rate abc: a number is expected."),
        ({"rate": [""]}, "--rate (empty): a number is expected."),
        ({"rate": ["0"]}, "--rate 0: accepted is"),
        ({"message_size": ["1x"]}, "--message-size 1x: a whole number is expected."),
        ({"schedule": ["often"]}, "--schedule often: accepted are constant, ramp"),
        ({"compression": ["zip"]}, "--compression zip: accepted are none, gzip"),
        ({"seed": ["x"]}, "--seed x: a whole number is expected."),
        ({"delivery_profile": ["exactly-twice"]}, "--delivery-profile exactly-twice: there is no"),
        ({"profile": ["exactly-twice"]}, "exactly-twice: there is no such profile"),
        ({"profiles_file": ["/nowhere.yaml"]}, "/nowhere.yaml"),
        ({"properties": ["/nowhere.properties"]}, "/nowhere.properties"),
        ({"brokers": ["nonsense"]}, "HOST:PORT"),
        ({"experiment": ["burn"]}, "--experiment: experiment 'burn': unknown"),
        ({"experiment": ["kill_zone"]}, "--experiment: experiment kill_zone: fault kill_zone"),
        ({"experiment": ["kill_member"]}, "--experiment: experiment kill_member"),
        (
            {"experiment": ["kill_leader"], "brokers": ["127.0.0.1:1"]},
            "--experiment: experiment kill_leader: fault kill_leader: needs process",
        ),
    ],
)
def test_a_wrong_value_of_the_form_is_refused_and_its_option_named(
    parser: Parser, form: dict[str, list[str]], said: str
) -> None:
    options = options_of(parser)
    before = dict(vars(options))
    error = form_error(parser, options, form)
    assert error is not None
    assert said in error
    assert vars(options) == before


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"user_count": ["1"], "spawn_rate": ["1"], "host": [""], "profile": [""]},
        {"rate": ["12.5"], "keys": ["3"], "schedule": ["ramp"], "compression": [""]},
        {"delivery_profile": ["idempotent", "leader-ack"], "keep_topics": ["true"]},
        {"delivery_profile": ["idempotent,leader-ack"]},
        {"experiment": [""]},
        {"experiment": ["kill_leader,cut_responses"]},
    ],
)
def test_a_form_with_which_a_test_can_start_has_no_error(
    parser: Parser, form: dict[str, list[str]]
) -> None:
    assert form_error(parser, options_of(parser), form) is None


def test_an_experiment_brings_its_controls_and_is_in_the_command_that_repeats_the_run(
    parser: Parser,
) -> None:
    arguments = ("--delivery-profile", "idempotent", "--experiment", "kill_leader")
    request = check(run_options(options_of(parser, *arguments)))
    assert [each.name for each in request.experiments] == ["kill_leader"]
    assert [each.name for each in request.controls] == sorted(set(request.aims.values()))
    assert request.controls
    assert "--experiment kill_leader" in " ".join(request.command)


def test_settings_that_the_page_does_not_show_are_not_taken_from_its_form(parser: Parser) -> None:
    form = {"client_config": ["no.such.setting=1"]}
    assert form_error(parser, options_of(parser), form) is None
    assert form_error(parser, options_of(parser, "--client-config", "linger"), {}) is not None


def test_a_message_calls_each_option_as_it_is_called_under_locust() -> None:
    text = "--profile x and --profiles y, --config z; --rate, librdkafka--profile"
    assert in_locust_names(text) == (
        "--delivery-profile x and --profiles-file y, --client-config z; --rate, librdkafka--profile"
    )


def test_every_option_that_is_renamed_is_one_of_harness_run() -> None:
    names = build_parser().parse_args(["run"])
    for ours in locust_options.LOCUST_NAMES:
        assert hasattr(names, ours.removeprefix("--").replace("-", "_"))


def test_what_was_typed_reaches_the_recorder_as_it_is(parser: Parser) -> None:
    typed = options_of(
        parser,
        *("--delivery-profile", "idempotent,leader-ack", "--seed", "7", "--rate", "12.5"),
        *("--client-config", "sasl.password=hunter2", "--out", "/tmp/a b", "--duration", "3"),
        *("--profiles-file", "mine.yaml", "--keep-topics", "--compression", "zstd"),
    )
    options = run_options(typed)
    assert options == RunOptions(
        profiles=("idempotent", "leader-ack"),
        profiles_file=Path("mine.yaml"),
        config=("sasl.password=hunter2",),
        keep_topics=True,
        rate_per_s=12.5,
        duration_s=3.0,
        compression="zstd",
        seed=7,
        out=Path("/tmp/a b"),
    )
    assert options_from_json(options_to_json(options)) == options


def test_every_option_is_documented(parser: Parser) -> None:
    page = (SCENARIO.parent.parent / "docs" / "locust.md").read_text(encoding="utf-8")
    options = [option for action in parser._actions for option in action.option_strings]
    assert [
        each for each in options if each not in ("-h", "--help") and f"`{each}`" not in page
    ] == []
