"""The steps of the workflow for GitHub, run as shell: two nights on real brokers.

What `uses:` is GitHub's: Python, caches and artifacts are there. What `run:` is carried out by bash
as GitHub does it, with the files that GITHUB_OUTPUT and GITHUB_STEP_SUMMARY name.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / "docs" / "ci" / "github.yml"
SOURCES = ("harness", "experiments", "k8s", "reports", "scenarios")
FILES = ("pyproject.toml", "README.md", "LICENSE")
OUTPUT = re.compile(r"\$\{\{ steps\.(\w+)\.outputs\.(\w+) \}\}")

pytestmark = pytest.mark.cluster


@dataclass
class Night:
    """One run of the job."""

    folder: Path
    env: dict[str, str]
    outputs: dict[tuple[str, str], str] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    printed: dict[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        return (self.folder / "summary-of-the-job.md").read_text(encoding="utf-8")

    def carry_out(self, steps: list[dict[str, Any]]) -> None:
        """Run the steps that are shell until one fails."""
        summary = self.folder / "summary-of-the-job.md"
        summary.write_text("")
        for step in steps:
            if "run" not in step:
                continue
            name, output = step["name"], self.folder / "output-of-the-step"
            output.write_text("")
            given = {
                key: OUTPUT.sub(
                    lambda found: self.outputs.get((found[1], found[2]), ""), str(value)
                )
                for key, value in step.get("env", {}).items()
            }
            ended = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=self.folder,
                env={
                    **self.env,
                    **given,
                    "GITHUB_OUTPUT": str(output),
                    "GITHUB_STEP_SUMMARY": str(summary),
                },
                capture_output=True,
                text=True,
                timeout=280,
                check=False,
            )
            self.codes[name] = ended.returncode
            self.printed[name] = ended.stdout + ended.stderr
            for line in output.read_text().splitlines():
                key, _, value = line.partition("=")
                self.outputs[step.get("id", ""), key] = value
            assert ended.returncode == 0 or name == "Verdict", self.printed[name]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's source, from which pip installs."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    return folder


def test_two_nights_of_the_workflow_run_compare_and_keep(source: Path, tmp_path: Path) -> None:
    document = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    steps = document["jobs"]["nightly"]["steps"]
    installed = tmp_path / "installed"
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        # pip installs the project itself, from its source, beside the packages that are here.
        "PIP_TARGET": str(installed),
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it the other way round: not isolated
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONPATH": str(installed),
        "PYTHONSAFEPATH": "1",
        "HARNESS_SOURCE": str(source),
        "HARNESS_PROFILE": "idempotent",
        "HARNESS_REPEAT": "1",
        "HARNESS_RATE": document["env"]["HARNESS_RATE"],
        "HARNESS_OPTIONS": "--experiment no_fault --duration 3 --seed 7",
    }
    first = Night(workspace, env)
    first.carry_out(steps)
    assert first.codes["Verdict"] == 0, first.printed
    assert first.outputs["run", "code"] == "0", first.printed["Run"]
    assert "There is no earlier night to compare with." in first.summary
    assert first.outputs["keep", "kept"] == "true"
    kept = workspace / "reports" / "baselines" / "nightly.json"
    assert kept.exists()
    assert (workspace / "out" / "run-1" / "report.html").exists()
    assert (workspace / "junit.xml").exists()

    # The next night starts from a clean checkout and what the cache gives back.
    for name in ("out", "junit.xml", "summary.md"):
        path = workspace / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(installed)
    second = Night(workspace, env)
    second.carry_out(steps)
    assert second.codes["Verdict"] == 0, second.printed
    assert second.outputs["compare", "code"] == "3", "one run each shows no figure"
    assert "one run each; give repeats" in second.summary
    assert "::notice title=Not shown::" in second.printed["Verdict"]
