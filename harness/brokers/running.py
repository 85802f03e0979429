"""Running brokers of ours, found by what a run's records or a child's environment say of them."""

from __future__ import annotations

from harness.brokers.kind import BrokerControl, Brokers
from harness.brokers.local.cluster import LocalCluster
from harness.brokers.local.recognised import cluster_with_id
from harness.errors import HarnessError


def brokers_with_id(cluster_id: str) -> Brokers | None:
    """The running brokers of ours with this Kafka cluster id; None where there are none.

    Raises ClusterError or UsageError for a cluster that ends at this moment.
    """
    directory = cluster_with_id(cluster_id)
    return None if directory is None else LocalCluster.attach(str(directory))


def control_of(cluster_id: str) -> BrokerControl | None:
    """What does things to the running brokers with this cluster id; None where nothing does."""
    try:
        brokers = brokers_with_id(cluster_id)
    except HarnessError:
        return None
    return None if brokers is None else brokers.control
