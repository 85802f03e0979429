"""The pytest plugin as a stranger has it: from the wheel, in an environment apart, under xdist.

The environment reaches the packages that this one has by a line in a .pth file, so that nothing is
downloaded. What is tested is the harness of the wheel, not that of the source tree.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.support.wheel import ROOT, checked, environment_with_wheel

BLOCK = re.compile(r"^```python\n# (?P<name>\w+\.py)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

ERROR = "E       "
"""What pytest puts in front of each line of an exception."""
TOO_SLOW = "the load generator itself fell behind its schedule"

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


def failures(report: Path) -> dict[str, str]:
    """test → what its failure says, empty where it passed; from pytest's JUnit file."""
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        failed = case.find("failure")
        assert case.find("error") is None, ElementTree.tostring(case)
        shown = "" if failed is None else failed.text or ""
        lines = [line.removeprefix(ERROR) for line in shown.splitlines() if line.startswith(ERROR)]
        found[case.attrib["name"]] = "\n".join(lines)
    return found


def passed_or_too_slow(text: str) -> None:
    """A machine on which even this load lags behind makes no statement, and says why."""
    if TOO_SLOW in text:
        assert " is inconclusive: " in text
        pytest.skip(text.splitlines()[0])
    assert text == ""


def test_the_documented_tests_run_from_the_wheel_under_xdist(
    environment: Path, project: Path, tmp_path: Path
) -> None:
    place = checked(environment, "-c", "import harness; print(harness.__file__)", cwd=project)
    assert not Path(place.strip()).is_relative_to(ROOT)
    kept, junit = tmp_path / "runs", tmp_path / "junit.xml"
    ran = run_tests(
        environment,
        project,
        *("-n", "2", "-v", "--kafka-runs", str(kept), f"--junitxml={junit}"),
        *("test_orders.py", "test_hasty_orders.py"),
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "created: 2/2 workers" in ran.stdout
    found = failures(junit)
    assert len(found) == 2
    first, *more = found["test_a_hasty_order_survives_a_dead_leader"].splitlines()
    assert re.search(r"PromiseNotKept: hasty-orders: no_lost is broken: \d+ acknowledged", first)
    assert re.match(r"  witness   lost: record \d+ of producer \d+ on harness-", more[0])
    assert any(re.search(r"^ +\d\d:\d\d:\d\d\.\d{3}  SIGKILL to broker", line) for line in more)
    faults = [line for line in more if line.startswith("  fault     ")]
    assert len(faults) == 2
    assert all("stop_followers_then_kill_leader on broker" in line for line in faults)
    report = next(line.removeprefix("  report    ") for line in more if "  report  " in line)
    assert Path(report).is_file()
    assert Path(report).is_relative_to(kept)
    assert len(list(kept.glob("*/run-1/verdict.json"))) == 2
    passed_or_too_slow(found["test_a_confirmed_order_survives_a_dead_leader"])


def test_a_profile_of_the_harness_is_asserted_by_marker_and_fixture(
    environment: Path, project: Path, tmp_path: Path
) -> None:
    junit = tmp_path / "junit.xml"
    ran = run_tests(environment, project, f"--junitxml={junit}", "test_profiles.py")
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    (text,) = failures(junit).values()
    passed_or_too_slow(text)
