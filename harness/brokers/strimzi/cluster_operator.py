"""What is done to Strimzi's Cluster Operator: scaled to zero, killed, left without its rights.

What it was is kept in annotations of its Deployment and of the role bindings, so that whoever heals
can give it back. An operator that watches from another namespace has no Deployment here; its rights
in this namespace are role bindings of this namespace all the same.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from typing import Any, Final

from harness.brokers.strimzi.access import Kubernetes
from harness.brokers.strimzi.deletion import delete_pods
from harness.brokers.strimzi.objects import Document
from harness.brokers.strimzi.pods import PodWatch
from harness.errors import ClusterError
from harness.rundir.clock import now
from harness.rundir.operator_evidence import OperatorKilled, OperatorRevoked, OperatorStopped

OPERATOR: Final = "strimzi-cluster-operator"
"""The name of the operator's Deployment and service account, and the label `name` of its pods."""
END_S: Final = 60.0
REVOKED_S: Final = 20.0
"""So long the API server may take to know that a right is gone."""
KILL_GRACE_S: Final = 1
_MAKES: Final = ("create", "pods")
"""What it brings a broker back by."""
_POLL_S: Final = 0.2
_REPLICAS: Final = "delivery-harness/replicas"
_SUBJECTS: Final = "delivery-harness/subjects"
_DEPLOYMENTS: Final = ("apps", "v1", "deployments")
_REVIEWS: Final = ("authorization.k8s.io", "v1", "localsubjectaccessreviews")
_BINDINGS: Final = ("rbac.authorization.k8s.io", "v1", "rolebindings")


