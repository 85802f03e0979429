"""The Debian packages that a node needs: `python -m tests.kubernetes.lab.packages` installs them.

Only what is missing is installed, only by root, and only where apt-get is.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from tests.kubernetes.lab.containerd import CNI_PLUGINS
from tests.support.debian import install

PACKAGES: Final = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "conntrack": "conntrack",
    "iptables": "iptables",
    "ip": "iproute2",
    "sysctl": "procps",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "umount": "mount",
    "mmdebstrap": "mmdebstrap",
    "openssl": "openssl",
    f"{CNI_PLUGINS}/bridge": "containernetworking-plugins",
    f"{CNI_PLUGINS}/host-local": "containernetworking-plugins",
    f"{CNI_PLUGINS}/portmap": "containernetworking-plugins",
}
"""Program → the Debian package that brings it."""


def missing_packages() -> list[str]:
    """Packages of which a program is not here, in order."""
    return sorted(
        {
            package
            for program, package in PACKAGES.items()
            if not (Path(program).is_file() if "/" in program else shutil.which(program))
        }
    )


def main() -> int:
    """Install what is missing; 1 when that cannot be done."""
    missing = missing_packages()
    if not missing:
        return 0
    listed = " ".join(missing)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        print(f"missing for Kubernetes: {listed} (root and apt-get are needed)", file=sys.stderr)
        return 1
    print(f"installing for Kubernetes: {listed}", file=sys.stderr, flush=True)
    return 1 if install(missing) or missing_packages() else 0


if __name__ == "__main__":
    sys.exit(main())
