"""One control group that holds every process of a node: what is in it can be ended without a name.

On cgroup v1 each controller has a hierarchy, and a pod's processes are in all of them; the programs
on the host are in one. On v2 there is a single hierarchy.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import ClusterError

_ROOT: Final = Path("/sys/fs/cgroup")
_HOST: Final = "host"
"""The group's part for programs on the host; pods have theirs from the kubelet."""
_V1_TRACKING: Final = "pids"
_END_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A control group at the top of every hierarchy, by its name."""

    name: str

    def make(self) -> None:
        """Make it in every hierarchy, with all processors, memory and controllers of its parent."""
        for hierarchy in _hierarchies():
            group = hierarchy / self.name
            if _unified():
                _delegate(hierarchy)
            group.mkdir(exist_ok=True)
            for setting in ("cpuset.cpus", "cpuset.mems"):
                if not _unified() and (group / setting).exists():
                    (group / setting).write_text((hierarchy / setting).read_text())
            if _unified():
                _delegate(group)
        (_tracking() / self.name / _HOST).mkdir(exist_ok=True)

    def add(self, pid: int) -> None:
        """Take in a program of the host; what it starts belongs to the group as well."""
        (_tracking() / self.name / _HOST / "cgroup.procs").write_text(str(pid))

    def kill(self) -> None:
        """SIGKILL every process in the group, and wait until none is left.

        Raises ClusterError when one does not end.
        """
        deadline = time.monotonic() + _END_TIMEOUT_S
        while pids := set(self._pids()):
            if time.monotonic() > deadline:
                listed = ", ".join(map(str, sorted(pids)))
                raise ClusterError(f"{self.name}: processes that SIGKILL does not end: {listed}")
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_POLL_S)

    def remove(self) -> None:
        """Remove the group, which must be empty, from every hierarchy."""
        for group in self._groups():
            folders = [Path(path) for path, _, _ in os.walk(group, topdown=False)]
            for folder in folders:
                folder.rmdir()

    def _groups(self) -> Iterator[Path]:
        for hierarchy in _hierarchies():
            if (hierarchy / self.name).is_dir():
                yield hierarchy / self.name

    def _pids(self) -> Iterator[int]:
        for group in self._groups():
            for path in group.rglob("cgroup.procs"):
                with contextlib.suppress(OSError):  # removed meanwhile
                    yield from map(int, path.read_text().split())


def missing_cgroups() -> str:
    """Why no control group can be made; empty when one can."""
    if not _hierarchies():
        return f"no control groups under {_ROOT}"
    unwritable = [str(each) for each in _hierarchies() if not os.access(each, os.W_OK)]
    return f"{unwritable[0]} cannot be written" if unwritable else ""


def _unified() -> bool:
    return (_ROOT / "cgroup.controllers").exists()


def _hierarchies() -> list[Path]:
    if _unified():
        return [_ROOT]
    if not _ROOT.is_dir():
        return []
    return [
        path
        for path in sorted(_ROOT.iterdir())
        if not path.is_symlink() and (path / "cgroup.procs").exists()
    ]


def _tracking() -> Path:
    return _ROOT if _unified() else _ROOT / _V1_TRACKING


def _delegate(group: Path) -> None:
    """cgroup v2: let the groups below have every controller that this one has."""
    for controller in (group / "cgroup.controllers").read_text().split():
        (group / "cgroup.subtree_control").write_text(f"+{controller}")
