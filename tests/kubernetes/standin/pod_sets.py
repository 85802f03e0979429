"""The StrimziPodSet controller: every pod of a set is there, and no other.

A pod that is missing, however it went, is made again from the set; one that has ended for good is
deleted first. Nothing here restarts a running pod: that is the roller's.
"""

from __future__ import annotations

from typing import Any, Final

from tests.kubernetes.standin.api_server import POD, POD_SET, ApiServer
from tests.kubernetes.standin.log import say
from tests.kubernetes.standin.names import POD_NAME_LABEL

SELECTOR: Final = {"strimzi.io/controller": "strimzipodset"}


def is_ready(pod: dict[str, Any]) -> bool:
    """Ready, and not on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def has_ended(pod: dict[str, Any]) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


class PodSetController:
    """Keeps the pods of every StrimziPodSet in the namespace."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api

    def reconcile(self) -> None:
        pods = self._api.list(POD, SELECTOR)
        wanted = set()
        for pod_set in self._api.list(POD_SET):
            self._keep(pod_set, pods)
            wanted |= {each["metadata"]["name"] for each in pod_set["spec"]["pods"]}
        for pod in pods:
            name = pod["metadata"]["name"]
            if name not in wanted and not pod["metadata"].get("deletionTimestamp"):
                say(f"pod {name}: no longer in its set, deleted")
                self._api.delete(POD, name, uid=pod["metadata"]["uid"])

    def _keep(self, pod_set: dict[str, Any], pods: list[dict[str, Any]]) -> None:
        there = {pod["metadata"]["name"]: pod for pod in pods}
        mine = []
        for document in pod_set["spec"]["pods"]:
            name = document["metadata"]["name"]
            pod = there.get(name)
            if pod is not None and has_ended(pod):
                self._api.delete(POD, name, uid=pod["metadata"]["uid"])
            elif pod is not None:
                mine.append(pod)
            elif self._api.create(_owned(document, pod_set)) is not None:
                say(f"pod {name}: made")
        self._write_status(pod_set, mine)

    def _write_status(self, pod_set: dict[str, Any], pods: list[dict[str, Any]]) -> None:
        revisions = {
            each["metadata"]["name"]: each["metadata"]["annotations"]
            for each in pod_set["spec"]["pods"]
        }
        status = {
            "observedGeneration": pod_set["metadata"]["generation"],
            "pods": len(pod_set["spec"]["pods"]),
            "readyPods": sum(map(is_ready, pods)),
            "currentPods": sum(
                pod["metadata"].get("annotations", {}).get("strimzi.io/revision")
                == revisions[pod["metadata"]["labels"][POD_NAME_LABEL]]["strimzi.io/revision"]
                for pod in pods
            ),
        }
        if (pod_set.get("status") or {}) != status:
            self._api.apply_status(
                {
                    "apiVersion": POD_SET.api_version,
                    "kind": POD_SET.kind,
                    "metadata": {"name": pod_set["metadata"]["name"]},
                    "status": status,
                }
            )


def _owned(document: dict[str, Any], pod_set: dict[str, Any]) -> dict[str, Any]:
    owner = {
        "apiVersion": POD_SET.api_version,
        "kind": POD_SET.kind,
        "name": pod_set["metadata"]["name"],
        "uid": pod_set["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {**document, "metadata": {**document["metadata"], "ownerReferences": [owner]}}
