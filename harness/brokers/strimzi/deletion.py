"""A pod deleted by Chaos Toolkit's Kubernetes extension, with a selector that names it alone.

Its `terminate_pods` succeeds with an empty list where a selector matches nothing; here that is a
failure. It makes a client of its own from the same kubeconfig and context.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from harness.brokers.strimzi.access import INSTALL, Kubernetes, in_pod, kubeconfig_path
from harness.brokers.strimzi.objects import CLUSTER_LABEL, POD_LABEL
from harness.brokers.strimzi.target import StrimziTarget
from harness.errors import ClusterError, UsageError, scrub

_IN_POD: Final = "CHAOSTOOLKIT_IN_POD"
_OWN_GRACE: Final = -1
"""How terminate_pods spells the grace period that the pod itself asks for."""


def delete_pod(
    kubernetes: Kubernetes, target: StrimziTarget, pod: str, grace_s: int | None
) -> None:
    """Delete one pod of a cluster; does not wait for its end.

    grace_s: None for the pod's own grace period. Raises ClusterError when nothing was deleted.
    """
    selector = f"{CLUSTER_LABEL}={target.cluster},{POD_LABEL}={pod}"
    delete_pods(kubernetes, target.namespace, selector, [pod], grace_s)


def delete_pods(
    kubernetes: Kubernetes, namespace: str, selector: str, pods: list[str], grace_s: int | None
) -> None:
    """Delete the pods that a selector matches, which are to be `pods`; does not wait.

    Raises ClusterError when it matched others or none.
    """
    try:
        from chaosk8s.pod.actions import terminate_pods
        from chaoslib.exceptions import ChaosException
    except ImportError:
        raise UsageError(
            f"faults on pods need the package chaostoolkit-kubernetes: {INSTALL}."
        ) from None
    names = ", ".join(pods)
    secrets = {"KUBERNETES_CONTEXT": kubernetes.context} if kubernetes.context else None
    try:
        with _same_access():
            deleted = terminate_pods(
                label_selector=selector,
                qty=len(pods),
                grace_period=_OWN_GRACE if grace_s is None else grace_s,
                ns=namespace,
                secrets=secrets,
            )
    except ChaosException as error:
        raise ClusterError(f"pod {names}: it could not be deleted: {scrub(str(error))}") from None
    except Exception as error:
        kubernetes.explain(error, f"delete pods in namespace {namespace}")
    if sorted(deleted) != sorted(pods):
        raise ClusterError(
            f"pod {names}: the selector {selector} matched {', '.join(deleted) or 'no pod'} in "
            f"namespace {namespace}, so the fault did not strike what it was aimed at."
        )


@contextmanager
def _same_access() -> Iterator[None]:
    """The extension asks the API server that was asked before.

    The kubernetes package reads KUBECONFIG when it is imported, and the extension takes a pod's
    service account only when a variable says so.
    """
    from kubernetes.config import kube_config

    path, at_import = kubeconfig_path(), kube_config.KUBE_CONFIG_DEFAULT_LOCATION
    said = os.environ.get(_IN_POD)
    if path is not None:
        kube_config.KUBE_CONFIG_DEFAULT_LOCATION = path
    elif in_pod():
        os.environ[_IN_POD] = "true"
    try:
        yield
    finally:
        kube_config.KUBE_CONFIG_DEFAULT_LOCATION = at_import
        if said is None:
            os.environ.pop(_IN_POD, None)
