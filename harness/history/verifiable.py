"""The JSON lines of Kafka's own VerifiableProducer and VerifiableConsumer (kafka-tools).

A producer prints `producer_send_success` and `producer_send_error`, a consumer `record_data` (with
--verbose) and `records_consumed`. A value is `<prefix>.<number>` or, without --value-prefix, the
number alone. Each start of a producer is its own producer here, numbered from 1 in the order
of files and of starts; the number of a value is its sequence.

    printed as sent, with an offset         acked there
    printed as sent, offset -1 (acks=0)     sent
    printed as an error                     unknown
    read, its prefix known, never printed   unknown: the producer died before it could print it
    read, its prefix in no producer's file  foreign

Source: org.apache.kafka.tools.VerifiableProducer and VerifiableConsumer, Kafka 4.3.
"""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from harness.arrays import I64
from harness.history.event_tables import History, Table
from harness.history.events import INSTANT_MAX, NAME_MAX, PARTITION_MAX, is_name
from harness.history.lines import Block, LineProblem, Refusals, shown
from harness.history.verifiable_assembly import (
    ERRORED,
    READ_COLUMNS,
    SENT_COLUMNS,
    WITHOUT_OFFSET,
    Assembly,
    CountedRange,
    Start,
)
from harness.history.verifiable_share import ACKNOWLEDGED, STRATEGY, Sharing
from harness.rundir.columns import OFFSET_MAX
from harness.system.printable import printable

_BORDERS: Final = ("startup_complete", "tool_data")
_NUMBER_DIGITS: Final = 18
_SIMILAR: Final = 0.75
_MS_MAX: Final = INSTANT_MAX // 1000
_SILENT: Final = frozenset(
    (
        "startup_complete",
        "shutdown_requested",
        "shutdown_complete",
        "partitions_assigned",
        "partitions_revoked",
        "offsets_committed",
    )
)
_OF_RECORDS: Final = frozenset(("value", "acked", "offset", "maxOffset"))
"""Fields by which an event tells of records."""
NAMES: Final = (
    "producer_send_success",
    "producer_send_error",
    "tool_data",
    "record_data",
    "records_consumed",
    ACKNOWLEDGED,
    STRATEGY,
    *sorted(_SILENT),
)
"""The values of `name` that the tools print."""


