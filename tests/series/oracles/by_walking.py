"""A second oracle for histories: it walks, event by event and offset by offset.

Written from docs/verification.md and docs/histories.md alone, without a look at the rules of the
harness or at by_sets.py. The numbers in comments are those of docs/verification.md. How lines are
taken stands in told.py, what readings make of a topic-partition in walked_logs.py.
"""

from __future__ import annotations

from collections import Counter

from tests.series.oracles.by_sets import COUNTS, REFUSED, Judged
from tests.series.oracles.promised import Profile
from tests.series.oracles.told import (
    CORRUPT,
    FOREIGN,
    Attempt,
    Lane,
    Refused,
    tell,
)
from tests.series.oracles.walked_logs import (
    Log,
    Walk,
    is_acknowledged,
    is_proven_absent,
    measure,
    named_by,
    place_attempts,
    settle,
    steps_of,
    transaction_of,
    walk_offsets,
)
from tests.series.oracles.walked_transactions import (
    content_of,
    count_hung,
    count_precommitted,
    count_transactions,
    find_committed,
    may_be_called,
)

WITHOUT_DRAIN = ("precommitted_read", "hung_txn")
WHOLE_LOG = ("gap", "torn_txn", "lost_txn")
BY_STEPS = (*WHOLE_LOG, "precommitted_read")


def judge(files: list[str], profile: Profile, *, lenient: bool) -> Judged:
    """The verdict on the texts of files."""
    try:
        told = tell(files, profile.level, lenient=lenient)
    except Refused:
        return Judged(REFUSED)
    walk = Walk(told, profile)
    settle(walk)
    for lane in sorted(told.named | {each.lane for each in walk.attempts if each.lane}):
        walk.logs[lane] = Log(lane)
    for lane in walk.logs:
        walk_offsets(walk, walk.logs[lane])
    place_attempts(walk)
    for log in walk.logs.values():
        measure(walk, log)
    find_committed(walk)
    for attempt in walk.attempts:
        count_attempt(walk, attempt)
    count_inversions(walk)
    count_gaps(walk)
    count_inconsistent(walk)
    for log in walk.logs.values():
        count_records(walk, log)
        count_vanished(walk, log)
    if profile.transactional:
        count_transactions(walk)
        count_precommitted(walk)
        count_hung(walk)
    look_for_blindness(walk)
    return conclude(walk)


# Anomalies of attempts (4.1 to 4.3, 4.10).


def count_attempt(walk: Walk, attempt: Attempt) -> None:
    counts = walk.counts
    drained, live = walk.drained.get(id(attempt), []), walk.live.get(id(attempt), [])
    counts["attempted"] += 1
    counts[attempt.outcome] += 1
    if attempt.outcome == "unknown" and drained:
        counts["unknown_present"] += 1
    if attempt.outcome == "failed" and (drained or live):
        counts["failed_visible"] += 1
    if drained or live:
        counts["duplicate"] += len({*drained, *live}) - 1
        counts["duplicate_live"] += len({*drained, *live}) - max(1, len(drained))
    if is_acknowledged(attempt) and not drained:
        counts["lost" if is_proven_absent(walk, attempt) else "unseen"] += 1


def in_lanes(walk: Walk) -> list[list[Attempt]]:
    """The attempts of each incarnation and topic-partition, in the order of sending."""
    lanes: dict[tuple[int, Lane], list[Attempt]] = {}
    for attempt in walk.attempts:
        if attempt.lane is not None:
            lanes.setdefault((attempt.producer, attempt.lane), []).append(attempt)
    return [sorted(each, key=lambda attempt: attempt.sequence) for each in lanes.values()]


