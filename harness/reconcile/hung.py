"""Last stable offsets that did not move for longer than any transaction may stay open.

No client library is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Final, TypeAlias

import numpy as np

from harness.arrays import I64
from harness.reconcile.findings import Occurrence, ProfileFindings
from harness.reconcile.transaction_tally import Tally
from harness.rundir.recorded_faults import RecordedFault
from harness.rundir.run_info import ProfileRun
from harness.rundir.run_record import RunRecord
from harness.rundir.transactions import ABORTED, COMMITTED

ABORT_SCAN_MS: Final = 10_000
"""The coordinator looks for timed-out transactions this often (Kafka's default of
transaction.abort.timed.out.transaction.cleanup.interval.ms)."""
FAILOVER_MS: Final = 10_000
"""What an election of the coordinator or of a partition's leader may take besides; time inside a
fault's window is not counted at all."""
USUAL_TIMEOUT_MS: Final = 60_000
"""transaction.timeout.ms of the Java client and of librdkafka, where nothing sets it."""

Series: TypeAlias = tuple[I64, I64, I64]


def hung_transactions(run: RunRecord, found: ProfileFindings, tallies: Mapping[int, Tally]) -> None:
    """Count last stable offsets that are hung, and say where that cannot be seen."""
    if run.elsewhere is not None and run.elsewhere.unsteady:
        return  # no length of time follows from its instants
    bound_us, sure_us = _bounds_us(run, found.profile)
    for topic in run.info.topics_of(found.profile):
        name = run.info.topics[topic]
        whole = _steps_are_whole(run, topic, tallies)
        for partition in run.partitions_of(topic):
            series = run.timeline.offsets.get((name, partition))
            stuck = _stuck(run, (topic, partition), series, sure_us, whole=whole)
            found.counts["hung_txn"] += len(stuck)
            for offset in stuck:
                found.sample(Occurrence("hung_txn", topic, partition, offset=offset))
            if sure_us > bound_us and len(
                _stuck(run, (topic, partition), series, bound_us, whole=whole)
            ) > len(stuck):
                found.cannot_see(
                    f"a last stable offset of {name}-{partition} did not move for longer than the "
                    "profile's producer may leave a transaction open, and the history does not say "
                    "which transaction timeout its producers had",
                    "hung_txn",
                )
            if series is not None:
                _uncertain(run, found, f"{name}-{partition}", series, bound_us)
            if not _seen_at_the_end(run, found, (topic, partition), series, sure_us):
                found.cannot_see(
                    f"the last stable offset of {name}-{partition} was not seen at the end of its "
                    "log after the last transaction",
                    "hung_txn",
                )


def _bounds_us(run: RunRecord, profile: ProfileRun) -> tuple[int, int]:
    """From how many µs without a move a last stable offset may be hung, and from how many it is."""
    own_ms = sure_ms = profile.transaction_timeout_ms
    if run.elsewhere is not None:
        stated_ms = run.elsewhere.transaction_timeout_ms
        sure_ms = max(own_ms, USUAL_TIMEOUT_MS) if stated_ms is None else stated_ms
        own_ms = own_ms if stated_ms is None else stated_ms
    further_ms = ABORT_SCAN_MS + FAILOVER_MS
    return (own_ms + further_ms) * 1000, (sure_ms + further_ms) * 1000


def _stuck(
    run: RunRecord,
    key: tuple[int, int],
    series: Series | None,
    bound_us: int,
    *,
    whole: bool,
) -> list[int]:
    """The last stable offsets of a topic-partition that did not move for longer than the bound."""
    faults = run.timeline.faults
    stuck = _stuck_offsets(*series, faults, bound_us) if series is not None else []
    # A step that is missing may have been the last one.
    drained = _stuck_at_drain(run, *key, bound_us) if whole else None
    if drained is not None and drained not in stuck:
        stuck.append(drained)
    return stuck


def _uncertain(
    run: RunRecord, found: ProfileFindings, name: str, series: Series, bound_us: int
) -> None:
    """Say where the looks at a last stable offset leave room for one that did not move."""
    at_us, last_stable, _ = series
    if run.elsewhere is not None and bool((np.diff(last_stable) < 0).any()):
        index = int(np.flatnonzero(np.diff(last_stable) < 0)[0])
        found.cannot_see(
            f"the last stable offset of {name} goes back from {int(last_stable[index])} to "
            f"{int(last_stable[index + 1])}, which none does: it was lost, or the instants are "
            "wrong",
            "hung_txn",
        )
    window = _window_us(run, found)
    if window is None:
        return
    inside = at_us[(at_us > window[0]) & (at_us < window[1])]
    looks = [window[0], *inside.tolist(), window[1]]
    for begin_us, end_us in pairwise(looks):
        length_us = end_us - begin_us
        length_us -= _disturbed_us(run.timeline.faults, begin_us, end_us)
        if length_us > bound_us:
            found.cannot_see(
                f"the last stable offset of {name} was not looked at for {length_us / 1e6:.0f} s, "
                "longer than a transaction may stay open",
                "hung_txn",
            )
            return


