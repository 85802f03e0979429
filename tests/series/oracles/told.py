"""The lines of a history, taken one after the other: what by_walking.py knows of it.

Written from docs/histories.md alone; the harness's own reading of lines is not used.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

Line = dict[str, Any]
Lane = tuple[str, int]
# A record by its identity (producer, home topic, home partition, sequence), or what has none.
Content = tuple[Any, ...]
CORRUPT: Content = ("corrupt",)
FOREIGN: Content = ("foreign",)

COMMITTED, UNCOMMITTED = "read_committed", "read_uncommitted"
NEEDED = {
    "history": ("schema",),
    "attempt": ("producer", "topic", "sequence"),
    "outcome": ("producer", "topic", "sequence", "outcome"),
    "observation": ("topic", "partition", "offset"),
    "transaction": ("producer", "transaction", "step", "at_us"),
    "drain": ("topic", "partition", "complete"),
    "reading": ("topic", "partition", "start"),
    "offsets": ("topic", "partition", "at_us", "last_stable", "high_watermark"),
    "end": ("lines",),
}
LOGGED = re.compile(r"\[?\d{4}-\d\d-\d\d[ T][^{]*\b(TRACE|DEBUG|INFO|WARN|ERROR|FATAL)\b[^{]*")


class Refused(Exception):
    """The history is none: exit 2."""


@dataclass
class Attempt:
    """A record that was handed to the client."""

    producer: int
    topic: str
    partition: int | None
    sequence: int
    transaction: int | None
    # What the client said of this record; in a transaction, only a delivery report.
    report: str = "unknown"
    offset: int | None = None
    # What became of it, see by_walking.py.
    outcome: str = "unknown"

    @property
    def lane(self) -> Lane | None:
        return None if self.partition is None else (self.topic, self.partition)


@dataclass(frozen=True)
class Reading:
    """A record that somebody was handed at an offset."""

    lane: Lane
    offset: int
    content: Content
    live: bool
    level: str
    instant: int | None


@dataclass
class Told:
    """All that the files say."""

    level: str
    lenient: bool
    # Something was skipped or is missing: it may have said anything.
    damaged: bool = False
    # Last lines that break off.
    torn: list[str] = field(default_factory=list)
    attempts: dict[tuple[int, str, int | None, int], Attempt] = field(default_factory=dict)
    readings: list[Reading] = field(default_factory=list)
    steps: dict[tuple[int, int], list[tuple[str, int]]] = field(default_factory=dict)
    drains: dict[tuple[Lane, str], Line] = field(default_factory=dict)
    begun: dict[tuple[Lane, str], int] = field(default_factory=dict)
    looks: dict[Lane, list[tuple[int, int, int]]] = field(default_factory=dict)
    timeout_ms: int | None = None
    named: set[Lane] = field(default_factory=set)

    def wrong(self, what: str) -> None:
        """A line that is none, or that contradicts an earlier one."""
        if not self.lenient:
            raise Refused(what)
        self.damaged = True

    def attempt_of(
        self, producer: int, topic: str, partition: int, sequence: int
    ) -> Attempt | None:
        """The attempt of an identity, whether its own line named the partition or not."""
        named = self.attempts.get((producer, topic, partition, sequence))
        return named or self.attempts.get((producer, topic, None, sequence))


def tell(files: list[str], level: str, *, lenient: bool) -> Told:
    """Everything that the files say, to a reader of a profile at this level."""
    told = Told(level, lenient)
    lines = [line for text in files for line in _lines(text, told)]
    if not lines:
        raise Refused("no line of a history")
    claims: list[tuple[Line, int | None]] = []
    for line in lines:
        if line["type"] == "attempt":
            _attempt(line, told, claims)
        elif line["type"] == "outcome":
            claims.append((line, line.get("partition")))
    _outcomes(claims, told)
    for line in lines:
        if line["type"] == "observation":
            _find_home(line, told)
    for line in lines:
        _event(line, told)
    _contiguous(told)
    return told


def _lines(text: str, told: Told) -> list[Line]:
    """The events of one file."""
    found: list[Line] = []
    ends, ended, expected = False, False, 0
    raw = text.split("\n")
    for number, each in enumerate(raw):
        last = number == len(raw) - 1
        if not each.strip() or LOGGED.fullmatch(each):
            continue
        line = _parsed(each)
        if line is None and last and each.startswith("{") and not each.rstrip().endswith("}"):
            told.torn.append(each)  # what a recorder leaves that died
            continue
        if line is None or ended:
            told.wrong(each)
            continue
        if line["type"] == "history":
            if expected or line["schema"] != "delivery-history/1":
                told.wrong("history line")
                continue
            ends = bool(line.get("ends"))
            timeout = line.get("transaction_timeout_ms")
            if timeout is not None:
                told.timeout_ms = max(timeout, told.timeout_ms or 0)
        if line["type"] == "end":
            if line["lines"] != expected:
                told.wrong("another number of lines")
            ended = True
        expected += 1
        found.append(line)
    if ends and not ended:
        told.damaged = True
    return found


def _parsed(text: str) -> Line | None:
    def once(pairs: list[tuple[str, Any]]) -> Line:
        if len({key for key, _ in pairs}) < len(pairs):
            raise ValueError("a key twice")
        return {key: value for key, value in pairs if value is not None}

    try:
        line = json.loads(text, object_pairs_hook=once)
    except ValueError:
        return None
    if not isinstance(line, dict) or not isinstance(line.get("type"), str):
        return None
    needed = list(NEEDED.get(line["type"], ("unheard of",)))
    if line["type"] == "observation" and line.get("content", "intact") == "intact":
        needed += ["producer", "sequence"]
    if any(name not in line for name in needed):
        return None
    acked = line.get("outcome") == "acked" and "partition" in line
    if "offset" in line and line["type"] in ("attempt", "outcome") and not acked:
        return None
    return line


def _attempt(line: Line, told: Told, claims: list[tuple[Line, int | None]]) -> None:
    key = (line["producer"], line["topic"], line.get("partition"), line["sequence"])
    if key in told.attempts:
        told.wrong("a second attempt line")
        return
    told.attempts[key] = Attempt(*key, line.get("transaction"))
    if "outcome" in line:
        claims.append((line, line.get("partition")))


def _outcomes(claims: list[tuple[Line, int | None]], told: Told) -> None:
    settled: set[int] = set()
    for line, partition in claims:
        place = (line["producer"], line["topic"], partition, line["sequence"])
        attempt = told.attempts.get(place)
        attempt = attempt or told.attempts.get((place[0], place[1], None, place[3]))
        if attempt is None or id(attempt) in settled:
            told.wrong("an outcome of what was not attempted, or a second one")
            continue
        settled.add(id(attempt))
        attempt.report = line["outcome"]
        attempt.offset = line.get("offset")
        if attempt.partition is None:
            attempt.partition = partition


def _find_home(line: Line, told: Told) -> None:
    """Where nothing else names the partition of an attempt, the first reading does."""
    if line.get("content", "intact") != "intact":
        return
    home: Any = line.get("sent_topic", line["topic"])
    says = line.get("sent_partition", line["partition"] if home == line["topic"] else None)
    attempt = told.attempts.get((line["producer"], home, None, line["sequence"]))
    if attempt is not None and attempt.partition is None:
        attempt.partition = says


def _event(line: Line, told: Told) -> None:
    kind = line["type"]
    if kind == "transaction":
        _step(line, told)
        return
    if "topic" not in line or "partition" not in line:
        return
    lane: Lane = (line["topic"], line["partition"])
    told.named.add(lane)
    level = line.get("isolation", told.level)
    if kind == "observation":
        told.readings.append(_reading(line, lane, level, told))
    elif kind == "offsets":
        look = (line["at_us"], line["last_stable"], line["high_watermark"])
        told.looks.setdefault(lane, []).append(look)
    elif kind == "reading":
        told.begun[lane, level] = min(line["start"], told.begun.get((lane, level), line["start"]))
    elif kind == "drain":
        if line.get("start", 0) > line.get("end", line.get("start", 0)):
            told.wrong("a start above the end")
            return
        said = ("complete", "start", "end", "last_stable", "ended_us")
        before = told.drains.setdefault((lane, level), line)
        if any(before.get(name) != line.get(name) for name in said):
            told.wrong("two drains that say different things")


def _reading(line: Line, lane: Lane, level: str, told: Told) -> Reading:
    kind = line.get("content", "intact")
    content = CORRUPT if kind == "corrupt" else FOREIGN
    if kind == "intact":
        producer, sequence = line["producer"], line["sequence"]
        topic = line.get("sent_topic", lane[0])
        partition = line.get("sent_partition", lane[1])
        attempt = told.attempt_of(producer, topic, partition, sequence)
        if attempt is not None and partition == lane[1]:
            # That it belongs where it was read says no more than that it was read there.
            partition = attempt.partition
        content = (producer, topic, partition, sequence)
    live = line.get("set", "drain") == "live"
    return Reading(lane, line["offset"], content, live, level, line.get("read_us"))


def _step(line: Line, told: Told) -> None:
    step = line["step"]
    steps = told.steps.setdefault((line["producer"], line["transaction"]), [])
    before = [name for name, _ in steps]
    called_off = "abort_called" in before and "commit_called" not in before
    if (
        (step == "begin" and before)
        or "committed" in before
        or "aborted" in before
        or (step == "committed" and called_off)
    ):
        told.wrong("a step that contradicts one before it")
        return
    steps.append((step, line["at_us"]))


def _contiguous(told: Told) -> None:
    """The attempts of a transaction of one producer and partition are not interrupted."""
    latest: dict[tuple[int, str, int | None], int | None] = {}
    over: set[tuple[int, str, int | None, int | None]] = set()
    for key in sorted(told.attempts, key=lambda each: (each[0], each[1], str(each[2]), each[3])):
        attempt = told.attempts[key]
        place = key[:3]
        if place in latest and latest[place] != attempt.transaction:
            over.add((*place, latest[place]))
        latest[place] = attempt.transaction
        if attempt.transaction is not None and (*place, attempt.transaction) in over:
            told.wrong("a transaction that goes on")
