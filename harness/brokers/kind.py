"""What a broker kind is: the small interface that load, faults, drain and reports see.

`Brokers` says where Kafka is. A kind whose brokers the harness can do things to also has a
`BrokerControl`. A fault names the capabilities it needs; a kind that lacks one refuses it at
validation. Each verb returns its evidence, and that object says itself whether it shows the effect
(harness/rundir/fault_evidence.py): a signal and an exit status here, a pod's id elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from harness.kafka.address import Address
from harness.rundir.events import PodEvent, ResourcesEvent
from harness.rundir.fault_evidence import BrokerEvidence, Cut
from harness.rundir.operator_evidence import OperatorKilled, OperatorRevoked, OperatorStopped

PROCESS: Final = "process"
"""Brokers can be killed, stopped in order, watched and started again."""
PAUSE: Final = "pause"
"""Broker processes can be made to stand still and go on."""
REASSIGN: Final = "reassign"
"""The replicas of a partition can be given a new order, so that another one is the preferred."""
ZONES: Final = "zones"
"""Brokers are in zones, and those of one can be killed at once."""
CONTAINER: Final = "container"
"""The process in a broker's container can be killed without the pod."""
ROLL: Final = "roll"
"""Somebody restarts all brokers in turn when asked."""
OPERATOR: Final = "operator"
"""Whoever brings brokers back can be stopped and killed."""
REVOKE: Final = "revoke"
"""The rights of whoever brings brokers back can be taken away and given back."""
PROXY: Final = "proxy"
"""Links can be cut between clients and a broker, and between brokers."""
FILES: Final = "files"
"""The brokers' log directories can be read here."""

Link = Literal["client", "replication"]
"""What a broker is reached by: its listener for clients, or the one for other brokers."""
RollBy = Literal["annotation", "change"]
"""What asks for a roll."""
CutMode = Literal["blackhole", "cut_responses"]
"""blackhole: nothing comes through, either way. cut_responses: requests do, answers do not."""


class Brokers(Protocol):
    """Where Kafka is."""

    @property
    def kind(self) -> str:
        """`local`, `strimzi` or `foreign`."""

    @property
    def bootstrap(self) -> str:
        """bootstrap.servers, as HOST:PORT separated by commas."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What can be done here: `process`, `pause`, `proxy` and the other names above."""

    @property
    def client_config(self) -> dict[str, str]:
        """librdkafka settings that every client needs, bootstrap.servers included. May hold
        secrets: never print or store it."""

    @property
    def cluster_id(self) -> str | None:
        """Kafka's id of the cluster; None where only the brokers themselves know it."""

    @property
    def kafka_version(self) -> str:
        """The version that the brokers run, or words for why it is not known."""

    @property
    def environment(self) -> dict[str, str]:
        """What a child process needs in its environment to find these brokers, beside
        `client_config`."""

    @property
    def meeting_place(self) -> Path | None:
        """The folder where runs and experiments on these brokers find each other
        (harness/brokers/presence.py); None where there is none."""

    @property
    def if_unreached(self) -> str:
        """A sentence for whoever cannot reach them: where their address is from; may be empty."""

    @property
    def control(self) -> BrokerControl | None:
        """What does things to these brokers; None when they are somebody else's."""


