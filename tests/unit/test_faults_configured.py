"""An experiment's configuration says where the brokers are, unless a run of the harness does."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from chaoslib.provider.python import run_python_activity, validate_python_activity

from harness import faults
from harness.errors import UsageError
from harness.faults import backend
from harness.faults.activity import activity


def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The brokers that activities attach to, in order; none is reached."""
    specs: list[str] = []

    def connect(spec: str, _: Any = None) -> Any:
        specs.append(spec)
        raise UsageError("far enough")

    monkeypatch.setattr(backend, "connect", connect)
    return specs


def run(configuration: dict[str, Any], func: str = "heal") -> None:
    step: Any = {
        "type": "action",
        "name": "a",
        "provider": {"type": "python", "module": "harness.faults", "func": func},
    }
    validate_python_activity(step)
    with pytest.raises(Exception, match="far enough"):
        run_python_activity(step, configuration, {})


@pytest.mark.parametrize("func", ["heal", "leaders", "kill_leader"])
def test_the_configuration_goes_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, func: str
) -> None:
    specs = asked(monkeypatch)
    monkeypatch.delenv("HARNESS_RUN_DIR", raising=False)
    monkeypatch.delenv("HARNESS_CLUSTER", raising=False)
    monkeypatch.setenv("HARNESS_BROKERS", "environment:9092")
    run({"harness_brokers": "strimzi://kafka/configured"}, func)
    run({}, func)
    run({"harness_brokers": ""}, func)
    assert specs == ["strimzi://kafka/configured", "environment:9092", "environment:9092"]


def test_a_run_of_the_harness_strikes_its_own_brokers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    specs = asked(monkeypatch)
    monkeypatch.delenv("HARNESS_CLUSTER", raising=False)
    monkeypatch.setenv("HARNESS_RUN_DIR", str(tmp_path))
    monkeypatch.setenv("HARNESS_BROKERS", "own:9092")
    run({"harness_brokers": "strimzi://kafka/other"})
    assert specs == ["own:9092"]


def test_what_an_activity_takes_stays_its_own() -> None:
    @activity
    def probe(timeout_s: float = 1.0) -> float:
        return timeout_s

    assert probe(2.0) == 2.0
    assert list(inspect.signature(probe).parameters) == ["timeout_s", "configuration"]
    assert all("configuration" in inspect.signature(getattr(faults, name)).parameters
               for name in faults.__all__)  # fmt: skip
