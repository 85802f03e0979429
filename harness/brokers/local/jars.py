"""Kafka's jars: fetched once from Maven Central through jgo, offline afterwards.

A version is either there in full or not at all: jars are resolved into a partial folder, every
one is read through (a truncated or damaged jar fails), and the folder is then renamed. Two
processes that start at once wait for each other. A download that was cut short is continued:
what it left is checked before it is trusted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from harness.brokers.local.cache import Progress, cache_folder, locked, make_folder, write_json
from harness.errors import EnvironmentFailure, UsageError

KAFKA_VERSION: Final = "4.3.1"
"""The one place where the version is pinned: the newest whose tools are served, and what Strimzi
runs by default."""

KAFKA_VERSION_MIN: Final = (4, 0, 0)
"""Older brokers lack transaction.version 2 or eligible leader replicas."""

_BROKER: Final = "org.apache.kafka:kafka_2.13"
_TOOLS: Final = ("org.apache.kafka", "kafka-tools")
_LOG4J: Final = "org.apache.logging.log4j"
_LOG4J_DEFAULT: Final = "2.24.3"
"""For releases whose published dependencies leave it out (4.0): their brokers would log nothing."""
_LISTING: Final = "jars.json"
_FETCH_TIMEOUT_S: Final = 900.0
_HTTP_TIMEOUT_S: Final = 30
_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True)
class KafkaJars:
    """The jars of one Kafka version, all present and of the size they had when verified."""

    version: str
    folder: Path
    broker: tuple[Path, ...]
    tools: Path | None
    """The jar of kafka-tools; None where none is served at this version (4.4.0)."""

    @property
    def class_path(self) -> str:
        """What a broker runs from."""
        return os.pathsep.join(map(str, self.broker))

    @property
    def tools_class_path(self) -> str:
        """What Kafka's own performance tools run from. Raises EnvironmentFailure without them."""
        if self.tools is None:
            raise EnvironmentFailure(
                f"Kafka {self.version} has no kafka-tools on Maven Central, so its performance "
                f"tools cannot be run; use --kafka-version {KAFKA_VERSION}."
            )
        return os.pathsep.join([str(self.tools), self.class_path])


def check_version(version: str) -> tuple[int, int, int]:
    """`4.3.1` → (4, 3, 1). Raises UsageError for what is no version this harness can run."""
    match = _VERSION.fullmatch(version)
    if match is None:
        raise UsageError(
            f"--kafka-version {version}: accepted is MAJOR.MINOR.PATCH such as {KAFKA_VERSION}."
        )
    parsed = (int(match[1]), int(match[2]), int(match[3]))
    if parsed < KAFKA_VERSION_MIN:
        oldest = ".".join(map(str, KAFKA_VERSION_MIN))
        raise UsageError(
            f"--kafka-version {version}: accepted is {oldest} or newer, since older brokers lack "
            "KRaft's eligible leader replicas and transaction version 2."
        )
    return parsed


def kafka_folder(version: str) -> Path:
    """Where everything belonging to one Kafka version is kept; links are followed, since a class
    archive is tied to the jars' paths."""
    return (cache_folder() / "kafka").resolve() / version


def cached_jars(version: str = KAFKA_VERSION) -> KafkaJars | None:
    """The jars when they are all there, without touching the network; None otherwise."""
    folder = kafka_folder(version)
    try:
        listing = json.loads((folder / _LISTING).read_bytes())
        for entry in listing["jars"]:
            if (folder / "lib" / entry["name"]).stat().st_size != entry["size_bytes"]:
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return _from_listing(folder, listing)


def verify_jars(jars: KafkaJars) -> list[str]:
    """Names of jars whose content is not what was downloaded (reads all of them)."""
    listing = json.loads((jars.folder / _LISTING).read_bytes())
    return [
        entry["name"]
        for entry in listing["jars"]
        if _sha256(jars.folder / "lib" / entry["name"]) != entry["sha256"]
    ]


def fetch_jars(version: str = KAFKA_VERSION, *, progress: Progress | None = None) -> KafkaJars:
    """The jars of `version`, downloaded when they are not in the cache yet.

    Raises UsageError for a version that cannot be, EnvironmentFailure when the download fails.
    """
    check_version(version)
    have = cached_jars(version)
    if have is not None:
        return have
    folder = kafka_folder(version)
    with locked(
        folder.with_name(f".{version}.lock"),
        timeout_s=_FETCH_TIMEOUT_S,
        waiting_for=f"it downloads Kafka {version}",
    ):
        have = cached_jars(version)
        if have is None:
            _download(version, folder, progress or (lambda _: None))
            have = cached_jars(version)
    assert have is not None, f"{folder}: complete a moment ago, and now it is not"
    return have


