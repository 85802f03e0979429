"""Which brokers a fault strikes, which topics it aims at, and where it is recorded.

Everything comes from the environment (harness/kafka/environment.py), because Chaos Toolkit calls a
fault without a caller of ours in between. Without any of its variables it is the one kept local
cluster, and the topics of the runs that are recorded there now, else those named `harness-*`. In an
experiment's file the entry `harness_brokers` of its configuration goes before HARNESS_BROKERS,
unless a run of the harness has started it. Every run that is recorded on the cluster gets a record
of each fault, whichever run the fault was aimed at (harness/faults/beside.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from harness.brokers import BrokerControl, Brokers, connect
from harness.brokers.kind import PROXY, OperatedControl
from harness.brokers.kinds import LOCAL, STRIMZI, kinds_with
from harness.brokers.running import brokers_with_id
from harness.errors import ClusterError, FaultError, HarnessError, UsageError
from harness.faults.activity import CONFIGURED
from harness.faults.beside import BESIDE
from harness.faults.registry import MEMBERS, Fault
from harness.kafka.environment import HarnessEnvironment
from harness.kafka.leaders import ClusterView, Key, PartitionState, answered
from harness.kafka.quorum import Quorum, describe_quorum
from harness.kafka.reassignment import reorder_replicas
from harness.rundir.run_dir import RunDir
from harness.rundir.run_info import ProfileRun

TOPIC_PREFIX: Final = "harness-"
PROBE_TOPIC: Final = "harness-probe"
WITH_PROBES: Final = (LOCAL, STRIMZI)
"""Kinds of brokers on which a topic may be made so that there is something to strike."""


@dataclass(slots=True)
class Target:
    """The brokers that faults strike, seen by one admin client."""

    brokers: Brokers
    view: ClusterView
    run_dir: RunDir | None

    @property
    def control(self) -> BrokerControl:
        """What does things to the brokers. Raises UsageError when they are somebody else's."""
        if self.brokers.control is not None:
            return self.brokers.control
        raise UsageError(
            f"brokers at {self.brokers.bootstrap}: this needs control over broker processes, and "
            "the harness has it only over a cluster it started. Use --brokers local, or "
            "`harness cluster up` and no other address in HARNESS_BROKERS."
        )

    @property
    def operated(self) -> OperatedControl:
        """As `control`, of brokers that an operator runs; `require` has seen that they are."""
        return cast("OperatedControl", self.control)

    def take_turn(self) -> None:
        """Raises UsageError when another experiment strikes these brokers now."""
        if self.brokers.meeting_place is not None:
            BESIDE.take_turn(self.brokers.meeting_place)

    def require(self, fault: Fault) -> None:
        """Raises UsageError when these brokers lack what a fault needs, or are hit already."""
        self.take_turn()
        missing = fault.needs - self.brokers.capabilities - {MEMBERS}
        if missing:
            raise UsageError(refusal(fault, missing, self.brokers.kind))
        if MEMBERS in fault.needs and not self.consuming():
            raise UsageError(memberless(fault.name))
        if self.brokers.control is not None:
            self.brokers.control.require_rights(fault.needs)

    def beside(self) -> list[RunDir]:
        """The runs that are recorded on these brokers now, the own one left out."""
        if self.brokers.meeting_place is None:
            return []
        return BESIDE.live_runs(self.brokers.meeting_place)

    def runs(self) -> list[RunDir]:
        """The runs that faults aim at: the own one, else those that are recorded here now."""
        return self.beside() if self.run_dir is None else [self.run_dir]

    def member_run(self) -> RunDir | None:
        """The run whose group members faults strike. Raises UsageError when it could be several."""
        found = [each for each in self.runs() if consuming_profiles(each)]
        if len(found) > 1:
            names = ", ".join(str(each.path) for each in found)
            raise UsageError(
                f"more than one run on this cluster has group members: {names}. Name the one meant "
                "in HARNESS_RUN_DIR."
            )
        return found[0] if found else None

    def consuming(self) -> list[ProfileRun]:
        """The profiles with group members of the run that is hit; none without a run."""
        run_dir = self.member_run()
        return [] if run_dir is None else consuming_profiles(run_dir)

    def recorded(self, fault: Fault) -> list[RunDir]:
        """The runs that get a record of a fault: all that are recorded on this cluster.

        What strikes members alone concerns no run but theirs.
        """
        if fault.needs == {MEMBERS}:
            run_dir = self.member_run()
            return [] if run_dir is None else [run_dir]
        return [*([] if self.run_dir is None else [self.run_dir]), *self.beside()]

    def run_topics(self) -> list[str]:
        """The topics that faults aim at: the runs', else `harness-*`, else all but internal."""
        runs = self.runs()
        if runs:
            return [topic for run_dir in runs for topic in run_dir.read_info().topics]
        names = [name for name in self.view.topics() if not name.startswith("__")]
        return [name for name in names if name.startswith(TOPIC_PREFIX)] or names

    def aimed_topics(self) -> list[str]:
        """As `run_topics`; on a cluster without any a topic of one partition is made to aim at,
        where its kind is one whose brokers the harness strikes itself."""
        topics = self.run_topics()
        if topics:
            return topics
        if self.brokers.kind not in WITH_PROBES:
            raise FaultError(
                f"brokers at {self.brokers.bootstrap}: there is no topic to aim a fault at. Start "
                "a load first: locust -f scenarios/steady.py"
            )
        self.view.create_topic(PROBE_TOPIC, self.view.brokers())
        return [PROBE_TOPIC]

    def watched_topics(self) -> list[str]:
        """The run's topics and the internal ones; without a run every topic."""
        names = self.view.topics()
        if self.run_dir is None:
            return names
        internal = [name for name in names if name.startswith("__")]
        return [*self.run_topics(), *internal]

    def reorder_replicas(self, broker: int, replicas: Mapping[Key, Sequence[int]]) -> None:
        """Give partitions their replicas in a new order, asked of that broker."""
        settings = self.brokers.client_config
        reorder_replicas(self.control.admin_address(broker), replicas, settings)

    def quorum(self) -> Quorum:
        """Who is the active controller, asked of the first broker that answers.

        Raises FaultError when none does.
        """
        failure = FaultError("asking for the active controller: there is no broker to ask.")
        for broker in self.view.brokers():
            try:
                address = self.control.admin_address(broker)
                return describe_quorum(address, self.brokers.client_config)
            except (FaultError, ClusterError) as error:
                failure = FaultError(str(error))
        raise failure

    def aimed_partitions(self) -> list[PartitionState]:
        """Every partition of the aimed topics, as it is now."""
        return answered(lambda: self.view.partitions(self.aimed_topics()), "finding the leaders")


