"""Faults of brokers and of the network in front of them.

Each finds its target at the moment of the fault. The repair of killed brokers is left to `heal`;
what a fault paused or cut itself it lets go again, whatever ends it.
"""

import time
from typing import Final

from harness.brokers.kind import PAUSE, PROCESS, PROXY
from harness.faults.deeds import (
    broker_setting,
    cut,
    kill,
    pause,
    require_longer,
    require_shorter,
)
from harness.faults.fault import fault
from harness.faults.injection import Injection
from harness.faults.roles import all_brokers, controller, follower, leader
from harness.kafka.leaders import await_full_isr, followers_of

# Annotations are evaluated here (no `from __future__`): `chaos discover` reads them as types.

__all__ = [
    "cut_replication_then_kill_leader",
    "cut_responses",
    "kill_controller",
    "kill_follower",
    "kill_leader",
    "pause_leader",
    "rolling_restart",
    "stop_followers_then_kill_leader",
]

LAG_SETTING: Final = "replica.lag.time.max.ms"
SESSION_SETTING: Final = "broker.session.timeout.ms"
SESSION_MS: Final = 9000
"""Kafka's default of that setting."""
PAUSE_S: Final = 6.0
_ANSWER_S: Final = 10.0
"""So long a broker may take to show that it lives."""
_LAG_SHARE: Final = 0.8
"""Of replica.lag.time.max.ms: so long a replication link may stay cut for that."""
_ISR_WOULD_SHRINK: Final = (
    "the leader would shrink the ISR, and records lost then were not promised to survive"
)


@fault(PROCESS, role="leader", moves_leader=True)
def kill_leader(injection: Injection, evidence_timeout_s: float = 20.0) -> None:
    """SIGKILL the broker that leads most partitions.

    Waits until other brokers lead them in a newer leader epoch, at most `evidence_timeout_s`. The
    broker stays dead until `heal`.
    """
    kill(injection, leader(injection), evidence_timeout_s)


@fault(PROCESS, role="follower")
def kill_follower(injection: Injection) -> None:
    """SIGKILL the broker that follows most of the busiest leader's partitions.

    No leader moves; the ISR shrinks, and grows again when the broker is back.
    """
    injection.kill(follower(injection).broker)
    injection.observe_end()


@fault(PROCESS, role="active controller")
def kill_controller(injection: Injection, evidence_timeout_s: float = 20.0) -> None:
    """SIGKILL the node that is the active controller.

    Waits until another node is, in a newer epoch, at most `evidence_timeout_s`. Where the node is a
    broker too, the partitions that it led move as well.
    """
    injection.kill(controller(injection).broker)
    injection.observe_controller(evidence_timeout_s)


@fault(PROCESS, PAUSE, role="followers and leader", moves_leader=True)
def stop_followers_then_kill_leader(
    injection: Injection, hold_s: float = 1.5, evidence_timeout_s: float = 20.0
) -> None:
    """SIGSTOP the followers, SIGKILL the leader before they read on, SIGCONT them.

    The followers stand still for `hold_s`. What the leader acknowledged on its own in that time
    dies with it, less what lies in the reply to the one fetch that each follower had open: it takes
    that in when it continues. `hold_s` must stay below the brokers' replica.lag.time.max.ms: after
    that the leader would shrink the ISR and also acknowledge acks=all alone.
    """
    require_shorter(injection, LAG_SETTING, _ISR_WOULD_SHRINK)
    hit = leader(injection)
    followers = followers_of(hit.broker, hit.partitions)
    with injection.paused(followers):
        until = time.monotonic() + hold_s
        injection.note_follower_logs(followers, hold_s / 2)
        time.sleep(max(0.0, until - time.monotonic()))
        injection.kill(hit.broker)
    injection.observe_move(evidence_timeout_s)


@fault(PROCESS, PROXY, role="leader", moves_leader=True)
def cut_replication_then_kill_leader(
    injection: Injection, hold_s: float = 1.5, evidence_timeout_s: float = 20.0
) -> None:
    """Hold back the leader's replication traffic, then SIGKILL it.

    Its followers stay alive and connected and receive nothing for `hold_s`; what the leader
    acknowledged on its own in that time dies with it. `hold_s` must stay below the brokers'
    replica.lag.time.max.ms.
    """
    lag_s = require_shorter(injection, LAG_SETTING, _ISR_WOULD_SHRINK)
    hit = leader(injection)
    with injection.cut(
        hit.broker, "replication", "blackhole", hold_s=hold_s, patience_s=_LAG_SHARE * lag_s
    ):
        injection.kill(hit.broker)
    injection.observe_move(evidence_timeout_s)


@fault(PROXY, role="leader")
def cut_responses(injection: Injection, hold_s: float = 0.7) -> None:
    """Let requests reach the leader and drop its responses, then reset the connections.

    The leader appends and replicates what it is sent for `hold_s`; its clients never hear of it and
    send again. No leader moves.
    """
    cut(
        injection, leader(injection), "client", "cut_responses", hold_s=hold_s, patience_s=_ANSWER_S
    )


@fault(PAUSE, role="leader", moves_leader=True)
def pause_leader(
    injection: Injection, hold_s: float | None = None, evidence_timeout_s: float = 20.0
) -> None:
    """SIGSTOP the leader until another one is elected, then SIGCONT it.

    It stays stopped for `hold_s`, and for longer, `evidence_timeout_s` at most, while no other
    broker is elected. Without `hold_s` for 6 s, or for a third more than the brokers'
    broker.session.timeout.ms where that is longer; it must exceed that. The old leader wakes up
    believing that it leads, as after a long pause for garbage collection or of a virtual machine.
    """
    if hold_s is None:
        session_ms = float(broker_setting(injection.at, SESSION_SETTING) or SESSION_MS)
        hold_s = max(PAUSE_S, session_ms / 750)
        injection.evidence.hold_s = hold_s
    require_longer(injection, SESSION_SETTING, "no other broker would be elected")
    pause(injection, leader(injection), hold_s, evidence_timeout_s)


@fault(PROCESS, role="every broker", moves_leader=True, graceful=True)
def rolling_restart(injection: Injection, isr_timeout_s: float = 60.0) -> None:
    """SIGTERM and restart one broker after the other, full ISR in between.

    A graceful operation: every leader hands over before it goes. The broker that leads most of
    the run's partitions goes first.
    """
    for broker in all_brokers(injection):
        injection.restart(broker, isr_timeout_s)
        await_full_isr(injection.at.view, injection.at.watched_topics, isr_timeout_s)
    injection.observe()
