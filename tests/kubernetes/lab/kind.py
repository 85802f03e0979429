"""A node that kind made, in the place of our own: for the same tests with the real operator.

For a machine with Docker, which can fetch images. The project's own CI does not run it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness.errors import EXIT_HARNESS_FAILED, EnvironmentFailure, HarnessError
from tests.kubernetes.lab.access import Access
from tests.kubernetes.lab.api_server import ApiServer
from tests.kubernetes.lab.commands import run
from tests.kubernetes.lab.crds import STRIMZI_VERSION
from tests.kubernetes.lab.inside import RunningNode
from tests.kubernetes.lab.leftovers import REPOSITORY
from tests.kubernetes.lab.network import DNS_DOMAIN, Network, write_resolv_conf

KIND: Final = "DELIVERY_KUBERNETES_KIND"
"""Names the cluster that kind made."""

_TOOLS: Final = ("docker", "kind", "kubectl", "nsenter", "unshare")
_IMPORT_TIMEOUT_S: Final = 600.0
_CREATE_TIMEOUT_S: Final = 900.0
_CLUSTER: Final = "delivery-tests"
_NAMESPACE: Final = "kafka"
_CHARTS: Final = "https://strimzi.io/charts/"


class KindNode(RunningNode):
    """A cluster of kind with one node, where Helm has installed Strimzi's operator."""

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
        run(
            *("kind", "load", "image-archive", archive, "--name", self.cluster),
            timeout_s=_IMPORT_TIMEOUT_S,
        )
        if name not in self.images():
            raise EnvironmentFailure(f"{archive} holds no image {name}")

    def images(self) -> list[str]:
        listed = run("docker", "exec", self.name, "ctr", "-n", "k8s.io", "images", "list", "-q")
        return listed.split()


def missing_for_kind() -> str:
    """Why the tests cannot run on a cluster of kind; empty when they can."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"not on PATH: {', '.join(missing)} ({KIND} asks for a cluster of kind)"
    if os.geteuid() != 0:
        return f"root is needed to enter the network of kind's container ({KIND} is set)"
    return ""


def chosen_cluster() -> str:
    """The cluster of kind that the environment names; empty when it names none."""
    return os.environ.get(KIND, "")


def create(cluster: str) -> None:
    """Make a cluster of kind and install Strimzi's operator, as docs/kubernetes.md does."""
    run("kind", "create", "cluster", "--name", cluster, timeout_s=_CREATE_TIMEOUT_S)
    context = f"kind-{cluster}"
    run("kubectl", "--context", context, "create", "namespace", _NAMESPACE)
    run("helm", "repo", "add", "strimzi", _CHARTS)
    run(
        *("helm", "install", "strimzi-cluster-operator", "strimzi/strimzi-kafka-operator"),
        *("--version", STRIMZI_VERSION, "--namespace", "strimzi", "--create-namespace"),
        *("--values", REPOSITORY / "k8s" / "operator" / "values.yaml"),
        *("--kube-context", context, "--wait"),
        timeout_s=_CREATE_TIMEOUT_S,
    )


def _kubeconfig(cluster: str, path: Path, *options: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(run("kind", "get", "kubeconfig", "--name", cluster, *options))
    return path


def main() -> int:
    """Make the cluster, run the tests with pods on it, and remove it; pytest's exit code."""
    missing = missing_for_kind()
    if not missing and shutil.which("helm") is None:
        missing = "not on PATH: helm"
    if missing:
        print(f"The tests cannot run on kind: {missing}", file=sys.stderr)
        return EXIT_HARNESS_FAILED
    try:
        create(_CLUSTER)
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-m", "kubernetes and not long"],
            cwd=REPOSITORY,
            env={**os.environ, KIND: _CLUSTER},
        ).returncode
    except HarnessError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    finally:
        subprocess.run(["kind", "delete", "cluster", "--name", _CLUSTER])


if __name__ == "__main__":
    sys.exit(main())
