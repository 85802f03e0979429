"""Faults of broker processes: killed, stopped, paused, restarted.

Each function finds its target at the moment of the fault, returns its evidence as a plain
dictionary, and leaves the repair of killed brokers to `heal`; what it stopped or held back
itself it lets go again, whatever ends it.
"""

import signal
import time
from typing import Any, Final

from harness.errors import UsageError
from harness.faults.activity import activity
from harness.faults.backend import Target, attach
from harness.faults.injection import Injection
from harness.faults.interrupts import uninterrupted
from harness.kafka.leaders import (
    PartitionState,
    answered,
    await_full_isr,
    followers_of,
    most_led,
)

# Annotations are evaluated here (no `from __future__`): `chaos discover` reads them as types.

__all__ = [
    "kill_leader",
    "pause_leader",
    "rolling_restart",
    "stop_followers_then_kill_leader",
]

LAG_SETTING: Final = "replica.lag.time.max.ms"
SESSION_SETTING: Final = "broker.session.timeout.ms"


@activity
def kill_leader(evidence_timeout_s: float = 20.0) -> dict[str, Any]:
    """SIGKILL the broker that leads most of the run's partitions.

    Waits until other brokers lead them in a newer leader epoch, at most `evidence_timeout_s`. The
    broker stays dead until `heal`.
    """
    with Injection("kill_leader", attach()) as injection:
        leader, _ = aim_at_leader(injection)
        injection.kill(leader)
        injection.observe_move(evidence_timeout_s)
    return injection.output()


@activity
def stop_followers_then_kill_leader(
    hold_s: float = 1.5, evidence_timeout_s: float = 20.0
) -> dict[str, Any]:
    """SIGSTOP the leader's followers for `hold_s`, SIGKILL the leader, SIGCONT the followers.

    What the leader acknowledged on its own in that time dies with it, less what lies in the reply
    to the one fetch that each follower had open: it takes that in when it continues. `hold_s` must
    stay below the brokers' replica.lag.time.max.ms: after that the leader would shrink the ISR and
    also acknowledge acks=all alone.
    """
    target = attach()
    with Injection("stop_followers_then_kill_leader", target, hold_s=hold_s) as injection:
        check_hold(injection, target)
        leader, partitions = aim_at_leader(injection)
        followers = followers_of(leader, partitions)
        try:
            for follower in followers:
                injection.signal(follower, signal.SIGSTOP)
            until = time.monotonic() + hold_s
            injection.note_follower_logs(followers, hold_s / 2)
            time.sleep(max(0.0, until - time.monotonic()))
            injection.kill(leader)
        finally:
            with uninterrupted():
                for follower in followers:
                    injection.signal(follower, signal.SIGCONT)
        injection.observe_move(evidence_timeout_s)
    return injection.output()


@activity
def pause_leader(hold_s: float = 6.0, evidence_timeout_s: float = 20.0) -> dict[str, Any]:
    """SIGSTOP the leader for `hold_s`, so that another broker is elected, then SIGCONT it.

    It stays stopped for longer, `evidence_timeout_s` at most, while no other broker is elected.
    The old leader wakes up believing that it leads, as after a long pause for garbage collection
    or of a virtual machine. `hold_s` must exceed the brokers' broker.session.timeout.ms.
    """
    target = attach()
    with Injection("pause_leader", target, hold_s=hold_s) as injection:
        session_ms = broker_setting(target, SESSION_SETTING)
        if session_ms is not None and hold_s * 1000 <= float(session_ms):
            raise UsageError(
                f"pause_leader: hold_s is {hold_s:g}, but the brokers' {SESSION_SETTING} is "
                f"{session_ms}: nobody else would be elected. Hold longer than that."
            )
        leader, _ = aim_at_leader(injection)
        deadline = time.monotonic() + hold_s
        try:
            injection.signal(leader, signal.SIGSTOP)
            injection.observe_move(max(hold_s, evidence_timeout_s))
            time.sleep(max(0.0, deadline - time.monotonic()))
        finally:
            with uninterrupted():
                injection.signal(leader, signal.SIGCONT)
        injection.observe_move(evidence_timeout_s)
    return injection.output()


@activity
def rolling_restart(isr_timeout_s: float = 60.0) -> dict[str, Any]:
    """SIGTERM each broker, wait for its exit, restart it, wait for full ISR; then the next one.

    A graceful operation: every leader hands over before it goes. The broker that leads most of
    the run's partitions goes first.
    """
    target = attach()
    with Injection("rolling_restart", target) as injection:
        partitions = target.aimed_partitions()
        leader, _ = most_led(partitions)
        order = sorted(target.local.broker_ids, key=lambda broker: (broker != leader, broker))
        injection.aim(f"brokers {', '.join(map(str, order))} in turn", partitions)
        for broker in order:
            sent = injection.signal(broker, signal.SIGTERM)
            sent.exit_status = target.local.wait_exited(broker, isr_timeout_s)
            target.local.start_broker(broker)
            sent.restarted_pid = target.local.pid(broker)
            target.local.wait_ready(isr_timeout_s)
            await_full_isr(target.view, target.watched_topics, isr_timeout_s)
        injection.observe()
    return injection.output()


def aim_at_leader(injection: Injection) -> tuple[int, list[PartitionState]]:
    """Find the broker that leads most of the run's partitions and aim at those it leads."""
    leader, led = most_led(injection.at.aimed_partitions())
    injection.aim(f"broker {leader}, leader of {len(led)} partitions", led)
    return leader, led


def check_hold(injection: Injection, target: Target) -> float:
    """The seconds until the ISR shrinks; 0 where the brokers do not say.

    Raises UsageError when the hold is not shorter.
    """
    hold_s = injection.evidence.hold_s
    lag_ms = broker_setting(target, LAG_SETTING)
    if hold_s is not None and lag_ms is not None and hold_s * 1000 >= float(lag_ms):
        raise UsageError(
            f"{injection.fault.name}: hold_s is {hold_s:g}, but the brokers' {LAG_SETTING} is "
            f"{lag_ms}: the leader would shrink the ISR, and records lost then were not promised "
            "to survive. Hold shorter than that."
        )
    return 0.0 if lag_ms is None else float(lag_ms) / 1000


def broker_setting(target: Target, name: str) -> str | None:
    """A setting that all brokers share, as the first one that is asked shows it."""

    def ask() -> str | None:
        return target.view.broker_setting(target.view.brokers()[0], name)

    return answered(ask, f"the brokers' {name}")
