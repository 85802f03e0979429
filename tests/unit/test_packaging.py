"""What is installed is what runs: no package of the harness is left out of the wheel."""

from __future__ import annotations

import tomllib
from pathlib import Path

from harness.version import __version__

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
