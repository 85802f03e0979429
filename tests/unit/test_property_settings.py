"""The examples of property tests: the same each time, unless others are asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

CONFTEST = """
import os
from tests.support.examples import REPEATABLE, choose_examples

choose_examples(os.environ.get("HYPOTHESIS_PROFILE") or REPEATABLE)
"""
PROPERTY = """
from hypothesis import given, settings, strategies as st

{before}

@settings(max_examples=40)
@given(st.integers(), st.text(), st.sampled_from(range(1000)))
def test_it(number, text, choice):
    print("tried", number, ascii(text), choice)
"""


def tried(folder: Path, *, profile: str | None, before: str = "") -> list[str]:
    """The examples of one property test in a process of its own."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(PROPERTY.format(before=before))
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    environment.pop("HYPOTHESIS_PROFILE", None)
    if profile is not None:
        environment["HYPOTHESIS_PROFILE"] = profile
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider", "-p", "no:locust", "."],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    lines = [line for line in ended.stdout.splitlines() if "tried" in line]
    assert len(lines) == 40
    return lines


def test_a_property_test_tries_the_same_examples_whatever_was_imported_before(
    tmp_path: Path,
) -> None:
    (tmp_path / "imported.py").write_text(f"NUMBERS = {list(range(990))}\n")
    alone = tried(tmp_path, profile=None)
    assert tried(tmp_path, profile="repeatable", before="import imported") == alone


def test_the_random_profile_tries_other_examples_each_time(tmp_path: Path) -> None:
    assert tried(tmp_path, profile="random") != tried(tmp_path, profile="random")


def test_an_unknown_profile_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"HYPOTHESIS_PROFILE=fast: .* repeatable or random"):
        tried(tmp_path, profile="fast")


def test_this_session_runs_the_profile_that_was_asked_for() -> None:
    asked = os.environ.get("HYPOTHESIS_PROFILE") or "repeatable"
    assert settings.get_current_profile_name() == asked
    inherited = settings(max_examples=7)
    assert inherited.derandomize is (asked == "repeatable")
    assert inherited.database is None or not inherited.derandomize
