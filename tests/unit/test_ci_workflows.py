"""The workflows that users copy: accepted by the schemas of the services, their commands known."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli.main import build_parser

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / "docs" / "ci" / "github.yml"
GITLAB = ROOT / "docs" / "ci" / "gitlab-ci.yml"
SCHEMAS = {GITHUB: "vendor.github-workflows", GITLAB: "vendor.gitlab-ci"}


def check(path: Path, schema: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def scripts(path: Path) -> list[str]:
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path == GITHUB:
        steps = document["jobs"]["nightly"]["steps"]
        return [step["run"] for step in steps if "run" in step]
    return list(document["delivery"]["script"])


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_a_workflow_is_accepted_by_the_schema_of_its_service(path: Path) -> None:
    ended = check(path, SCHEMAS[path])
    assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize(
    ("path", "right", "wrong"),
    [
        (GITHUB, "runs-on: ubuntu-24.04", "runs_on: ubuntu-24.04"),
        (GITHUB, "timeout-minutes: 90", "timeout-minutes: [90]"),
        (GITLAB, "when: always", "when: sometimes"),
        (GITLAB, "junit: junit.xml", "junit: 7"),
    ],
)
def test_the_schema_finds_what_a_service_would_refuse(
    path: Path, right: str, wrong: str, tmp_path: Path
) -> None:
    text = path.read_text(encoding="utf-8")
    assert right in text
    damaged = tmp_path / path.name
    damaged.write_text(text.replace(right, wrong), encoding="utf-8")
    assert check(damaged, SCHEMAS[path]).returncode == 1


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_every_harness_command_of_a_workflow_is_accepted_by_the_parser(path: Path) -> None:
    values = {"$HARNESS_PROFILE": "idempotent", "$HARNESS_RATE": "500", "$HARNESS_REPEAT": "5"}
    found = 0
    for script in scripts(path):
        for line in script.replace("\\\n", " ").splitlines():
            command = re.search(r"\bharness (?!--version)[a-z].*", line)
            if command is None or line.lstrip().startswith(("#", "echo", "*)", "0)", "3)")):
                continue
            words = shlex.split(re.split(r" \|\| |; fi", command[0])[0])
            words = [values.get(word, word) for word in words if word != "$HARNESS_OPTIONS"]
            build_parser().parse_args(words[1:])
            found += 1
    assert found >= 4


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_the_scripts_of_a_workflow_are_shell(path: Path) -> None:
    for script in scripts(path):
        ended = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr


def test_no_expression_is_pasted_into_a_script() -> None:
    # An expression in `run:` is text of somebody else in a shell: all of them go through `env:`.
    assert not [script for script in scripts(GITHUB) if "${{" in script]
