"""Faults of the network in front of a broker, made by the proxy before its listeners."""

from typing import Any, Final

from harness.faults.activity import activity
from harness.faults.backend import attach
from harness.faults.injection import Injection
from harness.faults.interrupts import uninterrupted
from harness.faults.processes import aim_at_leader, check_hold

# Annotations are evaluated here (no `from __future__`): `chaos discover` reads them as types.

_ANSWER_S: Final = 10.0
"""So long a broker may take to show that it lives."""
_LAG_SHARE: Final = 0.8
"""Of replica.lag.time.max.ms: so long a replication link may stay cut for that."""

__all__ = ["cut_replication_then_kill_leader", "cut_responses"]


@activity
def cut_replication_then_kill_leader(
    hold_s: float = 1.5, evidence_timeout_s: float = 20.0
) -> dict[str, Any]:
    """Hold back all bytes of the leader's replication listener for `hold_s`, then SIGKILL it.

    Followers stay alive and connected and receive nothing; what the leader acknowledged on its
    own in that time dies with it. `hold_s` must stay below the brokers' replica.lag.time.max.ms.
    """
    target = attach()
    fault = "cut_replication_then_kill_leader"
    with Injection(fault, target, hold_s=hold_s) as injection:
        lag_s = check_hold(injection, target)
        leader, _ = aim_at_leader(injection)
        try:
            injection.cut(leader, "replication", "blackhole", hold_s, _LAG_SHARE * lag_s)
            injection.kill(leader)
        finally:
            with uninterrupted():
                injection.restore_links()
        injection.observe_move(evidence_timeout_s)
    return injection.output()


@activity
def cut_responses(hold_s: float = 0.7) -> dict[str, Any]:
    """Let requests reach the leader for `hold_s` and drop its responses, then reset connections.

    The leader appends and replicates what it is sent; its clients never hear of it and send again.
    No leader moves.
    """
    target = attach()
    with Injection("cut_responses", target, hold_s=hold_s) as injection:
        leader, _ = aim_at_leader(injection)
        try:
            injection.cut(leader, "client", "cut_responses", hold_s, _ANSWER_S)
        finally:
            with uninterrupted():
                injection.restore_links(reset=True)
        injection.observe()
    return injection.output()
