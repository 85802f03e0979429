"""The lines of our own format: which types there are, their fields, and what each field accepts.

The same table reads lines, refuses them by name, and is compared by a test with
reports/schemas/history.schema.json.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.history.event_tables import CORRUPT, FOREIGN, INTACT
from harness.history.lines import LineProblem, shown
from harness.rundir.columns import (
    ACKED_NO_OFFSET,
    FAILED,
    OFFSET_MAX,
    OPEN,
    SENT,
    UNKNOWN,
)
from harness.rundir.member_journal import ACCEPT, REJECT, RELEASE, Step
from harness.system.printable import printable

HISTORY_SCHEMA: Final = "delivery-history/1"
PARTITION_MAX: Final = (1 << 16) - 1
PRODUCER_MAX: Final = (1 << 32) - 1
NUMBER_MAX: Final = (1 << 62) - 1
EPOCH_MAX: Final = (1 << 31) - 1
NAME_MAX: Final = 249
"""A topic's name has at most this many characters."""
TIMEOUT_MAX_MS: Final = (1 << 31) - 1
INSTANT_MAX: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""
MILLISECONDS: Final = (946_684_800_000, 4_102_444_799_999)
"""The years 2000 to 2099 in milliseconds: no instant in microseconds is meant by these."""
UNPRINTABLE: Final = "[\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029\\ud800-\\udfff]"
"""What no name may hold, as a regular expression: control characters and halves of pairs."""
_UNPRINTABLE: Final = re.compile(UNPRINTABLE)

OUTCOMES: Final[Mapping[str, int]] = {
    "acked": ACKED_NO_OFFSET,
    "failed": FAILED,
    "unknown": UNKNOWN,
    "sent": SENT,
}
CONTENTS: Final[Mapping[str, int]] = {"intact": INTACT, "corrupt": CORRUPT, "foreign": FOREIGN}
SETS: Final[Mapping[str, int]] = {"drain": 0, "live": 1}
ISOLATIONS: Final[Mapping[str, int]] = {"read_uncommitted": 0, "read_committed": 1}
BEGIN, COMMIT_CALLED, COMMITTED, ABORT_CALLED, ABORTED, UNKNOWN_END = range(6)
STEPS: Final[Mapping[str, int]] = {
    "begin": BEGIN,
    "commit_called": COMMIT_CALLED,
    "committed": COMMITTED,
    "abort_called": ABORT_CALLED,
    "aborted": ABORTED,
    "unknown": UNKNOWN_END,
}
MEMBER_STEPS: Final[Mapping[str, int]] = {"started": Step.STARTED, "closed": Step.CLOSED}
ASSIGNMENT_STEPS: Final[Mapping[str, int]] = {
    "assigned": Step.ASSIGNED,
    "revoked": Step.REVOKED,
    "lost": Step.LOST,
}
PROCESSING_STEPS: Final[Mapping[str, int]] = {
    "polled": Step.POLLED,
    "begin": Step.BEGIN,
    "effect": Step.EFFECT,
}
COMMIT_STEPS: Final[Mapping[str, int]] = {
    "called": Step.COMMIT_CALLED,
    "committed": Step.COMMITTED,
    "failed": Step.COMMIT_FAILED,
    "unknown": Step.COMMIT_UNKNOWN,
    "stored": Step.STORED,
}

