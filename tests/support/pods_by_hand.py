"""Pods of a Kafka cluster on an API server without kubelets: made, ended and remade by a thread.

What the thread does is what a kubelet and Strimzi's operator do to the objects, and nothing more:
no process runs. It shows how verbs and watches read the API; that brokers die is shown on a real
node.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

from kubernetes import client, watch

CLUSTER: Final = "c"
POOL: Final = "b"
NODE: Final = "a-node"
ORDERLY: Final = 143
KILLED: Final = 137


class PodsByHand:
    """Three brokers' pods; `exits` says with which status a broker ends instead of the usual."""

    def __init__(self, api: Any, namespace: str, exits: Mapping[int, int] | None = None) -> None:
        self.core = client.CoreV1Api(api)
        self.namespace = namespace
        self.exits = dict(exits or {})
        self.again = True
        """Does an ended pod come back?"""
        for number in range(3):
            self.make(number)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join(10)

    def name(self, number: int | str) -> str:
        return f"{CLUSTER}-{POOL}-{number}"

    def make(self, number: int) -> None:
        """A pod that is ready."""
        name = self.name(number)
        labels = {
            "strimzi.io/cluster": CLUSTER,
            "strimzi.io/name": f"{CLUSTER}-kafka",
            "strimzi.io/pool-name": POOL,
            "strimzi.io/broker-role": "true",
            "strimzi.io/pod-name": name,
        }
        container = {"name": "kafka", "image": "none"}
        self.core.create_namespaced_pod(
            self.namespace,
            {
                "metadata": {"name": name, "labels": labels},
                "spec": {"nodeName": NODE, "containers": [container]},
            },
        )
        self.status(number, restarts=0)

    def status(self, number: int, *, restarts: int = 0, exit_code: int | None = None,
               last_exit_code: int | None = None, reason: str = "Error") -> None:  # fmt: skip
        """Set what a kubelet would say of the pod's container."""
        ended = {"exitCode": exit_code, "reason": reason} if exit_code is not None else None
        before = {"exitCode": last_exit_code, "reason": reason} if last_exit_code else None
        state = {"terminated": ended} if ended else {"running": {}}
        container = {
            "name": "kafka", "image": "none", "imageID": "", "ready": ended is None,
            "restartCount": restarts, "state": state,
            "lastState": {"terminated": before} if before else {},
        }  # fmt: skip
        ready = {"type": "Ready", "status": "True" if ended is None else "False"}
        self.core.patch_namespaced_pod_status(
            self.name(number),
            self.namespace,
            {"status": {"conditions": [ready], "containerStatuses": [container]}},
        )

    def _run(self) -> None:
        ending: set[str] = set()
        while not self._stop.is_set():
            for event in watch.Watch().stream(
                self.core.list_namespaced_pod, self.namespace, timeout_seconds=1
            ):
                pod = event["object"]
                ours = pod.metadata.name.startswith(self.name(""))
                ends = pod.metadata.deletion_timestamp and event["type"] != "DELETED"
                if ours and ends and pod.metadata.uid not in ending:
                    ending.add(pod.metadata.uid)
                    self._ended(pod)

    def _ended(self, pod: Any) -> None:
        number = int(pod.metadata.name.rpartition("-")[2])
        usual = KILLED if pod.metadata.deletion_grace_period_seconds == 1 else ORDERLY
        self.status(number, exit_code=self.exits.get(number, usual))
        self.core.delete_namespaced_pod(
            pod.metadata.name, self.namespace, body=client.V1DeleteOptions(grace_period_seconds=0)
        )
        if self.again:
            self.make(number)
