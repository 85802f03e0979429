"""The pytest plugin as a stranger has it: from the wheel, in an environment apart, under xdist.

The environment reaches the packages that this one has by a line in a .pth file, so that nothing is
downloaded. What is tested is the harness of the wheel, not that of the source tree.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.wheel import ROOT, checked, environment_with_wheel

BLOCK = re.compile(r"^```python\n# (?P<name>\w+\.py)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The python of an environment that has the wheel."""
    return environment_with_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that docs/pytest.md shows, in a project that is not this one."""
    folder = tmp_path_factory.mktemp("project")
    page = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")
    for block in BLOCK.finditer(page):
        (folder / block["name"]).write_text(block["text"])
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p no:locust\n")
    return folder


def run_tests(python: Path, project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    return subprocess.run(
        [str(python), "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=project,
        env={**variables, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=420,
    )


def test_the_documented_tests_run_from_the_wheel_under_xdist(
    environment: Path, project: Path, tmp_path: Path
) -> None:
    place = checked(environment, "-c", "import harness; print(harness.__file__)", cwd=project)
    assert not Path(place.strip()).is_relative_to(ROOT)
    kept = tmp_path / "runs"
    ran = run_tests(
        environment,
        project,
        *("-n", "2", "-v", "--kafka-runs", str(kept), "test_orders.py", "test_hasty_orders.py"),
    )
    told = ran.stdout
    assert "plugins: " in told, told
    assert "1 failed, 1 passed" in told, told
    assert re.search(r"\[gw[01]\].* PASSED test_orders.py::test_a_confirmed_order", told), told
    assert ran.returncode == 1
    lines = [line.removeprefix("E").strip() for line in told.splitlines() if line.startswith("E ")]
    assert re.search(r"PromiseNotKept: hasty-orders: no_lost is broken: .*\d+", lines[0]), told
    assert any(
        re.match(r"witness   lost: record \d+ of producer \d+ on harness-", x) for x in lines
    )
    assert any(x.startswith("fault     stop_followers_then_kill_leader on ") for x in lines)
    report = next(x.removeprefix("report").strip() for x in lines if x.startswith("report "))
    assert Path(report).is_file()
    assert Path(report).is_relative_to(kept)
    assert len(list(kept.glob("*/run-1/verdict.json"))) == 2


def test_a_profile_of_the_harness_is_asserted_by_marker_and_fixture(
    environment: Path, project: Path
) -> None:
    ran = run_tests(environment, project, "test_profiles.py")
    assert "1 passed" in ran.stdout, ran.stdout
