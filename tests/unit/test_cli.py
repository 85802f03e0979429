"""Wrong input ends with exit 2, a sentence that says what is accepted, and nothing started."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

from harness.cli.main import build_parser, main
from harness.cli.run_arguments import options_of
from harness.errors import redact, redact_argv
from harness.profiles import lint
from harness.runs.plan import DEFAULT_EXPERIMENTS, RunPlan
from harness.runs.plan import plan as plan_of
from harness.runs.run import guardrail_lines


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--profile", "idempotnt"], "idempotent"),
        (["run", "--experiment", "kill_leadr"], "kill_leader"),
        (["run", "--experiment", "nowhere.yaml"], "no such file"),
        (["run", "--message-size", "10"], "--message-size"),
        (["run", "--rate", "0"], "--rate"),
        (["run", "--partitions", "0"], "--partitions"),
        (["run", "--producers", "0"], "--producers"),
        (["run", "--duration", "0"], "--duration"),
        (["run", "--seed", "-1"], "--seed"),
        (["run", "--compression", "rar"], "zstd"),
        (["run", "--codec", "jsn"], "did you mean json"),
        (["run", "--codec", "json", "--message-size", "100"], "--message-size 100: accepted is 1"),
        (
            ["run", "--codec", "json", "--profile", "exactly-once-pipeline"],
            "profile exactly-once-pipeline is a pipeline",
        ),
        (["run", "--config", "acks"], "key=value"),
        (["run", "--config", "lingr.ms=1"], "linger.ms"),
        (["run", "--config", "topic.min.insync.replica=1"], "min.insync.replicas"),
        (["run", "--properties", "/nowhere/client.properties"], "/nowhere/client.properties"),
        (["run", "--profiles", "/nowhere/mine.yaml"], "/nowhere/mine.yaml"),
        (["run", "--all", "--profile", "idempotent"], "--all"),
        (["run", "--brokers", "strimzi://kafka"], "the name of the Kafka resource is missing"),
        (["run", "--brokers", "127.0.0.1"], "HOST:PORT"),
        (["run", "--brokers", "127.0.0.1:9092"], "no_fault"),
        (
            ["run", "--brokers", "127.0.0.1:9092", "--experiment", "no_fault", "--keep-cluster"],
            "--keep-cluster",
        ),
        (["run", "--kafka-version", "newest"], "--kafka-version"),
        (["run", "--experiment", "kill_member"], "no profile of this run has any"),
        (["run", "--config", "group.id=mine"], "group.id"),
        (["verify", "/nowhere"], "run.json"),
        (["verify"], "run directory"),
        (["verify", "/nowhere", "--processes", "0"], "accepted is 1 to 64"),
        (["verify", "--history", "x.ndjson", "--processes", "2"], "in one process"),
        (["verify", "--history", "x.ndjson"], "cannot be read"),
        (["report", "/nowhere"], "/nowhere"),
        (["validate", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_wrong_input_is_refused_with_exit_2_and_says_what_is_accepted(
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert says in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == []


def test_an_output_directory_that_is_not_empty_is_refused_and_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    assert main(["run", "--out", str(tmp_path)]) == 2
    assert "not empty" in capsys.readouterr().err
    assert (tmp_path / "precious.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["run", "verify", "bench", "report", "list", "validate"])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert "usage: harness" in capsys.readouterr().out


def plan(*arguments: str) -> RunPlan:
    return plan_of(options_of(build_parser().parse_args(["run", *arguments])))


def test_a_bare_run_takes_the_producer_profiles_and_the_default_experiments() -> None:
    asked = plan()
    assert [profile.name for profile in asked.request.subjects] == [
        "fire-and-forget",
        "leader-ack",
        "at-least-once",
        "idempotent",
        "transactional",
    ]
    assert asked.request.controls == []
    assert [each.name for each in asked.request.experiments] == list(DEFAULT_EXPERIMENTS)
    assert asked.request.aims == {"lost": "leader-ack", "duplicate": "at-least-once"}


def test_missing_controls_are_added_and_no_control_leaves_them_out() -> None:
    added = plan("--profile", "idempotent").request.controls
    assert [profile.name for profile in added] == ["leader-ack", "at-least-once"]
    assert plan("--profile", "idempotent", "--no-control").request.controls == []


@pytest.mark.parametrize(
    ("profile", "controls"),
    [
        ("exactly-once-pipeline", {"consume-auto-commit", "consume-at-least-once"}),
        ("consume-at-most-once", {"consume-at-least-once"}),
        ("consume-at-least-once", {"consume-auto-commit"}),
        ("consume-auto-commit", set()),
    ],
)
def test_a_consumer_control_is_added_only_for_what_somebody_promises(
    profile: str, controls: set[str]
) -> None:
    asked = plan("--profile", profile, "--experiment", "kill_member")
    assert {each.name for each in asked.request.controls} == controls


def test_settings_change_the_subjects_and_never_the_controls() -> None:
    asked = plan("--profile", "idempotent", "--config", "linger.ms=77")
    assert str(asked.request.subjects[0].producer["linger.ms"]) == "77"
    assert all(str(each.producer["linger.ms"]) != "77" for each in asked.request.controls)


def test_the_command_of_a_run_repeats_it_with_its_seed() -> None:
    asked = plan("--profile", "idempotent")
    assert asked.request.command[-2:] == ["--seed", str(asked.request.seed)]
    assert plan("--seed", "7").request.command == ["harness", "run", "--seed", "7"]


def test_secrets_reach_neither_the_command_nor_the_profiles() -> None:
    asked = plan(
        *("--brokers", "127.0.0.1:9092", "--experiment", "no_fault"),
        *("--config", "sasl.password=hunter2", "--config", "sasl.username=app"),
    )
    assert asked.connection["sasl.password"] == "hunter2"
    assert "hunter2" not in json.dumps(asked.request.command)
    assert all("hunter2" not in repr(profile) for profile in asked.request.subjects)


def guardrails(*arguments: str) -> list[str]:
    """What a run says of its settings before there is load."""
    request = plan(*arguments).request
    findings = [
        {"profile": profile.name, **finding.to_json()}
        for profile in request.profiles
        for finding in lint(profile, brokers=3)
    ]
    return guardrail_lines(findings, request)


def test_a_run_says_on_the_terminal_what_lint_finds_in_settings_that_somebody_chose() -> None:
    changed = guardrails("--profile", "idempotent", "--config", "topic.min.insync.replicas=1")
    assert any("[min-isr-1]" in line and "idempotent" in line for line in changed)
    untouched = guardrails("--profile", "leader-ack", "--no-control")
    assert len(untouched) == 1
    assert "report.html" in untouched[0]
    assert guardrails("--profile", "idempotent", "--no-control") == []


def test_redaction_knows_secret_names_in_every_spelling() -> None:
    assert redact({"sasl.password": "x", "linger.ms": 5}) == {
        "sasl.password": "[redacted]",
        "linger.ms": 5,
    }
    assert redact_argv(["--config", "sasl.jaas.config=x", "--config=ssl.key.password=y"]) == [
        "--config",
        "sasl.jaas.config=[redacted]",
        "--config=ssl.key.password=[redacted]",
    ]


def test_the_version_names_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    said = capsys.readouterr().out.strip()
    assert said == f"harness {metadata.version('delivery-harness')} (delivery-harness)"
