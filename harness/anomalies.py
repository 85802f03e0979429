"""The anomalies by name, in the order that every table shows them.

A promise is `no_` and an anomaly's name. Definitions stand in docs/verification.md.
"""

from __future__ import annotations

from typing import Final

PRODUCER_ANOMALIES: Final = (
    "lost",
    "unseen",
    "duplicate",
    "inversion",
    "gap",
    "phantom",
    "corrupt",
    "misrouted",
    "failed_visible",
    "inconsistent_offset",
    "vanished",
)
TRANSACTION_ANOMALIES: Final = ("torn_txn", "lost_txn", "precommitted_read", "hung_txn")
CONSUMER_ANOMALIES: Final = (
    "unprocessed",
    "reprocessed",
    "repeated",
    "poll_skip",
    "backward_poll",
    "unassigned_read",
    "commit_beyond_position",
    "start_beyond_committed",
    "commit_lost",
    "double_owner",
)
"""What only profiles with consumers can show, keyed by topic-partition and offset."""
ANOMALIES: Final = PRODUCER_ANOMALIES + TRANSACTION_ANOMALIES + CONSUMER_ANOMALIES
PROMISES: Final = tuple(f"no_{anomaly}" for anomaly in ANOMALIES if anomaly != "unseen")
"""`unseen` is no promise: it says that a loss can be neither shown nor excluded."""


def anomaly_of(promise: str) -> str:
    """`no_lost` → `lost`. Raises ValueError for what is no promise."""
    if promise not in PROMISES:
        raise ValueError(f"{promise!r} is no promise; known: {', '.join(PROMISES)}")
    return promise.removeprefix("no_")