class OperatorControl:
    """The Cluster Operator of the Kafka resources of one namespace."""

    def __init__(self, kubernetes: Kubernetes, namespace: str) -> None:
        self._kubernetes, self._namespace = kubernetes, namespace

    def stop(self) -> OperatorStopped:
        """Scale its Deployment to zero, and see its pods end.

        Raises ClusterError where it is not in this namespace.
        """
        replicas = int(self._deployment()["spec"].get("replicas", 1))
        stopped = OperatorStopped(OPERATOR, replicas, now())
        self._scale(0, {_REPLICAS: str(replicas)} if replicas else {})
        watch = self._watch()
        stopped.pods = sorted(watch.present)
        watch.await_that(lambda: ", ".join(watch.present) or None, END_S)
        stopped.left = sorted(watch.present)
        return stopped

    def kill(self) -> OperatorKilled:
        """Delete its pods with 1 s of grace, and see them end. Its Deployment makes others.

        Raises ClusterError where it is not in this namespace.
        """
        self._deployment()
        watch = self._watch()
        killed = OperatorKilled(OPERATOR, now(), sorted(watch.present))
        if not killed.pods:
            return killed
        delete_pods(self._kubernetes, self._namespace, f"name={OPERATOR}", killed.pods,
                    KILL_GRACE_S)  # fmt: skip

        def left() -> list[str]:
            return [name for name in killed.pods if name in watch.present]

        watch.await_that(lambda: ", ".join(left()) or None, END_S)
        killed.left = left()
        killed.pods_after = sorted(set(watch.present) - set(killed.pods))
        return killed

    def revoke(self) -> OperatorRevoked:
        """Take its service account out of every role binding of this namespace, and see it gone.

        Raises ClusterError where none names it, or whoever asks may not change them.
        """
        changes: dict[str, tuple[list[Document], list[Document]]] = {}
        for binding in self._bindings():
            subjects = list(binding.get("subjects") or [])
            taken = [each for each in subjects if _is_operator(each)]
            if taken:
                kept = [each for each in subjects if each not in taken]
                changes[str(binding["metadata"]["name"])] = (kept, taken)
        if not changes:
            raise ClusterError(
                f"service account {OPERATOR}: no RoleBinding in namespace {self._namespace} names "
                "it. An operator that watches all namespaces has its rights by "
                "ClusterRoleBindings, which are left alone."
            )
        whose = next(iter(changes.values()))[1][0].get("namespace") or self._namespace
        account = (str(whose), OPERATOR)
        revoked = OperatorRevoked(
            f"system:serviceaccount:{whose}:{OPERATOR}", sorted(changes), now(),
            " ".join(_MAKES), self._may(account),
        )  # fmt: skip
        for dry_run in (True, False):
            for name, (kept, taken) in changes.items():
                self._set_subjects(name, kept, json.dumps(taken), dry_run=dry_run)
        deadline = time.monotonic() + REVOKED_S
        while True:
            revoked.allowed_after = self._may(account)
            if not revoked.allowed_after or time.monotonic() > deadline:
                return revoked
            time.sleep(_POLL_S)

    def heal(self) -> None:
        """Give back whatever `stop` and `revoke` of anybody took."""
        deployment: Document | None = None
        bindings: list[Document] = []
        # Whoever may not read a resource has not changed it.
        with contextlib.suppress(ClusterError):
            deployment = self._kubernetes.object(*_DEPLOYMENTS, self._namespace, OPERATOR)
        with contextlib.suppress(ClusterError):
            bindings = self._bindings()
        replicas = _annotation(deployment, _REPLICAS)
        if replicas is not None:
            self._scale(int(replicas), {_REPLICAS: None})
        for binding in bindings:
            taken = _annotation(binding, _SUBJECTS)
            if taken is not None:
                there = list(binding.get("subjects") or [])
                back = [each for each in json.loads(taken) if each not in there]
                self._set_subjects(str(binding["metadata"]["name"]), [*there, *back], None)

    # -- how ---------------------------------------------------------------------------------

    def _deployment(self) -> Document:
        found = self._kubernetes.object(*_DEPLOYMENTS, self._namespace, OPERATOR)
        if found is None:
            raise ClusterError(
                f"Deployment {OPERATOR}: there is none in namespace {self._namespace}. An operator "
                "that watches from another namespace is left alone."
            )
        return found

    def _watch(self) -> PodWatch:
        return PodWatch(self._kubernetes, self._namespace, f"name={OPERATOR}")

    def _bindings(self) -> list[Document]:
        return self._kubernetes.objects(*_BINDINGS, self._namespace)

    def _may(self, account: tuple[str, str]) -> bool:
        """Whether a service account (namespace, name) may make the pods of brokers."""
        whose, name = account
        groups = [f"system:serviceaccounts{part}" for part in ("", f":{whose}")]
        verb, resource = _MAKES
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "LocalSubjectAccessReview",
            "metadata": {"namespace": self._namespace},
            "spec": {
                "user": f"system:serviceaccount:{whose}:{name}",
                "groups": [*groups, "system:authenticated"],
                "resourceAttributes": {
                    "verb": verb,
                    "resource": resource,
                    "namespace": self._namespace,
                },
            },
        }
        answer = self._kubernetes.create(*_REVIEWS, self._namespace, review)
        return bool((answer.get("status") or {}).get("allowed"))

    def _scale(self, replicas: int, annotations: Mapping[str, str | None]) -> None:
        change = {"metadata": {"annotations": annotations}, "spec": {"replicas": replicas}}
        self._kubernetes.patch(*_DEPLOYMENTS, self._namespace, OPERATOR, change)

    def _set_subjects(
        self, name: str, subjects: list[Document], taken: str | None, *, dry_run: bool = False
    ) -> None:
        change = {"metadata": {"annotations": {_SUBJECTS: taken}}, "subjects": subjects}
        self._kubernetes.patch(*_BINDINGS, self._namespace, name, change, dry_run=dry_run)


def _is_operator(subject: Document) -> bool:
    return (subject.get("kind"), subject.get("name")) == ("ServiceAccount", OPERATOR)


def _annotation(resource: Document | None, name: str) -> Any:
    return (((resource or {}).get("metadata") or {}).get("annotations") or {}).get(name)
