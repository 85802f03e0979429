"""Who is at work on a local cluster now: runs that are recorded, experiments that are under way.

    <place>/runs/<run_id>.json             {"run_dir": …}
    <place>/experiments/<experiment>.json  {"title": …}
    <place>/experiments/turn               {"title": …, "pid": …} of the one whose turn it is

Each file is locked by the process that it is about, for as long as that process lives: the kernel
frees the lock however the process ends. A file without a lock is a leftover, and is removed.
Folders are made when they are needed, and whoever ends last takes the empty ones away.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Self, TypeVar

from harness.brokers.local.cache import try_lock

RUNS: Final = "runs"
EXPERIMENTS: Final = "experiments"
_SUFFIX: Final = ".json"
Made = TypeVar("Made")


class Presence:
    """One process's entry; it is there from the constructor to `end`, or to the process's end."""

    def __init__(self, cluster: Path, kind: str, name: str, document: Mapping[str, Any]) -> None:
        folder = cluster / kind
        self._path = folder / f"{name}{_SUFFIX}"
        # Locked before it has its name, so that no process ever sees it without its lock.
        self._descriptor, partial = _made_in(
            folder, lambda: tempfile.mkstemp(dir=folder, prefix=".")
        )
        os.write(self._descriptor, json.dumps(document).encode())
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        Path(partial).replace(self._path)

    def end(self) -> None:
        """Take the entry away. Safe to call again."""
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1
        _remove_empty(self._path.parents[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Turn:
    """What one experiment at a time has on a cluster: the right to strike it and to heal it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    @classmethod
    def take(cls, cluster: Path, title: str) -> Turn | dict[str, Any]:
        """The turn; or who has it. It ends with `end`, or with the process."""
        path = cluster / EXPERIMENTS / "turn"
        while True:
            descriptor = _made_in(
                path.parent, lambda: os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            )
            if not try_lock(descriptor):
                try:
                    document = json.loads(os.read(descriptor, 1 << 16))
                except ValueError:
                    document = None  # it has just been taken, and says no name yet
                os.close(descriptor)
                return document if isinstance(document, dict) else {}
            if _is_at(path, descriptor):
                break
            os.close(descriptor)  # its owner removed it between our open and our lock
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"title": title, "pid": os.getpid()}).encode(), 0)
        return cls(path, descriptor)

    def end(self) -> None:
        """Give it back. Safe to call again."""
        if self._descriptor < 0:
            return
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = -1
        _remove_empty(self._path.parents[1])


def present(cluster: Path, kind: str) -> dict[str, dict[str, Any]]:
    """The entries of processes that live, by name."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((cluster / kind).glob(f"*{_SUFFIX}")):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                # Shared, so that two who look at once do not take each other for the owner.
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                with contextlib.suppress(ValueError):
                    document = json.loads(os.read(descriptor, 1 << 20))
                    if isinstance(document, dict):
                        found[path.name.removesuffix(_SUFFIX)] = document
            else:
                path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
    return found


def _made_in(folder: Path, make: Callable[[], Made]) -> Made:
    """What `make` makes in a folder, which is made first.

    Again where the folder went in between: its last user may just have taken it away.
    """
    while True:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return make()
        except FileNotFoundError:
            continue
        except FileExistsError:
            # mkdir says so as well of a folder that went between its two looks.
            if folder.exists() and not folder.is_dir():
                raise


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether an open file is the one that has this name now."""
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _remove_empty(cluster: Path) -> None:
    """Remove the folders of entries, and the one around them, as far as they are empty."""
    for folder in (cluster / RUNS, cluster / EXPERIMENTS, cluster):
        with contextlib.suppress(OSError):
            folder.rmdir()
