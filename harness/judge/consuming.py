"""Were a profile's consumers in the way of a fault, and what became of their lag?

Consumers are exposed to a fault when it disturbed them (a member was hit, ended or rebalanced
before the next fault, their group's coordinator was hit, or a leader that they read from moved)
and records were processed within ten seconds before and again afterwards.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from harness.arrays import I64
from harness.judge.availability import striking
from harness.judge.exposure import AROUND_US, Exposure, exposures, hit_partitions
from harness.reconcile.findings import ProfileFindings
from harness.rundir.member_journal import Journal, Step
from harness.rundir.recorded_faults import RecordedFault
from harness.rundir.run_info import ProfileRun
from harness.rundir.run_record import RunRecord
from harness.rundir.timeline import Timeline
from harness.rundir.verdict import ConsumerLag, ConsumeVerdict

_CALM_US: Final = 3_000_000
_UNDISTURBED: Final = "its consumers noticed nothing of it: none died or rebalanced"
_IDLE_BEFORE: Final = "nothing of it was processed just before"
_IDLE_AFTER: Final = "nothing of it was processed afterwards"


def consumer_exposures(profile: ProfileRun, run: RunRecord) -> list[Exposure]:
    """How a profile's consumers met each fault of the run that was injected, in order."""
    met = exposures(profile, run.timeline)
    journals = run.consumption.journals.get(profile.profile, [])
    result: list[Exposure] = []
    for index, exposure in enumerate(met):
        fault = exposure.fault
        until_us = met[index + 1].fault.injected_us if index + 1 < len(met) else None
        missing = exposure.missing
        if fault.took_effect:
            missing = _missing(profile, run.timeline, journals, exposure, until_us)
        result.append(Exposure(fault, missing))
    return result


def _missing(
    profile: ProfileRun,
    timeline: Timeline,
    journals: list[Journal],
    exposure: Exposure,
    until_us: int | None,
) -> str:
    """What a fault lacked to be a trial of the consumers; empty when nothing."""
    fault = exposure.fault
    end_us = np.iinfo(np.int64).max if until_us is None else until_us
    if not (
        fault.hit_members(profile.profile)
        or fault.coordinated(profile.profile)
        or (exposure.exposed and hit_partitions(profile.topics[:1], timeline, fault))
        or _turned(profile, timeline, fault, int(end_us))
    ):
        return _UNDISTURBED
    injected_us = fault.injected_us
    if not _processed(journals, injected_us - AROUND_US, injected_us):
        return _IDLE_BEFORE
    return "" if _processed(journals, injected_us, int(end_us)) else _IDLE_AFTER


def _turned(profile: ProfileRun, timeline: Timeline, fault: RecordedFault, end_us: int) -> bool:
    """Whether a member ended or rebalanced from a fault's injection until the next one's."""
    return any(
        moment.profile == profile.profile
        and moment.phase != "started"
        and fault.injected_us <= moment.at_us < end_us
        for moment in timeline.members
    )


def _processed(journals: list[Journal], from_us: int, to_us: int) -> bool:
    """Whether any member's effect falls into a stretch of time, its end excluded."""
    for journal in journals:
        at_us = journal.entries["at_us"]
        lo, hi = np.searchsorted(at_us, [from_us, to_us], side="left")
        if bool((journal.entries["step"][lo:hi] == Step.EFFECT).any()):
            return True
    return False


def consume_verdict(run: RunRecord, found: ProfileFindings) -> ConsumeVerdict | None:
    """What a profile's consumers did, as verdict.json holds it; None without any."""
    consume, consumed = found.profile.consume, found.consumed
    if consume is None or consumed is None:
        return None
    return ConsumeVerdict(
        mode=consume.mode,
        protocol=consume.protocol,
        group=consume.group,
        members=consumed.members,
        died=consumed.died,
        records=consumed.records,
        processed=consumed.processed,
        pending=consumed.pending,
        polled=consumed.polled,
        effects=consumed.effects,
        commits=consumed.commits,
        commits_failed=consumed.commits_failed,
        assignments=consumed.assignments,
        partitions_lost=consumed.lost,
        fenced=consumed.fenced,
        lag=_lags(found.profile, run.timeline),
        send_offsets=consume.send_offsets,
    )


def _lags(profile: ProfileRun, timeline: Timeline) -> list[ConsumerLag]:
    faults = striking(timeline)
    injected_us = faults[0].injected_us if faults else None
    return [
        _lag(topic, partition, *timeline.lags[name, topic, partition], injected_us)
        for name, topic, partition in sorted(timeline.lags)
        if name == profile.profile
    ]


def _lag(
    topic: str, partition: int, at_us: I64, committed: I64, end: I64, injected_us: int | None
) -> ConsumerLag:
    """The lag of one partition over time: offsets that the group had not committed yet."""
    behind = np.maximum(end - np.maximum(committed, 0), 0)
    recovered_ms: float | None = None
    if injected_us is not None:
        back_us = recovered_us(at_us, behind, injected_us)
        recovered_ms = None if back_us is None else (back_us - injected_us) / 1000
    return ConsumerLag(topic, partition, int(behind.max()), int(behind[-1]), recovered_ms)


def recovered_us(at_us: I64, behind: I64, injected_us: int) -> int | None:
    """When a lag that rose after a fault was back where it had been, for three seconds at least.

    Where it had been: the highest lag seen in the ten seconds before the injection. The injection
    itself when the lag never rose above that; None when no look came before or when it was not
    back by the end. at_us: (n,) ascending; behind: (n,) lags.
    """
    before = (at_us <= injected_us) & (at_us >= injected_us - AROUND_US)
    if not before.any():
        return None
    above = (behind > int(behind[before].max())) & (at_us > injected_us)
    risen = np.flatnonzero(above)
    if not len(risen):
        return injected_us
    calm = np.flatnonzero(~above)
    calm = calm[calm > risen[0]]
    # The next rise after each calm sample, if any, has to be later than three seconds.
    following = np.searchsorted(risen, calm)
    again_us = np.append(at_us[risen], np.iinfo(np.int64).max)[following]
    back = calm[again_us > at_us[calm] + _CALM_US]
    return int(at_us[back[0]]) if len(back) else None
