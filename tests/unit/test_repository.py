"""What others need to carry the project on is whole: hooks, workflow, documentation site."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.yaml_files import fault_of

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
HOOKS = ROOT / ".pre-commit-config.yaml"
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def loaded(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def test_every_yaml_file_can_be_read_and_has_no_key_twice() -> None:
    folders = ("harness", "experiments", "k8s", ".github")
    files = [path for each in folders for path in (ROOT / each).rglob("*.y*ml")]
    assert len(files) > 40
    assert [wrong for wrong in map(fault_of, [*files, HOOKS]) if wrong] == []


def test_a_key_that_is_there_twice_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: 1\nb: 2\na: 3\n")
    assert "the key 'a' is there twice" in fault_of(file)
    assert "line 3" in fault_of(file)


def test_the_workflow_makes_targets_that_exist_on_the_supported_versions() -> None:
    jobs = loaded(WORKFLOW)["jobs"]
    steps = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    named = set(re.findall(r"make (?:-j2 )?((?:[a-z][a-z-]+ ?)+)", " ".join(steps)))
    targets = {target for each in named for target in each.split()}
    targets |= set(jobs["nightly"]["strategy"]["matrix"]["series"])
    assert {"lint", "test-fast", "test-cluster", "docs", "coverage"} <= targets
    assert [each for each in targets if not re.search(rf"^{each}:", MAKEFILE, re.MULTILINE)] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = [each.rpartition(" ")[2] for each in project["classifiers"] if ":: 3." in each]
    assert jobs["unit"]["strategy"]["matrix"]["python"] == versions


def test_hooks_are_local_and_run_what_the_project_installs() -> None:
    for repository in loaded(HOOKS)["repos"]:
        assert repository["repo"] == "local"
        for hook in repository["hooks"]:
            assert hook["language"] == "system"
            program, *arguments = shlex.split(hook["entry"])
            assert (Path(sys.executable).parent / Path(program).name).exists(), hook["id"]
            if arguments[:1] == ["-m"]:
                assert (ROOT / f"{arguments[1].replace('.', '/')}.py").is_file()


def test_the_site_is_built_without_a_warning_and_holds_the_reference(tmp_path: Path) -> None:
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package, reason="make docs installs it")
    command = (sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    page = (tmp_path / "reference.html").read_text(encoding="utf-8")
    for name in ("RunOptions", "Verdict", "UsageError", "ProducerUser", "BrokerControl"):
        assert name in page, name
