"""What can be done to the brokers of a local cluster: signals, restarts, links of the proxy."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from harness.brokers.kind import CutMode, Link
from harness.brokers.local.config import HOST
from harness.brokers.local.evidence import Ended, Killed, Paused, Restarted, Resumed, Signalled
from harness.brokers.local.link_probe import witness
from harness.brokers.local.resources import ResourceWatch
from harness.brokers.local.state import read_state
from harness.errors import ClusterError
from harness.kafka.address import Address
from harness.rundir.clock import now
from harness.rundir.events import PodEvent, ResourcesEvent
from harness.rundir.fault_evidence import BrokerEvidence, Cut
from harness.system.stopped import state_after_stop

if TYPE_CHECKING:
    from harness.brokers.local.cluster import LocalCluster

EXIT_TIMEOUT_S: Final = 60.0
PASS: Final = "pass"
SignalEvidence = TypeVar("SignalEvidence", bound=Signalled)


class LocalControl:
    """A `BrokerControl` over three processes of this machine and the proxies in front of them."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._cuts: list[Cut] = []

    @property
    def broker_ids(self) -> list[int]:
        """Ids of all brokers, running or not, ascending."""
        return self._cluster.broker_ids

    @property
    def capabilities(self) -> frozenset[str]:
        """As the cluster's."""
        return self._cluster.capabilities

    def kill(self, broker: int) -> Killed:
        """SIGKILL, and its exit status."""
        sent = self._send(Killed, broker, signal.SIGKILL)
        sent.exit_status = self._cluster.wait_exited(broker, EXIT_TIMEOUT_S)
        return sent

    def stop(self, broker: int, timeout_s: float = EXIT_TIMEOUT_S) -> Ended:
        """SIGTERM, and its exit status."""
        sent = self._send(Ended, broker, signal.SIGTERM)
        sent.exit_status = self._cluster.wait_exited(broker, timeout_s)
        return sent

    def pause(self, broker: int) -> Paused:
        """SIGSTOP, and the state that the process is seen in."""
        sent = self._send(Paused, broker, signal.SIGSTOP)
        sent.state = state_after_stop(sent.pid)
        return sent

    def resume(self, broker: int) -> Resumed:
        """SIGCONT."""
        return self._send(Resumed, broker, signal.SIGCONT)

    def restart(self, broker: int, timeout_s: float = EXIT_TIMEOUT_S) -> Restarted:
        """SIGTERM, its exit status, and the process that took its place."""
        sent = self._send(Restarted, broker, signal.SIGTERM)
        sent.exit_status = self._cluster.wait_exited(broker, timeout_s)
        sent.restarted_pid = self._cluster.start_broker(broker)
        self._cluster.wait_ready(timeout_s)
        return sent

    def cut(
        self, broker: int, link: Link, mode: CutMode, *, hold_s: float, patience_s: float
    ) -> Cut:
        """Let the proxy cut a link, and ask the broker through it and past it meanwhile."""
        cut = Cut(broker, link, mode, now())
        self._cuts.append(cut)
        self._cluster.set_link(broker, link, mode)
        through = (HOST, read_state(self._cluster.directory).ports[broker].advertised(link))
        seen = witness(through, self.admin_address(broker), hold_s, max(hold_s, patience_s))
        cut.answered_through_link, cut.answered_past_link = seen.through_link, seen.past_link
        return cut

    def restore(self, *, reset: bool = False) -> None:
        """Let the proxy pass on every link that was cut here; reset: end its connections first."""
        while self._cuts:
            cut = self._cuts[0]
            if reset:
                count = self._cluster.close_connections(cut.broker, cut.listener)
                cut.connections_reset = count
            self._cluster.set_link(cut.broker, cut.listener, PASS)
            cut.restored_at = now()
            del self._cuts[0]

    def heal(self, timeout_s: float = 120.0) -> None:
        """Resume what is paused, pass on all links, start dead brokers, wait until ready."""
        self._cluster.heal(timeout_s)

    def follow_up(self, evidence: BrokerEvidence) -> None:
        """Nothing: what ended stays down until `heal`."""

    def require_ready(self) -> None:
        """Nothing: a cluster is attached to once it is ready."""

    def require_rights(self, needs: frozenset[str]) -> None:
        """Nothing: the brokers are processes of this user."""

    def require_running(self) -> None:
        """Raises ClusterError once the supervisor is gone."""
        self._cluster.phase()

    def watch_restarts(
        self,
        append: Callable[[PodEvent], None],  # noqa: ARG002
    ) -> Callable[[], None]:
        """Nothing: a local broker that ends is seen by what its cluster says."""
        return lambda: None

    def watch_resources(self, append: Callable[[ResourcesEvent], None]) -> Callable[[], None]:
        """Sample CPU, memory and disk of each broker's process once a second."""
        directories = {each: self._cluster.data_directory(each) for each in self.broker_ids}
        return ResourceWatch(self._pids, directories, append).end

    def _pids(self) -> dict[int, int]:
        """Broker → its process; without those that do not run, and empty once the cluster ended."""
        try:
            nodes = read_state(self._cluster.directory).nodes
        except ClusterError:
            return {}
        return {each: node.process.pid for each, node in nodes.items() if node.process is not None}

    def logs(self, broker: int) -> Path:
        """The file with what a broker printed, over all its starts."""
        return self._cluster.broker_log(broker)

    def log_directory(self, broker: int) -> Path:
        """Where a broker's log files are."""
        return self._cluster.data_directory(broker)

    def admin_address(self, broker: int) -> Address:
        """A broker's listener that has no proxy in front of it."""
        return HOST, read_state(self._cluster.directory).ports[broker].direct

    def _send(
        self, evidence: type[SignalEvidence], broker: int, number: signal.Signals
    ) -> SignalEvidence:
        at = now()
        return evidence(broker, self._cluster.signal(broker, number), number.name, at)
