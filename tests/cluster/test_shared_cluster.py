"""The cluster that tests share is looked after: who leaves it broken is named, and it is healed."""

from __future__ import annotations

import signal

import pytest

from harness.brokers import LocalCluster
from tests.support.whole_cluster import WholeCluster

pytestmark = pytest.mark.cluster


def test_a_test_that_leaves_brokers_or_links_broken_is_named_and_the_next_one_finds_them_whole(
    cluster: LocalCluster,
) -> None:
    whole = WholeCluster(cluster)
    whole.require_before("the careless one")
    cluster.signal(1, signal.SIGKILL)
    cluster.wait_exited(1, 20)
    cluster.signal(2, signal.SIGSTOP)
    cluster.set_link(3, "replication", "blackhole")
    left = (
        r"the careless one left the shared cluster with broker 1 dead \(-9\); broker 2 paused; "
        "the replication link of broker 3 at blackhole"
    )
    with pytest.raises(AssertionError, match=left):
        whole.require_before("the next one")
    whole.require_before("the one after")
