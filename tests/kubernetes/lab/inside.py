"""Commands on the host, in the network of a node."""

from __future__ import annotations

import abc
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from harness.errors import ClusterError
from tests.kubernetes.lab.api_server import ApiServer
from tests.kubernetes.lab.network import Network

_SHOWN: Final = 2000


class Inside:
    """A network namespace where services' names resolve and their addresses lead to pods."""

    def __init__(
        self,
        network: Network,
        *,
        resolv_conf: Path,
        kubeconfig: Path,
        binaries: Path,
        started: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`kubeconfig` is valid there; `binaries` holds kubectl; `started` gets the process id of
        each command."""
        self.network = network
        self.resolv_conf = resolv_conf
        self.inside = kubeconfig
        self.binaries = binaries
        self._started = started

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """The command line that runs `argv` there."""
        return [*self.network.enter_with_dns(self.resolv_conf), *map(str, argv)]

    def environment(self) -> dict[str, str]:
        """This process's environment, with KUBECONFIG and PATH as they are valid there."""
        path = os.pathsep.join([str(self.binaries), os.environ.get("PATH", "")])
        return {**os.environ, "KUBECONFIG": str(self.inside), "PATH": path}

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdout: int | IO[str] = subprocess.PIPE,
        stderr: int | IO[str] = subprocess.STDOUT,
    ) -> subprocess.Popen[str]:
        """Start a command on the host, in the node's network, with the cluster's DNS.

        KUBECONFIG is the administrator's and kubectl is on PATH. It is ended with the node at the
        latest.
        """
        process = subprocess.Popen(
            self.command(argv),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            text=True,
            env={**self.environment(), **(environment or {})},
            cwd=cwd,
            start_new_session=True,
        )
        self._started(process.pid)
        return process

    def check_output(
        self,
        argv: Sequence[str | Path],
        *,
        timeout_s: float = 60,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> str:
        """Run a command as `run` does, to its end; what it printed on both outputs.

        Raises ClusterError with that when it fails or takes too long.
        """
        process = self.run(argv, environment=environment, cwd=cwd)
        try:
            printed, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            printed, _ = process.communicate()
            raise ClusterError(
                f"{argv[0]} took more than {timeout_s:.0f} s: {printed[-_SHOWN:]}"
            ) from None
        if process.returncode:
            raise ClusterError(f"{argv[0]} ended with {process.returncode}: {printed[-_SHOWN:]}")
        return printed


class RunningNode(Inside, abc.ABC):
    """A node of Kubernetes on this machine, and its network; whoever made it."""

    name: str
    """What Kubernetes calls it."""
    control: ApiServer

    @abc.abstractmethod
    def import_image(self, archive: Path, name: str) -> None:
        """Import an archive as `docker save` writes it, which holds the image `name`.

        Raises EnvironmentFailure when it cannot be read or does not hold that image.
        """

    @abc.abstractmethod
    def images(self) -> list[str]:
        """The names of the images that pods can use; with `imagePullPolicy: Never`."""
