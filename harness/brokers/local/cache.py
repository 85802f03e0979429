"""The user's cache folder: where Kafka's jars and the clusters' directories are kept.

    <cache>/kafka/<version>/lib/*.jar     what a broker of that version runs from
    <cache>/kafka/<version>/…             its listing, its format template, its class archives
    <cache>/clusters/<name>/              one cluster: state, configuration, data, logs

`<cache>` is XDG_CACHE_HOME/delivery-harness where that is set, else
~/Library/Caches/delivery-harness on macOS and ~/.cache/delivery-harness elsewhere. Nothing is
ever written to ~/.m2.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from harness.errors import EnvironmentFailure

_NAME: Final = "delivery-harness"

Progress = Callable[[str], None]
"""Receives one line of text for a person who waits."""


def cache_folder() -> Path:
    """The cache folder, made when it is missing. Raises EnvironmentFailure when it cannot be."""
    configured = os.environ.get("XDG_CACHE_HOME", "")
    if configured and Path(configured).is_absolute():
        base = Path(configured)
    else:
        try:
            home = Path.home()
        except RuntimeError as error:
            raise EnvironmentFailure(
                "No home directory is known for this user, so there is no cache folder. Set "
                "XDG_CACHE_HOME to an absolute path that can be written."
            ) from error
        base = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
    folder = base / _NAME
    make_folder(folder)
    return folder


def make_folder(folder: Path, mode: int = 0o755) -> None:
    """Make `folder` and its parents. Raises EnvironmentFailure, saying what to do."""
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFailure(
            f"{folder}: cannot be made ({error.strerror}). Set XDG_CACHE_HOME to a folder that "
            "can be written."
        ) from error


@contextlib.contextmanager
def locked(path: Path, *, timeout_s: float, waiting_for: str) -> Iterator[None]:
    """Hold an exclusive lock on `path` between processes; the kernel frees it with its holder.

    Raises EnvironmentFailure after `timeout_s`, saying what was awaited.
    """
    make_folder(path.parent)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + timeout_s
        while not try_lock(descriptor):
            if time.monotonic() > deadline:
                raise EnvironmentFailure(
                    f"{path}: another process has held this lock for {timeout_s:.0f} s "
                    f"({waiting_for}). Wait for it, or end it."
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Take an exclusive lock on an open file without waiting; whether it was free."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace `path` in one step: a reader sees the old content or the new one, never a part.

    Not synchronised to disk: a supervisor writes its state between forwarding bytes, and a busy
    disk must not stop it. A machine that loses power loses its brokers too.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_json(path: Path, document: Any, *, mode: int = 0o644) -> None:
    """`write_atomically` for one JSON document."""
    write_atomically(path, json.dumps(document, indent=2).encode() + b"\n", mode=mode)
