"""Which brokers a fault strikes, which topics it aims at, and where it is recorded.

Everything comes from the environment, because Chaos Toolkit calls a fault without a caller of
ours in between:

    HARNESS_RUN_DIR         the run whose topics are aimed at and whose timeline is written
    HARNESS_CLUSTER         state directory of the local cluster
    HARNESS_BROKERS         bootstrap servers: of a local cluster, which they name as well, or of
                            brokers that somebody else runs
    HARNESS_CLIENT_CONFIG   JSON object of librdkafka settings needed to reach them

Without any of them it is the one kept local cluster, and the topics named `harness-*`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.brokers import Brokers, LocalCluster, connect
from harness.brokers.known import cluster_with_id
from harness.errors import FaultError, UsageError
from harness.faults.leaders import ClusterView, PartitionState, answered
from harness.faults.registry import MEMBERS, Fault
from harness.rundir import ProfileRun, RunDir

TOPIC_PREFIX: Final = "harness-"
PROBE_TOPIC: Final = "harness-probe"


@dataclass(slots=True)
class Target:
    """The brokers that faults strike, seen by one admin client."""

    brokers: Brokers
    view: ClusterView
    run_dir: RunDir | None

    @property
    def local(self) -> LocalCluster:
        """The brokers as processes of ours. Raises UsageError when they are somebody else's."""
        if isinstance(self.brokers, LocalCluster):
            return self.brokers
        raise UsageError(
            f"brokers at {self.brokers.bootstrap}: this needs control over broker processes, and "
            "the harness has it only over a cluster it started. Use --brokers local, or "
            "`harness cluster up` and no other address in HARNESS_BROKERS."
        )

    def require(self, fault: Fault) -> None:
        """Raises UsageError when these brokers lack what a fault needs."""
        missing = fault.needs - self.brokers.capabilities - {MEMBERS}
        if missing:
            raise UsageError(refusal(fault, missing, self.brokers.kind))
        if MEMBERS in fault.needs and not self.consuming():
            raise UsageError(memberless(fault.name))

    def consuming(self) -> list[ProfileRun]:
        """The profiles of the run that have group members; none without a run."""
        if self.run_dir is None:
            return []
        info = self.run_dir.read_info()
        return [profile for profile in info.profiles if profile.consume is not None]

    def run_topics(self) -> list[str]:
        """The topics that faults aim at: the run's, else `harness-*`, else all but internal."""
        if self.run_dir is not None:
            return self.run_dir.read_info().topics
        names = [name for name in self.view.topics() if not name.startswith("__")]
        return [name for name in names if name.startswith(TOPIC_PREFIX)] or names

    def aimed_topics(self) -> list[str]:
        """As `run_topics`; on an empty local cluster a topic of one partition is made to aim at."""
        topics = self.run_topics()
        if topics:
            return topics
        if self.brokers.kind != "local":
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

    def aimed_partitions(self) -> list[PartitionState]:
        """Every partition of the aimed topics, as it is now."""
        return answered(lambda: self.view.partitions(self.aimed_topics()), "finding the leaders")


def refusal(fault: Fault, missing: frozenset[str], kind: str) -> str:
    """Why a fault cannot be injected into brokers of a kind."""
    return (
        f"fault {fault.name}: needs {' and '.join(sorted(missing))} control, which brokers of kind "
        f"{kind!r} do not offer. It can strike a cluster that the harness starts itself: "
        "--brokers local, or `harness cluster up`."
    )


def memberless(fault: str) -> str:
    """Why a fault that strikes group members cannot be injected into a run without any."""
    return (
        f"fault {fault}: strikes members of consumer groups, and no profile of this run has any. "
        "Choose one that has, such as --profile consume-at-least-once (harness list profiles)."
    )


def attach(environment: Mapping[str, str] | None = None) -> Target:
    """The brokers that the environment names. Raises UsageError or ClusterError when none run."""
    env: Mapping[str, str] = os.environ if environment is None else environment
    directory = env.get("HARNESS_RUN_DIR")
    run_dir = RunDir(Path(directory)) if directory else None
    config = _client_config(env.get("HARNESS_CLIENT_CONFIG"))
    bootstrap = env.get("HARNESS_BROKERS") or config.get("bootstrap.servers")
    cluster = env.get("HARNESS_CLUSTER")
    brokers: Brokers
    if cluster or not bootstrap:
        brokers = LocalCluster.attach(cluster or None)
    else:
        brokers = connect(bootstrap, config)
    view = ClusterView({**brokers.client_config, **config})
    if brokers.kind == "foreign":
        brokers = _ours(view) or brokers
    return Target(brokers, view, run_dir)


def _ours(view: ClusterView) -> LocalCluster | None:
    """The local cluster that brokers at a strange address turn out to be, by their cluster id."""
    try:
        directory = cluster_with_id(view.cluster_id())
    except FaultError:
        return None  # whoever needs an answer of them asks again, and says so
    return None if directory is None else LocalCluster.attach(str(directory))


def _client_config(text: str | None) -> dict[str, str]:
    if not text:
        return {}
    try:
        config: Any = json.loads(text)
    except ValueError:
        config = None
    if not isinstance(config, dict):
        # The text itself may hold a password and is not shown.
        raise UsageError(
            "HARNESS_CLIENT_CONFIG: a JSON object of librdkafka settings is expected, "
            'such as {"bootstrap.servers": "127.0.0.1:9092"}.'
        )
    return {str(key): str(value) for key, value in config.items()}


def names_of(partitions: Sequence[PartitionState]) -> list[str]:
    """`topic-partition` of each, for messages."""
    return [f"{each.topic}-{each.partition}" for each in partitions]
