"""Faults that a button of the page can inject, as experiments that go on until they are healed."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from harness.brokers.local.cluster import LocalCluster
from harness.faults.registry import FAULTS
from harness.runs.page.faults import experiment_of, offered
from harness.runs.page.until_healed import until_healed
from tests.support.histories import consuming, profile, run_info

LOCAL: Any = SimpleNamespace(capabilities=LocalCluster.capabilities)


def names(brokers: Any, *profiles: Any) -> set[str]:
    return {each.name for each in offered(brokers, run_info(list(profiles)))}


def test_every_fault_that_local_brokers_can_suffer_by_its_name_is_offered() -> None:
    found = names(LOCAL, profile("idempotent"))
    assert {"kill_leader", "pause_leader", "cut_responses", "rolling_restart"} <= found
    # One needs zones, one a command, one members, one transactions, and one strikes nothing.
    missing = {"kill_zone", "run_command", "kill_member", "kill_transaction_coordinator"}
    assert not found & (missing | {"no_fault"})


def test_members_and_transactions_bring_their_faults() -> None:
    assert "kill_member" in names(LOCAL, consuming())
    transactional = profile("transactional", producer={"transactional.id": "t"})
    assert "kill_transaction_coordinator" in names(LOCAL, transactional)


def test_brokers_of_somebody_else_suffer_nothing() -> None:
    assert names(None, profile("idempotent")) == set()


def test_each_offered_fault_is_a_sound_experiment_that_ends_with_a_heal(tmp_path: Path) -> None:
    for name in names(LOCAL, profile("idempotent")):
        experiment = experiment_of(name, tmp_path / "heal")
        assert experiment.faults == (name,)
        assert experiment.document is not None
        assert experiment.document["rollbacks"][0]["provider"]["func"] == "heal"
        assert name in FAULTS


def test_a_fault_goes_on_until_the_file_is_there(tmp_path: Path) -> None:
    heal = tmp_path / "heal"
    assert until_healed(str(heal), 0.2) is False
    threading.Timer(0.2, heal.touch).start()
    assert until_healed(str(heal), 30.0) is True
