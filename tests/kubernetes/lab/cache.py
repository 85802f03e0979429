"""What is built for the tests of Kubernetes, kept in the user's cache folder.

<cache>/kubernetes/<name>-<version>-<hash of its sources>/   one thing built, complete
<cache>/kubernetes/instances/<name>/                         a cluster that runs, or its remains
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from harness.brokers.local.cache import Progress, cache_folder, locked, make_folder

BUILD_TIMEOUT_S: Final = 3600.0
"""How long to wait for another process that builds the same: a cold build takes 12 CPU minutes."""

_DIGEST_LENGTH: Final = 12


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
    that want the same wait for each other.
    """
    folder = built_folder(name, version, sources)
    if folder.is_dir():
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
    return folder


def built_folder(name: str, version: str, sources: bytes | Iterable[Path]) -> Path:
    """Where `built` keeps it, whether it is there or not."""
    return lab_folder() / f"{name}-{version}-{_digest(sources)}"


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
