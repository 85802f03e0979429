"""Rolling restarts: one pod at a time, and only while every partition keeps its replicas.

A pod is restarted when its revision is not that of its set, or when it (or its set) carries the
annotation `strimzi.io/manual-rolling-update: "true"`. Order and conditions are those of Strimzi's
`KafkaRoller`: pods that are not ready first, controllers before brokers; the next one waits until
the last one is ready and all partitions are in sync again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaException

from tests.kubernetes.standin.api_server import POD, POD_SET, ApiServer
from tests.kubernetes.standin.kafka_admin import KafkaAdmin
from tests.kubernetes.standin.log import say
from tests.kubernetes.standin.names import MANUAL_ROLLING_UPDATE, REVISION, ClusterNames
from tests.kubernetes.standin.pod_sets import is_ready

READY_TIMEOUT_S: Final = 300.0
_LOOK_EVERY_S: Final = 0.5


class RollingTimeout(Exception):
    """A restarted pod did not become ready, or partitions did not come back into sync, in time."""


def reasons(pods: list[dict[str, Any]], pod_sets: list[dict[str, Any]]) -> dict[str, str]:
    """Pod → why it is to be restarted, in the order in which it is done. Pure."""
    revisions = {
        each["metadata"]["name"]: each["metadata"]["annotations"][REVISION]
        for pod_set in pod_sets
        for each in pod_set["spec"]["pods"]
    }
    found = {}
    for pod in sorted(pods, key=_order):
        name, metadata = pod["metadata"]["name"], pod["metadata"]
        annotations = metadata.get("annotations") or {}
        if metadata.get("deletionTimestamp") or name not in revisions:
            continue
        if annotations.get(MANUAL_ROLLING_UPDATE) == "true":
            found[name] = "manual rolling update was requested"
        elif annotations.get(REVISION) != revisions[name]:
            found[name] = "it has an old revision"
    return found


def _order(pod: dict[str, Any]) -> tuple[bool, bool, str]:
    labels = pod["metadata"]["labels"]
    return is_ready(pod), labels.get("strimzi.io/broker-role") == "true", pod["metadata"]["name"]


class Roller:
    """Restarts the pods of one cluster."""

    def __init__(self, api: ApiServer, names: ClusterNames, admin: KafkaAdmin) -> None:
        self._api = api
        self._names = names
        self._admin = admin

    def roll(self) -> bool:
        """Restart what is to be restarted; whether anything was.

        Raises RollingTimeout; what is left is found again at the next reconciliation.
        """
        self._pass_on()
        rolled = False
        while True:
            pods = self._pods()
            why = reasons(pods, self._pod_sets())
            if not why:
                return rolled
            name, reason = next(iter(why.items()))
            pod = next(each for each in pods if each["metadata"]["name"] == name)
            if is_ready(pod):
                self._wait("every pod is ready and all partitions are in sync", self._all_well)
            say(f"pod {name}: restarted, {reason}")
            rolled = True
            self._api.delete(POD, name, uid=pod["metadata"]["uid"])
            self._wait(f"{name} is ready again", partial(self._is_new, name, pod))
            self._wait("all partitions are in sync", self._all_well)

    def _pass_on(self) -> None:
        """A set's annotation becomes one of each of its pods, which goes with the old pod."""
        there = {pod["metadata"]["name"] for pod in self._pods()}
        for pod_set in self._pod_sets():
            annotations = pod_set["metadata"].get("annotations") or {}
            if annotations.get(MANUAL_ROLLING_UPDATE) != "true":
                continue
            asked = {"metadata": {"annotations": {MANUAL_ROLLING_UPDATE: "true"}}}
            for each in pod_set["spec"]["pods"]:
                if each["metadata"]["name"] in there:
                    self._api.merge(POD, each["metadata"]["name"], asked)
            done = {"metadata": {"annotations": {MANUAL_ROLLING_UPDATE: None}}}
            self._api.merge(POD_SET, pod_set["metadata"]["name"], done)

    def _pods(self) -> list[dict[str, Any]]:
        return self._api.list(POD, self._names.selector())

    def _pod_sets(self) -> list[dict[str, Any]]:
        return self._api.list(POD_SET, self._names.selector())

    def _all_well(self) -> bool:
        if not all(map(is_ready, self._pods())):
            return False
        try:
            return not self._admin.not_in_sync()
        except KafkaException:
            return False

    def _is_new(self, name: str, old: dict[str, Any]) -> bool:
        now = self._api.get(POD, name)
        return (
            now is not None and now["metadata"]["uid"] != old["metadata"]["uid"] and is_ready(now)
        )

    @staticmethod
    def _wait(what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not condition():
            if time.monotonic() > deadline:
                raise RollingTimeout(f"waited {READY_TIMEOUT_S:.0f} s until {what}")
            time.sleep(_LOOK_EVERY_S)
