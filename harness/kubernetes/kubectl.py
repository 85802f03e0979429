"""kubectl as a child process: which cluster it talks to, what it answered, what its refusals mean.

The user's own kubectl is taken, so that contexts, credential plugins and proxies work as they do on
the user's command line. Nothing here reads a kubeconfig.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.errors import ClusterError, UsageError

NAMESPACE: Final = "kafka"
"""The one of k8s/base."""
ANSWER_S: Final = 60.0
_REQUEST_TIMEOUT: Final = "--request-timeout=30s"
_WRONG_USAGE: Final = (
    "does not exist",  # context
    "no context exists with the name",
    "context was not found",
    "error loading config file",
    "no such file or directory",
    "invalid configuration",
)
_NO_CONFIGURATION: Final = ("localhost:8080", "no configuration has been provided")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class KubeTarget:
    """Which cluster and namespace; None is what kubectl itself would take."""

    context: str | None = None
    kubeconfig: Path | None = None
    namespace: str = NAMESPACE

    def flags(self) -> list[str]:
        """The options of kubectl that say so."""
        found: list[str] = []
        if self.kubeconfig is not None:
            found += ["--kubeconfig", str(self.kubeconfig)]
        if self.context is not None:
            found += ["--context", self.context]
        return [*found, "--namespace", self.namespace]


class KubectlFailed(ClusterError):
    """kubectl ended with an error; `said` is what it wrote about it."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


def program() -> str:
    """Where kubectl is. Raises UsageError."""
    found = shutil.which("kubectl")
    if found is None:
        raise UsageError(
            "kubectl: not found on the PATH. `harness k8s` wraps it: install kubectl, of a version "
            "within one minor version of the cluster's (kubernetes.io/docs/tasks/tools)."
        )
    return found


class Kubectl:
    """kubectl against one target. `say` gets the commands that a step runs."""

    def __init__(self, target: KubeTarget, say: Say) -> None:
        """Raises UsageError where there is no kubectl, or no such kubeconfig."""
        self.target = target
        self.say = say
        self._program = program()
        if target.kubeconfig is not None and not target.kubeconfig.is_file():
            raise UsageError(f"--kubeconfig {target.kubeconfig}: no such file.")

    def show(self, *arguments: str, after: str = "") -> None:
        """Say which command a step runs; `after` is what the shell would have behind it."""
        self.say(f"+ {shlex.join(['kubectl', *self.target.flags(), *arguments])}{after}")

    def argv(self, *arguments: str) -> list[str]:
        """The command line of a call."""
        return [self._program, *self.target.flags(), *arguments]

    def call(
        self,
        *arguments: str,
        stdin: str | None = None,
        timeout_s: float = ANSWER_S,
        shown: bool = False,
    ) -> str:
        """Its standard output. Raises UsageError or KubectlFailed with what it said."""
        if shown:
            self.show(*arguments)
        try:
            ended = subprocess.run(
                self.argv(*arguments),
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired:
            raise ClusterError(
                f"kubectl {arguments[0]}: not over after {timeout_s:g} s. Does the cluster's API "
                "server answer?"
            ) from None
        if ended.returncode != 0:
            raise failure(arguments[0], ended.stderr)
        return ended.stdout

    def start(self, *arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
        """kubectl as a process of the caller, who awaits and ends it."""
        return subprocess.Popen(self.argv(*arguments), **streams)

    def read(self, *arguments: str) -> Any:
        """The answer of `get` as a document. Raises KubectlFailed, also for what is not there."""
        return json.loads(self.call("get", *arguments, "-o", "json", _REQUEST_TIMEOUT))

    def find(self, *arguments: str) -> Any | None:
        """The answer of `get` as a document; None where there is no such object."""
        try:
            return self.read(*arguments)
        except KubectlFailed as error:
            if "(NotFound)" in error.said:
                return None
            raise

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """The objects that `get` lists."""
        found: list[dict[str, Any]] = self.read(*arguments)["items"]
        return found


def failure(verb: str, stderr: str) -> UsageError | KubectlFailed:
    """The error for kubectl's own message."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    said = " ".join(lines[-3:]) or "it said nothing"
    low = stderr.lower()
    if any(sign in low for sign in _NO_CONFIGURATION):
        return UsageError(
            f"kubectl {verb}: no cluster is configured. Name one: --kubeconfig FILE, --context "
            "NAME, or KUBECONFIG."
        )
    if low.startswith("error:") and any(sign in low for sign in _WRONG_USAGE):
        return UsageError(
            f"kubectl {verb}: {said} `kubectl config get-contexts` lists what can be named."
        )
    return KubectlFailed(f"kubectl {verb}: {said}", stderr)
