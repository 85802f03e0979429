"""What a record of an anomaly says: the type of the entries of harness/anomalies.py."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, Flag, auto


class AnomalyGroup(Enum):
    """Whose anomaly it is."""

    RECORDS = "records"
    TRANSACTIONS = "transactions"
    """Counted in transactional profiles only."""
    CONSUMERS = "consumers"
    """Counted in profiles with consumers only, by topic-partition and offset."""


class Needs(Flag):
    """What has to be on record before finding none of an anomaly proves anything."""

    DRAIN = auto()
    """A drain that is proven complete."""
    WHOLE_LOG = auto()
    """A drain from offset 0 to the log's end, of a topic that is not compacted."""
    LIVE_READING = auto()
    """A reader that was there from the first record to the last."""
    TRANSACTION_LOG = auto()
    """Every step of every transaction."""
    CLOCK = auto()
    """Instants of one steady clock."""
    EFFECTS = auto()
    """What members processed."""
    INPUT_OFFSETS = auto()
    """Which offsets of the input hold a record."""
    ASSIGNMENTS = auto()
    """Which member owned a partition, and when."""
    ORDER_OF_MEMBERS = auto()
    """When each of several members did what it did."""


class ExcludedBy(Enum):
    """The setting with which a profile can promise that the anomaly does not occur."""

    NOTHING = "nothing"
    """It is no promise: it says that another anomaly can be neither shown nor excluded."""
    EVERY_SETTING = "every setting"
    ACKS_ALL = "acks=all"
    IDEMPOTENCE = "enable.idempotence=true"
    TRANSACTIONS = "a transactional.id"
    CONSUME_MODE = "the mode of consuming"


class Line(Flag):
    """What a further line of a history can say that undoes the anomaly.

    It is asked about a line that breaks off, and about lines that were left out.
    """

    ATTEMPT = auto()
    OUTCOME = auto()
    """The attempt failed."""
    TRANSACTION = auto()
    """A step of the transaction that the record belongs to."""
    COMMIT_OF_OTHERS = auto()
    """The attempt failed, where a commit says of every other record of its transaction that it is
    there."""
    READING = auto()
    """The record was read, or a drain ended elsewhere."""
    LAST_STABLE_OFFSET = auto()
    """The last stable offset moved, or a transaction may stay open for longer."""
    LATER_RECORD_OF_KEY = auto()
    """A later record has the same key, in a compacted topic."""
    MEMBER = auto()
    """What a group member did, or what its group's coordinator knows."""


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Everything about an anomaly but the rule that finds it."""

    name: str
    group: AnomalyGroup
    section: str
    """The section of docs/verification.md that defines it."""
    what: str
    """What one occurrence is."""
    one: str
    """The sentence for one occurrence."""
    many: str
    """The sentence for `{n}` of them."""
    needs: Needs
    excluded_by: ExcludedBy
    undone_by: Line
    column: int = 0
    """Which of the terminal's columns it has alone, from 1, in the table of its group; 0: it is
    counted under `other`."""
    in_general: str = ""
    """That it happened, for people who do not know its name: "an acknowledged record was lost".
    Empty where a summary does not name it."""
    in_read_sum: bool = False
    """Is each occurrence one record of the drain that is not an attempt seen?"""

    @property
    def promise(self) -> str:
        """The promise that it does not occur."""
        return f"no_{self.name}"

    @property
    def promised(self) -> bool:
        """Can a profile promise that it does not occur?"""
        return self.excluded_by is not ExcludedBy.NOTHING
