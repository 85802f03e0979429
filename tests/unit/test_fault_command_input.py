"""--fault-command before anything is touched: what is refused, and the experiment that it makes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.cli.main import main
from harness.errors import UsageError
from harness.faults.command_arguments import experiment_document
from harness.faults.experiments import command_experiment, load_experiment, validate_for
from harness.runs.options import RunOptions
from harness.runs.plan import plan

GOOD = ("inject=true", "heal=true")


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("heal=true",), "inject is missing"),
        (("inject=true",), "heal is missing: .* heal=true"),
        (("inject=", "heal=true"), "inject: a command is expected"),
        (("inject=true", "heal= "), "heal: a command is expected"),
        ((*GOOD, "inject=false"), "inject is given twice"),
        ((*GOOD, "hold=3"), r"hold=3: KEY=VALUE is expected.*did you mean hold_s"),
        ((*GOOD, "hold_s"), "hold_s: KEY=VALUE is expected"),
        ((*GOOD, "hold_s=soon"), "hold_s: 'soon'; a number of seconds"),
        ((*GOOD, "hold_s=0"), "hold_s: '0'; a number of seconds"),
        ((*GOOD, "timeout_s=nan"), "timeout_s: 'nan'; a number of seconds"),
        ((*GOOD, "isr_timeout_s=1e9"), "at most 3600"),
        ((*GOOD, "expect=leader"), "expect: 'leader' is unknown.*did you mean leader_change"),
        ((*GOOD, "aims=lost"), "aims: 'lost'; ANOMALY:PROFILE"),
        ((*GOOD, "aims=loss:leader-ack"), "aims: 'loss:leader-ack'"),
        ((*GOOD, "aims=lost:leader-akc"), "leader-akc.*there is no such profile"),
        (("inject=sh -c 'oops", "heal=true"), "cannot be split into words .no closing quotation"),
        (("inject='' x", "heal=true"), "names no program"),
        (("inject=kubectlx delete", "heal=true"), "kubectlx: is no program on PATH"),
        (("inject=true", "heal=./no/heal.sh"), "./no/heal.sh: there is no such program"),
        (("inject=./text.txt", "heal=true"), "./text.txt: is not executable"),
    ],
)
def test_bad_input_ends_with_2_before_anything_is_made(
    texts: tuple[str, ...],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("no program")
    with pytest.raises(UsageError, match=said):
        plan(RunOptions(fault_commands=(texts,)))
    assert main(["run", "--fault-command", *texts]) == 2
    assert "--fault-command" in capfd.readouterr().err or "leader-akc" in said
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


def test_a_command_that_holds_a_secret_of_the_connection_is_refused() -> None:
    with pytest.raises(UsageError, match="inject: holds the value of a secret setting") as refused:
        plan(
            RunOptions(
                brokers="kafka.example:9092",
                config=("security.protocol=SASL_SSL", "sasl.mechanism=PLAIN", "sasl.username=me",
                        "sasl.password=correct-horse"),
                fault_commands=(("inject=echo correct-horse", "heal=true"),),
            )
        )  # fmt: skip
    assert "correct-horse" not in str(refused.value)


def test_each_command_is_an_experiment_of_its_own_after_the_others() -> None:
    commands = (GOOD, (*GOOD, "aims=lost:leader-ack", "hold_s=3"))
    planned = plan(RunOptions(brokers="kafka.example:9092", fault_commands=commands))
    assert [each.name for each in planned.request.experiments] == [
        "fault-command-1", "fault-command-2"]  # fmt: skip
    assert [each.faults for each in planned.request.experiments] == [("run_command",)] * 2
    assert planned.request.aims == {"lost": "leader-ack"}
    both = plan(RunOptions(experiments=("no_fault",), fault_commands=(GOOD,)))
    assert [each.name for each in both.request.experiments] == ["no_fault", "fault-command-1"]
    first = planned.request.experiments[0]
    assert first.commands_s > 60
    said = " ".join(planned.request.command)
    assert (
        f"--fault-command {' '.join(commands[0])} --fault-command {' '.join(commands[1])}" in said
    )


def test_the_experiment_that_is_made_is_one_that_chaos_toolkit_and_the_harness_accept(
    tmp_path: Path,
) -> None:
    texts = ("inject=sh -c 'echo ${HARNESS_LEADER} $$'", "heal=true", "aims=lost:leader-ack")
    path = tmp_path / "made.json"
    path.write_text(json.dumps(experiment_document(texts)))
    made, read = command_experiment(texts, 1), load_experiment(str(path))
    assert (made.aims, made.faults, made.commands_s) == (read.aims, read.faults, read.commands_s)
    assert "configuration" not in json.loads(path.read_text())  # nothing is filled in, $$ stays
    arguments = json.loads(path.read_text())["method"][0]["provider"]["arguments"]
    assert arguments["inject"] == "sh -c 'echo ${HARNESS_LEADER} $$'"


def test_the_shipped_experiment_takes_its_commands_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shipped = load_experiment("run_command")
    assert shipped.variables == ("HARNESS_FAULT_INJECT", "HARNESS_FAULT_HEAL")
    monkeypatch.setenv("HARNESS_FAULT_INJECT", "true")
    monkeypatch.delenv("HARNESS_FAULT_HEAL", raising=False)
    with pytest.raises(UsageError, match="HARNESS_FAULT_HEAL, which is not set"):
        validate_for(shipped, frozenset())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"inject": "true", "heal": "'"}, 'heal: "\'" cannot be split'),
        ({"inject": ["true"], "heal": "true"}, "inject: a command is expected"),
        ({"inject": "true", "heal": "true", "hold_s": True}, "hold_s: True; a number"),
        ({"inject": "true", "heal": "true", "expect": "chaos"}, "expect: 'chaos' is unknown"),
    ],
)
def test_an_experiment_file_with_wrong_commands_is_refused(
    arguments: Mapping[str, Any], said: str, tmp_path: Path
) -> None:
    document = experiment_document(GOOD)
    document["method"][0]["provider"]["arguments"] = arguments
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document))
    with pytest.raises(UsageError) as refused:
        load_experiment(str(path))
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_brokers_of_somebody_else_point_to_a_command_of_ones_own() -> None:
    with pytest.raises(UsageError, match="--fault-command inject="):
        plan(RunOptions(brokers="kafka.example:9092"))
