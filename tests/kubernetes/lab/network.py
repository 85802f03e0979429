"""One private network namespace: what runs in it has addresses, DNS and rules of its own.

Two nodes may use the same addresses: nothing of one namespace is seen from another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.kubernetes.lab.commands import run

NODE_ADDRESS: Final = "10.99.0.1"
POD_RANGE: Final = "10.98.0.0/24"
DNS_DOMAIN: Final = "cluster.local"

_GATEWAY: Final = "10.99.0.2"
_NAMESPACES: Final = Path("/run/netns")
# Where the host has no systemd-resolved in between, every program reads this file for DNS.
_WITH_DNS: Final = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'


@dataclass(frozen=True, slots=True)
class Network:
    """A network namespace by the file that holds it."""

    path: Path

    @classmethod
    def named(cls, name: str) -> Network:
        """One as `ip netns` lists it; the name is unique on this machine."""
        return cls(_NAMESPACES / name)

    @property
    def enter(self) -> tuple[str, ...]:
        """What comes before a command line that is to run inside.

        Not `ip netns exec`: that mounts /sys anew, and the control groups are gone.
        """
        return ("nsenter", f"--net={self.path}")

    def enter_with_dns(self, resolv_conf: Path) -> tuple[str, ...]:
        """As `enter`, with `resolv_conf` as the command's own /etc/resolv.conf."""
        shell = ("unshare", "--mount", "sh", "-c", _WITH_DNS, "with-dns", str(resolv_conf))
        return (*self.enter, *shell)

    def make(self) -> None:
        """Make the namespace, with an uplink that leads nowhere.

        Programs of Kubernetes look for the address of the default route. A pair of veth gives them
        one also where the kernel has no dummy device.
        """
        run("ip", "netns", "add", self.path.name)
        for command in (
            "ip link set lo up",
            "ip link add eth0 type veth peer name uplink",
            f"ip address add {NODE_ADDRESS}/24 dev eth0",
            "ip link set eth0 up",
            "ip link set uplink up",
            f"ip route add default via {_GATEWAY} dev eth0",
            # A pod that reaches another one by a service's address passes the rules of kube-proxy.
            "sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1",
        ):
            run(*self.enter, *command.split())

    def remove(self) -> None:
        """Remove the namespace, when it is there."""
        if self.path.exists():
            run("ip", "netns", "delete", self.path.name)


def write_resolv_conf(
    path: Path, *, search: Sequence[str] = (), server: str = NODE_ADDRESS
) -> Path:
    """A resolver's configuration that asks the cluster's DNS."""
    lines = [f"nameserver {server}"]
    if search:
        lines += [f"search {' '.join(search)}", "options ndots:5"]
    path.write_text("\n".join(lines) + "\n")
    return path