ACKNOWLEDGEMENT_STEPS: Final[Mapping[str, int]] = {
    "accept": ACCEPT,
    "release": RELEASE,
    "reject": REJECT,
}
ANSWERS: Final[Mapping[str, int]] = {"failed": 0, "confirmed": 1, "unknown": 2}


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a type of line."""

    kind: str
    """number, instant (in µs), text (a name), remark (for people), key (any text), flag or word"""
    required: bool = True
    most: int = NUMBER_MAX
    words: Mapping[str, int] | None = None
    default: int = -1
    """What its column holds where it is left out."""

    @property
    def expected(self) -> str:
        """What it accepts, in words."""
        if self.words is not None:
            return f"one of {', '.join(self.words)}"
        if self.kind == "number":
            return f"a whole number from 0 to {self.most}"
        if self.kind == "instant":
            return "microseconds since 1970-01-01, a whole number"
        if self.kind == "flag":
            return "true or false"
        if self.kind == "key":
            return "text, or null where the record has no key"
        if self.kind == "remark":
            return f"text of 1 to {NAME_MAX} characters"
        return f"text of 1 to {NAME_MAX} characters without control characters"

    def problem(self, name: str, value: object) -> LineProblem | None:
        """Why it does not accept a value; None when it does."""
        if self.words is not None:
            good = isinstance(value, str) and value in self.words
        elif self.kind == "number":
            good = type(value) is int and 0 <= value <= self.most
        elif self.kind == "instant":
            return _instant_problem(name, value, self.expected)
        elif self.kind == "flag":
            good = type(value) is bool
        elif self.kind == "key":
            good = isinstance(value, str)
        else:
            good = isinstance(value, str) and 1 <= len(value) <= NAME_MAX
            good = good and (self.kind == "remark" or is_name(str(value)))
        return None if good else LineProblem(name, shown(value), self.expected)


def is_name(text: str) -> bool:
    """Whether text holds nothing that would act on a terminal instead of being shown."""
    return not _UNPRINTABLE.search(text)


def _instant_problem(name: str, value: object, expected: str) -> LineProblem | None:
    """Why a value is no instant in microseconds; the unit that it may be in is named."""
    if type(value) is not int or value < 0:
        return LineProblem(name, shown(value), expected)
    if value > INSTANT_MAX:
        return LineProblem(name, f"{shown(value)} is beyond the year 9999 (nanoseconds?)", expected)
    if MILLISECONDS[0] <= value <= MILLISECONDS[1]:
        return LineProblem(
            name, f"{value} is in January or February 1970 (milliseconds?)", expected
        )
    return None


def _word(words: Mapping[str, int], *, required: bool = True, default: int = -1) -> Field:
    return Field("word", required, words=words, default=default)


_TEXT: Final = Field("text")
_REMARK: Final = Field("remark", required=False)
_PRODUCER: Final = Field("number", most=PRODUCER_MAX)
_PARTITION: Final = Field("number", most=PARTITION_MAX)
_OFFSET: Final = Field("number", most=OFFSET_MAX)
_NUMBER: Final = Field("number")
_OFFSET_IF_KNOWN: Final = Field("number", required=False, most=OFFSET_MAX)
_NUMBER_IF_KNOWN: Final = Field("number", required=False)
_INSTANT: Final = Field("instant", most=INSTANT_MAX)
_INSTANT_IF_KNOWN: Final = Field("instant", required=False, most=INSTANT_MAX)
_GROUP: Final = Field("text", required=False)
_KEY: Final = Field("key", required=False)
_TOPIC_ID: Final = Field("text", required=False)
_ISOLATION: Final = _word(ISOLATIONS, required=False)
_PLACE: Final = {"topic": _TEXT, "partition": _PARTITION}
_IDENTITY: Final = {
    "producer": _PRODUCER,
    "topic": _TEXT,
    "partition": Field("number", required=False, most=PARTITION_MAX),
    "sequence": _NUMBER,
}

TYPES: Final[Mapping[str, Mapping[str, Field]]] = {
    "history": {
        "schema": _word({HISTORY_SCHEMA: 1}),
        "name": _REMARK,
        "ends": Field("flag", required=False, default=0),
        "transaction_timeout_ms": Field("number", required=False, most=TIMEOUT_MAX_MS),
    },
    "attempt": {
        **_IDENTITY,
        "outcome": _word(OUTCOMES, required=False, default=OPEN),
        "offset": _OFFSET_IF_KNOWN,
        "transaction": _NUMBER_IF_KNOWN,
        "key": _KEY,
        "tombstone": Field("flag", required=False, default=0),
        "topic_id": _TOPIC_ID,
        "at_us": _INSTANT_IF_KNOWN,
    },
    "outcome": {
        **_IDENTITY,
        "outcome": _word(OUTCOMES),
        "offset": _OFFSET_IF_KNOWN,
        "topic_id": _TOPIC_ID,
        "at_us": _INSTANT_IF_KNOWN,
    },
    "observation": {
        **_PLACE,
        "offset": _OFFSET,
        "producer": Field("number", required=False, most=PRODUCER_MAX),
        "sequence": _NUMBER_IF_KNOWN,
        "content": _word(CONTENTS, required=False, default=INTACT),
        "sent_topic": Field("text", required=False),
        "sent_partition": Field("number", required=False, most=PARTITION_MAX),
        "key": _KEY,
        "topic_id": _TOPIC_ID,
        "set": _word(SETS, required=False, default=0),
        "isolation": _ISOLATION,
        "read_us": _INSTANT_IF_KNOWN,
        "leader_epoch": Field("number", required=False, most=EPOCH_MAX),
        "input_topic": Field("text", required=False),
        "input_partition": Field("number", required=False, most=PARTITION_MAX),
        "input_offset": _OFFSET_IF_KNOWN,
    },
    "transaction": {
        "producer": _PRODUCER,
        "transaction": _NUMBER,
        "step": _word(STEPS),
        "at_us": _INSTANT,
    },
    "drain": {
        **_PLACE,
        "complete": Field("flag"),
        "topic_id": _TOPIC_ID,
        "isolation": _ISOLATION,
        "start": _OFFSET_IF_KNOWN,
        "end": _OFFSET_IF_KNOWN,
        "last_stable": _OFFSET_IF_KNOWN,
        "ended_us": _INSTANT_IF_KNOWN,
        "reason": _REMARK,
    },
    "topic": {"topic": _TEXT, "compacted": Field("flag", required=False), "topic_id": _TOPIC_ID},
    "reading": {**_PLACE, "start": _OFFSET, "topic_id": _TOPIC_ID, "isolation": _ISOLATION},
    "offsets": {
        **_PLACE,
        "at_us": _INSTANT,
        "last_stable": _OFFSET,
        "high_watermark": _OFFSET,
    },
    "member": {
        "member": _PRODUCER,
        "step": _word(MEMBER_STEPS),
        "group": _GROUP,
        "at_us": _INSTANT_IF_KNOWN,
    },
    "assignment": {
        "member": _PRODUCER,
        **_PLACE,
        "step": _word(ASSIGNMENT_STEPS),
        "offset": _OFFSET_IF_KNOWN,
        "group": _GROUP,
        "at_us": _INSTANT_IF_KNOWN,
    },
    "processing": {
        "member": _PRODUCER,
        **_PLACE,
        "offset": _OFFSET,
        "step": _word(PROCESSING_STEPS),
        "group": _GROUP,
        "at_us": _INSTANT_IF_KNOWN,
    },
    "commit": {
        "member": _PRODUCER,
        **_PLACE,
        "offset": _OFFSET,
        "step": _word(COMMIT_STEPS),
        "synchronous": Field("flag", required=False, default=0),
        "group": _GROUP,
        "at_us": _INSTANT_IF_KNOWN,
    },
    "acknowledgement": {
        "member": _PRODUCER,
        **_PLACE,
        "offset": _OFFSET,
        "step": _word(ACKNOWLEDGEMENT_STEPS),
        "outcome": _word(ANSWERS, required=False, default=ANSWERS["confirmed"]),
        "group": _GROUP,
        "at_us": _INSTANT_IF_KNOWN,
    },
    "archived": {**_PLACE, "offset": _OFFSET, "group": _GROUP},
    "group_offset": {**_PLACE, "offset": _OFFSET, "group": _GROUP},
    "group_reset": {**_PLACE, "offset": _OFFSET, "group": _GROUP, "at_us": _INSTANT_IF_KNOWN},
    "end": {"lines": _NUMBER},
}
"""type → field → what it accepts. Every line may also carry a `note`, which is not read.

