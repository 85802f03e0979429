"""One identity at an API server: its kubeconfig, and what can be done with it from this process."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.brokers.local.cache import write_json
from harness.errors import ClusterError
from tests.kubernetes.lab.pki import Pair

_FIELD_MANAGER: Final = "tests"


@dataclass(frozen=True, slots=True)
class Access:
    """A kubeconfig file, and real kubectl and the Python client working with it."""

    kubeconfig: Path
    binaries: Path
    """The folder with `kubectl`."""

    def environment(self) -> dict[str, str]:
        """This process's environment with KUBECONFIG and PATH set for this identity."""
        path = os.pathsep.join([str(self.binaries), os.environ.get("PATH", "")])
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "PATH": path}

    def kubectl(
        self, *argv: str, stdin: str | None = None, check: bool = True, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl. Raises ClusterError with what it said, unless `check` is False."""
        done = subprocess.run(
            [self.binaries / "kubectl", *argv],
            input=stdin or "",
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=timeout_s,
        )
        if check and done.returncode:
            raise ClusterError(
                f"kubectl {' '.join(argv)} ended with {done.returncode}: {done.stderr.strip()}"
            )
        return done

    def get(self, *argv: str) -> dict[str, Any]:
        """`kubectl get … -o json`, read."""
        found: dict[str, Any] = json.loads(self.kubectl("get", *argv, "-o", "json").stdout)
        return found

    def apply(self, *documents: Mapping[str, Any] | str | Path) -> None:
        """Server-side apply with strict validation: an unknown field is an error.

        A mapping is one object, text is YAML, a path a file. Raises ClusterError.
        """
        for document in documents:
            if isinstance(document, Path):
                source, stdin = str(document), None
            else:
                source = "-"
                stdin = document if isinstance(document, str) else json.dumps(document)
            self.kubectl(
                *("apply", "--server-side", "--validate=strict", "--force-conflicts"),
                *(f"--field-manager={_FIELD_MANAGER}", "-f", source),
                stdin=stdin,
            )

    def api(self) -> Any:
        """A `kubernetes.client.ApiClient` for this identity."""
        from kubernetes import config

        return config.new_client_from_config(str(self.kubeconfig))


def write_kubeconfig(
    path: Path, *, server: str, authority: Path, user: Pair | str, namespace: str = "default"
) -> Path:
    """A kubeconfig that needs no other file. `user` is a client certificate or a bearer token."""
    if isinstance(user, str):
        credentials = {"token": user}
    else:
        credentials = {
            "client-certificate-data": _encoded(user.certificate),
            "client-key-data": _encoded(user.key),
        }
    cluster = {"server": server, "certificate-authority-data": _encoded(authority)}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": path.stem, "user": credentials}],
        "contexts": [
            {
                "name": "lab",
                "context": {"cluster": "lab", "user": path.stem, "namespace": namespace},
            }
        ],
        "current-context": "lab",
    }
    write_json(path, document, mode=0o600)  # JSON is YAML
    return path


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
