"""Topic-partitions as their readings tell them: offset by offset, what is there, what was there
before, and from where to where the absence of a record means something.

Written from docs/verification.md (1 to 3) and docs/histories.md alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

from tests.series.oracles.promised import COMMITTED, UNCOMMITTED, Profile
from tests.series.oracles.told import CORRUPT, FOREIGN, Attempt, Content, Lane, Line, Reading, Told


@dataclass
class Log:
    """One topic-partition, as its readings tell it."""

    lane: Lane
    # The drained set: what the log holds at an offset.
    held: dict[int, Content] = field(default_factory=dict)
    # The live set: what was read there before, or along with it.
    seen: dict[int, list[Content]] = field(default_factory=dict)
    # Contents that were set aside (1.6).
    aside: dict[int, list[Content]] = field(default_factory=dict)
    # Levels at which the live set holds a content.
    levels: dict[tuple[int, Content], set[str]] = field(default_factory=dict)
    # When a content was read live first, None where one of these readings does not say.
    instants: dict[tuple[int, Content], int | None] = field(default_factory=dict)
    # Offsets whose content was read twice.
    twice: set[int] = field(default_factory=set)
    # Offsets that the drain returned.
    returned: set[int] = field(default_factory=set)
    # From where on, and below which offset, absence means something; None: there is no limit.
    first: int = 0
    limit: int | None = 0
    # Is the end proven, and did nothing contradict or take back what was said?
    ended: bool = False
    sound: bool = True
    proof_level: str = COMMITTED
    # Is the drain line wrong in what the readings show? Then it is believed in nothing.
    refuted: bool = False

    def reaches(self, offset: int) -> bool:
        return self.first <= offset and (self.limit is None or offset < self.limit)

    def reaches_from_0_to(self, offset: int) -> bool:
        return self.first == 0 and (self.limit is None or offset <= self.limit)

    @property
    def whole(self) -> bool:
        """Proven from offset 0 up to the log's end."""
        return self.ended and self.first == 0


@dataclass
class Walk:
    """A history on its way to a verdict."""

    told: Told
    profile: Profile
    logs: dict[Lane, Log] = field(default_factory=dict)
    drained: dict[int, list[int]] = field(default_factory=dict)
    live: dict[int, list[int]] = field(default_factory=dict)
    committed: set[tuple[int, int]] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    # Anomalies that could not be looked for.
    blind: set[str] = field(default_factory=set)
    steady: bool = True
    own_failed: set[int] = field(default_factory=set)

    @property
    def attempts(self) -> list[Attempt]:
        return list(self.told.attempts.values())

    def log_of(self, attempt: Attempt) -> Log | None:
        return self.logs.get(attempt.lane) if attempt.lane is not None else None


# What became of attempts (2).


def settle(walk: Walk) -> None:
    """Steps decide about the records of a transaction, reports about all others."""
    for steps in walk.told.steps.values():
        for (_, before), (_, after) in pairwise(steps):
            if after < before:
                walk.steady = False
    for attempt in walk.attempts:
        attempt.outcome = attempt.report
        if attempt.report == "failed":
            walk.own_failed.add(id(attempt))
        if attempt.transaction is None or attempt.report == "failed":
            continue
        names = [name for name, _ in walk.told.steps.get(transaction_of(attempt), [])]
        if "committed" in names:
            attempt.outcome = "acked"
        elif "aborted" in names:
            attempt.outcome = "failed"
        else:
            attempt.outcome = "unknown"


def transaction_of(attempt: Attempt) -> tuple[int, int]:
    return attempt.producer, -1 if attempt.transaction is None else attempt.transaction


def steps_of(walk: Walk, transaction: tuple[int, int]) -> list[str]:
    return [name for name, _ in walk.told.steps.get(transaction, [])]


def is_acknowledged(attempt: Attempt) -> bool:
    return attempt.outcome in ("acked", "sent")


# What was read (1.3 to 1.6).


def in_transactions(walk: Walk, topic: str) -> bool:
    if walk.profile.transactional:
        return True
    return any(each.topic == topic and each.transaction is not None for each in walk.attempts)


def is_set_aside(walk: Walk, reading: Reading) -> bool:
    if reading.level == COMMITTED or not in_transactions(walk, reading.lane[0]):
        return False
    attempt = named_by(walk, reading.content)
    if attempt is not None and id(attempt) in walk.own_failed:
        return False
    if walk.profile.level == COMMITTED:
        return True
    if attempt is None or attempt.transaction is None:
        return False
    for other in walk.told.readings:
        same = (other.lane, other.offset, other.content) == (
            reading.lane,
            reading.offset,
            reading.content,
        )
        if same and other.level == COMMITTED:
            return False
    return "committed" not in steps_of(walk, transaction_of(attempt))


def named_by(walk: Walk, content: Content) -> Attempt | None:
    """The attempt that a record's identity names, wherever it was read."""
    if content in (CORRUPT, FOREIGN):
        return None
    attempt = walk.told.attempt_of(*content)
    return attempt if attempt is not None and attempt.partition == content[2] else None


