"""A containerd of the node's own: its socket, its images, its pods' network."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.brokers.local.cache import write_json
from harness.errors import ClusterError, EnvironmentFailure
from tests.kubernetes.lab import programs
from tests.kubernetes.lab.commands import run
from tests.kubernetes.lab.image import write_image
from tests.kubernetes.lab.network import POD_RANGE
from tests.kubernetes.lab.servers import Servers

PAUSE_IMAGE: Final = "localhost/pause:1"
CNI_PLUGINS: Final = Path("/usr/lib/cni")
"""Where Debian's containernetworking-plugins puts them."""

_READY_TIMEOUT_S: Final = 60.0
_IMPORT_TIMEOUT_S: Final = 300.0
_POLL_S: Final = 0.1
_CONFIG: Final = """\
version = 2
root = "{root}"
state = "{state}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # Without CAP_SYS_RESOURCE the kernel refuses the negative oom_score_adj of the kubelet.
  restrict_oom_score_adj = true
  # The network namespaces of pods lie beside the rest, and are removed with it.
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{state}/runc"
"""


@dataclass(frozen=True, slots=True)
class Containerd:
    """Where one containerd keeps what it has."""

    network: str
    """What the pods' network is called: unique on this machine."""
    folder: Path
    """Images and settings."""
    state: Path
    """The socket, and what lives as long as pods do; short, since a socket's path is limited."""

    @property
    def socket(self) -> Path:
        return self.state / "containerd.sock"

    def start(self, servers: Servers) -> None:
        """Start it; `await_ready` waits for its answer."""
        cni = self.folder / "cni"
        cni.mkdir(parents=True)
        self.state.mkdir(mode=0o711, parents=True)
        write_json(cni / "10-lab.conflist", self._network())
        config = self.folder / "config.toml"
        config.write_text(
            _CONFIG.format(
                root=self.folder / "root",
                state=self.state / "state",
                socket=self.socket,
                pause=PAUSE_IMAGE,
                plugins=CNI_PLUGINS,
                cni=cni,
            )
        )
        servers.start("containerd", "containerd", "--config", config)

    def await_ready(self, servers: Servers) -> None:
        """Wait until it answers. Raises ClusterError when it does not."""
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while True:
            servers.check()
            try:
                self._ctr("version")
                return
            except EnvironmentFailure as error:
                if time.monotonic() > deadline:
                    raise ClusterError(f"containerd does not answer: {error}") from error
            time.sleep(_POLL_S)

    def import_image(self, archive: Path, name: str) -> None:
        """Import an archive as `docker save` writes it, which holds the image `name`.

        Raises EnvironmentFailure when it cannot be read or does not hold that image.
        """
        self._ctr("images", "import", archive, timeout_s=_IMPORT_TIMEOUT_S)
        found = self.images()
        if name not in found:
            raise EnvironmentFailure(f"{archive} holds no image {name}; there are {found}.")

    def import_pause(self) -> None:
        """Import the image that holds a pod's namespaces open."""
        archive = self.folder / "pause.tar"
        write_image(archive, PAUSE_IMAGE, ["/pause"], [programs.pause()])
        self.import_image(archive, PAUSE_IMAGE)

    def images(self) -> list[str]:
        """The names of all images."""
        return self._ctr("images", "list", "--quiet").split()

    def _ctr(self, *argv: str | Path, timeout_s: float = 20.0) -> str:
        return run(
            "ctr", "--address", self.socket, "--namespace", "k8s.io", *argv, timeout_s=timeout_s
        )

    def _network(self) -> dict[str, object]:
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,  # a pod may reach itself by its service
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": POD_RANGE}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": str(self.folder / "addresses"),
            },
        }
        ports = {"type": "portmap", "capabilities": {"portMappings": True}}
        return {"cniVersion": "0.4.0", "name": self.network, "plugins": [bridge, ports]}
