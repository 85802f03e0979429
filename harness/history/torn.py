"""A last line that breaks off: what the whole line may have said.

A recorder that died leaves one, and what stands before it holds. But an anomaly that rests on
nothing else having been said is not shown when that line may have said it: a record that was read
and of which no attempt is on record is no proven phantom when an attempt's line breaks off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from harness.anomalies import ANOMALIES, CONSUMER_ANOMALIES
from harness.history.tables import History

_KIND: Final = re.compile(rb'"(?:type|name)"\s*:\s*"([a-z_]+)"')
_READING: Final = frozenset(
    {
        "lost", "gap", "inversion", "inconsistent_offset", "vanished", "torn_txn", "lost_txn",
        "hung_txn", *CONSUMER_ANOMALIES,
    }
)  # fmt: skip
_OF_MEMBERS: Final = frozenset(CONSUMER_ANOMALIES)
_EVERY: Final = frozenset(ANOMALIES)
_UNDOES: Final[Mapping[str, frozenset[str]]] = {
    "attempt": frozenset({"phantom"}),
    # It may have been `failed`: such a record has no place, and belongs to no transaction.
    "outcome": frozenset({"gap", "inversion"}),
    "transaction": frozenset({"gap", "inversion", "torn_txn", "precommitted_read", "hung_txn"}),
    "observation": _READING,
    "reading": _READING,
    "drain": _READING,
    "offsets": frozenset({"hung_txn"}),
    "history": frozenset({"hung_txn"}),
    "end": frozenset(),
    "topic": _EVERY,
    **dict.fromkeys(
        ("member", "assignment", "processing", "commit", "acknowledgement", "archived",
         "group_offset", "group_reset"),
        _OF_MEMBERS,
    ),
    # Of Kafka's tools: producers that share a prefix are told apart by all their lines together.
    **dict.fromkeys(("producer_send_success", "producer_send_error"), _EVERY - {"lost"}),
    **dict.fromkeys(("record_data", "records_consumed"), _READING),
}  # fmt: skip
"""Type of a line → the anomalies that one more line of it can undo."""
_OF_A_TRANSACTION: Final = frozenset({"lost", "torn_txn", "lost_txn", "precommitted_read"})
"""What `failed` undoes where a commit says of every other record that it is there."""
_OF_COMPACTION: Final = frozenset({"lost", "vanished", "inconsistent_offset"})
"""What a later record of the same key, or a tombstone of it, undoes."""


def undone_by(lines: list[bytes], history: History, *, compacted: bool) -> frozenset[str]:
    """The anomalies that lines which break off may have undone."""
    within = bool((history.attempts.column("transaction") >= 0).any())
    found: set[str] = set()
    for line in lines:
        kind = _KIND.search(line)
        name = "" if kind is None else kind[1].decode()
        found |= _UNDOES.get(name, _EVERY)
        if name == "outcome" and within:
            found |= _OF_A_TRANSACTION
        if name in ("attempt", "outcome") and history.homes_found:
            found |= _EVERY
        if history.topic_ids:
            found |= _EVERY  # it may have said that what another line tells is of another topic
        if name in ("attempt", "outcome") and (compacted or any(history.compacted.values())):
            found |= _OF_COMPACTION
    return frozenset(found)


def firm_of(history: History) -> frozenset[str]:
    """Anomalies that stay, whatever lines that were left out may have said.

    Each rests on lines that are there, and none of these lines means anything else beside another:
    a record that was read at two offsets, that fails its checksum, that names another place than
    the one at which it was read, or whose attempt had failed. In transactions a failure rests on
    further lines; and a tool's producers are told apart by all their lines together.
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
