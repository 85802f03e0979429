"""What is built for the tests of Kubernetes, kept in the user's cache folder.

<cache>/kubernetes/<name>-<version>-<hash of its sources>/   one thing built, complete
<cache>/kubernetes/instances/<name>/                         a cluster that runs, or its remains
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from harness.brokers.local.cache import Progress, cache_folder, locked, make_folder

BUILD_TIMEOUT_S: Final = 3600.0
"""How long to wait for another process that builds the same: a cold build takes 12 CPU minutes."""

_DIGEST_LENGTH: Final = 12
_OLDER_KEPT: Final = 2
_UNUSED_FOR_S: Final = 3600.0
"""What was used less long ago may belong to tests that run now."""


def lab_folder() -> Path:
    """The cache folder's part for Kubernetes. Raises EnvironmentFailure when it cannot be made."""
    folder = cache_folder().resolve() / "kubernetes"  # mounts are listed by their real path
    make_folder(folder)
    return folder


def built(
    name: str,
    version: str,
    sources: bytes | Iterable[Path],
    make: Callable[[Path, Progress], None],
    *,
    progress: Progress | None = None,
) -> Path:
    """The folder `<name>-<version>-<hash of sources>`, made by `make` when it is not there yet.

    `sources` are bytes, or files and folders whose names and contents count. `make` gets an empty
    folder, which is renamed once it returns: a folder is there in full or not at all. Two processes
    that want the same wait for each other. Once something new is built, older builds of the same
    version are removed, but for the last two and those used within the hour.
    """
    folder = built_folder(name, version, sources)
    with contextlib.suppress(FileNotFoundError):
        os.utime(folder)
        return folder
    with locked(
        folder.with_name(f".{folder.name}.lock"),
        timeout_s=BUILD_TIMEOUT_S,
        waiting_for=f"it builds {name} {version}",
    ):
        if not folder.is_dir():
            partial = folder.with_name(f".{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            make(partial, progress or (lambda _: None))
            partial.rename(folder)
            _remove_older(folder)
    return folder


def built_folder(name: str, version: str, sources: bytes | Iterable[Path]) -> Path:
    """Where `built` keeps it, whether it is there or not."""
    return lab_folder() / f"{name}-{version}-{_digest(sources)}"


def _remove_older(folder: Path) -> None:
    prefix = folder.name[:-_DIGEST_LENGTH]
    others = sorted(
        (
            (path.stat().st_mtime, path)
            for path in folder.parent.glob(f"{prefix}*")
            if path != folder and len(path.name) == len(folder.name)
        ),
        reverse=True,
    )
    for used_at, path in others[_OLDER_KEPT:]:
        if time.time() - used_at > _UNUSED_FOR_S:
            shutil.rmtree(path)
            path.with_name(f".{path.name}.lock").unlink(missing_ok=True)


def _digest(sources: bytes | Iterable[Path]) -> str:
    digest = hashlib.sha256()
    if isinstance(sources, bytes):
        digest.update(sources)
    else:
        for root in sources:
            for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
                if path.is_file():
                    digest.update(f"{path.relative_to(root.parent)}\0".encode())
                    digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:_DIGEST_LENGTH]
