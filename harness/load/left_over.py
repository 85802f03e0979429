"""Partial run directories on a worker's disk, in use or left by a process that died; their folder.

A process that is killed leaves its ledger as it was at that instant, since it is mapped from a
file. The next worker process on that disk offers it to the master.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from pathlib import Path
from typing import Final

from harness.load.messages import Leftover

TEMPORARY: Final = "harness-worker-"
_NAME: Final = re.compile(r"(?P<run_id>[a-z0-9][a-z0-9-]*)-(?P<first>[0-9]+)-(?P<last>[0-9]+)")


class WorkFolder:
    """Where partial directories are made: a given folder, or a temporary one of this process.

    The temporary one is made with the first partial directory, since a worker that writes into the
    run directory itself needs none, and would leave it behind when it is killed.
    """

    def __init__(self, given: Path | None = None) -> None:
        self.path = given
        """None while there is none."""

    def made(self) -> Path:
        """The folder, which is there from now on."""
        if self.path is None:
            self.path = Path(tempfile.mkdtemp(prefix=TEMPORARY))
        self.path.mkdir(parents=True, exist_ok=True)
        return self.path

    def remove(self, log: Path | None = None) -> bool:
        """Remove it when it holds nothing but `log`; whether it is gone."""
        if self.path is None:
            return True
        if any(each != log for each in self.path.glob("*")):
            return False
        with contextlib.suppress(OSError):
            if log is not None:
                log.unlink(missing_ok=True)
            self.path.rmdir()
        return not self.path.exists()


class LockedFolder:
    """A partial directory that this process uses. The lock goes when the process does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = -1

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


def left_over(work: WorkFolder) -> list[Leftover]:
    """The partial directories in `work` that no process uses."""
    found = []
    for path in sorted(work.path.glob("*")) if work.path is not None else []:
        named = _NAME.fullmatch(path.name)
        folder = LockedFolder(path)
        if named is not None and folder.lock():
            folder.release()
            found.append(Leftover(named["run_id"], int(named["first"]), int(named["last"])))
    return found
