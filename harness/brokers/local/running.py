"""The running local cluster that has a cluster id, which is all that a run's records say of it."""

from __future__ import annotations

from harness.brokers.local.cluster import LocalCluster
from harness.brokers.local.known import cluster_with_id
from harness.errors import HarnessError


def running_cluster(cluster_id: str) -> LocalCluster | None:
    """A handle on it; None where no local cluster of that id runs or can be reached."""
    directory = cluster_with_id(cluster_id)
    if directory is None:
        return None
    try:
        return LocalCluster.attach(str(directory))
    except HarnessError:
        return None