def count_inversions(walk: Walk) -> None:
    """4.4: a place below the highest bound of what was sent and acknowledged before."""
    for lane in in_lanes(walk):
        highest = -1
        for attempt in lane:
            drained, live = walk.drained.get(id(attempt)), walk.live.get(id(attempt))
            acked_at = attempt.offset if is_acknowledged(attempt) else None
            place = min(drained) if drained else min(live) if live else acked_at
            if place is not None and attempt.outcome != "failed" and place < highest:
                walk.counts["inversion"] += 1
            if not is_acknowledged(attempt):
                continue
            log = walk.log_of(attempt)
            bound = place
            if log is None or place is None or not log.reaches_from_0_to(place):
                bound = None if acked_at is None or place is None else min(place, acked_at)
            if bound is not None:
                highest = max(highest, bound)


def count_gaps(walk: Walk) -> None:
    for lane in in_lanes(walk):
        sure = [number for number, each in enumerate(lane) if is_acknowledged(each)]
        for number, attempt in enumerate(lane):
            log = walk.log_of(attempt)
            if log is None or not log.whole or walk.drained.get(id(attempt)):
                continue
            if attempt.outcome not in ("failed", "unknown"):
                continue
            if walk.profile.transactional and transaction_of(attempt) not in walk.committed:
                continue
            if sure and sure[0] < number < sure[-1]:
                walk.counts["gap"] += 1


def count_inconsistent(walk: Walk) -> None:
    """4.11: acknowledged at an offset that does not hold it."""
    alone: Counter[tuple[Lane, int]] = Counter()
    for attempt in walk.attempts:
        log = walk.log_of(attempt)
        if log is None or attempt.outcome != "acked" or attempt.offset is None:
            continue
        drained, live = walk.drained.get(id(attempt), []), walk.live.get(id(attempt), [])
        there = [*log.seen.get(attempt.offset, []), *log.aside.get(attempt.offset, [])]
        if attempt.offset in log.held:
            there.append(log.held[attempt.offset])
        if any(named_by(walk, content) is attempt for content in there):
            continue
        if (
            any(content != CORRUPT for content in there)
            or (drained and log.reaches(attempt.offset))
            or ((drained or live) and walk.profile.promises_no("duplicate"))
        ):
            walk.counts["inconsistent_offset"] += 1
        else:
            alone[log.lane, attempt.offset] += 1
    walk.counts["inconsistent_offset"] += sum(number - 1 for number in alone.values())


# Anomalies of records (4.6 to 4.9, 4.12).


def count_records(walk: Walk, log: Log) -> None:
    for content in log.held.values():
        walk.counts["read"] += 1
        if content == CORRUPT:
            walk.counts["corrupt"] += 1
        elif content == FOREIGN:
            walk.counts["foreign"] += 1
        elif content[1:3] != log.lane:
            walk.counts["misrouted"] += 1
        elif named_by(walk, content) is None:
            walk.counts["phantom"] += 1


def count_vanished(walk: Walk, log: Log) -> None:
    for offset in sorted({*log.seen, *log.aside}):
        held = log.held.get(offset)
        live = log.seen.get(offset, [])
        aside = [each for each in log.aside.get(offset, []) if each != held and each not in live]
        alone = 0
        for content in [*live, *dict.fromkeys(aside)]:
            if content in (held, FOREIGN):
                continue
            if held is not None or (content in live and log.reaches(offset)):
                walk.counts["vanished"] += 1
            else:
                alone += 1
        walk.counts["vanished"] += max(0, alone - 1)
        if alone and FOREIGN in live and held is None:
            walk.blind.add("vanished")


# From counts to verdicts (5).


def look_for_blindness(walk: Walk) -> None:
    blind, anomalies = walk.blind, {each.removeprefix("no_") for each in walk.profile.promises}
    logs = list(walk.logs.values())
    if not any(is_acknowledged(each) for each in walk.attempts):
        blind |= anomalies
    if walk.counts["unseen"] or any(log.first > 0 or not log.sound for log in logs):
        blind |= anomalies.difference(WITHOUT_DRAIN)
    homeless = any(each.lane is None for each in walk.attempts)
    if homeless or not all(log.whole for log in logs):
        blind.update(WHOLE_LOG)
    if homeless:
        blind.add("hung_txn")
    look_at_steps(walk)
    if not covered(walk, timed=False):
        blind.add("vanished")
    if not covered(walk, timed=True) or walk.counts["failed_visible"]:
        blind.add("precommitted_read")


