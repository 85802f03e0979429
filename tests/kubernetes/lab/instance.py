"""One running cluster's own folder, and the lock that tells whether its owner lives."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.brokers.local.cache import locked, make_folder, try_lock
from tests.kubernetes.lab.cache import lab_folder

_LOCK: Final = "owner.lock"
_CHOICE_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Instance:
    """A folder under <cache>/kubernetes/instances, locked by the process that owns it.

    The kernel frees the lock with its holder, so a folder without one belongs to nobody any more.
    """

    folder: Path
    lock: int

    @property
    def name(self) -> str:
        """Unique among the clusters of this machine: what lies outside the folder bears it."""
        return self.folder.name

    @classmethod
    def create(cls, kind: str) -> Instance:
        """A new folder `<kind>-<random>`, owned by this process."""
        with _choosing():
            folder = instances_folder() / f"{kind}-{secrets.token_hex(3)}"
            folder.mkdir(mode=0o700)
            lock = _take(folder)
        assert lock is not None, f"{folder} was made a moment ago, and somebody owns it"
        return cls(folder, lock)

    def remove(self) -> None:
        """Remove the folder; nobody can own it again."""
        shutil.rmtree(self.folder)

    def close(self) -> None:
        """Give the ownership up; once."""
        os.close(self.lock)


def instances_folder() -> Path:
    """Where the folders of all instances are."""
    folder = lab_folder() / "instances"
    make_folder(folder)
    return folder


@contextlib.contextmanager
def abandoned() -> Iterator[list[Instance]]:
    """The instances whose owner is gone, owned by the caller for the time being."""
    with _choosing():
        found = []
        for folder in sorted(instances_folder().iterdir()):
            lock = _take(folder) if folder.is_dir() else None
            if lock is not None:
                found.append(Instance(folder, lock))
    try:
        yield found
    finally:
        for instance in found:
            instance.close()


def _choosing() -> contextlib.AbstractContextManager[None]:
    """Between making a folder and locking it nobody may look at it."""
    return locked(
        instances_folder().with_name(".instances.lock"),
        timeout_s=_CHOICE_TIMEOUT_S,
        waiting_for="it chooses the name of a cluster",
    )


def _take(folder: Path) -> int | None:
    """The folder's lock; None when its owner lives."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None  # removed meanwhile
    if try_lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None
