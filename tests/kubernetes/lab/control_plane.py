"""etcd, the API server and the controller manager: a Kubernetes without a node."""

from __future__ import annotations

import contextlib
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.brokers.local.config import HOST
from harness.errors import ClusterError
from tests.kubernetes.lab import programs
from tests.kubernetes.lab.access import Access, write_kubeconfig
from tests.kubernetes.lab.api_server import ApiServer
from tests.kubernetes.lab.instance import Instance
from tests.kubernetes.lab.leftovers import sweep
from tests.kubernetes.lab.pki import Authority, Pair, make_key, public_key
from tests.kubernetes.lab.servers import HeldPorts, Servers

SERVICE_RANGE: Final = "10.96.0.0/16"
API_SERVICE: Final = "10.96.0.1"
"""The first address of SERVICE_RANGE: where pods find the API server."""

_READY_TIMEOUT_S: Final = 120.0
_POLL_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the servers listen: all on one address of one network namespace."""

    address: str
    api_port: int
    etcd_port: int
    etcd_peer_port: int

    @property
    def api_url(self) -> str:
        return f"https://{self.address}:{self.api_port}"


class ControlPlane(ApiServer):
    """An API server of our own, with what it needs."""

    def __init__(
        self, folder: Path, servers: Servers, listening: Listening, url: str | None = None
    ) -> None:
        """`url` is where this process reaches the API server, where that differs."""
        kubeconfigs = folder / "kubeconfigs"
        self._authority = Authority(folder / "pki")
        self._hyperkube = programs.hyperkube()
        super().__init__(
            url=url or listening.api_url,
            ca_file=self._authority.certificate,
            admin=Access(kubeconfigs / "admin.kubeconfig", self._hyperkube.parent),
            kubeconfigs=kubeconfigs,
        )
        self.folder = folder
        self.listening = listening
        self.started_in_s = 0.0
        self._servers = servers

    @classmethod
    @contextlib.contextmanager
    def start(cls) -> Iterator[ControlPlane]:
        """A control plane on free ports of 127.0.0.1. It ends with the block, or this process."""
        sweep()
        instance = Instance.create("plane")
        try:
            with HeldPorts(3) as ports:
                servers = Servers(instance.folder / "log")
                try:
                    plane = cls(instance.folder, servers, Listening(HOST, *ports.numbers))
                    plane.launch()
                    yield plane
                finally:
                    servers.stop()
            instance.remove()
        finally:
            instance.close()

    # -- starting ------------------------------------------------------------------------------

    def launch(self) -> None:
        """Start the servers and wait until the API server is ready."""
        began = time.monotonic()
        self._kubeconfigs.mkdir()
        self._make_identities()
        self._start_etcd()
        self._start_api_server()
        self._await_ready()
        self._start_controller_manager()
        self.started_in_s = time.monotonic() - began

    def kubeconfig_for(self, name: str, subject: str, *, server: str | None = None) -> Path:
        """The kubeconfig of a client with a new certificate, valid where the servers run."""
        return write_kubeconfig(
            self._kubeconfigs / f"{name}.kubeconfig",
            server=server or self.listening.api_url,
            authority=self.ca_file,
            user=self._authority.issue(name, subject),
        )

    def issue(self, name: str, subject: str, *sans: str) -> Pair:
        """A server's certificate from the cluster's authority."""
        return self._authority.issue(name, subject, sans)

    def _make_identities(self) -> None:
        self._authority = Authority.make(self.folder / "pki", "lab-ca")
        pki = self._authority.folder
        public_key(make_key(pki / "accounts.key"), pki / "accounts.pub")
        names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
        addresses = dict.fromkeys((HOST, API_SERVICE, self.listening.address))
        self._authority.issue(
            "apiserver",
            "/CN=kube-apiserver",
            [f"DNS:{name}" for name in names] + [f"IP:{address}" for address in addresses],
        )
        self._authority.issue("kubelet-client", "/O=system:masters/CN=apiserver-kubelet-client")
        self.kubeconfig_for("admin", "/O=system:masters/CN=admin", server=self.url)
        self.kubeconfig_for("controller-manager", "/CN=system:kube-controller-manager")

    def _start_etcd(self) -> None:
        client = f"http://{HOST}:{self.listening.etcd_port}"
        peer = f"http://{HOST}:{self.listening.etcd_peer_port}"
        self._servers.start(
            "etcd",
            *(self._hyperkube, "etcd", f"--data-dir={self.folder / 'etcd'}"),
            *(f"--listen-client-urls={client}", f"--advertise-client-urls={client}"),
            *(f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}"),
            *(f"--initial-cluster=default={peer}", "--unsafe-no-fsync"),
            *("--logger=zap", "--log-level=warn"),
        )

    def _start_api_server(self) -> None:
        pki, at = self._authority.folder, self.listening
        # Nobody may be told to find an API server at a loopback address.
        alone = ["--endpoint-reconciler-type=none"] if at.address == HOST else []
        self._servers.start(
            "kube-apiserver",
            *(self._hyperkube, "kube-apiserver"),
            f"--etcd-servers=http://{HOST}:{at.etcd_port}",
            *(f"--secure-port={at.api_port}", f"--bind-address={at.address}"),
            *(f"--advertise-address={at.address}", *alone),
            *(f"--tls-cert-file={pki / 'apiserver.crt'}",),
            *(f"--tls-private-key-file={pki / 'apiserver.key'}",),
            *(f"--client-ca-file={self.ca_file}",),
            *(f"--service-account-key-file={pki / 'accounts.pub'}",),
            *(f"--service-account-signing-key-file={pki / 'accounts.key'}",),
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            *(f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",),
            *(f"--kubelet-client-key={pki / 'kubelet-client.key'}",),
            *(f"--kubelet-certificate-authority={self.ca_file}",),
            # Logs and exec reach the kubelet by address: its name is in nobody's DNS.
            "--kubelet-preferred-address-types=InternalIP,Hostname",
            *("--allow-privileged=true", "--profiling=false"),
        )

    def _start_controller_manager(self) -> None:
        kubeconfig = self._kubeconfigs / "controller-manager.kubeconfig"
        self._servers.start(
            "kube-controller-manager",
            *(self._hyperkube, "kube-controller-manager"),
            *(f"--kubeconfig={kubeconfig}", f"--root-ca-file={self.ca_file}"),
            f"--service-account-private-key-file={self._authority.folder / 'accounts.key'}",
            *("--use-service-account-credentials=true", "--leader-elect=false"),
            *("--secure-port=0", "--node-monitor-grace-period=20s", "--profiling=false"),
        )

    def _await_ready(self) -> None:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        pki = self._authority.folder
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        ask = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        deadline = time.monotonic() + _READY_TIMEOUT_S
        said = "it did not answer"
        while time.monotonic() < deadline:
            self._servers.check()
            try:
                with ask.open(f"{self.url}/readyz", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except urllib.error.HTTPError as error:
                said = error.read().decode(errors="replace")
            except OSError as error:
                said = str(error)
            time.sleep(_POLL_S)
        raise ClusterError(
            f"the API server was not ready within {_READY_TIMEOUT_S:.0f} s: {said}\n"
            + self._servers.tail("kube-apiserver")
        )
