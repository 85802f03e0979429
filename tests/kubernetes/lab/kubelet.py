"""The settings of the kubelet and of CoreDNS."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness.brokers.local.cache import write_json
from tests.kubernetes.lab.network import DNS_DOMAIN, NODE_ADDRESS, write_resolv_conf
from tests.kubernetes.lab.pki import Pair

NODE_NAME: Final = "node1"

_DNS_TTL_S: Final = 5
_COREFILE: Final = """\
.:53 {{
    bind {address}
    errors
    kubernetes {domain} {{
        kubeconfig {kubeconfig}
        ttl {ttl_s}
    }}
}}
"""


def write_kubelet_config(
    folder: Path, *, runtime: Path, cgroup: str, serving: Pair, authority: Path
) -> Path:
    """The kubelet's configuration file in the node's `folder`."""
    document = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        "containerRuntimeEndpoint": f"unix://{runtime}",
        "tlsCertFile": str(serving.certificate),
        "tlsPrivateKeyFile": str(serving.key),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(authority)},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": ["pods"],
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDNS": [NODE_ADDRESS],
        "clusterDomain": DNS_DOMAIN,
        "resolvConf": str(write_resolv_conf(folder / "resolv-pods.conf")),
        "podLogsDir": str(folder / "pod-logs"),
        "volumePluginDir": str(folder / "volume-plugins"),
        # A developer's disk may be nearly full; pods are not to be evicted for that.
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "nodeStatusUpdateFrequency": "5s",
        "syncFrequency": "10s",
    }
    path = folder / "kubelet.yaml"
    write_json(path, document)  # JSON is YAML
    return path


def write_corefile(path: Path, kubeconfig: Path) -> Path:
    """CoreDNS' configuration: the cluster's names, and no others."""
    path.write_text(
        _COREFILE.format(
            address=NODE_ADDRESS, domain=DNS_DOMAIN, kubeconfig=kubeconfig, ttl_s=_DNS_TTL_S
        )
    )
    return path
