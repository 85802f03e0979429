"""Is the cluster that tests share whole: brokers that run, links that pass, replicas in sync?"""

from __future__ import annotations

import time
from typing import Final

from harness.brokers import LocalCluster
from harness.errors import FaultError
from harness.kafka.leaders import ClusterView

CATCH_UP_S: Final = 60.0
"""A broker that was started again takes its time until its replicas are in sync."""
_POLL_S: Final = 0.1


class WholeCluster:
    """Looks before each test, and names the test before it where something is not whole."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._view = ClusterView(cluster.client_config)
        self._user = "the start of the cluster"

    def require_before(self, test: str) -> None:
        """Raises AssertionError for what is broken, once it is healed for the test after this.

        What is only not in sync yet gets time.
        """
        before, self._user = self._user, test
        wrong = self._broken() or self._not_in_sync(CATCH_UP_S)
        if wrong:
            self._cluster.heal()
            self._not_in_sync(CATCH_UP_S)
            raise AssertionError(f"{before} left the shared cluster with {'; '.join(wrong)}.")

    def _broken(self) -> list[str]:
        """What no time mends."""
        found = []
        for each in self._cluster.status():
            if each.pid is None:
                found.append(f"broker {each.broker_id} dead ({each.exit_status})")
            elif each.paused:
                found.append(f"broker {each.broker_id} paused")
            for link, mode in each.links.items():
                if mode != "pass":
                    found.append(f"the {link} link of broker {each.broker_id} at {mode}")
        return found

    def _not_in_sync(self, timeout_s: float) -> list[str]:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                states = self._view.partitions(self._view.topics())
                found = [str(each) for each in states if not each.in_full_isr]
                if set(self._view.brokers()) != set(self._cluster.broker_ids):
                    found.append(f"only brokers {self._view.brokers()} registered")
            except FaultError as error:
                found = [str(error)]
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(_POLL_S)
