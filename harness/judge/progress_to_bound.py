"""How far a run that is still going has come towards a bound, and whether something looks broken.

Only the verdict decides what is broken; it needs the drain, and the drain needs the end of the
load. What is seen here on the way only decides whether another round of faults is worth its time.
Pure functions over the evidence as it is in the run directory.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from harness.anomalies import CONSUMER_ANOMALIES, anomaly_of
from harness.judge.bounds import CONFIDENCE, bound_95_per_fault
from harness.judge.consuming import consumer_exposures
from harness.judge.control_so_far import shown_so_far
from harness.judge.exposure import Exposure, exposures, trials
from harness.judge.fault_windows import by_window, load_of, unlike, windows
from harness.rundir import cells
from harness.rundir.columns import ACKED, unpack_offsets
from harness.rundir.rows import COPY
from harness.rundir.run_info import ProfileRun
from harness.rundir.run_record import RunRecord


def faults_needed(bound: float) -> int:
    """The smallest F with 1 − 0.05^(1/F) ≤ bound, for 0 < bound < 1."""
    count = max(1, math.floor(math.log(1 - CONFIDENCE) / math.log(1 - bound)))
    while (reached := bound_95_per_fault(count)) is None or reached > bound:
        count += 1
    return count


@dataclass(frozen=True, slots=True)
class Trial:
    """A promise that the run is to bound, and how many faults have challenged it so far.

    Where an experiment aims at it, only those in whose window its control looks broken.
    """

    profile: str
    promise: str
    faults: int


def promises_to_bound(profile: ProfileRun, aims: dict[str, str]) -> list[str]:
    """The promises of a profile that an experiment aims at; all where none of the run aims.

    A profile that does not count, or is outside its envelope, has none.
    """
    if not profile.in_verdict or profile.envelope_breaches:
        return []
    return [each for each in profile.promises if not aims or anomaly_of(each) in aims]


def progress_of(run: RunRecord) -> list[Trial]:
    """Every promise to bound with its exposed faults, the fewest first."""
    info, timeline = run.info, run.timeline
    found: list[Trial] = []
    controls = {each.profile: each for each in info.profiles}
    shown: dict[str, Counter[tuple[int, int]] | None] = {
        anomaly: shown_so_far(run, controls[name], anomaly)
        for anomaly, name in info.aims.items()
        if name in controls
    }
    for profile in info.profiles:
        met = exposures(profile, timeline)
        consumers = met if profile.consume is None else consumer_exposures(profile, run)
        for promise in promises_to_bound(profile, info.aims):
            anomaly = anomaly_of(promise)
            faced = consumers if anomaly in CONSUMER_ANOMALIES else met
            count = sum(each.exposed for each in faced)
            if anomaly in info.aims:
                control = controls.get(info.aims[anomaly])
                count = _trials(run, profile, anomaly, faced, control, shown.get(anomaly))
            found.append(Trial(profile.profile, promise, count))
    return sorted(found, key=lambda trial: (trial.faults, trial.profile, trial.promise))


def _trials(
    run: RunRecord,
    profile: ProfileRun,
    anomaly: str,
    met: list[Exposure],
    control: ProfileRun | None,
    shown: Counter[tuple[int, int]] | None,
) -> int:
    """How many faults say something about a promise that the experiments aim at."""
    chosen = trials(run.info, anomaly, met)
    if control is None:
        return 0
    if shown is None or unlike(control, profile, anomaly):
        return sum(each.exposed for each in chosen)
    on = windows([each.fault for each in met], load_of(control, run.timeline))
    inside, _ = by_window(shown, on)
    broke = {id(each.fault) for each, count in zip(met, inside, strict=True) if count}
    return sum(each.exposed and id(each.fault) in broke for each in chosen)


def suspicions(run: RunRecord) -> list[str]:
    """Promises of profiles that count which look broken by what was read along with the load.

    A duplicate: the live reader got further copies. A loss: it went beyond the offset at which
    a record was acknowledged and never got that record.
    """
    found: list[str] = []
    for profile in run.info.profiles:
        topics = run.info.topics_of(profile)
        if not profile.in_verdict or profile.envelope_breaches:
            continue
        if "no_duplicate" in profile.promises:
            rows = run.live.extras
            copies = int(np.count_nonzero((rows["kind"] == COPY) & np.isin(rows["topic"], topics)))
            if copies:
                found.append(f"{profile.profile}: no_duplicate ({copies} further copies read live)")
        if "no_lost" in profile.promises:
            missing = sum(_passed_over(run, topic) for topic in topics)
            if missing:
                found.append(
                    f"{profile.profile}: no_lost ({missing} acknowledged records passed over by "
                    "the live reader)"
                )
    return found


def _passed_over(run: RunRecord, topic: int) -> int:
    """Acknowledged records of a topic that the live reader went past without getting them."""
    keys = {key for file in run.ledgers.values() for key in file.partitions if key[0] == topic}
    missing = 0
    for key in sorted(keys):
        reached = max(
            (
                int(part.max())
                for file in run.live.columns.values()
                for part in cells.offsets(file, *key)
                if len(part)
            ),
            default=-1,
        )
        for producer, ledger in run.ledgers.items():
            live = run.live.columns.get(producer)
            for begin in range(0, ledger.allocated(*key), cells.CHUNK):
                low, state = cells.cells(ledger, *key, begin, cells.CHUNK)
                _, read = cells.cells(live, *key, begin, cells.CHUNK)
                at = unpack_offsets(low, state)
                passed = (state >= ACKED) & (at >= 0) & (at <= reached) & (read == 0)
                missing += int(np.count_nonzero(passed))
    return missing
