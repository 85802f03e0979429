"""Experiment files: those that ship, and what is said about files that are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import faults
from harness.brokers.kinds import capabilities_of
from harness.errors import UsageError
from harness.faults.experiments import find, list_experiments, load_experiment, validate_for
from harness.faults.registry import FAULTS, MEMBERS
from harness.system.assets import folder

LOCAL = frozenset({"process", "pause", "reassign", "proxy"})
OPERATED = frozenset({"zones", "container", "roll", "operator", "revoke"})
"""What an operator in Kubernetes brings with it."""
CONSUMING = {"unprocessed": "consume-auto-commit", "repeated": "consume-at-least-once"}
SHIPPED = {experiment.name: experiment for experiment in list_experiments()}


def document(**fields: Any) -> dict[str, Any]:
    heal = {
        "type": "action",
        "name": "heal",
        "provider": {"type": "python", "module": "harness.faults", "func": "heal"},
    }
    kill = {
        "type": "action",
        "name": "kill",
        "provider": {"type": "python", "module": "harness.faults", "func": "kill_leader"},
    }
    return {
        "title": "t",
        "description": "d",
        "method": [kill],
        "rollbacks": [heal],
        "extensions": [{"name": "harness", "aims": {"lost": "leader-ack"}}],
        **fields,
    }


def write(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "mine.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return str(path)


def test_every_fault_has_the_experiment_of_its_name() -> None:
    assert set(SHIPPED) == set(FAULTS)
    for name, experiment in SHIPPED.items():
        assert set(experiment.faults) == {name}
        assert experiment.needs == FAULTS[name].needs


@pytest.mark.parametrize(
    ("name", "aims"),
    [
        ("kill_leader", {"lost": "leader-ack"}),
        ("stop_followers_then_kill_leader", {"lost": "leader-ack"}),
        ("cut_replication_then_kill_leader", {"lost": "leader-ack"}),
        ("pause_leader", {"lost": "leader-ack"}),
        ("cut_responses", {"duplicate": "at-least-once"}),
        ("rolling_restart", {}),
        ("kill_member", CONSUMING),
        (
            "pause_member",
            {"repeated": "consume-at-least-once", "reprocessed": "pipeline-without-offsets"},
        ),
        ("scale_members", {}),
        ("rebalance_storm", {}),
        ("no_fault", {}),
    ],
)
def test_an_experiment_names_the_control_that_its_faults_should_break(
    name: str, aims: dict[str, str]
) -> None:
    assert SHIPPED[name].aims == aims
    assert FAULTS[name].graceful == (not aims)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_shipped_experiment_heals_and_asks_for_full_isr_and_has_the_control(name: str) -> None:
    content = yaml.safe_load((folder("experiments") / f"{name}.yaml").read_text())
    assert [each["provider"]["func"] for each in content["rollbacks"]] == ["heal"]
    assert content["runtime"] == {"rollbacks": {"strategy": "always"}}
    assert content["controls"][0]["provider"]["module"] == "harness.faults.control"
    probes = content["steady-state-hypothesis"]["probes"]
    assert [each["provider"]["func"] for each in probes] == ["full_isr"]


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_faults_are_apart_from_each_other_and_never_paused_after(name: str) -> None:
    # Chaos Toolkit sits out a pause after an activity even when a signal ended the activity.
    content = yaml.safe_load((folder("experiments") / f"{name}.yaml").read_text())
    functions = [each["provider"]["func"] for each in content["method"]]
    for each, after in zip(content["method"], functions[1:], strict=False):
        assert "after" not in each.get("pauses", {})
        assert "heal" in (each["provider"]["func"], after)


def test_a_file_of_ones_own_is_loaded_by_its_path(tmp_path: Path) -> None:
    experiment = load_experiment(write(tmp_path, document()))
    assert experiment.name == "mine"
    assert experiment.faults == ("kill_leader",)
    assert experiment.aims == {"lost": "leader-ack"}
    assert experiment.needs == {"process"}


def test_an_experiment_without_faults_of_ours_needs_nothing(tmp_path: Path) -> None:
    experiment = load_experiment(write(tmp_path, document(method=[], rollbacks=[], extensions=[])))
    assert (experiment.faults, experiment.needs, experiment.aims) == ((), frozenset(), {})


def extension(**fields: Any) -> dict[str, Any]:
    return document(extensions=[{"name": "harness", **fields}])


def method(func: str, **arguments: Any) -> dict[str, Any]:
    provider = {"type": "python", "module": "harness.faults", "func": func, "arguments": arguments}
    return document(method=[{"type": "action", "name": "a", "provider": provider}])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [1", "line 1"),
        ("- 1", "mapping"),
        ("", "mapping"),
        (document(title=""), "title"),
        (document(method="kill"), "method: a list"),
        (document(method=["kill"]), "no activity"),
        (document(rollbacks=[]), "rollbacks"),
        (method("kill_ledger"), "kill_ledger"),
        (method("kill_leader", speed=1), "speed"),
        (method("cut_responses", hold_s=0), "hold_s"),
        (method("_aim_at_leader"), "_aim_at_leader"),
        (extension(aims={"loss": "leader-ack"}), "'loss' is no anomaly; accepted are lost"),
        (extension(aims=["lost"]), "aims: a mapping"),
        (extension(aims={"lost": 1}), "name of a delivery profile"),
        (extension(aim={"lost": "leader-ack"}), "unknown field 'aim'"),
        (extension(faults=["cut_responses"]), "not what the method injects (kill_leader)"),
    ],
)
def test_a_file_that_is_wrong_is_refused_naming_file_and_field(
    tmp_path: Path, content: Any, said: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(UsageError) as refused:
        load_experiment(path)
    assert said in str(refused.value)
    assert path in str(refused.value) or "unknown; there are" in str(refused.value)


def test_an_unknown_name_lists_the_names_there_are() -> None:
    with pytest.raises(UsageError, match="stop_followers_then_kill_leader"):
        find("kill_everything")


def test_a_path_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="no such file"):
        find("nowhere/mine.yaml")


def test_a_refusal_names_only_kinds_of_brokers_that_offer_what_the_fault_needs() -> None:
    with pytest.raises(UsageError) as refused:
        validate_for(SHIPPED["revoke_operator_then_kill_leader"], LOCAL, "local")
    assert "--brokers strimzi://" in str(refused.value)
    assert "--brokers local" not in str(refused.value)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_foreign_brokers_suffer_only_what_needs_no_control_over_them(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in SHIPPED[name].variables:
        monkeypatch.setenv(variable, "true")
    if FAULTS[name].needs - {MEMBERS}:
        with pytest.raises(UsageError, match=f"experiment {name}: .*brokers of kind 'foreign'"):
            validate_for(SHIPPED[name], frozenset())
    else:
        validate_for(SHIPPED[name], frozenset())
    if not FAULTS[name].needs & OPERATED:
        validate_for(SHIPPED[name], LOCAL, "local")
    else:
        with pytest.raises(UsageError, match="brokers of kind 'local'"):
            validate_for(SHIPPED[name], LOCAL, "local")


@pytest.mark.parametrize("name", [name for name in FAULTS if MEMBERS in FAULTS[name].needs])
def test_what_strikes_group_members_is_refused_in_a_run_without_any(name: str) -> None:
    with pytest.raises(UsageError, match=f"experiment {name}: .*no profile of this run has any"):
        validate_for(SHIPPED[name], LOCAL, "local", members=False)


def test_a_fault_that_needs_a_proxy_is_refused_without_one() -> None:
    with pytest.raises(UsageError, match="needs proxy control"):
        validate_for(SHIPPED["cut_responses"], frozenset({"process"}))


def test_strimzi_suffers_what_needs_no_link_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    capabilities = capabilities_of("strimzi://kafka/my-cluster")
    for experiment in SHIPPED.values():
        for variable in experiment.variables:
            monkeypatch.setenv(variable, "true")
        if "proxy" in experiment.needs:
            with pytest.raises(UsageError, match=r"do not offer\. Links"):
                validate_for(experiment, capabilities, "strimzi")
        else:
            validate_for(experiment, capabilities, "strimzi")


def test_every_fault_is_a_public_function() -> None:
    assert set(FAULTS) <= set(faults.__all__)
    assert all(callable(getattr(faults, name)) for name in faults.__all__)
