"""The wheel alone is enough: installed into an environment apart, it runs from another folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.wheel import checked, environment_with_wheel

pytestmark = pytest.mark.cluster


def test_an_installed_wheel_passes_doctor_and_a_run_from_another_folder(tmp_path: Path) -> None:
    harness = environment_with_wheel(tmp_path).parent / "harness"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert json.loads(checked(harness, "doctor", "--json", cwd=elsewhere))
    load = ("--rate", "50", "--duration", "5", "--experiment", "no_fault")
    out = checked(
        harness, "run", "--profile", "idempotent", *load, "--json", "--out", "run", cwd=elsewhere
    )
    verdict = json.loads(out)
    assert verdict["verdict"] == "kept"
    assert verdict["profiles"][0]["counts"]["acked"] > 0
    assert (elsewhere / "run" / "report.html").is_file()
