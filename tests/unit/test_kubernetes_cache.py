"""What the tests of Kubernetes build is built once, in full or not at all, and does not pile up."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from harness.brokers.local.cache import Progress
from tests.kubernetes.lab.cache import built, built_folder


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def make(folder: Path, progress: Progress) -> None:
    progress("made")
    (folder / "program").write_text("x")


def test_the_same_sources_are_built_once() -> None:
    said: list[str] = []
    first = built("tool", "1", b"sources", make, progress=said.append)
    assert built("tool", "1", b"sources", make, progress=said.append) == first
    assert said == ["made"]
    assert (first / "program").read_text() == "x"


def test_other_sources_are_built_anew(tmp_path: Path) -> None:
    source = tmp_path / "main.go"
    source.write_text("one")
    first = built("tool", "1", [source], make)
    source.write_text("two")
    assert built("tool", "1", [source], make) != first


def test_a_file_of_another_name_is_another_source(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text("same")
    assert built_folder("tool", "1", [tmp_path / "one"]) != built_folder(
        "tool", "1", [tmp_path / "two"]
    )


def test_a_build_that_fails_leaves_nothing_that_counts() -> None:
    def fail(folder: Path, _: Progress) -> None:
        (folder / "half").write_text("x")
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        built("tool", "1", b"sources", fail)
    assert not built_folder("tool", "1", b"sources").exists()
    assert sorted(p.name for p in built("tool", "1", b"sources", make).iterdir()) == ["program"]


def test_what_was_built_from_older_sources_goes_once_nobody_uses_it() -> None:
    long_ago = time.time() - 7200
    old = [built("tool", "1", f"sources {n}".encode(), make) for n in range(5)]
    for n, folder in enumerate(old[:4]):
        os.utime(folder, (long_ago + n, long_ago + n))
    other_version = built("tool", "2", b"sources", make)
    os.utime(other_version, (long_ago, long_ago))
    newest = built("tool", "1", b"newest", make)
    # The last two stay, whenever they were used.
    assert [folder.exists() for folder in old] == [False, False, False, True, True]
    assert newest.exists()
    assert other_version.exists()
