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
        if name in ("attempt", "outcome") and compacted:
            found.add("lost")  # a later record of the same key may have taken its place
    return frozenset(found)
