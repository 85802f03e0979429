"""What can be done to the brokers of a Strimzi cluster: pods deleted, processes signalled.

kill       the pod deleted with 1 s of grace: SIGTERM, and SIGKILL a second later. Never 0: that
           lets the next pod start while the old JVM still holds the volume. A broker hands over
           what it leads within that second, so its process is stopped first by SIGSTOP where the
           identity may exec: then it ends as in a crash
stop       the pod deleted with the grace period that it asks for
restart    the same, and the pod that the operator makes in its place is ready
pause      SIGSTOP to the broker's process in its container, by exec; resume: SIGCONT
heal       SIGCONT where a process is stopped, and every pod of the cluster is ready

Whatever ends comes back by itself: the operator (StrimziPodSet) makes the pod again. Pods are
deleted by Chaos Toolkit's Kubernetes extension, with a selector that names one pod.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from harness.brokers.kind import CutMode, Link
from harness.brokers.strimzi.access import Kubernetes
from harness.brokers.strimzi.deletion import delete_pod
from harness.brokers.strimzi.evidence import (
    ContainerKilled,
    ContainerPaused,
    ContainerResumed,
    InContainer,
    PodEnded,
    PodKilled,
    PodRestarted,
    PodStopped,
)
from harness.brokers.strimzi.objects import KafkaNode, node_selector, nodes, not_ready
from harness.brokers.strimzi.pods import PodState, PodWatch
from harness.brokers.strimzi.processes import SignalSeen, send
from harness.brokers.strimzi.restarts import RestartWatch
from harness.brokers.strimzi.rights import require_rights
from harness.brokers.strimzi.target import StrimziTarget
from harness.errors import ClusterError, UsageError
from harness.kafka.address import Address
from harness.kafka.admin import admin_client
from harness.rundir.clock import now
from harness.rundir.events import PodEvent, ResourcesEvent
from harness.rundir.fault_evidence import BrokerEvidence, Cut
from harness.system.stopped import STOPPED

KILL_GRACE_S: Final = 1
END_TIMEOUT_S: Final = 60.0
READY_TIMEOUT_S: Final = 180.0
HEAL_TIMEOUT_S: Final = 300.0
LOG_BYTES_MAX: Final = 16 * 1024 * 1024
ANSWER_S: Final = 5.0
_LOOK_AGAIN_S: Final = 5.0

Ended = TypeVar("Ended", bound=PodEnded)
Sent = TypeVar("Sent", bound=InContainer)


class StrimziControl:
    """A `BrokerControl` over the pods of one Kafka resource."""

    def __init__(
        self, target: StrimziTarget, kubernetes: Kubernetes, client_config: Mapping[str, str],
        capabilities: frozenset[str],
    ) -> None:  # fmt: skip
        self._target, self._kubernetes = target, kubernetes
        self._client_config = client_config
        self.capabilities = capabilities
        self._looked_at = -_LOOK_AGAIN_S
        self._endings: dict[str, tuple[PodWatch, float]] = {}
        """Uid of a pod that was deleted → what saw it, and when it was."""
        self._paused: dict[int, int] = {}
        """Broker → how often its container had started again when it was paused."""
        self._admin: AdminClient | None = None
        self._selector = node_selector(target.cluster)
        self._operator_away = False
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    # -- what there is -----------------------------------------------------------------------

    @property
    def nodes(self) -> list[KafkaNode]:
        """The Kafka nodes that there are to be, whether they have a pod now or not."""
        found = nodes(
            self._target.cluster,
            self._kubernetes.customs("kafkanodepools", self._target.namespace),
        )
        if not found:
            raise ClusterError(
                f"Kafka {self._target.name}: no KafkaNodePool of it has node ids in its status. "
                "The operator writes them; is it running?"
            )
        return found

    @property
    def broker_ids(self) -> list[int]:
        """Ids of all brokers, with a pod or not, ascending."""
        return [node.node_id for node in self.nodes if node.broker]

    def require_rights(self, needs: frozenset[str]) -> None:
        """Raises ClusterError when a right is missing that these capabilities take."""
        require_rights(self._kubernetes, self._target.namespace, needs)

    def require_ready(self) -> None:
        """Raises ClusterError with the operator's reason while the Kafka resource is not ready."""
        target = self._target
        reason = not_ready(
            self._kubernetes.custom("kafkas", target.namespace, target.cluster) or {}
        )
        if reason is not None:
            raise ClusterError(
                f"Kafka {target.name} is not ready: {reason}. `kubectl -n {target.namespace} "
                f"describe kafka {target.cluster}` says more."
            )

    def require_running(self) -> None:
        """Raises ClusterError once the Kafka resource is gone."""
        if time.monotonic() - self._looked_at < _LOOK_AGAIN_S:
            return
        target = self._target
        if self._kubernetes.custom("kafkas", target.namespace, target.cluster) is None:
            raise ClusterError(f"Kafka {target.name}: the resource is gone; nothing can be healed.")
        self._looked_at = time.monotonic()

    # -- verbs -------------------------------------------------------------------------------

    def kill(self, broker: int) -> PodKilled:
        """The pod deleted with 1 s of grace, and the end of its container."""
        return self._delete(PodKilled, broker, KILL_GRACE_S, END_TIMEOUT_S)

    def stop(self, broker: int, timeout_s: float = END_TIMEOUT_S) -> PodStopped:
        """The pod deleted with its own grace period, and the end of its container."""
        return self._delete(PodStopped, broker, None, timeout_s)

    def restart(self, broker: int, timeout_s: float = END_TIMEOUT_S) -> PodRestarted:
        """The pod deleted with its own grace period, and the pod that took its place, ready."""
        ended = self._delete(PodRestarted, broker, None, timeout_s)
        self.follow_up(ended, max(timeout_s, READY_TIMEOUT_S))
        self._await_all_ready(max(timeout_s, READY_TIMEOUT_S))
        return ended

    def kill_process(self, broker: int) -> ContainerKilled:
        """SIGKILL to the process in its container; the container starts again in the same pod."""
        watch = self._watch()
        killed = self._signal(ContainerKilled, broker, "KILL", watch)

        def pending() -> str | None:
            pod = watch.present.get(killed.pod)
            if pod is None:
                return "the pod is gone"
            killed.uid_after, killed.restarts_after = pod.uid, pod.restarts
            killed.exit_code, killed.reason = pod.last_exit_code, pod.reason
            return None if killed.restarted or pod.uid != killed.uid else "it has not started again"

        watch.await_that(pending, END_TIMEOUT_S)
        return killed

    def pause(self, broker: int) -> ContainerPaused:
        """SIGSTOP to the process, and the state that its threads are seen in."""
        paused = self._signal(ContainerPaused, broker, "STOP", self._watch())
        self._paused[broker] = paused.restarts
        return paused

    def resume(self, broker: int) -> ContainerResumed:
        """SIGCONT to the process; says when its container has started again meanwhile."""
        watch = self._watch()
        resumed = self._signal(ContainerResumed, broker, "CONT", watch)
        pod = watch.present[resumed.pod]
        resumed.restarts = self._paused.pop(broker, pod.restarts)
        resumed.restarts_after = pod.restarts
        if resumed.restarted:
            resumed.exit_code, resumed.reason = pod.last_exit_code, pod.reason
        return resumed

    def cut(
        self,
        broker: int,
        link: Link,
        mode: CutMode,
        *,
        hold_s: float,  # noqa: ARG002
        patience_s: float,  # noqa: ARG002
    ) -> Cut:
        """Not to be had here. Raises UsageError."""
        raise UsageError(
            f"{mode} of the {link} link of broker {broker}: links of a Strimzi cluster cannot be "
            "cut here (capability proxy)."
        )

    def restore(self, *, reset: bool = False) -> None:
        """Nothing: no link was cut."""

    def follow_up(self, evidence: BrokerEvidence, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Note the pod that took the place of one that was deleted, and when it was ready."""
        if not isinstance(evidence, PodEnded) or evidence.uid not in self._endings:
            return
        if self._operator_away:
            return  # no operator makes the next pod
        watch, since = self._endings.pop(evidence.uid)

        def pending() -> str | None:
            pod = watch.present.get(evidence.pod)
            if pod is None or pod.uid == evidence.uid:
                return "no pod has taken its place"
            evidence.uid_after = pod.uid
            if not pod.ready:
                return "the new pod is not ready"
            evidence.ready_after_s = round(time.monotonic() - since, 3)
            return None

        watch.await_that(pending, timeout_s)

    def heal(self, timeout_s: float = HEAL_TIMEOUT_S) -> None:
        """Resume what is paused, and wait until every pod of the cluster is ready."""
        watch = self._watch()
        if self._kubernetes.may("create", "pods/exec", self._target.namespace):
            for pod in sorted(watch.present):
                # One that ends or starts at this moment cannot be entered, and is waited for.
                with contextlib.suppress(ClusterError):
                    send(self._kubernetes, self._target.namespace, pod, "CONT")
        self._paused.clear()
        self._await_all_ready(timeout_s)

    def watch_restarts(self, append: Callable[[PodEvent], None]) -> Callable[[], None]:
        """Record every pod of the cluster that ends and every container that starts again."""
        return RestartWatch(self._watch, append).end

    def watch_resources(
        self,
        append: Callable[[ResourcesEvent], None],  # noqa: ARG002
    ) -> Callable[[], None]:
        """Nothing: what a pod uses is its node's to say, and is not asked for."""
        return lambda: None

    def logs(self, broker: int) -> Path:
        """A file with what the broker's container printed in its pod that is there now."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="harness-")
        path = Path(self._folder.name) / f"broker-{broker}.log"
        pod = next(node.pod for node in self.nodes if node.node_id == broker)
        path.write_bytes(
            b"".join(
                self._kubernetes.log(
                    self._target.namespace, pod, previous=previous, bytes_max=LOG_BYTES_MAX
                )
                for previous in (True, False)
            )[-LOG_BYTES_MAX:]
        )
        return path

    def log_directory(self, broker: int) -> Path:
        """Not to be had here. Raises UsageError."""
        raise UsageError(
            f"broker {broker}: the log files of a Strimzi cluster cannot be read here."
        )

    def admin_address(self, broker: int) -> Address:
        """The broker's advertised address, as the cluster names it. Raises ClusterError."""
        there = self._metadata(ANSWER_S)
        if there is None or broker not in there.brokers:
            raise ClusterError(f"broker {broker}: the cluster names no address of it now.")
        return str(there.brokers[broker].host), int(there.brokers[broker].port)

    # -- how ---------------------------------------------------------------------------------

    def _watch(self) -> PodWatch:
        return self._watch_of(self._selector)

    def _watch_of(self, selector: str) -> PodWatch:
        return PodWatch(self._kubernetes, self._target.namespace, selector)

    def _pod(self, watch: PodWatch, broker: int) -> PodState:
        """The pod of a broker. Raises UsageError for an unknown id, ClusterError for no pod."""
        known = {node.node_id: node.pod for node in self.nodes}
        if broker not in known:
            there = ", ".join(map(str, known))
            raise UsageError(f"broker {broker}: Kafka {self._target.name} has nodes {there}.")
        pod = watch.present.get(known[broker])
        if pod is None:
            raise ClusterError(
                f"broker {broker}: there is no pod {known[broker]} in namespace "
                f"{self._target.namespace} now. Heal the cluster first."
            )
        return pod

    def _delete(
        self, kind: type[Ended], broker: int, grace_s: int | None, timeout_s: float
    ) -> Ended:
        return self._delete_all(kind, [broker], grace_s, timeout_s)[0]

    def _delete_all(
        self,
        kind: type[Ended],
        brokers: Sequence[int],
        grace_s: int | None,
        timeout_s: float = END_TIMEOUT_S,
    ) -> list[Ended]:
        watch = self._watch()
        pods = {broker: self._pod(watch, broker) for broker in brokers}
        led = {broker: self._led(broker) for broker in brokers}
        crash = issubclass(kind, PodKilled)
        may_stop = crash and self._kubernetes.may("create", "pods/exec", self._target.namespace)
        endings: dict[str, Ended] = {}
        with contextlib.ExitStack() as undo:
            for broker, pod in pods.items():
                at = now()
                stopped = may_stop and self._stand_still(pod.name, undo)
                endings[pod.uid] = kind(broker, pod.name, pod.uid, at, pod.node, grace_s=grace_s,
                                        stopped_first=stopped, led_before=led[broker])  # fmt: skip
            since = time.monotonic()
            for pod in pods.values():
                delete_pod(self._kubernetes, self._target, pod.name, grace_s)
                self._endings[pod.uid] = (watch, since)
            undo.pop_all()

        def note(_: str, seen: PodState) -> None:
            ended = endings.get(seen.uid)
            if ended is not None and seen.exit_code is not None:
                ended.exit_code, ended.reason = seen.exit_code, seen.reason

        def pending() -> str | None:
            for ended in endings.values():
                there = watch.present.get(ended.pod)
                gone = there is None or there.uid != ended.uid or ended.exit_code is not None
                if gone and not ended.gone:
                    ended.gone = True
                    ended.ended_after_s = round(time.monotonic() - since, 3)
                    ended.led_at_end = self._led(ended.broker)
            left = [each.pod for each in endings.values() if not each.gone]
            return f"{', '.join(left)} still run" if left else None

        watch.await_that(pending, timeout_s, note)
        return list(endings.values())

    def _stand_still(self, pod: str, undo: contextlib.ExitStack) -> bool:
        """SIGSTOP to a pod's broker; False where it did not work. `undo` lets it go on."""
        kubernetes, namespace = self._kubernetes, self._target.namespace
        try:
            seen = send(kubernetes, namespace, pod, "STOP")
        except ClusterError:
            return False
        undo.callback(send, kubernetes, namespace, pod, "CONT")
        return seen.state == STOPPED

    def _signal(self, kind: type[Sent], broker: int, signal: str, watch: PodWatch) -> Sent:
        pod = self._pod(watch, broker)
        at = now()
        seen: SignalSeen = send(self._kubernetes, self._target.namespace, pod.name, signal)
        return kind(broker, pod.name, pod.uid, at, pod.node, signal=f"SIG{signal}", pid=seen.pid,
                    state=seen.state, restarts=pod.restarts)  # fmt: skip

    def _await_all_ready(self, timeout_s: float) -> None:
        left = self._watch().await_ready([node.pod for node in self.nodes], timeout_s)
        if left is not None:
            raise ClusterError(
                f"Kafka {self._target.name}: not every pod is ready after {timeout_s:g} s: {left}. "
                f"`kubectl -n {self._target.namespace} get pods` shows them."
            )

    def _led(self, broker: int) -> int | None:
        """How many partitions a broker leads now, as any other broker says; None: none does."""
        if self._paused:
            return None  # those have to go on before they are taken for lagging: no time to ask
        there = self._metadata(ANSWER_S)
        if there is None:
            return None
        parts = [part for each in there.topics.values() for part in each.partitions.values()]
        return sum(1 for part in parts if part.leader == broker)

    def _metadata(self, timeout_s: float) -> Any | None:
        """What any broker says of all; None when none answers."""
        self._admin = self._admin or admin_client(self._client_config)
        try:
            return self._admin.list_topics(timeout=timeout_s)
        except KafkaException:
            return None
