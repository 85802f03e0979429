"""What a run.json cannot say, though each of its fields has the right type."""

from __future__ import annotations

from typing import Final

from harness.anomalies import PROMISES
from harness.rundir.run import RUN_ID, RunInfo

_PARTITIONS_MAX: Final = 1 << 16
_ROLES: Final = ("subject", "control")


def problem_of(info: RunInfo) -> str:
    """What in a run.json cannot be; empty where all of it can."""
    if not RUN_ID.match(info.run_id):
        return f"run_id: {info.run_id!r} is no run's name"
    if not 1 <= info.load.partitions <= _PARTITIONS_MAX:
        return f"load.partitions: {info.load.partitions}; accepted is 1 to {_PARTITIONS_MAX}"
    if len({profile.profile for profile in info.profiles}) < len(info.profiles):
        return "profiles: one of them stands there twice"
    if len(set(info.topics)) < len(info.topics):
        return "profiles: a topic stands there twice"
    for number, profile in enumerate(info.profiles):
        where = f"profiles[{number}]"
        if profile.role not in _ROLES:
            return f"{where}.role: {profile.role!r}; accepted is {' or '.join(_ROLES)}"
        unknown = [promise for promise in profile.promises if promise not in PROMISES]
        if unknown:
            return f"{where}.promises: {unknown[0]!r} is no promise"
        if not profile.topics:
            return f"{where}.topics: there is none"
        try:
            profile.transaction_timeout_ms  # noqa: B018
        except (ValueError, TypeError):
            return f"{where}.producer: transaction.timeout.ms is no number"
    unknown = [anomaly for anomaly in info.aims if f"no_{anomaly}" not in PROMISES]
    return f"aims: {unknown[0]!r} is no anomaly" if unknown else ""
