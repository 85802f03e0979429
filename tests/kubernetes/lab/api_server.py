"""An API server that answers, and identities at it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.kubernetes.lab.access import Access, write_kubeconfig

_ACCOUNT_TIMEOUT_S: Final = 30
_CRD_TIMEOUT_S: Final = 30


class ApiServer:
    """Where it is, and whom it lets in."""

    def __init__(self, *, url: str, ca_file: Path, admin: Access, kubeconfigs: Path) -> None:
        """`kubeconfigs` is a folder for those of service accounts."""
        self.url = url
        self.ca_file = ca_file
        """The certificate of the cluster's authority, PEM."""
        self.admin = admin
        """May do everything."""
        self._kubeconfigs = kubeconfigs

    @property
    def binaries(self) -> Path:
        """The folder with `kubectl`, for a PATH."""
        return self.admin.binaries

    def as_account(self, namespace: str, name: str, *, duration_s: int = 3600) -> Access:
        """A service account with a token of its own (TokenRequest; at least 600 s).

        Raises ClusterError when there is no such account.
        """
        token = self.admin.kubectl(
            "create", "token", name, "--namespace", namespace, f"--duration={duration_s}s"
        ).stdout.strip()
        path = self._kubeconfigs / f"{namespace}-{name}-{secrets.token_hex(3)}.kubeconfig"
        write_kubeconfig(
            path, server=self.url, authority=self.ca_file, user=token, namespace=namespace
        )
        return Access(path, self.binaries)

    def new_namespace(self, prefix: str = "test") -> str:
        """A namespace with a new name, whose service account `default` is there."""
        name = f"{prefix}-{secrets.token_hex(3)}"
        self.admin.kubectl("create", "namespace", name)
        self.admin.kubectl(
            *("wait", "--for=create", "serviceaccount/default", "--namespace", name),
            f"--timeout={_ACCOUNT_TIMEOUT_S}s",
        )
        return name

    def apply_crds(self, files: Sequence[Path]) -> None:
        """Apply CustomResourceDefinitions and wait until their resources are served."""
        self.admin.apply(*files)
        self.admin.kubectl(
            *("wait", "--for=condition=Established", "crd", "--all"),
            f"--timeout={_CRD_TIMEOUT_S}s",
        )
