"""An overlay in a cluster: applied and awaited, taken away again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from harness.errors import ClusterError
from harness.kubernetes.kubectl import ANSWER_S, Kubectl, KubectlFailed
from harness.kubernetes.overlay import elsewhere, in_namespace, parsed, rendered, written
from harness.kubernetes.run_job import RUN_LABEL

STRIMZI: Final = "/apis/kafka.strimzi.io"
_FIRST_GONE: Final = ("KafkaTopic", "KafkaUser")
"""Their operator runs beside Kafka: without it they wait for ever on their finalizers."""
_DATA: Final = ("Namespace", "PersistentVolumeClaim")
POLL_S: Final = 1.0


def apply(kubectl: Kubectl, overlay: Path, *, wait_s: float | None) -> None:
    """Apply an overlay; await that Kafka, its users and the workers are ready.

    wait_s: for how long; None: not at all. Raises ClusterError, before anything is applied where
    Strimzi's resource kinds are not there.
    """
    require_strimzi(kubectl)
    objects = parsed(rendered(kubectl, overlay, shown=False))
    with in_namespace(overlay, kubectl.target.namespace) as path:
        kubectl.show("apply", "-k", str(overlay), after=elsewhere(kubectl))
        kubectl.say(kubectl.call("apply", "-k", str(path), timeout_s=2 * ANSWER_S).rstrip())
    if wait_s is not None:
        _await_ready(kubectl, objects, time.monotonic() + wait_s)


def require_strimzi(kubectl: Kubectl) -> None:
    """Raises ClusterError where the cluster does not serve kafka.strimzi.io/v1."""
    try:
        kubectl.call("get", "--raw", f"{STRIMZI}/v1")
        return
    except KubectlFailed as error:
        if "(NotFound)" not in error.said:
            raise
    try:
        kubectl.call("get", "--raw", STRIMZI)
    except KubectlFailed as error:
        if "(NotFound)" not in error.said:
            raise
        raise ClusterError(
            "Strimzi: its resource kinds are not known to this cluster, so its operator is not "
            "installed. Install it first: docs/kubernetes.md has the Helm commands."
        ) from None
    raise ClusterError(
        "Strimzi: this cluster serves kafka.strimzi.io, but not its version v1, so the operator is "
        "older than 0.49. docs/kubernetes.md says what differs there."
    )


def _await_ready(kubectl: Kubectl, objects: list[dict[str, Any]], deadline: float) -> None:
    for kind in ("Kafka", "KafkaTopic", "KafkaUser"):
        names = [each["metadata"]["name"] for each in objects if each["kind"] == kind]
        for name in names:
            _await(kubectl, deadline, "wait", f"{kind.lower()}/{name}", "--for=condition=Ready")
    for each in objects:
        if each["kind"] == "Deployment":
            name = each["metadata"]["name"]
            _await(kubectl, deadline, "rollout", "status", f"deployment/{name}")


def _await(kubectl: Kubectl, deadline: float, *arguments: str) -> None:
    left = max(1, int(deadline - time.monotonic()))
    try:
        kubectl.call(*arguments, f"--timeout={left}s", timeout_s=left + ANSWER_S, shown=True)
    except KubectlFailed as error:
        raise ClusterError(
            f"{error} Look at it: kubectl -n {kubectl.target.namespace} get kafka,kafkauser,pods, "
            "and at the log of the operator."
        ) from None


def delete(kubectl: Kubectl, overlay: Path, *, data: bool, wait_s: float) -> None:
    """Take away what an overlay applied, runs included, and await that it is gone.

    data: also the namespace, with every volume claim and whatever else is in it. Without it the
    namespace, the results and the claims that a node pool keeps are still there.
    """
    objects = parsed(rendered(kubectl, overlay))
    first = [each for each in objects if each["kind"] in _FIRST_GONE]
    kept = [each for each in objects if each["kind"] in _DATA]
    others = [each for each in objects if each not in first and each not in kept]
    flags = ("--ignore-not-found", "--wait", f"--timeout={int(wait_s)}s")
    patience_s = wait_s + ANSWER_S
    runs = ("delete", "job,pod", "--selector", RUN_LABEL, *flags)
    kubectl.call(*runs, timeout_s=patience_s, shown=True)
    for what, part in (("topics and users", first), ("the rest", others)):
        kubectl.show("delete", "-f", "-", *flags, after=f"   # {what} of the overlay")
        kubectl.call("delete", "-f", "-", *flags, stdin=written(part), timeout_s=patience_s)
    _await_no_brokers(kubectl, objects, wait_s)
    if data:
        for each in reversed(kept):
            name = each["metadata"]["name"]
            kind = each["kind"].lower()
            kubectl.call("delete", kind, name, *flags, timeout_s=patience_s, shown=True)
        return
    names = ", ".join(f"{each['kind']} {each['metadata']['name']}" for each in kept)
    kubectl.say(f"kept: {names}, and the claims that node pools keep; --all-data removes them too")


def _await_no_brokers(kubectl: Kubectl, objects: list[dict[str, Any]], wait_s: float) -> None:
    """The operator removes the pods after the Kafka resource is gone."""
    deadline = time.monotonic() + wait_s
    for each in objects:
        if each["kind"] != "Kafka":
            continue
        selector = f"strimzi.io/cluster={each['metadata']['name']}"
        kubectl.show("wait", "pod", "--for=delete", "--selector", selector)
        while left := kubectl.items("pods", "--selector", selector):
            if time.monotonic() > deadline:
                names = ", ".join(pod["metadata"]["name"] for pod in left)
                raise ClusterError(
                    f"pods still there {wait_s:g} s after their Kafka resource: {names}. Is "
                    "Strimzi's operator running?"
                )
            time.sleep(POLL_S)
