"""The end of every fault: brokers running, links passing, full ISR, leaders where they belong."""

import time
from collections.abc import Callable
from typing import Any, Final, Literal

from harness.errors import HarnessError
from harness.faults.activity import activity
from harness.faults.backend import Target, attach, consuming_profiles
from harness.faults.injection import SOURCE, open_faults
from harness.faults.interrupts import uninterrupted
from harness.faults.registry import FAULTS, MEMBERS
from harness.kafka.leaders import await_full_isr, await_preferred
from harness.members.roster import continue_members
from harness.rundir.clock import now
from harness.rundir.events import FaultEvent
from harness.rundir.run_dir import RunDir
from harness.rundir.wanted_members import want_as_planned

# Annotations are evaluated here (no `from __future__`): `chaos discover` reads them as types.

__all__ = ["heal"]

ISR_TIMEOUT_S: Final = 60.0
LEADERS_TIMEOUT_S: Final = 30.0


@activity
def heal(timeout_s: float = ISR_TIMEOUT_S) -> dict[str, Any]:
    """Repair whatever any fault left behind, and wait until the cluster is whole.

    Stopped brokers and group members continue, groups have as many members as planned, links
    pass, dead brokers start; then full ISR of the run's and the internal topics, within
    `timeout_s`; then the preferred leader of each of their partitions, so that coordinators are
    back as well. Safe to call at any time and again. A first SIGTERM or SIGINT waits until it is
    done. Raises FaultError or ClusterError when the cluster does not become whole, UsageError while
    another experiment strikes it.
    """
    with uninterrupted():
        target = attach()
        target.take_turn()
        return heal_target(target, timeout_s=timeout_s)


def heal_target(target: Target, *, timeout_s: float = ISR_TIMEOUT_S) -> dict[str, Any]:
    """`heal` of given brokers, for a caller that already has them."""
    started = time.monotonic()
    open_before = _open_faults(target)
    _write(open_before, "heal")
    try:
        for run_dir in target.runs():
            continue_members(run_dir, consuming_profiles(run_dir))
            want_as_planned(run_dir)
        if target.brokers.control is not None:
            target.brokers.control.heal()
        partitions = await_full_isr(target.view, living(target, target.watched_topics), timeout_s)
        await_preferred(target.view, living(target, target.watched_topics), LEADERS_TIMEOUT_S)
    except HarnessError as error:
        _write(open_before, "failed", reason=str(error))
        raise
    _write(open_before, "healed")
    return {
        "healed": list(dict.fromkeys(event.fault_id for _, event in open_before)),
        "healed_at": now(),
        "partitions_in_full_isr": partitions,
        "duration_s": round(time.monotonic() - started, 3),
    }


def living(target: Target, topics: Callable[[], list[str]]) -> Callable[[], list[str]]:
    """`topics`, to be waited for; asking for them raises ClusterError once our cluster is gone.

    A cluster ends with the harness that started it: then there is nothing to wait for any more.
    """

    def ask() -> list[str]:
        if target.brokers.control is not None:
            target.brokers.control.require_running()
        return topics()

    return ask


def _open_faults(target: Target) -> list[tuple[RunDir, FaultEvent]]:
    """What is to be healed, in the record of each run on this cluster.

    Members of a run that faults do not aim at here are left alone, and so are their faults.
    """
    own = target.runs()
    found = [(run_dir, event) for run_dir in own for event in open_faults(run_dir)]
    known = {run_dir.path.resolve() for run_dir in own}
    for run_dir in target.beside():
        if run_dir.path.resolve() not in known:
            found += [
                (run_dir, event)
                for event in open_faults(run_dir)
                if FAULTS[event.fault].needs != {MEMBERS}
            ]
    return found


def _write(
    events: list[tuple[RunDir, FaultEvent]],
    phase: Literal["heal", "healed", "failed"],
    reason: str | None = None,
) -> None:
    for run_dir, event in events:
        run_dir.append(
            FaultEvent(
                source=SOURCE,
                fault_id=event.fault_id,
                fault=event.fault,
                phase=phase,
                target=event.target,
                reason=reason,
            )
        )