class BrokerControl(Protocol):
    """Does things to brokers. Each verb returns once its effect is there, or was waited for.

    Raises ClusterError when a verb cannot be carried out, UsageError for an unknown broker.
    """

    @property
    def broker_ids(self) -> list[int]:
        """Ids of all brokers, running or not, ascending."""

    @property
    def capabilities(self) -> frozenset[str]:
        """As `Brokers.capabilities`."""

    def kill(self, broker: int) -> BrokerEvidence:
        """End a broker without warning, and see it end."""

    def stop(self, broker: int, timeout_s: float = 60.0) -> BrokerEvidence:
        """End a broker in an orderly way, and see it end."""

    def pause(self, broker: int) -> BrokerEvidence:
        """Let a broker stand still with all that it holds, until `resume`."""

    def resume(self, broker: int) -> BrokerEvidence:
        """Let a broker go on. One that is not paused goes on as it does."""

    def restart(self, broker: int, timeout_s: float = 60.0) -> BrokerEvidence:
        """Stop a broker in an orderly way and start it again on its data.

        Returns when all brokers are ready. `timeout_s` is for each of the two.
        """

    def cut(
        self, broker: int, link: Link, mode: CutMode, *, hold_s: float, patience_s: float
    ) -> Cut:
        """Cut a link and see for `hold_s` that nothing comes through it; it stays cut.

        A request goes through the link and one past it meanwhile. It takes longer than `hold_s`,
        `patience_s` at most, while the broker does not answer past the link.
        """

    def restore(self, *, reset: bool = False) -> None:
        """Let every link pass again that `cut` of this object has cut, and note it in its evidence.

        reset: end the connections through them first.
        """

    def heal(self, timeout_s: float = 120.0) -> None:
        """Resume what is paused, pass on all links, start dead brokers, wait until all are ready.

        Whoever did what is healed. Safe to call at any time and again.
        """

    def follow_up(self, evidence: BrokerEvidence) -> None:
        """Note in evidence of this object what became of a broker that it ended, where this kind
        brings back by itself what ends. Waits until it is back, for a bounded time."""

    def require_ready(self) -> None:
        """Raises ClusterError when the brokers are not in a state in which a run can begin."""

    def require_rights(self, needs: frozenset[str]) -> None:
        """Raises ClusterError when whoever asks may not do here what these capabilities take."""

    def require_running(self) -> None:
        """Raises ClusterError once the cluster is gone and there is nothing left to wait for."""

    def watch_restarts(self, append: Callable[[PodEvent], None]) -> Callable[[], None]:
        """Begin to record brokers that end or start again by whomever, where this kind can see
        it apart from its own deeds; what ends the watch. Raises ClusterError."""

    def watch_resources(self, append: Callable[[ResourcesEvent], None]) -> Callable[[], None]:
        """Begin to record what each broker uses, where this kind can see it; what ends it."""

    def logs(self, broker: int) -> Path:
        """The file with what a broker printed, over all its starts."""

    def log_directory(self, broker: int) -> Path:
        """Where a broker's log files are (needs `files`)."""

    def admin_address(self, broker: int) -> Address:
        """Where a request that no client library makes reaches this broker, past every link."""


class OperatedControl(BrokerControl, Protocol):
    """What else can be done where an operator runs the brokers in Kubernetes."""

    def zones(self) -> dict[int, str]:
        """Broker → its zone (needs `zones`)."""

    def kill_together(self, brokers: Sequence[int]) -> Sequence[BrokerEvidence]:
        """End several brokers without warning before any of them is gone, and see them end."""

    def kill_process(self, broker: int) -> BrokerEvidence:
        """End the process in a broker's container without warning (needs `container`)."""

    def roll(self, by: RollBy, timeout_s: float) -> Sequence[BrokerEvidence]:
        """Let the operator restart every broker in turn, and see it done (needs `roll`)."""

    def stop_operator(self) -> OperatorStopped:
        """Stop the operator; `heal` brings it back (needs `operator`)."""

    def kill_operator(self) -> OperatorKilled:
        """End the operator's pods, and see them end; others take their place (needs `operator`)."""

    def revoke_operator(self) -> OperatorRevoked:
        """Take the operator's rights away; `heal` gives them back (needs `revoke`)."""


def log_directories(control: BrokerControl | None) -> Callable[[int], Path] | None:
    """Where each broker's log files are; None where they cannot be read here."""
    return control.log_directory if control is not None and FILES in control.capabilities else None


@dataclass(frozen=True, slots=True)
class BrokerStatus:
    """One local broker as its supervisor sees it."""

    broker_id: int
    pid: int | None
    """None when no process runs."""
    paused: bool
    """Stopped by SIGSTOP."""
    ready: bool
    """Answers, and sees all three brokers registered and unfenced."""
    exit_status: int | None
    """Of its last process that ended, as subprocess gives it: -9 after SIGKILL."""
    starts: int
    client: str
    """Where clients reach it, through its proxy."""
    direct: str
    """Where it is reached without a proxy."""
    links: dict[str, str]
    """Mode of the link in front of each proxied listener."""
