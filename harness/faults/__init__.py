"""Chaos Toolkit actions and probes that strike Kafka brokers, and the repair of what they do.

Use them as `provider: {type: python, module: harness.faults, func: <name>}`. What each fault
does, needs and provokes stands in docs/faults.md; `harness list faults` names them.
"""

from harness.faults.coordinators import (
    kill_group_coordinator,
    kill_transaction_coordinator,
    move_group_coordinator,
    move_transaction_coordinator,
)
from harness.faults.healing import heal, no_fault
from harness.faults.links import cut_replication_then_kill_leader, cut_responses
from harness.faults.members import kill_member, pause_member, rebalance_storm, scale_members
from harness.faults.probes import brokers_ready, full_isr, leader_of, leaders
from harness.faults.processes import (
    kill_leader,
    pause_leader,
    rolling_restart,
    stop_followers_then_kill_leader,
)

__all__ = [
    "brokers_ready",
    "cut_replication_then_kill_leader",
    "cut_responses",
    "full_isr",
    "heal",
    "kill_group_coordinator",
    "kill_leader",
    "kill_member",
    "kill_transaction_coordinator",
    "leader_of",
    "leaders",
    "move_group_coordinator",
    "move_transaction_coordinator",
    "no_fault",
    "pause_leader",
    "pause_member",
    "rebalance_storm",
    "rolling_restart",
    "scale_members",
    "stop_followers_then_kill_leader",
]
