"""How a worker reaches the brokers: by its own options and environment, never by its master's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.kafka.client_check import check_connection
from harness.kafka.environment import HarnessEnvironment, child_environment
from harness.runs.plan import settings_of
from harness.runs.recorder import brokers_of


def worker_environment(
    brokers: str, config: Sequence[str], properties: Path | None
) -> dict[str, str]:
    """The variables by which a load process finds the brokers; may hold secrets.

    Where nothing says where the brokers are there are none: then they are where run.json says.
    Raises UsageError for settings that are none, ClusterError for brokers that cannot be found.
    """
    overrides = settings_of(config, properties)
    check_connection(overrides.connection, overrides.origins)
    around = HarnessEnvironment.read()
    named = brokers or overrides.connection.get("bootstrap.servers")
    if not (named or around.brokers or around.cluster):
        if not overrides.connection:
            return {}
        # How to reach them is known, and where comes from run.json.
        return child_environment({**around.client_config, **overrides.connection})
    found = brokers_of(brokers, overrides)
    return {**child_environment(found.client_config), **found.environment}
