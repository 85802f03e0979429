"""What is installed is what runs: no package of the harness is left out of the wheel."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from harness.version import __version__
from tests.support.wheel import checked, environment_with_wheel

ROOT = Path(__file__).resolve().parents[2]


def test_the_version_has_one_source_that_the_wheel_and_the_image_take() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"]
    assert project["project"]["dynamic"] == ["version"]
    source = project["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    assert source == "harness.version.__version__"
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"harness {__version__} (delivery-harness)" in readme
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {__version__}" in changes


def test_every_package_of_the_harness_is_named_for_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = set(project["tool"]["setuptools"]["packages"])
    there = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for path in (ROOT / "harness").rglob("__init__.py")
    }
    mapped = set(project["tool"]["setuptools"]["package-dir"])
    assert named - mapped == there


def test_the_wheel_brings_the_command_and_the_plugin_that_pytest_loads_by_itself(
    tmp_path: Path,
) -> None:
    python = environment_with_wheel(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = checked(python, "-c", "import harness; print(harness.__file__)", cwd=elsewhere)
    assert Path(place.strip()).is_relative_to(tmp_path / "env")
    listed = checked(python.parent / "harness", "list", "experiments", cwd=elsewhere)
    assert "stop_followers_then_kill_leader" in listed.split()
    found = json.loads(checked(python.parent / "harness", "doctor", "--json", cwd=elsewhere))
    ready = {each["name"] for each in found if each["status"] == "ok"}
    assert {"confluent-kafka", "locust", "chaostoolkit", "java"} <= ready
    marked = checked(python, "-m", "pytest", "-p", "no:locust", "--markers", cwd=elsewhere)
    assert "@pytest.mark.kafka_delivery(" in marked
