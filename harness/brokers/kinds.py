"""The broker kinds by the value of --brokers that means each of them.

local, local:NAME                   a cluster that the harness started
HOST:PORT[,HOST:PORT…]              brokers that somebody else runs; addresses of a local cluster
                                    of ours name that cluster
strimzi://NAMESPACE/CLUSTER[?…]     a Kafka resource of Strimzi (harness/brokers/strimzi/)
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Final

from harness.brokers.foreign import ForeignBrokers, parse_bootstrap
from harness.brokers.kind import (
    CONTAINER,
    OPERATOR,
    PAUSE,
    PROCESS,
    REASSIGN,
    REVOKE,
    ROLL,
    ZONES,
    Brokers,
)
from harness.brokers.local.cluster import LocalCluster
from harness.brokers.local.recognised import cluster_at
from harness.brokers.local.started import started_cluster
from harness.brokers.strimzi.target import SCHEME, parse_target
from harness.errors import UsageError
from harness.system.progress import OnProgress

LOCAL: Final = "local"
FOREIGN: Final = "foreign"
STRIMZI: Final = "strimzi"
_LOCAL_NAMED: Final = "local:"


def kind_of(spec: str) -> str:
    """`local`, `strimzi` or `foreign`, before any broker is reached.

    Raises UsageError for a value that names none.
    """
    if spec == LOCAL or spec.startswith(_LOCAL_NAMED):
        return LOCAL
    if spec.startswith(SCHEME):
        parse_target(spec)
        return STRIMZI
    return LOCAL if cluster_at(parse_bootstrap(spec)) else FOREIGN


def capabilities_of(spec: str) -> frozenset[str]:
    """What faults can do to the brokers that a --brokers value names, before any is reached.

    Raises UsageError for a value that names none.
    """
    return _CAPABILITIES[kind_of(spec)]


def kinds_with(capabilities: frozenset[str]) -> list[str]:
    """The kinds of brokers that offer all of these."""
    return [kind for kind, offered in _CAPABILITIES.items() if capabilities <= offered]


_CAPABILITIES: Final[Mapping[str, frozenset[str]]] = {
    LOCAL: LocalCluster.capabilities,
    STRIMZI: frozenset({PROCESS, PAUSE, REASSIGN, ZONES, CONTAINER, ROLL, OPERATOR, REVOKE}),
    FOREIGN: frozenset(),
}


def starts(spec: str) -> bool:
    """Are the brokers that a --brokers value names started by whoever uses them?

    Otherwise they run already, and `connect` finds them. Of `local` it says yes: only where nothing
    can be started, as beside a running load, does the value mean the one kept cluster.
    """
    return spec == LOCAL


def started(
    spec: str,
    client_config: Mapping[str, str] | None = None,
    *,
    keep: bool = False,
    kafka_version: str = "",
    on_progress: OnProgress = lambda _: None,
) -> AbstractContextManager[Brokers]:
    """Brokers of that kind, started for the length of a block.

    keep: they live on after a block that raised nothing. kafka_version: "" is the kind's own.
    Raises UsageError for brokers that cannot be started, and on entry what their start raises.
    """
    if not starts(spec):
        raise UsageError(f"--brokers {spec}: these brokers are not started by the harness.")
    return started_cluster(
        client_config or {}, keep=keep, kafka_version=kafka_version, on_progress=on_progress
    )


def connect(spec: str, client_config: Mapping[str, str] | None = None) -> Brokers:
    """The running brokers that a --brokers value names.

    `local` is the one kept cluster, `local:NAME` a running one by name; addresses of a running
    local cluster are that cluster. Raises UsageError for a value that names none, ClusterError
    when the cluster that is meant does not run or cannot be found.
    """
    if spec.startswith(SCHEME):
        from harness.brokers.strimzi.cluster import StrimziBrokers

        return StrimziBrokers.find(spec, client_config)
    if spec == LOCAL:
        cluster = LocalCluster.attach()
    elif spec.startswith(_LOCAL_NAMED):
        cluster = LocalCluster.attach(spec.removeprefix(_LOCAL_NAMED))
    elif (directory := cluster_at(parse_bootstrap(spec))) is not None:
        cluster = LocalCluster.attach(str(directory))
    else:
        return ForeignBrokers(spec, client_config)
    cluster.add_client_settings(client_config or {})
    return cluster
