"""Partial run directories on a worker's disk: in use, or left by a process that died.

A process that is killed leaves its ledger as it was at that instant, since it is mapped from a
file. The next worker process on that disk offers it to the master.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from pathlib import Path
from typing import Final

from harness.load.messages import Leftover

_NAME: Final = re.compile(r"(?P<run_id>[a-z0-9][a-z0-9-]*)-(?P<first>[0-9]+)-(?P<last>[0-9]+)")


class LockedFolder:
    """A partial directory that this process uses. The lock goes when the process does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

    @classmethod
    def make(cls, path: Path) -> LockedFolder:
        """Of a directory that is not there yet."""
        path.parent.mkdir(parents=True, exist_ok=True)
        return cls(path)

    def lock(self) -> bool:
        """Take it; false when another process has it, or it is no partial directory."""
        try:
            descriptor = os.open(self.path / "run.json", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Let go of it. Safe to call again."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1


def left_over(work: Path) -> list[Leftover]:
    """The partial directories below `work` that no process uses."""
    found = []
    for path in sorted(work.glob("*")) if work.is_dir() else []:
        named = _NAME.fullmatch(path.name)
        folder = LockedFolder(path)
        if named is not None and folder.lock():
            folder.release()
            found.append(Leftover(named["run_id"], int(named["first"]), int(named["last"])))
    return found
