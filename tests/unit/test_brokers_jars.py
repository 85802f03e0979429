"""The jar cache: what is trusted and what is not."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from harness.brokers.local.cache import cache_folder, locked, write_atomically
from harness.brokers.local.jars import cached_jars, drop_damaged, verify_jars
from harness.errors import EnvironmentFailure


@pytest.fixture
def kafka(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a complete version 9.9.9 with one broker jar and the tools."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache_folder() / "kafka" / "9.9.9"
    (folder / "lib").mkdir(parents=True)
    entries = []
    for name, role in (("kafka.jar", "broker"), ("kafka-tools.jar", "tools")):
        path = make_jar(folder / "lib" / name)
        content = path.read_bytes()
        entries.append(
            {
                "name": name,
                "role": role,
                "size_bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        )
    (folder / "jars.json").write_text(json.dumps({"version": "9.9.9", "jars": entries}))
    return folder


def make_jar(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as jar:
        jar.writestr("A.class", b"\xca\xfe\xba\xbe" * 500)
    return path


def test_a_complete_version_is_used_without_a_network(kafka: Path) -> None:
    jars = cached_jars("9.9.9")
    assert jars is not None
    assert jars.class_path == str(kafka / "lib" / "kafka.jar")
    assert jars.tools_class_path.split(":")[0] == str(kafka / "lib" / "kafka-tools.jar")
    assert verify_jars(jars) == []


def test_a_jar_cut_short_makes_a_version_incomplete(kafka: Path) -> None:
    jar = kafka / "lib" / "kafka.jar"
    jar.write_bytes(jar.read_bytes()[:-1])
    assert cached_jars("9.9.9") is None


@pytest.mark.parametrize("missing", ["jars.json", "lib/kafka.jar"])
def test_a_file_that_is_gone_makes_a_version_incomplete(kafka: Path, missing: str) -> None:
    (kafka / missing).unlink()
    assert cached_jars("9.9.9") is None


def test_a_changed_byte_is_found_by_reading_all(kafka: Path) -> None:
    jar = kafka / "lib" / "kafka.jar"
    content = bytearray(jar.read_bytes())
    content[60] ^= 1
    jar.write_bytes(content)
    jars = cached_jars("9.9.9")
    assert jars is not None
    assert verify_jars(jars) == ["kafka.jar"]


def test_a_version_without_tools_says_which_version_has_them(kafka: Path) -> None:
    listing = json.loads((kafka / "jars.json").read_text())
    listing["jars"] = listing["jars"][:1]
    (kafka / "jars.json").write_text(json.dumps(listing))
    jars = cached_jars("9.9.9")
    assert jars is not None
    with pytest.raises(EnvironmentFailure, match=r"use --kafka-version 4\.3\.1"):
        _ = jars.tools_class_path


def test_what_an_interrupted_download_left_half_written_is_dropped(tmp_path: Path) -> None:
    whole = make_jar(tmp_path / "whole.jar")
    cut = tmp_path / "cut.jar"
    cut.write_bytes(whole.read_bytes()[:-30])
    (tmp_path / "empty.jar").touch()
    (tmp_path / "good.pom").write_text("<project><version>1</version></project>")
    (tmp_path / "cut.pom").write_text("<project><version>1</ver")
    drop_damaged(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.pom", "whole.jar"]


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "state.json"
    target.write_bytes(b"old")
    with pytest.raises(TypeError):
        write_atomically(target, object())  # type: ignore[arg-type]
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
    write_atomically(target, b"new", mode=0o600)
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o600


def test_a_lock_held_by_another_is_awaited_for_a_bounded_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        locked(path, timeout_s=1, waiting_for="a test"),
        pytest.raises(EnvironmentFailure, match="another process has held this lock"),
        locked(path, timeout_s=0.1, waiting_for="a test"),
    ):
        pass
    with locked(path, timeout_s=0.1, waiting_for="a test"):
        pass


def test_a_cache_folder_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(EnvironmentFailure, match="Set XDG_CACHE_HOME"):
        cache_folder()