def _seen_at_the_end(
    run: RunRecord,
    found: ProfileFindings,
    key: tuple[int, int],
    series: Series | None,
    bound_us: int,
) -> bool:
    """Whether nothing was open when all was over: a drain says so, or a look after the last step.

    A transaction that was not ended on record may have written until its time was up.
    """
    proof = run.drained_partition(*key)
    believed = proof.proven and proof.ceiling is None and proof.end is not None
    if believed and proof.last_stable == proof.end:
        return True
    window = _window_us(run, found)
    if window is None or series is None:
        return False
    over_us = window[1]
    states = [log.states for log in run.transactions.values()]
    if any(bool(((each != COMMITTED) & (each != ABORTED)).any()) for each in states):
        over_us += bound_us
    at_us, last_stable, high = series
    return bool(((at_us > over_us) & (last_stable >= high)).any())


def _window_us(run: RunRecord, found: ProfileFindings) -> tuple[int, int] | None:
    """From the first to the last step of the transactions of a profile; None without any."""
    topics = run.info.topics_of(found.profile)
    begun, ended = [], []
    for log in run.transactions.values():
        if log.last_step_us is None or not any(key[0] in topics for key in log.ranges):
            continue
        known = log.begun_us[log.begun_us > 0]
        begun.append(int(known.min()) if len(known) else log.last_step_us)
        ended.append(log.last_step_us)
    return (min(begun), max(ended)) if begun else None


def _stuck_offsets(
    at_us: I64, last_stable: I64, high: I64, faults: list[RecordedFault], bound_us: int
) -> list[int]:
    """Last stable offsets seen unmoved below the high watermark for longer than the bound.

    The last stable offset never goes back and the high watermark never below it, so that two
    sightings of the same one, both below the watermark, mean that it did not move in between. A
    look that finds it at the watermark ends the stretch: nothing was open then.
    """
    stuck: list[int] = []
    if not len(at_us):
        return stuck
    below = last_stable < high
    changed = np.diff(last_stable, prepend=last_stable[0] - 1) != 0
    changed[1:] |= below[1:] != below[:-1]
    starts = np.flatnonzero(changed)
    ends = np.append(starts[1:], len(at_us)) - 1
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if not below[start]:
            continue
        begin_us, end_us = int(at_us[start]), int(at_us[end])
        if end_us - begin_us - _disturbed_us(faults, begin_us, end_us) > bound_us:
            stuck.append(int(last_stable[start]))
    return stuck


def _disturbed_us(faults: list[RecordedFault], begin_us: int, end_us: int) -> int:
    """How much of a stretch lies inside the windows of faults, in µs; overlaps count once."""
    total, reached = 0, begin_us
    for fault in sorted(faults, key=lambda each: each.injected_us):
        healed_us = end_us if fault.healed_us is None else min(fault.healed_us, end_us)
        start_us = max(fault.injected_us, reached)
        if healed_us > start_us:
            total += healed_us - start_us
            reached = healed_us
    return total


def _stuck_at_drain(run: RunRecord, topic: int, partition: int, bound_us: int) -> int | None:
    """The last stable offset that the drain waited for in vain, when the wait was long enough.

    Every transaction of the run was begun before the last step of any transaction log; from
    there on the bound runs, faults or not, since a drain begins after all were healed.
    """
    drain = run.drain
    proof = run.drained_partition(topic, partition)
    if drain is None or proof.last_stable is None or proof.end is None:
        return None
    # In a history each topic-partition is drained by itself, and one says nothing of another.
    ended_us = drain.ended_us if run.elsewhere is None else proof.ended_us
    if ended_us is None:
        return None
    steps = [log.last_step_us for log in run.transactions.values() if log.last_step_us]
    healed = [fault.healed_us for fault in run.timeline.faults if fault.healed_us]
    begun_us = max([*steps, *healed], default=drain.started_us)
    stuck = proof.last_stable < proof.end
    if stuck and begun_us is not None and ended_us - begun_us > bound_us:
        return proof.last_stable
    return None


def _steps_are_whole(run: RunRecord, topic: int, tallies: Mapping[int, Tally]) -> bool:
    """Whether every producer that wrote to a topic left a whole record of its transactions."""
    writers = (
        incarnation
        for incarnation, ledger in run.ledgers.items()
        if any(key[0] == topic for key in ledger.partitions)
    )
    found = (tallies.get(incarnation) for incarnation in writers)
    return all(
        tally is not None and not tally.log.torn and not tally.log.damage and not tally.cut
        for tally in found
    )