A field that may be left out may also be null, which says the same.
"""


def problem_of(line: Mapping[str, Any]) -> LineProblem | None:
    """Why a line is refused by itself; None when it is not."""
    name = line.get("type")
    fields = TYPES.get(name) if isinstance(name, str) else None
    if fields is None:
        found = shown(name) if "type" in line else "is missing"
        return LineProblem("type", found, f"one of {', '.join(TYPES)}")
    for key in line:
        if key not in fields and key not in ("type", "note"):
            accepted_here = f"only {', '.join(fields)} in a line of {name}"
            return LineProblem(printable(key)[:40], "unknown field", accepted_here)
    for key, accepted in fields.items():
        value = line.get(key)
        if value is not None or (accepted.required and key in line):
            problem = accepted.problem(key, value)
            if problem is not None:
                return problem
        elif accepted.required:
            return LineProblem(key, "is missing", accepted.expected)
    return _contradiction({key: value for key, value in line.items() if value is not None})


def _contradiction(line: Mapping[str, Any]) -> LineProblem | None:
    """Fields that do not go together. `line`: without those that are null."""
    if line["type"] in ("attempt", "outcome"):
        if "offset" in line and line.get("outcome") != "acked":
            return LineProblem(
                "offset", shown(line["offset"]), "an offset only where outcome is acked"
            )
        if "offset" in line and "partition" not in line:
            return LineProblem("partition", "is missing", "the partition that the offset is of")
    elif line["type"] == "observation":
        intact = line.get("content", "intact") == "intact"
        for key in ("producer", "sequence"):
            if intact and key not in line:
                return LineProblem(key, "is missing", "the identity of a record that is intact")
        for key in ("producer", "sequence", "sent_topic", "sent_partition"):
            if not intact and key in line:
                return LineProblem(
                    key, shown(line[key]), "no identity in a record that is not intact"
                )
        if ("input_topic" in line) != ("input_offset" in line):
            missing = "input_offset" if "input_topic" in line else "input_topic"
            return LineProblem(
                missing, "is missing", "both input_topic and input_offset, or neither"
            )
        if line.get("input_partition") is not None and line.get("input_topic") is None:
            return LineProblem("input_topic", "is missing", "the topic that input_partition is of")
    return None