class VerifiableReader:
    """Takes the blocks of all files of the tools into a History."""

    def __init__(self, history: History, refusals: Refusals) -> None:
        self.history = history
        history.of_tools = True
        self.refusals = refusals
        self._starts: list[Start] = []
        self._file = -1
        self._topics: dict[str, int] = {}
        self._prefixes: dict[str, int] = {}
        self._sent = Table(SENT_COLUMNS)
        self._read = Table(READ_COLUMNS)
        self._stretches: dict[int, list[CountedRange]] = defaultdict(list)
        self._shown: set[int] = set()
        """Files that hold record_data"""
        self._passed_over: Counter[str] = Counter()
        """Events by name that say nothing about records"""
        self._sharing = Sharing()
        self._take: Mapping[str, Callable[[Block, list[int]], bool]] = {
            "producer_send_success": self._successes,
            "producer_send_error": self._errors,
            "record_data": self._records,
        }

    def take(self, block: Block, file: int) -> None:
        """Add a block. Raises UsageError for a malformed line unless those are left out."""
        self.history.lines += len(block.objects)
        if file != self._file:
            self._file = file
            self._start: Start | None = None
        names = [line.get("name") for line in block.objects]
        # A start and a total stand between what belongs to different producers.
        borders = [
            index for index, name in enumerate(names) if name in ("startup_complete", "tool_data")
        ]
        begin = 0
        for border in [*borders, len(names)]:
            self._stretch(block, names, range(begin, border))
            if border < len(names):
                self._stretch(block, names, range(border, border + 1))
            begin = border + 1

    def _stretch(self, block: Block, names: list[Any], indices: range) -> None:
        """Lines of one start of a producer, or of a consumer."""
        by_name: defaultdict[str, list[int]] = defaultdict(list)
        for index in indices:
            name = names[index]
            by_name[name if isinstance(name, str) else ""].append(index)
        refused: list[tuple[int, LineProblem]] = []
        for name, chosen in by_name.items():
            if name in self._take and self._take[name](block, chosen):
                continue
            if name in _SILENT and name != "startup_complete":
                continue
            for index in chosen:
                problem = self._one(name, block, index)
                if problem is not None:
                    refused.append((index, problem))
        for index, problem in sorted(refused, key=lambda each: each[0]):
            self.refusals.refuse(block.where(index), problem)

    def _one(self, name: str, block: Block, index: int) -> LineProblem | None:
        """A line by itself: why it is refused, or None when it was taken."""
        line = block.objects[index]
        if name not in NAMES:
            if name and _takes_nothing_away(name, line):
                self._passed_over[name] += 1
                return None
            found = shown(line["name"]) if "name" in line else "is missing"
            return LineProblem("name", found, f"one of {', '.join(NAMES)}")
        if name == "startup_complete":
            self._start = None
            return None
        if name == "tool_data":
            return self._totals(line)
        if name == "records_consumed":
            return self._consumed(line)
        if name == ACKNOWLEDGED:
            return self._sharing.acknowledged(self._file, line)
        if name == STRATEGY:
            self._sharing.begin(self._file)
            return None
        problem = _line_problem(name, line)
        if problem is None:
            taken = self._take[name](block, [index])
            assert taken, "a line passed by itself, and was not taken"
        return problem

    # -- producers -------------------------------------------------------------------------

    def _producer(self) -> Start:
        if self._start is None:
            path = self.history.files[self._file]
            self._start = Start(len(self._starts) + 1, path)
            self._starts.append(self._start)
        return self._start

    def _successes(self, block: Block, indices: list[int]) -> bool:
        return self._sends(block, indices, acked=True)

    def _errors(self, block: Block, indices: list[int]) -> bool:
        return self._sends(block, indices, acked=False)

    def _sends(self, block: Block, indices: list[int], *, acked: bool) -> bool:
        """Several lines of a producer at once; False when any has to be looked at by itself."""
        lines = [block.objects[index] for index in indices]
        try:
            values = self._values([line["value"] for line in lines])
            topics = self._topic_numbers([line["topic"] for line in lines])
            if acked:
                partitions = _numbers([line["partition"] for line in lines], 0, PARTITION_MAX)
                offsets = _numbers([line["offset"] for line in lines], -1, OFFSET_MAX)
            else:
                partitions = offsets = np.full(len(lines), -1, dtype=np.int64)
        except (KeyError, TypeError):
            return False
        if values is None or topics is None or partitions is None or offsets is None:
            return False
        prefixes, sequences = values
        if (prefixes < 0).any():
            return False
        start = self._producer()
        start.acked += len(lines) if acked else 0
        columns = {
            "start": start.number,
            "prefix": prefixes,
            "sequence": sequences,
            "topic": topics,
            "partition": partitions,
            "offset": np.where(offsets < 0, WITHOUT_OFFSET, offsets) if acked else ERRORED,
            "file": self._file,
            "line": [block.numbers[index] for index in indices],
        }
        self._sent.add(len(lines), columns)
        return True

    def _totals(self, line: Mapping[str, Any]) -> LineProblem | None:
        acked = line.get("acked")
        if type(acked) is not int or acked < 0:
            return LineProblem("acked", shown(acked), "how many records were acknowledged")
        self._producer().claimed = acked
        return None

    # -- consumers -------------------------------------------------------------------------

    def _records(self, block: Block, indices: list[int]) -> bool:
        lines = [block.objects[index] for index in indices]
        try:
            values = self._values([line["value"] for line in lines], foreign=True)
            topics = self._topic_numbers([line["topic"] for line in lines])
            partitions = _numbers([line["partition"] for line in lines], 0, PARTITION_MAX)
            offsets = _numbers([line["offset"] for line in lines], 0, OFFSET_MAX)
            at_ms = _numbers([line.get("timestamp", 0) for line in lines], 0, _MS_MAX)
        except (KeyError, TypeError):
            return False
        if values is None or topics is None or partitions is None or offsets is None:
            return False
        if at_ms is None:
            return False
        self._shown.add(self._file)
        prefixes, sequences = values
        columns = {
            "prefix": prefixes,
            "sequence": sequences,
            "topic": topics,
            "partition": partitions,
            "offset": offsets,
            "at_ms": at_ms,
        }
        self._read.add(len(lines), columns)
        self._sharing.reached(self._file, topics, partitions, offsets)
        return True

    def _consumed(self, line: Mapping[str, Any]) -> LineProblem | None:
        """Totals: from the first offset to the last, when as many were read."""
        parts = line.get("partitions")
        if not isinstance(parts, list):
            return LineProblem("partitions", shown(parts), "a list")
        if any(isinstance(part, dict) and "offsets" in part for part in parts):
            found = self._sharing.consumed(self._file, parts, self._topic)
            if isinstance(found, LineProblem):
                return found
            self._stretches[self._file] += found
            return None
        for part in parts:
            expected = "topic, partition, count, minOffset and maxOffset"
            if not isinstance(part, dict) or not _is_topic(part.get("topic")):
                return LineProblem("partitions", shown(part), expected)
            given = [part.get(key) for key in ("partition", "count", "minOffset", "maxOffset")]
            numbers = _numbers(given, 0, OFFSET_MAX)
            if numbers is None or int(numbers[0]) > PARTITION_MAX:
                return LineProblem("partitions", shown(part), expected)
        for part in parts:
            if part["count"]:
                self._stretches[self._file].append(
                    CountedRange(
                        self._topic(part["topic"]),
                        part["partition"],
                        part["minOffset"],
                        part["maxOffset"],
                        part["count"],
                    )
                )
        return None

    # -- names -----------------------------------------------------------------------------

    def _topic(self, name: str) -> int:
        if name not in self._topics:
            self._topics[name] = self.history.topic(name)
        return self._topics[name]

    def _topic_numbers(self, names: list[Any]) -> I64 | None:
        distinct = set(names)
        if not all(_is_topic(name) for name in distinct):
            return None
        codes = {name: self._topic(name) for name in distinct}
        return np.array([codes[name] for name in names], dtype=np.int64)

    def _values(self, values: list[Any], *, foreign: bool = False) -> tuple[I64, I64] | None:
        """(prefix, number) of each value; prefix -1 for what is no value of a producer."""
        if set(map(type, values)) != {str}:
            if not foreign:
                return None
            values = [value if isinstance(value, str) else "" for value in values]
        parts = [value.rpartition(".") for value in values]
        if not _all_numbers([part[2] for part in parts]) or any(p[1] and not p[0] for p in parts):
            parts = [part if _is_value(part) else ("", "", "") for part in parts]
        codes: dict[str, int] = {}
        for prefix in {part[0] for part in parts}:
            codes[prefix] = self._prefixes.setdefault(prefix, len(self._prefixes))
        prefixes = np.array([codes[part[0]] for part in parts], dtype=np.int64)
        numbers = np.array([int(part[2] or -1) for part in parts], dtype=np.int64)
        prefixes[numbers < 0] = -1
        return prefixes, numbers

    # -- the whole -------------------------------------------------------------------------

    def finish(self) -> None:
        """Everything was read: make attempts and observations of it.

        Raises UsageError when a producer printed one value twice.
        """
        self._sharing.finish(self.history)
        if self._passed_over:
            names = (f"{printable(name)[:60]} ({n})" for name, n in self._passed_over.items())
            self.history.notes.append(
                f"events that say nothing about records were passed over: {', '.join(names)}"
            )
        stretches = [
            stretch
            for file, found in self._stretches.items()
            if file not in self._shown
            for stretch in found
        ]
        prefixes = sorted(self._prefixes, key=self._prefixes.__getitem__)
        Assembly(self.history, self.refusals, self._starts, prefixes).assemble(
            self._sent, self._read, stretches
        )


