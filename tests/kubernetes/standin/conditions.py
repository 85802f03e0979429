"""The status of a custom resource: its conditions, as Strimzi writes them."""

from __future__ import annotations

import time
from typing import Any

from tests.kubernetes.standin.api_server import ApiServer

Document = dict[str, Any]


def ready(document: Document) -> Document:
    """A status that says Ready for the generation that was read."""
    return _status(document, {"type": "Ready", "status": "True"})


def not_ready(document: Document, reason: str, message: str) -> Document:
    condition = {"type": "Ready", "status": "False", "reason": reason, "message": message}
    return _status(document, condition)


def creating(document: Document) -> Document:
    """Of a cluster that is under way for the first time."""
    message = "Kafka cluster is being deployed"
    condition = {"type": "NotReady", "status": "True", "reason": "Creating", "message": message}
    return _status(document, condition)


def warning(reason: str, message: str) -> Document:
    condition = {"type": "Warning", "status": "True", "reason": reason, "message": message}
    return {**condition, "lastTransitionTime": _now()}


def is_ready_now(document: Document) -> bool:
    conditions = (document.get("status") or {}).get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def write_status(api: ApiServer, document: Document, status: Document) -> None:
    """Write it where it differs from what is there; a condition keeps the time of its change."""
    old = document.get("status") or {}
    then = {_without_time(each): each for each in old.get("conditions") or ()}
    conditions = [then.get(_without_time(each), each) for each in status.get("conditions") or ()]
    status = {**status, "conditions": conditions}
    if status == old:
        return
    api.apply_status(
        {
            "apiVersion": document["apiVersion"],
            "kind": document["kind"],
            "metadata": {"name": document["metadata"]["name"]},
            "status": status,
        }
    )


def _status(document: Document, condition: Document) -> Document:
    return {
        "observedGeneration": document["metadata"]["generation"],
        "conditions": [{**condition, "lastTransitionTime": _now()}],
    }


def _without_time(condition: Document) -> tuple[tuple[str, str], ...]:
    kept = {key: value for key, value in condition.items() if key != "lastTransitionTime"}
    return tuple(sorted(kept.items()))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
