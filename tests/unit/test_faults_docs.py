"""docs/faults.md cannot lag behind the faults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness import faults
from harness.faults.registry import FAULTS
from harness.system.assets import folder

PAGE = (Path(__file__).parents[2] / "docs" / "faults.md").read_text(encoding="utf-8")
SECTIONS = {
    match["name"]: match["body"]
    for match in re.finditer(
        r"^### (?P<name>\w+)\n(?P<body>.*?)(?=^##|\Z)", PAGE, flags=re.DOTALL | re.MULTILINE
    )
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_every_fault_is_documented_with_its_needs_evidence_effect_and_healing(name: str) -> None:
    for heading in ("Does", "Needs", "Evidence", "Provokes", "Healed"):
        assert f"**{heading}**" in SECTIONS[name], f"{name}: {heading}"
    for need in FAULTS[name].needs:
        assert f"`{need}`" in SECTIONS[name]


def test_no_fault_is_documented_that_does_not_exist() -> None:
    assert set(SECTIONS) == set(FAULTS)


@pytest.mark.parametrize("name", sorted(path.stem for path in folder("experiments").glob("*.yaml")))
def test_every_experiment_is_documented(name: str) -> None:
    assert f"experiments/{name}.yaml" in PAGE


@pytest.mark.parametrize("name", sorted(faults.__all__))
def test_every_action_and_probe_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE or name in SECTIONS