def _line_problem(name: str, line: Mapping[str, Any]) -> LineProblem | None:
    """Why a line of a producer, or a record of a consumer, is refused; None when it is not."""
    producer = name != "record_data"
    value = line.get("value")
    if producer and not (isinstance(value, str) and _is_value(value.rpartition("."))):
        expected = "the text of a number, or <prefix>.<number>"
        return LineProblem("value", shown(value) if "value" in line else "is missing", expected)
    if "value" not in line:
        return LineProblem("value", "is missing", "the record's value, or null")
    topic = line.get("topic")
    if not _is_topic(topic):
        return LineProblem(
            "topic", shown(topic) if "topic" in line else "is missing", "a topic's name"
        )
    fields = {"partition": (0, PARTITION_MAX), "offset": (-1 if producer else 0, OFFSET_MAX)}
    if name == "producer_send_error":
        fields = {}
    if not producer and "timestamp" in line:
        fields["timestamp"] = (0, _MS_MAX)
    for key, (least, most) in fields.items():
        if _numbers([line.get(key)], least, most) is None:
            found = shown(line[key]) if key in line else "is missing"
            return LineProblem(key, found, f"a whole number from {least} to {most}")
    return None


def _is_topic(name: object) -> bool:
    """Whether it can be the name of a topic."""
    return isinstance(name, str) and 0 < len(name) <= NAME_MAX and is_name(name)


def _takes_nothing_away(name: str, line: Mapping[str, Any]) -> bool:
    """Whether an event of a name that is not known leaves what the others say as it is.

    One that holds a record or a total, or whose name is near to a known one, may be damaged.
    """
    if not _OF_RECORDS.isdisjoint(line):
        return False
    return not difflib.get_close_matches(name, NAMES, 1, _SIMILAR)


def _numbers(values: list[Any], least: int, most: int) -> I64 | None:
    """Whole numbers as an array; None when any is none, or out of bounds."""
    if set(map(type, values)) != {int}:
        return None
    try:
        numbers = np.array(values, dtype=np.int64)
    except OverflowError:
        return None
    return numbers if least <= int(numbers.min()) and int(numbers.max()) <= most else None


def _all_numbers(texts: list[str]) -> bool:
    """Whether all are numbers as a producer prints them."""
    joined = "".join(texts)
    if not (joined.isdecimal() and joined.isascii() and all(texts)):
        return False
    return max(map(len, texts)) <= _NUMBER_DIGITS and not [
        text for text in texts if text[0] == "0" and text != "0"
    ]


def _is_value(parts: tuple[str, str, str]) -> bool:
    """Whether <prefix>, a dot and <number>, or a number alone, are a producer's value."""
    prefix, dot, number = parts
    return _all_numbers([number]) and (bool(prefix) or not dot)