def _from_listing(folder: Path, listing: dict[str, Any]) -> KafkaJars:
    paths: dict[str, list[Path]] = {"broker": [], "tools": []}
    for entry in listing["jars"]:
        paths[entry["role"]].append(folder / "lib" / entry["name"])
    tools = paths["tools"][0] if paths["tools"] else None
    return KafkaJars(listing["version"], folder, tuple(paths["broker"]), tools)


# -- downloading -------------------------------------------------------------------------------


def _download(version: str, folder: Path, progress: Progress) -> None:
    partial = folder.with_name(f".{version}.partial")
    make_folder(partial)
    repository = partial / "m2"
    drop_damaged(repository)
    progress(f"Kafka {version}: asking Maven Central which jars it needs (once per version)")
    try:
        found = _resolve(version, repository, progress)
    except EnvironmentFailure:
        raise
    except Exception as error:
        if _not_served(error):
            shutil.rmtree(partial, ignore_errors=True)
            raise UsageError(
                f"--kafka-version {version}: Maven Central has no such version ({error}). The "
                f"harness's own is {KAFKA_VERSION}."
            ) from error
        raise EnvironmentFailure(
            f"Kafka {version} is not in {folder.parent} yet and could not be downloaded from Maven "
            f"Central: {type(error).__name__}: {error}. Check the network (a proxy is taken from "
            "HTTPS_PROXY) and that this version exists; after one download no network is needed."
        ) from error
    library = partial / "lib"
    shutil.rmtree(library, ignore_errors=True)
    library.mkdir()
    entries = []
    for role, path in found:
        target = library / path.name
        if target.exists():
            raise EnvironmentFailure(f"Kafka {version} needs two jars of one name, {path.name}.")
        os.link(path, target)
        entries.append(
            {
                "name": path.name,
                "role": role,
                "size_bytes": target.stat().st_size,
                "sha256": _sha256(target),
            }
        )
    write_json(partial / _LISTING, {"version": version, "jars": entries})
    shutil.rmtree(repository)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    size_mb = sum(int(str(entry["size_bytes"])) for entry in entries) / 1e6
    progress(f"Kafka {version}: {len(entries)} jars, {size_mb:.0f} MB, kept in {folder}")


def _resolve(version: str, repository: Path, progress: Progress) -> list[tuple[str, Path]]:
    from jgo.maven import MavenContext

    logging.getLogger("jgo").setLevel(logging.ERROR)
    context = MavenContext(repo_cache=repository, timeout=_HTTP_TIMEOUT_S)
    named, transitive = context.resolver.resolve(
        [context.create_dependency(f"{_BROKER}:{version}")]
    )
    runtime = [d for d in named + transitive if d.scope in (None, "compile", "runtime")]
    artifacts = [("broker", d.artifact) for d in runtime]
    log4j = next((d.version for d in runtime if d.artifactId == "log4j-core"), None)
    missing = ["log4j-slf4j-impl"] if log4j else ["log4j-slf4j-impl", "log4j-api", "log4j-core"]
    for name in missing:
        artifacts.append(("broker", _artifact(context, _LOG4J, name, log4j or _LOG4J_DEFAULT)))
    found: list[tuple[str, Path]] = []
    for number, (role, artifact) in enumerate(artifacts, 1):
        progress(f"Kafka {version}: {number} of {len(artifacts)} jars, {artifact.filename}")
        found.append((role, _fetch(artifact)))
    # Its other dependencies are Kafka Connect's; the performance tools need none of them.
    try:
        found.append(("tools", _fetch(_artifact(context, *_TOOLS, version))))
    except RuntimeError as error:
        if not _not_served(error):
            raise
        progress(f"Kafka {version}: Maven Central has no kafka-tools of this version; left out")
    return found


def _artifact(context: Any, group: str, name: str, version: str) -> Any:
    return context.project(group, name).at_version(version).artifact()


def _fetch(artifact: Any) -> Path:
    path = Path(artifact.resolve())
    problem = _damage(path)
    if problem:
        path.unlink()
        raise EnvironmentFailure(
            f"{artifact.filename} arrived damaged from Maven Central ({problem}). Start again."
        )
    return path


def _not_served(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and "not found in remote" in str(error)


def drop_damaged(repository: Path) -> None:
    """Remove what an interrupted download left half written."""
    for path in repository.rglob("*"):
        if path.is_file() and _damage(path):
            path.unlink()


def _damage(path: Path) -> str:
    """Why a downloaded file cannot be trusted; empty when it reads well."""
    try:
        if path.suffix == ".jar":
            # The directory of a jar is at its end, and every entry has a checksum.
            with zipfile.ZipFile(path) as jar:
                bad = jar.testzip()
                return f"{bad} fails its checksum" if bad else ""
        if path.suffix in (".pom", ".xml"):
            ElementTree.parse(path)
    except (zipfile.BadZipFile, ElementTree.ParseError, EOFError, OSError) as error:
        return str(error)
    return ""


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
