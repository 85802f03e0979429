"""Pods of Kafka nodes: what the API says of them, and a watch that sees them end and come back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from harness.brokers.strimzi.access import Kubernetes, kubernetes_package
from harness.brokers.strimzi.objects import CONTAINER, Document

_WATCH_S: Final = 20
"""So long one watch lasts; then another goes on from where it was."""
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class PodState:
    """A pod of a Kafka node at one moment."""

    name: str
    uid: str
    node: str | None
    """The Kubernetes node that it is on; None while it is on none."""
    ready: bool
    terminating: bool
    restarts: int
    """How often its broker's container has started again in this pod."""
    container_id: str | None
    exit_code: int | None
    """Of the container, where it has ended in this pod and not started again."""
    last_exit_code: int | None
    """Of the container before this one, in the same pod."""
    reason: str | None
    """Why the container ended, as Kubernetes names it; of a pod that was evicted, that."""

    @property
    def node_id(self) -> int:
        """Of the Kafka node: the last part of the pod's name."""
        return int(self.name.rpartition("-")[2])


def pod_state(pod: Document) -> PodState:
    """What an object of the API says. Strimzi names pods <cluster>-<pool>-<id>."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    conditions = status.get("conditions") or []
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    containers = status.get("containerStatuses") or []
    kafka: Mapping[str, Any] = next(
        (each for each in containers if each.get("name") == CONTAINER), {}
    )
    ended = (kafka.get("state") or {}).get("terminated") or {}
    before = (kafka.get("lastState") or {}).get("terminated") or {}
    return PodState(
        name=str(metadata["name"]),
        uid=str(metadata["uid"]),
        node=(pod.get("spec") or {}).get("nodeName"),
        ready=ready,
        terminating=metadata.get("deletionTimestamp") is not None,
        restarts=int(kafka.get("restartCount") or 0),
        container_id=kafka.get("containerID"),
        exit_code=ended.get("exitCode"),
        last_exit_code=before.get("exitCode"),
        reason=status.get("reason") or ended.get("reason") or before.get("reason"),
    )


class PodWatch:
    """The pods that a selector matches, from one list on; what becomes of them is not missed.

    A watch goes on from the version of the list, so that a change between list and watch is seen.
    """

    def __init__(self, kubernetes: Kubernetes, namespace: str, selector: str) -> None:
        """Raises ClusterError when the pods cannot be listed."""
        self._kubernetes = kubernetes
        self._namespace, self._selector = namespace, selector
        self.present: dict[str, PodState] = {}
        self._version = ""
        self._list()

    def changes(self, timeout_s: float) -> Iterator[tuple[str, PodState]]:
        """(ADDED, MODIFIED or DELETED, the pod) as it happens, for `timeout_s` at most.

        `present` is up to date with each. Raises ClusterError when the API does not answer.
        """
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            yield from self._watched(min(_WATCH_S, max(1, int(left + 1))), deadline)

    def await_that(
        self,
        pending: Callable[[], str | None],
        timeout_s: float,
        on_change: Callable[[str, PodState], None] = lambda _, __: None,
    ) -> str | None:
        """Watch until `pending` has nothing to say; what it last said when the time is over."""
        missing = pending()
        if missing is None:
            return None
        for kind, pod in self.changes(timeout_s):
            on_change(kind, pod)
            missing = pending()
            if missing is None:
                return None
        return missing

    def await_ready(self, names: Sequence[str], timeout_s: float) -> str | None:
        """Watch until all pods of these names are ready; what is missing when the time is over."""

        def pending() -> str | None:
            left = []
            for name in names:
                pod = self.present.get(name)
                if pod is None:
                    left.append(f"{name} is not there")
                elif pod.terminating or not pod.ready:
                    said = f" ({pod.reason})" if pod.reason else ""
                    left.append(f"{name} is {'ending' if pod.terminating else 'not ready'}{said}")
            return "; ".join(left) or None

        return self.await_that(pending, timeout_s)

    def _watched(self, seconds: int, deadline: float) -> Iterator[tuple[str, PodState]]:
        package = kubernetes_package()
        watch = package.watch.Watch()
        core = self._kubernetes.core
        try:
            with contextlib.closing(
                watch.stream(
                    core.list_namespaced_pod,
                    self._namespace,
                    label_selector=self._selector,
                    resource_version=self._version,
                    timeout_seconds=seconds,
                )
            ) as events:
                for event in events:
                    change = self._take(event)
                    if change is not None:
                        yield change
                    if time.monotonic() > deadline:
                        return
        except Exception as error:
            if getattr(error, "status", None) != _GONE:
                self._kubernetes.explain(error, f"watch pods in namespace {self._namespace}")
            yield from self._list()

    def _take(self, event: Mapping[str, Any]) -> tuple[str, PodState] | None:
        document, kind = event["raw_object"], str(event["type"])
        self._version = document["metadata"].get("resourceVersion", self._version)
        if kind not in ("ADDED", "MODIFIED", "DELETED"):
            return None
        pod = pod_state(document)
        if kind == "DELETED":
            self.present.pop(pod.name, None)
        else:
            self.present[pod.name] = pod
        return kind, pod

    def _list(self) -> list[tuple[str, PodState]]:
        """Take the pods as they are now; what has changed since the last time."""
        found, self._version = self._kubernetes.pods_at(self._namespace, self._selector)
        now = {pod.name: pod for pod in map(pod_state, found)}
        changes = [("DELETED", pod) for name, pod in self.present.items()
                   if name not in now or now[name].uid != pod.uid]  # fmt: skip
        changes += [("MODIFIED", pod) for name, pod in now.items() if self.present.get(name) != pod]
        self.present = now
        return changes
