"""What the identity must be allowed to do for each capability, asked before anything is touched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from harness.brokers.kind import CONTAINER, OPERATOR, PAUSE, PROCESS, REVOKE, ROLL
from harness.brokers.strimzi.access import Kubernetes
from harness.errors import ClusterError

ALWAYS: Final[tuple[tuple[str, ...], ...]] = (("list", "pods"),)
"""A run looks at the pods, so that it sees those that end without a fault."""
RIGHTS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    PROCESS: (("watch", "pods"), ("delete", "pods")),
    # A web socket is opened by GET; Kubernetes 1.35 and newer ask for create as well.
    PAUSE: (("get", "pods/exec"), ("create", "pods/exec")),
    CONTAINER: (("watch", "pods"), ("get", "pods/exec"), ("create", "pods/exec")),
    ROLL: (
        ("watch", "pods"),
        ("list", "strimzipodsets", "core.strimzi.io"),
        ("patch", "strimzipodsets", "core.strimzi.io"),
        ("patch", "kafkas", "kafka.strimzi.io"),
    ),
    OPERATOR: (("watch", "pods"), ("get", "deployments", "apps"), ("patch", "deployments", "apps")),
    # Whoever changes a binding must also be allowed to bind its role, which is asked by a dry run.
    REVOKE: (
        ("list", "rolebindings", "rbac.authorization.k8s.io"),
        ("patch", "rolebindings", "rbac.authorization.k8s.io"),
        ("create", "localsubjectaccessreviews", "authorization.k8s.io"),
    ),
}
"""Capability → verbs, resources and, but for Kubernetes' own, API groups."""


def require_rights(kubernetes: Kubernetes, namespace: str, needs: frozenset[str]) -> None:
    """Raises ClusterError that names every right that is missing."""
    wanted = dict.fromkeys(
        [*ALWAYS, *(right for need in sorted(needs) for right in RIGHTS.get(need, ()))]
    )
    missing = [
        f"{verb} {'.'.join((resource, *group))}"
        for verb, resource, *group in wanted
        if not kubernetes.may(verb, resource, namespace, *group)
    ]
    if missing:
        raise ClusterError(
            f"Kubernetes at {kubernetes.host} ({kubernetes.identity}): a run with these faults "
            f"takes rights that this identity does not have in namespace {namespace}: "
            f"{', '.join(missing)}. Bind it to a Role that has them; docs/faults.md says what each "
            "fault takes."
        )
