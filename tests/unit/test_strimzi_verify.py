"""A verification of a run on a Strimzi cluster finds the login there again, by the address."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import ClusterError
from harness.rundir.run_info import RunInfo
from harness.runs import verification
from harness.runs.verification import connection_of, strimzi_address
from tests.support.runs import run_info

ADDRESS = "strimzi://kafka/c?user=load"


def info(*command: str) -> RunInfo:
    return run_info(command=list(command), bootstrap="c.kafka.svc:9093", cluster_id="id")


class Found:
    def __init__(self, settings: dict[str, str]) -> None:
        self.client_config = {"bootstrap.servers": "c.kafka.svc:9093", "login": "new", **settings}


@pytest.mark.parametrize(
    ("command", "address"),
    [
        (["harness", "run", "--brokers", ADDRESS, "--seed", "1"], ADDRESS),
        (["harness", "run", f"--brokers={ADDRESS}"], ADDRESS),
        (["harness", "run", "--brokers", "kafka:9092"], None),
        (["harness", "run", "--out", ADDRESS], None),
        ([], None),
    ],
)
def test_the_address_is_that_of_the_runs_command(command: list[str], address: str | None) -> None:
    assert strimzi_address(command) == address


def test_the_login_is_found_again_and_settings_of_ones_own_go_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    def connect(spec: str, settings: Any) -> Any:
        asked.append((spec, dict(settings)))
        return Found(settings)

    monkeypatch.setattr(verification, "connect", connect)
    run = info("harness", "run", "--brokers", ADDRESS)
    said: list[str] = []
    assert connection_of(run, {"debug": "all"}, said.append)["login"] == "new"
    assert asked == [(ADDRESS, {"debug": "all"})]
    own = {"bootstrap.servers": "elsewhere:9092"}
    assert connection_of(run, own, said.append) == own
    plain = info("harness", "run", "--brokers", "kafka:9092")
    assert connection_of(plain, {}, said.append) == {"bootstrap.servers": "c.kafka.svc:9093"}
    assert (len(asked), said) == (1, [])


def test_a_cluster_that_cannot_be_asked_leaves_the_address_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def connect(*_: Any) -> Any:
        raise ClusterError("no access to a Kubernetes is configured.")

    monkeypatch.setattr(verification, "connect", connect)
    said: list[str] = []
    run = info("harness", "run", "--brokers", ADDRESS)
    assert connection_of(run, {}, said.append) == {"bootstrap.servers": "c.kafka.svc:9093"}
    assert "no access to a Kubernetes" in said[0]
