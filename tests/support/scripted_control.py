"""Brokers that are a script: what is done to them has the effect that a test chooses.

They show that faults need nothing of a broker kind but its `BrokerControl` and the evidence that
its verbs return. What a test lists in `missing` does not happen, or is not seen:

    exit          a killed or restarted broker ends in another way
    standstill    a paused broker goes on
    new process   a restarted broker is the one that it was
    election      nobody takes over a partition
    silence       answers come through a link that is cut
    answer        a broker with a link cut does not answer past it either
    calm          a leader moves by itself
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.brokers.kind import (
    CONTAINER,
    FILES,
    OPERATOR,
    PAUSE,
    PROCESS,
    PROXY,
    REASSIGN,
    REVOKE,
    ROLL,
    ZONES,
    CutMode,
    Link,
    RollBy,
)
from harness.brokers.local.evidence import Ended, Killed, Paused, Restarted, Resumed
from harness.faults.backend import Target
from harness.kafka.address import Address
from harness.kafka.leaders import ClusterView, Key, PartitionState
from harness.kafka.quorum import Quorum
from harness.rundir.clock import now
from harness.rundir.events import PodEvent, ResourcesEvent
from harness.rundir.fault_evidence import BrokerEvidence, Cut
from harness.rundir.operator_evidence import OperatorKilled, OperatorRevoked, OperatorStopped
from harness.rundir.run_dir import RunDir
from harness.system.stopped import STOPPED

BROKERS = (1, 2, 3)


@dataclass
class Script:
    """The state of three brokers, and what is to go wrong."""

    folder: Path
    missing: frozenset[str] = frozenset()
    interrupted_in: str = ""
    """In which verb a signal comes that ends the experiment: once its effect is there."""
    leaders: dict[Key, int] = field(default_factory=dict)
    epochs: dict[Key, int] = field(default_factory=dict)
    replicas: dict[Key, tuple[int, ...]] = field(default_factory=dict)
    pids: dict[int, int] = field(default_factory=lambda: {each: 100 + each for each in BROKERS})
    dead: set[int] = field(default_factory=set)
    paused: set[int] = field(default_factory=set)
    cut: dict[tuple[int, str], str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    """The verbs that were used, in order."""
    followed: list[int] = field(default_factory=list)
    """Whose evidence was followed up."""

    def add_topic(self, topic: str, *first: int) -> None:
        """A partition for each of `first`, which leads it."""
        for number, leader in enumerate(first):
            order = (leader, *(each for each in BROKERS if each != leader))
            self.replicas[topic, number], self.leaders[topic, number] = order, leader
            self.epochs[topic, number] = 4

    def live(self) -> list[int]:
        """The brokers that answer."""
        return [each for each in BROKERS if each not in self.dead | self.paused]

    def lead(self, key: Key, broker: int) -> None:
        """Let a broker lead a partition in a newer epoch."""
        if "election" not in self.missing and self.leaders[key] != broker:
            self.leaders[key] = broker
            self.epochs[key] += 1

    def replace_leader(self, broker: int) -> None:
        """Let others lead what a broker led."""
        for key, leader in list(self.leaders.items()):
            others = [each for each in self.replicas[key] if each in self.live() and each != broker]
            if leader == broker and others:
                self.lead(key, others[0])

    def note(self, verb: str, broker: int) -> None:
        """Note a verb; here a signal can come."""
        self.done.append(f"{verb} {broker}")
        if verb == self.interrupted_in:
            self.interrupted_in = ""
            raise SystemExit(20)


class ScriptedControl:
    """A `BrokerControl` over a script."""

    capabilities = frozenset(
        {PROCESS, PAUSE, REASSIGN, PROXY, FILES, ZONES, CONTAINER, ROLL, OPERATOR, REVOKE}
    )

    def __init__(self, script: Script) -> None:
        self.script = script
        self.broker_ids = list(BROKERS)
        self._cuts: list[Cut] = []

    def kill(self, broker: int) -> Killed:
        """It is dead, and others lead."""
        script = self.script
        script.note("kill", broker)
        script.dead.add(broker)
        script.replace_leader(broker)
        status = 143 if "exit" in script.missing else -9
        return Killed(broker, script.pids[broker], "SIGKILL", now(), exit_status=status)

    def stop(self, broker: int, timeout_s: float = 60.0) -> Ended:  # noqa: ARG002
        """It is gone, and others lead."""
        self.script.note("stop", broker)
        self.script.dead.add(broker)
        self.script.replace_leader(broker)
        return Ended(broker, self.script.pids[broker], "SIGTERM", now(), exit_status=143)

    def pause(self, broker: int) -> Paused:
        """It stands still, and others lead."""
        script = self.script
        if "standstill" not in script.missing:
            script.paused.add(broker)
        script.note("pause", broker)
        script.replace_leader(broker)
        state = "sleeping" if "standstill" in script.missing else STOPPED
        return Paused(broker, script.pids[broker], "SIGSTOP", now(), state=state)

    def resume(self, broker: int) -> Resumed:
        """It goes on, and takes over from who is dead."""
        self.script.paused.discard(broker)
        for dead in self.script.dead:
            self.script.replace_leader(dead)
        self.script.note("resume", broker)
        return Resumed(broker, self.script.pids[broker], "SIGCONT", now())

    def restart(self, broker: int, timeout_s: float = 60.0) -> Restarted:  # noqa: ARG002
        """It hands over and comes back."""
        script = self.script
        script.note("restart", broker)
        before = script.pids[broker]
        script.paused.add(broker)
        script.replace_leader(broker)
        script.paused.discard(broker)
        if "new process" not in script.missing:
            script.pids[broker] += 100
        return Restarted(
            broker, before, "SIGTERM", now(),
            exit_status=1 if "exit" in script.missing else 143,
            restarted_pid=script.pids[broker],
        )  # fmt: skip

    def zones(self) -> dict[int, str]:
        """Each broker has a zone of its own."""
        return {each: f"zone-{each}" for each in BROKERS}

    def kill_together(self, brokers: Sequence[int]) -> list[Killed]:
        """They are dead, and others lead."""
        return [self.kill(each) for each in brokers]

    def kill_process(self, broker: int) -> Killed:
        """It is dead, and others lead."""
        return self.kill(broker)

    def roll(self, by: RollBy, timeout_s: float) -> list[Restarted]:  # noqa: ARG002
        """Each hands over and comes back."""
        return [self.restart(each) for each in BROKERS]

    def stop_operator(self) -> OperatorStopped:
        """It is gone."""
        self.script.note("stop operator", 0)
        left = ["operator-1"] if "operator" in self.script.missing else []
        return OperatorStopped("operator", 1, now(), ["operator-1"], left)

    def kill_operator(self) -> OperatorKilled:
        """It is gone, and another one there."""
        self.script.note("kill operator", 0)
        left = ["operator-1"] if "operator" in self.script.missing else []
        return OperatorKilled("operator", now(), ["operator-1"], left, ["operator-2"])

    def revoke_operator(self) -> OperatorRevoked:
        """It may do nothing."""
        self.script.note("revoke operator", 0)
        still = "operator" in self.script.missing
        return OperatorRevoked("operator", ["b"], now(), "create pods", True, still)

    def cut(
        self,
        broker: int,
        link: Link,
        mode: CutMode,
        *,
        hold_s: float,  # noqa: ARG002
        patience_s: float,  # noqa: ARG002
    ) -> Cut:
        """A link is cut."""
        cut = Cut(broker, link, mode, now())
        self._cuts.append(cut)
        self.script.cut[broker, link] = mode
        self.script.note("cut", broker)
        cut.answered_through_link = "silence" in self.script.missing
        cut.answered_past_link = "answer" not in self.script.missing
        return cut

    def restore(self, *, reset: bool = False) -> None:
        """Every link passes again."""
        while self._cuts:
            cut = self._cuts.pop()
            self.script.cut.pop((cut.broker, cut.listener), None)
            self.script.done.append(f"restore {cut.broker}")
            cut.connections_reset = 3 if reset else None
            cut.restored_at = now()

    def heal(self, timeout_s: float = 120.0) -> None:  # noqa: ARG002
        """All is well again."""
        self.script.done.append("heal")
        self.script.dead.clear()
        self.script.paused.clear()
        self.script.cut.clear()

    def follow_up(self, evidence: BrokerEvidence) -> None:
        """It stays as it is until it is healed."""
        self.script.followed.append(evidence.broker)

    def require_ready(self) -> None:
        """A script is always ready."""

    def require_rights(self, needs: frozenset[str]) -> None:
        """Everybody may."""

    def require_running(self) -> None:
        """A script does not end."""

    def watch_restarts(
        self,
        append: Callable[[PodEvent], None],  # noqa: ARG002
    ) -> Callable[[], None]:
        """Nothing restarts by itself."""
        return lambda: None

    def watch_resources(
        self,
        append: Callable[[ResourcesEvent], None],  # noqa: ARG002
    ) -> Callable[[], None]:
        """Nothing."""
        return lambda: None

    def logs(self, broker: int) -> Path:
        """No file."""
        return self.script.folder / f"{broker}.log"

    def log_directory(self, broker: int) -> Path:
        """A folder in which no log is."""
        return self.script.folder / str(broker)

    def admin_address(self, broker: int) -> Address:
        """An address that nobody asks: `ScriptedTarget` reorders replicas in the script."""
        return "scripted", broker


class ScriptedBrokers:
    """`Brokers` whose control is a script."""

    kind = "scripted"
    bootstrap = "scripted:1"
    cluster_id: str | None = "scripted"
    kafka_version = "scripted"
    meeting_place: Path | None = None
    if_unreached = ""
    capabilities = ScriptedControl.capabilities

    def __init__(self, script: Script) -> None:
        self.control = ScriptedControl(script)
        self.client_config = {"bootstrap.servers": self.bootstrap}
        self.environment: dict[str, str] = {}


class ScriptedView(ClusterView):
    """What an admin client would see of a script."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def topics(self) -> list[str]:
        return sorted({topic for topic, _ in self._script.leaders})

    def cluster_id(self) -> str:
        return "scripted"

    def brokers(self) -> list[int]:
        return self._script.live()

    def addresses(self) -> dict[int, str]:
        return {each: f"scripted:{each}" for each in self._script.live()}

    def partitions(self, topics: Sequence[str]) -> list[PartitionState]:
        script = self._script
        return [
            PartitionState(
                *key, leader, script.replicas[key],
                tuple(each for each in script.replicas[key] if each in script.live()),
            )
            for key, leader in script.leaders.items()
            if key[0] in topics
        ]  # fmt: skip

    def epochs(self, keys: Iterable[Key]) -> dict[Key, int]:
        script = self._script
        found = {key: script.epochs[key] for key in keys if script.leaders[key] in script.live()}
        if "calm" in script.missing:
            for key in found:  # from the next question on
                script.epochs[key] += 1
        return found

    def broker_setting(self, broker: int, name: str) -> str | None:  # noqa: ARG002
        return {"replica.lag.time.max.ms": "5000", "broker.session.timeout.ms": "20"}.get(name)

    def elect_preferred(self, keys: Iterable[Key]) -> None:
        for key in keys:
            first = self._script.replicas[key][0]
            if first in self._script.live():
                self._script.lead(key, first)


class ScriptedTarget(Target):
    """A target whose brokers, client and order of replicas are a script's."""

    def __init__(self, script: Script, run_dir: RunDir | None) -> None:
        super().__init__(ScriptedBrokers(script), ScriptedView(script), run_dir)
        self.script = script

    def quorum(self) -> Quorum:
        """The live broker with the smallest id; another one in a newer epoch."""
        live = self.script.live()
        if "controller" in self.script.missing:
            return Quorum(min(BROKERS), 7)
        return Quorum(min(live), 7 + len(BROKERS) - len(live))

    def reorder_replicas(self, broker: int, replicas: Mapping[Key, Sequence[int]]) -> None:
        assert broker in self.script.live()
        for key, order in replicas.items():
            self.script.replicas[key] = tuple(order)
        self.script.note("reorder", broker)
