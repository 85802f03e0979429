"""A node that kind made, in the place of our own: for the same tests with the real operator.

For a machine with Docker, which can fetch images. The project's own CI does not run it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.kubernetes.lab.access import Access
from tests.kubernetes.lab.api_server import ApiServer
from tests.kubernetes.lab.commands import run
from tests.kubernetes.lab.inside import Inside
from tests.kubernetes.lab.network import DNS_DOMAIN, Network, write_resolv_conf

KIND: Final = "DELIVERY_KUBERNETES_KIND"
"""Names the cluster that kind made."""

_TOOLS: Final = ("docker", "kind", "kubectl", "nsenter", "unshare")
_IMPORT_TIMEOUT_S: Final = 600.0


class KindNode(Inside):
    """What the tests use of a node, on a cluster of kind with one node."""

    def __init__(self, cluster: str, folder: Path) -> None:
        self.cluster = cluster
        self.name = f"{cluster}-control-plane"
        kubectl = shutil.which("kubectl")
        assert kubectl is not None, "missing_for_kind() says so"
        binaries = Path(kubectl).parent
        pid = run("docker", "inspect", "--format", "{{.State.Pid}}", self.name).strip()
        outside = _kubeconfig(cluster, folder / "admin.kubeconfig")
        inside = _kubeconfig(cluster, folder / "inside.kubeconfig", "--internal")
        admin = Access(outside, binaries)
        ca_file = folder / "ca.crt"
        ca_file.write_text(run("docker", "exec", self.name, "cat", "/etc/kubernetes/pki/ca.crt"))
        url = admin.kubectl(
            "config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}"
        ).stdout
        self.control = ApiServer(url=url, ca_file=ca_file, admin=admin, kubeconfigs=folder)
        dns = admin.kubectl(
            *("get", "service", "kube-dns", "--namespace=kube-system"),
            "--output=jsonpath={.spec.clusterIP}",
        ).stdout
        super().__init__(
            Network(Path(f"/proc/{pid}/ns/net")),
            resolv_conf=write_resolv_conf(
                folder / "resolv.conf", search=[f"svc.{DNS_DOMAIN}", DNS_DOMAIN], server=dns
            ),
            kubeconfig=inside,
            binaries=binaries,
        )

    @classmethod
    @contextlib.contextmanager
    def attach(cls, cluster: str) -> Iterator[KindNode]:
        """The running cluster `cluster`; it is left as it is afterwards."""
        with tempfile.TemporaryDirectory(prefix="delivery-kind-") as folder:
            yield cls(cluster, Path(folder))

    def import_image(self, archive: Path, name: str) -> None:
        """Give the node an image from an archive; `name` is what the archive calls it."""
        run(
            *("kind", "load", "image-archive", archive, "--name", self.cluster),
            timeout_s=_IMPORT_TIMEOUT_S,
        )
        assert name in self.images(), f"{archive} holds no image {name}"

    def images(self) -> list[str]:
        """The names of the images that pods can use."""
        listed = run("docker", "exec", self.name, "ctr", "-n", "k8s.io", "images", "list", "-q")
        return listed.split()


def missing_for_kind() -> str:
    """Why the tests cannot run on a cluster of kind; empty when they can."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"{KIND} is set, and not on PATH: {', '.join(missing)}"
    if os.geteuid() != 0:
        return f"{KIND} is set: root is needed to enter the network of kind's container"
    return ""


def _kubeconfig(cluster: str, path: Path, *options: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(run("kind", "get", "kubeconfig", "--name", cluster, *options))
    return path
