"""What a machine must have for the tests of Kubernetes, and what this one lacks."""

from __future__ import annotations

import os
import sys
from typing import Final

from harness.errors import UsageError
from tests.kubernetes.lab.cgroups import missing_cgroups
from tests.kubernetes.lab.go import missing_go
from tests.kubernetes.lab.packages import missing_packages
from tests.kubernetes.lab.pki import missing_openssl

REQUIRED: Final = "DELIVERY_KUBERNETES"
"""`required` turns a skip for a missing tool into a failure."""


def is_required() -> bool:
    """Whether a missing tool is a failure. Raises UsageError for an unknown value."""
    value = os.environ.get(REQUIRED, "")
    if value not in ("", "required"):
        raise UsageError(f"{REQUIRED}={value}: accepted is `required`, or nothing.")
    return value == "required"


def missing_for_control_plane() -> str:
    """Why no control plane can run here; empty when one can."""
    if sys.platform != "linux":
        return f"the platform is {sys.platform}; Kubernetes' servers run on Linux"
    return missing_openssl() or missing_go()


def missing_for_node() -> str:
    """Why no node can run here; empty when one can."""
    missing = missing_for_control_plane()
    if missing:
        return missing
    if os.geteuid() != 0:
        return "a node needs root (network namespace, mounts, control groups)"
    packages = missing_packages()
    if packages:
        listed = " ".join(packages)
        return f"missing packages: {listed} (`make kubernetes-packages` installs them)"
    return missing_cgroups()
