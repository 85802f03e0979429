"""The programs that the lab builds from source.

`python -m tests.kubernetes.lab.programs` builds those that the cache lacks.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.brokers.local.cache import Progress
from harness.errors import HarnessError
from tests.kubernetes.lab import go
from tests.kubernetes.lab.cache import built, built_folder

KUBERNETES_VERSION: Final = "1.37.2"
"""Pinned by go.mod as well; the newest at the time, inside the range that Strimzi 1.2.0 accepts."""

COREDNS_VERSION: Final = "1.15.0"

_COMMANDS: Final = ("kubectl",)
"""What is also to be had by a name of its own, for a person's PATH."""


@dataclass(frozen=True, slots=True)
class Program:
    """One Go program under lab/sources."""

    name: str
    version: str
    variables: dict[str, str] = field(default_factory=dict)
    """Set at link time: Go packages' text variables."""
    links: tuple[str, ...] = ()
    """Further names in its folder, for a program that looks at the name it is called by."""

    def path(self, progress: Progress | None = None) -> Path:
        """The program, built when the cache lacks it. Raises EnvironmentFailure when that fails."""
        folder = built(self.name, self.version, self._sources, self._make, progress=progress)
        return folder / self.name

    @property
    def is_built(self) -> bool:
        return built_folder(self.name, self.version, self._sources).is_dir()

    @property
    def _sources(self) -> list[Path]:
        return [go.SOURCES / self.name, go.SOURCES / "lifeline"]

    def _make(self, folder: Path, progress: Progress) -> None:
        progress(f"building {self.name} {self.version} from source (once)")
        began = time.monotonic()
        go.build(go.SOURCES / self.name, folder / self.name, variables=self.variables)
        for link in self.links:
            (folder / link).symlink_to(self.name)
        progress(f"{self.name} {self.version}: built in {time.monotonic() - began:.0f} s")


_BASE: Final = "k8s.io/component-base/version"
HYPERKUBE: Final = Program(
    "hyperkube",
    KUBERNETES_VERSION,
    # Without a version of its own an API server takes itself for 0.0.0 and refuses to start.
    {
        f"{_BASE}.gitVersion": f"v{KUBERNETES_VERSION}",
        f"{_BASE}.gitMajor": KUBERNETES_VERSION.split(".")[0],
        f"{_BASE}.gitMinor": KUBERNETES_VERSION.split(".")[1],
    },
    _COMMANDS,
)
COREDNS: Final = Program("coredns", COREDNS_VERSION)
FORWARD: Final = Program("forward", "1")
PAUSE: Final = Program("pause", "1")
ALL: Final = (PAUSE, FORWARD, COREDNS, HYPERKUBE)


def hyperkube() -> Path:
    """etcd, kubectl, kubelet and kube-{apiserver,controller-manager,scheduler,proxy} in one."""
    return HYPERKUBE.path()


def coredns() -> Path:
    """CoreDNS with the plugins bind, errors, kubernetes and ready."""
    return COREDNS.path()


def forward() -> Path:
    """Joins a listening socket of one network namespace with an address of another."""
    return FORWARD.path()


def pause() -> Path:
    """What holds a pod's namespaces open."""
    return PAUSE.path()


def main() -> int:
    """Build what the cache lacks; 0 also without Go, since the tests then say why they skip."""
    missing = go.missing_go()
    if missing:
        print(f"Kubernetes is not built: {missing}", file=sys.stderr)
        return 0
    try:
        for program in ALL:
            program.path(lambda line: print(line, file=sys.stderr, flush=True))
    except HarnessError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
