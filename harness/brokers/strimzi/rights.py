"""What the identity must be allowed to do for each capability, asked before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.brokers.kind import PAUSE, PROCESS
from harness.brokers.strimzi.access import Kubernetes
from harness.errors import ClusterError

RIGHTS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    PROCESS: (("list", "pods"), ("watch", "pods"), ("delete", "pods")),
    # A web socket is opened by GET; Kubernetes 1.35 and newer ask for create as well.
    PAUSE: (("list", "pods"), ("watch", "pods"), ("get", "pods/exec"), ("create", "pods/exec")),
}
"""Capability → verbs and resources."""


def require_rights(kubernetes: Kubernetes, namespace: str, needs: frozenset[str]) -> None:
    """Raises ClusterError that names every right that is missing."""
    wanted = dict.fromkeys(right for need in sorted(needs) for right in RIGHTS.get(need, ()))
    missing = [
        f"{verb} {resource}"
        for verb, resource in wanted
        if not kubernetes.may(verb, resource, namespace)
    ]
    if missing:
        raise ClusterError(
            f"Kubernetes at {kubernetes.host} ({kubernetes.identity}): the faults need rights that "
            f"this identity does not have in namespace {namespace}: {', '.join(missing)}. Bind it "
            "to a Role that has them; docs/faults.md says what each fault takes."
        )
