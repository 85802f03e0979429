"""A Kubernetes node on this machine: pods that run, with addresses and DNS, in a private network.

Everything that belongs to it is in one control group, one network namespace, its instance's folder,
one folder under /run and one under /var/lib; all of them bear the instance's name.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from harness.brokers.local.config import HOST
from harness.errors import ClusterError
from harness.system.lifeline import Child
from tests.kubernetes.lab import programs
from tests.kubernetes.lab.containerd import PAUSE_IMAGE, Containerd
from tests.kubernetes.lab.control_plane import ControlPlane, Listening
from tests.kubernetes.lab.inside import RunningNode
from tests.kubernetes.lab.instance import Instance
from tests.kubernetes.lab.kubelet import NODE_NAME, write_corefile, write_kubelet_config
from tests.kubernetes.lab.leftovers import REPOSITORY, remains_of, sweep
from tests.kubernetes.lab.network import DNS_DOMAIN, NODE_ADDRESS, POD_RANGE, write_resolv_conf
from tests.kubernetes.lab.servers import Servers

_API_PORT: Final = 6443
_ETCD_PORT: Final = 2379
_ETCD_PEER_PORT: Final = 2380
_READY_TIMEOUT_S: Final = 60


class Node(RunningNode):
    """A running one-node Kubernetes. `with Node.start() as node`."""

    PAUSE_IMAGE: Final = PAUSE_IMAGE
    control: ControlPlane

    def __init__(self, instance: Instance) -> None:
        remains = remains_of(instance)
        self.name = NODE_NAME
        self.folder = instance.folder
        self.volumes = instance.folder / "volumes"
        """For volumes that are folders of the host; removed with the node."""
        self.started_in_s = 0.0
        self._cgroup = remains.cgroup
        self._kubelet = remains.kubelet
        self._containerd = Containerd(
            remains.network.path.name, instance.folder / "containerd", remains.state
        )
        self._servers = Servers(
            instance.folder / "log", enter=remains.network.enter, started=self._cgroup.add
        )
        self.control = ControlPlane(
            instance.folder,
            self._servers,
            Listening(NODE_ADDRESS, _API_PORT, _ETCD_PORT, _ETCD_PEER_PORT),
        )
        super().__init__(
            remains.network,
            resolv_conf=instance.folder / "resolv.conf",
            kubeconfig=instance.folder / "kubeconfigs" / "inside.kubeconfig",
            binaries=self.control.binaries,
            started=self._cgroup.add,
        )

    @classmethod
    @contextlib.contextmanager
    def start(cls) -> Iterator[Node]:
        """A node of its own. It ends with the block; when this process is killed, soon after it.

        Raises ClusterError or EnvironmentFailure when something does not start.
        """
        sweep()
        instance = Instance.create("node")
        reaper = _start_reaper(instance)
        try:
            node = cls(instance)
            try:
                node._launch()
                yield node
            finally:
                node._servers.stop("kubelet", "kube-proxy")
                remains_of(instance).clear()
                node._servers.stop()
            instance.remove()
        finally:
            reaper.stop(grace_s=5)
            instance.close()

    def import_image(self, archive: Path, name: str) -> None:
        self._containerd.import_image(archive, name)

    def images(self) -> list[str]:
        return self._containerd.images()

    def forward(self, address: str, port: int) -> int:
        """A port of the host's 127.0.0.1 that leads to `address:port` in the node's network."""
        with socket.create_server((HOST, 0)) as listener:
            near: int = listener.getsockname()[1]
            descriptor = listener.fileno()
            self._servers.start(
                f"forward-{near}",
                *(programs.forward(), str(descriptor), f"{address}:{port}"),
                pass_fds=[descriptor],
            )
        return near

    # -- starting ------------------------------------------------------------------------------

    def _launch(self) -> None:
        began = time.monotonic()
        self.volumes.mkdir()
        self._cgroup.make()
        self.network.make()
        write_resolv_conf(self.resolv_conf, search=[f"svc.{DNS_DOMAIN}", DNS_DOMAIN])
        self._containerd.start(self._servers)
        self.control.url = f"https://{HOST}:{self.forward(NODE_ADDRESS, _API_PORT)}"
        self.control.launch()
        self.control.kubeconfig_for("inside", "/O=system:masters/CN=inside")
        self._start_scheduler()
        self._start_proxy()
        self._start_dns()
        self._containerd.await_ready(self._servers)
        self._containerd.import_pause()
        self._start_kubelet()
        self._await_node()
        self.started_in_s = time.monotonic() - began

    def _start_scheduler(self) -> None:
        kubeconfig = self.control.kubeconfig_for("scheduler", "/CN=system:kube-scheduler")
        self._start_kubernetes(
            "kube-scheduler",
            *(f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0"),
        )

    def _start_proxy(self) -> None:
        kubeconfig = self.control.kubeconfig_for("proxy", "/CN=system:kube-proxy")
        self._start_kubernetes(
            "kube-proxy",
            *(f"--kubeconfig={kubeconfig}", f"--hostname-override={NODE_NAME}"),
            *(f"--cluster-cidr={POD_RANGE}", "--proxy-mode=iptables"),
            # The limits of conntrack are the host's, and may not be writable.
            *("--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s"),
            "--conntrack-tcp-timeout-close-wait=0s",
        )

    def _start_kubelet(self) -> None:
        kubeconfig = self.control.kubeconfig_for(
            "kubelet", f"/O=system:nodes/CN=system:node:{NODE_NAME}"
        )
        serving = self.control.issue(
            "kubelet-server", f"/CN={NODE_NAME}", f"DNS:{NODE_NAME}", f"IP:{NODE_ADDRESS}"
        )
        config = write_kubelet_config(
            self.folder,
            runtime=self._containerd.socket,
            cgroup=self._cgroup.name,
            serving=serving,
            authority=self.control.ca_file,
        )
        self._start_kubernetes(
            "kubelet",
            *(f"--kubeconfig={kubeconfig}", f"--config={config}"),
            *(f"--root-dir={self._kubelet}", f"--hostname-override={NODE_NAME}"),
            f"--node-ip={NODE_ADDRESS}",
        )

    def _start_dns(self) -> None:
        kubeconfig = self.control.kubeconfig_for("coredns", "/O=system:masters/CN=coredns")
        corefile = write_corefile(self.folder / "Corefile", kubeconfig)
        self._servers.start("coredns", programs.coredns(), "-conf", corefile)

    def _start_kubernetes(self, name: str, *argv: str) -> None:
        self._servers.start(name, programs.hyperkube(), name, *argv)

    def _await_node(self) -> None:
        for condition in ("create", "condition=Ready"):
            try:
                self.control.admin.kubectl(
                    *("wait", f"--for={condition}", f"node/{NODE_NAME}"),
                    f"--timeout={_READY_TIMEOUT_S}s",
                    timeout_s=_READY_TIMEOUT_S + 10,
                )
            except ClusterError as error:
                self._servers.check()
                raise ClusterError(f"{error}\n{self._servers.tail('kubelet')}") from error
        # Pods wait for the account that the controller manager makes in each namespace.
        self.control.admin.kubectl(
            "wait", "--for=create", "serviceaccount/default", f"--timeout={_READY_TIMEOUT_S}s"
        )


def _start_reaper(instance: Instance) -> Child:
    """Clears what is left when this process is killed; see leftovers.py."""
    return Child(
        [sys.executable, "-m", "tests.kubernetes.lab.leftovers", str(instance.folder)],
        log=instance.folder / "log" / "reaper.log",
        environment={"PYTHONPATH": str(REPOSITORY)},
        cwd=REPOSITORY,
    )
