"""Removes what clusters left behind whose owner ended without doing so, by SIGKILL for example.

`python -m tests.kubernetes.lab.leftovers FOLDER` waits until its parent ends, and then removes that
instance. Without it, the next cluster that starts does.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import EnvironmentFailure
from harness.system.lifeline import watch
from tests.kubernetes.lab import fixed_places
from tests.kubernetes.lab.cgroups import Cgroup
from tests.kubernetes.lab.commands import run
from tests.kubernetes.lab.instance import Instance, abandoned
from tests.kubernetes.lab.network import Network

REPOSITORY: Final = Path(__file__).resolve().parents[3]

_STATES: Final = Path("/run/delivery-harness")
_KUBELETS: Final = Path("/var/lib/delivery-harness")
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_RETRY_S: Final = 0.2
_UNMOUNT_TIMEOUT_S: Final = 10.0
_GIVE_UP_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Remains:
    """What a node has outside its instance's folder, and what is mounted inside it."""

    folder: Path
    network: Network
    cgroup: Cgroup
    state: Path
    """containerd's socket, and the namespaces and root file systems of pods."""
    kubelet: Path
    """The kubelet's own folder, with the volumes of pods. Sockets are made in it, so its path is
    short, as the cache folder's may not be."""

    def clear(self) -> None:
        """End every process and remove everything but the instance's folder; safe to repeat."""
        self.cgroup.kill()
        self._unmount()
        self.network.remove()
        self.cgroup.remove()
        fixed_places.clear(self.folder, self.state, self.network.path.name)
        for folder in (self.state, self.kubelet):
            if folder.exists():
                shutil.rmtree(folder)
            with contextlib.suppress(OSError):  # there are other nodes
                folder.parent.rmdir()

    def _unmount(self) -> None:
        """Innermost first. What a process held that has just ended may be busy for a moment."""
        deadline = time.monotonic() + _UNMOUNT_TIMEOUT_S
        while points := sorted(_mounted_below(self.folder, self.state, self.kubelet), reverse=True):
            try:
                for point in points:
                    run("umount", point)
            except EnvironmentFailure:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_RETRY_S)


def remains_of(instance: Instance) -> Remains:
    """Where an instance has what is not in its folder: everything bears its unique name."""
    name = f"delivery-{instance.name}"
    return Remains(
        instance.folder,
        Network.named(name),
        Cgroup(name),
        _STATES / instance.name,
        _KUBELETS / instance.name,
    )


def sweep() -> None:
    """Remove every instance that nobody owns any more.

    Programs of a control plane alone have ended with their owner (see lab/sources/lifeline).
    """
    with abandoned() as instances:
        for instance in instances:
            remains_of(instance).clear()
            instance.remove()


def _mounted_below(*folders: Path) -> list[str]:
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), line.split()[4])
        if any(Path(point).is_relative_to(folder) for folder in folders):
            points.append(point)
    return points


def main() -> int:
    """Wait for the parent's end, then sweep until its instance is gone."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder = Path(sys.argv[1])
    ended = threading.Event()
    watch(ended.set)
    ended.wait()
    # The kernel may free the owner's lock a moment after it closed the pipe.
    deadline = time.monotonic() + _GIVE_UP_S
    while folder.exists() and time.monotonic() < deadline:
        sweep()
        time.sleep(_RETRY_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