def walk_offsets(walk: Walk, log: Log) -> None:
    """Offset by offset: which content is the log's, and which was there before."""
    at: dict[int, list[Reading]] = {}
    for reading in walk.told.readings:
        if reading.lane == log.lane:
            at.setdefault(reading.offset, []).append(reading)
    for offset in sorted(at):
        good: list[Reading] = []
        for reading in at[offset]:
            aside = is_set_aside(walk, reading)
            if aside:
                log.aside.setdefault(offset, []).append(reading.content)
            else:
                good.append(reading)
            if not reading.live and (not aside or walk.profile.level != COMMITTED):
                log.returned.add(offset)
        latest = latest_of(walk, good)
        if latest is not None:
            log.held[offset] = latest.content
        for reading in good:
            if latest is not None and not reading.live and reading.content == latest.content:
                continue
            contents = log.seen.setdefault(offset, [])
            if reading.content not in contents:
                contents.append(reading.content)
            note_instant(log, reading)
        if latest is not None:
            same = [each for each in good if each.content == latest.content]
            if len(same) > 1 or latest.live:
                log.twice.add(offset)


def latest_of(walk: Walk, readings: list[Reading]) -> Reading | None:
    """The reading that says what the log holds; none where only the live reader was there."""
    drained = [each for each in readings if not each.live]
    if not drained:
        return None
    asked = readings if is_timed(walk, readings) else drained
    latest = asked[0]
    for reading in asked[1:]:
        if not is_timed(walk, asked) or when(reading) >= when(latest):
            latest = reading
    return latest


def is_timed(walk: Walk, readings: list[Reading]) -> bool:
    return walk.steady and all(each.instant is not None for each in readings)


def when(reading: Reading) -> tuple[int, bool]:
    return reading.instant or 0, not reading.live


def note_instant(log: Log, reading: Reading) -> None:
    key = (reading.offset, reading.content)
    log.levels.setdefault(key, set()).add(reading.level)
    instant = reading.instant if reading.level == COMMITTED else None
    if key in log.instants:
        before = log.instants[key]
        instant = None if before is None or instant is None else min(before, instant)
    log.instants[key] = instant


def place_attempts(walk: Walk) -> None:
    """Where each attempt was read, at home."""
    for log in walk.logs.values():
        for offset in sorted({*log.held, *log.seen}):
            for places, contents in (
                (walk.drained, [log.held[offset]] if offset in log.held else []),
                (walk.live, log.seen.get(offset, [])),
            ):
                for content in contents:
                    attempt = named_by(walk, content)
                    if attempt is not None and attempt.lane == log.lane:
                        places.setdefault(id(attempt), []).append(offset)


# How far the drain proves anything (3).


def measure(walk: Walk, log: Log) -> None:
    """From where to where the absence of a record means something."""
    line, begun = lines_about(walk, log)
    starts = [each for each in (begun, min(log.returned, default=None)) if each is not None]
    log.first = min(starts, default=0)
    read_up_to = max(log.returned, default=-1) + 1
    log.limit = read_up_to
    if line is None:
        return
    log.first = line.get("start", log.first)
    end, stable = line.get("end"), line.get("last_stable")
    log.sound = False
    log.refuted = contradicts_itself(walk, log, line)
    if not line["complete"]:
        log.limit = log.first
    elif log.refuted:
        pass
    elif not walk.profile.transactional:
        if walk.profile.level == UNCOMMITTED or stable is None or end is None or stable == end:
            log.sound, log.ended, log.limit = True, True, None
    elif end is not None and stable == end and not is_contradicted(walk, log, end):
        log.sound, log.ended, log.limit = True, True, None
    else:
        lesser = 0 if stable is None else stable if end is None else min(end, stable)
        log.limit = max(lesser, read_up_to)


def lines_about(walk: Walk, log: Log) -> tuple[Line | None, int | None]:
    """The `drain` line that counts, and where the reading began by the lines that say so."""
    told, level = walk.told, walk.profile.level
    levels = [level]
    if level == UNCOMMITTED:
        levels.append(COMMITTED)
    elif not in_transactions(walk, log.lane[0]):
        levels.append(UNCOMMITTED)
    log.proof_level = level
    line = begun = None
    for each in reversed(levels):
        if (log.lane, each) in told.drains:
            line, log.proof_level = told.drains[log.lane, each], each
        begun = told.begun.get((log.lane, each), begun)
    return line, begun


def contradicts_itself(walk: Walk, log: Log, line: Line) -> bool:
    """A drain line that says something else than what the drain returned."""
    end, stable = line.get("end"), line.get("last_stable")
    transactional = walk.profile.transactional
    for offset in log.returned:
        if offset < log.first or (end is not None and offset >= end):
            return True
        committed = transactional and walk.profile.level == COMMITTED
        if committed and stable is not None and offset >= stable:
            return True
    if transactional or not line["complete"]:
        return False
    return any(offset not in log.returned for offset in range(log.first, end or 0))


def is_contradicted(walk: Walk, log: Log, end: int) -> bool:
    """Does anything say that a transactional log went on beyond this end?"""
    if any(offset >= end for offset in log.seen):
        return False
    if any(offset >= end for offset in log.aside):
        return True
    for attempt in walk.attempts:
        if attempt.lane == log.lane and attempt.offset is not None and attempt.offset >= end:
            return True
    dirty = walk.told.drains.get((log.lane, UNCOMMITTED), {})
    if dirty.get("end", end) > end:
        return True
    return any(watermark > end for _, _, watermark in walk.told.looks.get(log.lane, []))


def is_proven_absent(walk: Walk, attempt: Attempt) -> bool:
    """Of an attempt that the drain does not hold."""
    log = walk.log_of(attempt)
    if log is None:
        return False
    if log.whole:
        return True
    return is_acknowledged(attempt) and attempt.offset is not None and log.reaches(attempt.offset)