def look_at_steps(walk: Walk) -> None:
    on_record = {producer for (producer, _), steps in walk.told.steps.items() if steps}
    for attempt in walk.attempts:
        names = steps_of(walk, transaction_of(attempt))
        if attempt.transaction is not None and not names:
            walk.blind.update(BY_STEPS)
        if walk.profile.transactional and attempt.producer not in on_record:
            walk.blind.update(BY_STEPS)
    for steps in walk.told.steps.values():
        names = [name for name, _ in steps]
        if may_be_called(names) and "commit_called" not in names:
            walk.blind.add("precommitted_read")
    if not walk.steady:
        walk.blind.add("precommitted_read")


def covered(walk: Walk, *, timed: bool) -> bool:
    """5.2: were 95 % of each partition read a second time (or live, at a known instant)?"""
    some = False
    for log in walk.logs.values():
        if timed:
            some = some or any(
                instant is not None and content[1:3] == log.lane
                for (_, content), instant in log.instants.items()
            )
        else:
            some = some or bool(log.twice or log.seen)
        returned = again = 0
        for attempt in walk.attempts:
            drained = walk.drained.get(id(attempt))
            if attempt.lane != log.lane or not drained:
                continue
            returned += 1
            known = log.instants.get((min(drained), content_of(attempt))) is not None
            again += known if timed else min(drained) in log.twice
        if again * 100 < returned * 95:
            return False
    return some


def undone_by(torn: list[str], walk: Walk) -> set[str]:
    """What the last lines that break off may have undone, by the types that they begin as."""
    reading = {"lost", "gap", "inversion", "inconsistent_offset", "vanished", "torn_txn"}
    reading |= {"lost_txn", "hung_txn"}
    step = {"gap", "inversion", "torn_txn", "precommitted_read", "hung_txn"}
    within = any(each.transaction is not None for each in walk.attempts)
    late = {"lost", "torn_txn", "lost_txn", "precommitted_read"} if within else set()
    table: dict[str, set[str]] = {
        "attempt": {"phantom"}, "outcome": {"gap", "inversion"} | late, "transaction": step,
        "observation": reading, "reading": reading, "drain": reading, "offsets": {"hung_txn"},
        "history": {"hung_txn"}, "end": set(),
    }  # fmt: skip
    every = {each.removeprefix("no_") for each in walk.profile.promises}
    found: set[str] = set()
    for text in torn:
        kind = text.partition('"type": "')[2].partition('"')
        name = kind[0] if kind[1] else ""
        loose = any(key[2] is None for key in walk.told.attempts)
        found |= every if loose and name in ("attempt", "outcome") else table.get(name, every)
    return found


def conclude(walk: Walk) -> Judged:
    promises = {}
    stays: set[str] = {"corrupt"}
    # Where further lines decide about partitions, they can make misrouted records of others.
    if all(key[2] is not None for key in walk.told.attempts):
        stays |= {"duplicate", "misrouted"}
        if not walk.told.steps and all(each.transaction is None for each in walk.attempts):
            stays.add("failed_visible")
    for promise in walk.profile.promises:
        anomaly = promise.removeprefix("no_")
        undone = anomaly not in stays and anomaly in undone_by(walk.told.torn, walk)
        if walk.counts[anomaly] and (anomaly in stays or not (walk.told.damaged or undone)):
            promises[promise] = "broken"
        elif (walk.counts[anomaly] and undone) or anomaly in walk.blind or walk.told.damaged:
            promises[promise] = "inconclusive"
        else:
            promises[promise] = "kept"
    verdict = "inconclusive"
    for worst in ("broken", "inconclusive", "kept"):
        if worst in promises.values():
            verdict = worst
            break
    return Judged(verdict, {name: walk.counts[name] for name in COUNTS}, promises)
