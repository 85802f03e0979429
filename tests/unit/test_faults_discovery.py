"""`chaos discover` lists what experiments can call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from chaoslib.discovery.package import get_discover_function

import harness
from harness import faults


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, object]]:
    """By name, as Chaos Toolkit's own lookup of the package's function finds them."""
    listed = get_discover_function(harness)(discover_system=False)
    json.dumps(listed)
    return {each["name"]: each for each in listed["activities"]}


def test_every_action_and_probe_is_discovered_under_its_public_module(
    found: dict[str, dict[str, object]],
) -> None:
    assert set(found) == set(faults.__all__)
    assert {each["mod"] for each in found.values()} == {"harness.faults"}


def test_arguments_come_with_their_types_and_defaults(
    found: dict[str, dict[str, Any]],
) -> None:
    (argument,) = found["kill_transaction_coordinator"]["arguments"]
    assert (argument["name"], argument["default"], argument["type"]) == (
        "evidence_timeout_s", 20.0, "number",
    )  # fmt: skip
