"""What can be done to a Strimzi cluster beyond its brokers one by one: zones, rolls, the operator.

A roll is asked of the Cluster Operator and done by it: by the annotation
strimzi.io/manual-rolling-update on the StrimziPodSets, or by a change of the pods' template in the
Kafka resource. The operator looks at its resources every two minutes, so a roll may begin late.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from harness.brokers.kind import RollBy
from harness.brokers.strimzi.cluster_operator import OperatorControl
from harness.brokers.strimzi.evidence import PodKilled, PodRolled
from harness.brokers.strimzi.objects import CLUSTER_LABEL, Document, label
from harness.brokers.strimzi.pods import PodState
from harness.brokers.strimzi.verbs import KILL_GRACE_S, StrimziControl
from harness.errors import ClusterError
from harness.rundir.clock import now
from harness.rundir.operator_evidence import OperatorKilled, OperatorRevoked, OperatorStopped

ROLL_TIMEOUT_S: Final = 900.0
ZONE: Final = "topology.kubernetes.io/zone"
_ROLL: Final = "strimzi.io/manual-rolling-update"
_ROLLED_AT: Final = "delivery-harness/rolled-at"
_POD_SETS: Final = ("core.strimzi.io", "v1", "strimzipodsets")
_KAFKAS: Final = ("kafka.strimzi.io", "v1", "kafkas")


class StrimziOperated(StrimziControl):
    """As `StrimziControl`, with what the operator and the Kubernetes nodes allow besides."""

    def zones(self) -> dict[int, str]:
        """Broker → the topology zone of the node that its pod is on.

        Kubernetes 1.35 and newer copy it to the pod; before, it is asked of the node. Raises
        ClusterError when a broker's zone is not known.
        """
        namespace, found = self._target.namespace, {}
        pods = self._kubernetes.pods_at(namespace, self._selector)[0]
        by_name = {str(pod["metadata"]["name"]): pod for pod in pods}
        for node in self.nodes:
            pod = by_name.get(node.pod)
            if not node.broker or pod is None:
                continue
            zone = label(pod, ZONE) or self._zone_of_node(pod["spec"].get("nodeName"))
            if zone is None:
                raise ClusterError(
                    f"broker {node.node_id}: neither its pod nor its node has the label {ZONE}, so "
                    "its zone is not known."
                )
            found[node.node_id] = zone
        return found

    def kill_together(self, brokers: Sequence[int]) -> list[PodKilled]:
        """The pods of several brokers deleted with 1 s of grace, before any of them has ended."""
        return self._delete_all(PodKilled, brokers, KILL_GRACE_S)

    def roll(self, by: RollBy, timeout_s: float = ROLL_TIMEOUT_S) -> list[PodRolled]:
        """Let the operator replace every broker's pod, and see it done; see `PodRolled`."""
        watch = self._watch()
        wanted = {node.pod: node.node_id for node in self.nodes if node.broker}
        before = {name: pod for name, pod in watch.present.items() if name in wanted}
        started = time.monotonic()
        rolled = {
            name: PodRolled(wanted[name], name, pod.uid, now(), pod.node, by=by,
                            led_before=self._led(wanted[name]))
            for name, pod in before.items()
        }  # fmt: skip
        ask = self._ask_by_annotation if by == "annotation" else self._ask_by_change
        ask()

        def note(_: str, seen: PodState) -> None:
            each = rolled.get(seen.name)
            if each is None:
                return
            if seen.uid == each.uid and seen.exit_code is not None and each.exit_code is None:
                each.gone, each.exit_code, each.reason = True, seen.exit_code, seen.reason
                each.ended_after_s = round(time.monotonic() - started, 3)
                each.led_at_end = self._led(each.broker)
            elif seen.uid != each.uid:
                each.gone, each.uid_after = True, seen.uid
                if seen.ready and each.ready_after_s is None:
                    each.ready_after_s = round(time.monotonic() - started, 3)

        def pending() -> str | None:
            left = [name for name, each in rolled.items() if each.ready_after_s is None]
            return f"{', '.join(left)} not rolled" if left else None

        watch.await_that(pending, timeout_s, note)
        return list(rolled.values())

    def stop_operator(self) -> OperatorStopped:
        """Scale the operator's Deployment to zero, and see its pods end. `heal` brings it back."""
        self._operator_away = True
        return self._operator.stop()

    def kill_operator(self) -> OperatorKilled:
        """Delete the operator's pods, and see them end; its Deployment makes others."""
        return self._operator.kill()

    def revoke_operator(self) -> OperatorRevoked:
        """Take the operator out of the role bindings of the namespace; `heal` puts it back."""
        self._operator_away = True
        return self._operator.revoke()

    def heal(self, timeout_s: float = 300.0) -> None:
        """Give the operator back what it lacks, then as `StrimziControl.heal`."""
        self._operator_away = False
        self._operator.heal()
        super().heal(timeout_s)

    @property
    def _operator(self) -> OperatorControl:
        return OperatorControl(self._kubernetes, self._target.namespace)

    # -- how ---------------------------------------------------------------------------------

    def _zone_of_node(self, name: str | None) -> str | None:
        if name is None:
            return None
        found = self._kubernetes.node(name)
        return None if found is None else label(found, ZONE)

    def _ask_by_annotation(self) -> None:
        namespace, cluster = self._target.namespace, self._target.cluster
        sets = self._kubernetes.objects(
            *_POD_SETS, namespace, label_selector=f"{CLUSTER_LABEL}={cluster}"
        )
        pools = {node.pool for node in self.nodes if node.broker}
        names = [name for each in sets if (name := _name(each)) in
                 {f"{cluster}-{pool}" for pool in pools}]  # fmt: skip
        if not names:
            raise ClusterError(
                f"Kafka {self._target.name}: no StrimziPodSet of its brokers is in namespace "
                f"{namespace}, so none can be annotated."
            )
        for name in names:
            self._patch(_POD_SETS, name, {"metadata": {"annotations": {_ROLL: "true"}}})

    def _ask_by_change(self) -> None:
        template = {"pod": {"metadata": {"annotations": {_ROLLED_AT: now()}}}}
        self._patch(_KAFKAS, self._target.cluster, {"spec": {"kafka": {"template": template}}})

    def _patch(self, kind: tuple[str, str, str], name: str, change: Mapping[str, Any]) -> None:
        self._kubernetes.patch(*kind, self._target.namespace, name, change)


def _name(resource: Document) -> str:
    return str(resource["metadata"]["name"])