def consuming_profiles(run_dir: RunDir) -> list[ProfileRun]:
    """The profiles of a run that have group members."""
    return [each for each in run_dir.read_info().profiles if each.consume is not None]


def refusal(fault: Fault, missing: frozenset[str], kind: str) -> str:
    """Why a fault cannot be injected into brokers of a kind."""
    why = _NOT_ON_STRIMZI.get(min(missing), "") if kind == STRIMZI else ""
    offering = kinds_with(fault.needs - {MEMBERS})
    where = " and ".join(_WHERE[each] for each in _WHERE if each in offering)
    return (
        f"fault {fault.name}: needs {' and '.join(sorted(missing))} control, which brokers of kind "
        f"{kind!r} do not offer. {why}" + (f"It can be injected into {where}." if where else "")
    ).rstrip()


_WHERE: Final = {
    LOCAL: "a cluster that the harness starts itself (--brokers local, or `harness cluster up`)",
    STRIMZI: "a cluster of Strimzi's (--brokers strimzi://NAMESPACE/CLUSTER)",
}

_NOT_ON_STRIMZI: Final = {
    PROXY: "Links between pods are cut by NetworkPolicies or Chaos Mesh, which this version does "
    "not use. ",
}


def memberless(fault: str) -> str:
    """Why a fault that strikes group members cannot be injected into a run without any."""
    return (
        f"fault {fault}: strikes members of consumer groups, and no profile of this run has any. "
        "Choose one that has, such as --profile consume-at-least-once (harness list profiles)."
    )


def attach(environment: Mapping[str, str] | None = None) -> Target:
    """The brokers that the environment names. Raises UsageError or ClusterError when none run."""
    given = HarnessEnvironment.read(environment)
    named = CONFIGURED.get()
    if named is not None and given.run_dir is None:
        # A run of the harness has its brokers already, and its experiment strikes no others.
        given = replace(given, brokers=named, cluster=None)
    run_dir = None if given.run_dir is None else RunDir(given.run_dir)
    config = given.client_config
    bootstrap = given.brokers or config.get("bootstrap.servers")
    brokers: Brokers
    if given.cluster or not bootstrap:
        brokers = connect(f"{LOCAL}:{given.cluster}" if given.cluster else LOCAL)
    else:
        brokers = connect(bootstrap, config)
    view = ClusterView({**brokers.client_config, **config})
    if brokers.kind == "foreign":
        brokers = _controlled(view) or brokers
    return Target(brokers, view, run_dir)


def meeting_place(brokers: str | None = None) -> Path | None:
    """Where runs on the brokers that faults strike are found; None when there is no such place.

    brokers: those that the experiment's configuration names.
    """
    token = CONFIGURED.set(brokers)
    try:
        return attach().brokers.meeting_place
    except HarnessError:
        return None  # the first activity says why
    finally:
        CONFIGURED.reset(token)


def _controlled(view: ClusterView) -> Brokers | None:
    """The brokers of ours that those at a strange address turn out to be, by their cluster id."""
    try:
        cluster_id = view.cluster_id()
    except FaultError:
        return None  # whoever needs an answer of them asks again, and says so
    return brokers_with_id(cluster_id)


def names_of(partitions: Sequence[PartitionState]) -> list[str]:
    """`topic-partition` of each, for messages."""
    return [f"{each.topic}-{each.partition}" for each in partitions]
