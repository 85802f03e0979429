"""A last line that breaks off: what the whole line may have said.

A recorder that died leaves one, and what comes before it holds. But an anomaly that rests on
nothing else having been said is not shown when that line may have said it: a record that was read
and of which no attempt is on record is no proven phantom when an attempt's line breaks off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from harness.anomalies import ANOMALIES, undone_by
from harness.anomaly_record import Line
from harness.history.event_tables import History

_KIND: Final = re.compile(rb'"(?:type|name)"\s*:\s*"([a-z_]+)"')
_EVERY: Final = frozenset(ANOMALIES)
_READING: Final = undone_by(Line.READING)
_UNDOES: Final[Mapping[str, frozenset[str]]] = {
    "attempt": undone_by(Line.ATTEMPT),
    # It may have been `failed`: such a record has no place, and belongs to no transaction.
    "outcome": undone_by(Line.OUTCOME),
    "transaction": undone_by(Line.TRANSACTION),
    **dict.fromkeys(("observation", "reading", "drain"), _READING),
    **dict.fromkeys(("offsets", "history"), undone_by(Line.LAST_STABLE_OFFSET)),
    "end": frozenset(),
    "topic": _EVERY,
    **dict.fromkeys(
        ("member", "assignment", "processing", "commit", "acknowledgement", "archived",
         "group_offset", "group_reset"),
        undone_by(Line.MEMBER),
    ),
    # Of Kafka's tools: producers that share a prefix are distinguished by all their lines together.
    **dict.fromkeys(("producer_send_success", "producer_send_error"), _EVERY - {"lost"}),
    **dict.fromkeys(("record_data", "records_consumed"), _READING),
}  # fmt: skip
"""Type of a line → the anomalies that one more line of it can undo."""


def undone_by_torn(lines: list[bytes], history: History, *, compacted: bool) -> frozenset[str]:
    """The anomalies that lines which break off may have undone."""
    within = bool((history.attempts.column("transaction") >= 0).any())
    found: set[str] = set()
    for line in lines:
        kind = _KIND.search(line)
        name = "" if kind is None else kind[1].decode()
        found |= _UNDOES.get(name, _EVERY)
        if name == "outcome" and within:
            found |= undone_by(Line.COMMIT_OF_OTHERS)
        if name in ("attempt", "outcome") and history.homes_found:
            found |= _EVERY
        if history.topic_ids:
            found |= _EVERY  # it may have said that what another line tells is of another topic
        if name in ("attempt", "outcome") and (compacted or any(history.compacted.values())):
            found |= undone_by(Line.LATER_RECORD_OF_KEY)
    return frozenset(found)


def firm_of(history: History) -> frozenset[str]:
    """Anomalies that stay, whatever lines that were left out may have said.

    Each rests on lines that are there, and none of these lines means anything else beside another:
    a record that was read at two offsets, that fails its checksum, whose identity names another
    partition than the one on which it was read, or whose attempt had failed. In transactions a
    failure rests on further lines; and the producers of a tool are distinguished by all their lines
    together.
    """
    if history.of_tools:
        return frozenset()
    if history.homes_found:
        # A line that says where an attempt belongs makes misrouted records of others.
        return frozenset({"corrupt"})
    if history.topic_ids:
        # A topic id in a further line can show that two readings, or a failed attempt and a
        # reading, are of two topics of one name.
        return frozenset({"corrupt", "misrouted"})
    firm = {"duplicate", "corrupt", "misrouted"}
    if not len(history.steps) and not bool((history.attempts.column("transaction") >= 0).any()):
        firm.add("failed_visible")
    return frozenset(firm)
