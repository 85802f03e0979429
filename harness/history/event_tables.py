"""Events of a history as columns: what both formats are read into, and evidence is made from.

Topics are indexes into `History.topics`. -1 means that an event does not say it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from harness.arrays import I64, Bools
from harness.history.lines import Where

INTACT: Final = 0
CORRUPT: Final = 1
FOREIGN: Final = 2

ATTEMPT: Final = (
    "producer", "topic", "partition", "sequence", "state", "offset", "transaction", "key",
    "tombstone", "topic_id", "file", "line",
)  # fmt: skip
"""state: of harness.rundir.columns; transaction: its number, or -1; key: number in
`History.keys`, or -1"""
OUTCOME: Final = (
    "producer", "topic", "partition", "sequence", "state", "offset", "topic_id", "file", "line",
)  # fmt: skip
READ: Final = (
    "topic", "partition", "offset", "content", "producer", "sequence", "sent_topic",
    "sent_partition", "live", "read_us", "leader_epoch", "run", "input_topic", "input_offset",
    "input_partition", "isolation", "key", "topic_id",
)  # fmt: skip
"""content: INTACT, CORRUPT or FOREIGN; run: hash of the run that a foreign record belongs to;
input: of a pipeline's output record, the record that it was made of; isolation: of
harness.history.events.ISOLATIONS, or -1"""
STEP: Final = ("producer", "transaction", "step", "at_us", "file", "line")
WATCHED: Final = ("topic", "partition", "at_us", "last_stable", "high_watermark")
MEMBER: Final = (
    "member", "group", "step", "topic", "partition", "offset", "detail", "synchronous", "at_us",
    "order",
)  # fmt: skip
"""group: index into `History.groups`, or -1; detail: how a share group's record was acknowledged"""


class Table:
    """Columns of int64 that grow by blocks of rows.

    A column that holds one number in every row, as most do, takes no room: its stride is 0. So
    columns are for reading only.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._blocks: dict[str, list[I64]] = {name: [] for name in names}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, count: int, columns: Mapping[str, Any]) -> None:
        """Append `count` rows; a column that is one number holds it in every row."""
        for name in self.names:
            column = np.asarray(columns[name], dtype=np.int64)
            if not column.ndim or (count and bool((column == column[0]).all())):
                column = np.broadcast_to(column if not column.ndim else column[0], (count,))
            self._blocks[name].append(column)
        self._count += count

    def column(self, name: str) -> I64:
        """One column, whole."""
        blocks = [block for block in self._blocks[name] if len(block)]
        if not blocks:
            return np.zeros(0, dtype=np.int64)
        if len(blocks) > 1:
            same = {int(block[0]) if block.strides == (0,) else None for block in blocks}
            blocks = [
                np.broadcast_to(blocks[0][0], (self._count,))
                if None not in same and len(same) == 1
                else np.concatenate(blocks)
            ]
            self._blocks[name] = blocks
        return blocks[0]

    def replace(self, values: I64, *names: str) -> None:
        """Put values[i] in place of every i of these columns; what is below 0 stays."""
        for name in names:
            column = self.column(name)
            self._blocks[name] = [np.where(column >= 0, values[np.maximum(column, 0)], column)]

    def keep(self, chosen: Bools) -> None:
        """Leave out the other rows."""
        for name in self.names:
            self._blocks[name] = [self.column(name)[chosen]]
        self._count = int(np.count_nonzero(chosen))

    def put(self, name: str, column: I64) -> None:
        """Put a whole column in place of another one."""
        self._blocks[name] = [column]

    def take(self, *names: str) -> tuple[I64, ...]:
        """Several columns."""
        return tuple(self.column(name) for name in names)


@dataclass(frozen=True, slots=True)
class DrainClaim:
    """What a history says about how far a topic-partition was read."""

    complete: bool
    start: int | None
    end: int | None
    last_stable: int | None
    ended_us: int | None
    reason: str


@dataclass(slots=True)
class History:
    """Everything that the files say."""

    topics: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    attempts: Table = field(default_factory=lambda: Table(ATTEMPT))
    outcomes: Table = field(default_factory=lambda: Table(OUTCOME))
    reads: Table = field(default_factory=lambda: Table(READ))
    """in the order in which they were made, as far as it is known"""
    steps: Table = field(default_factory=lambda: Table(STEP))
    watched: Table = field(default_factory=lambda: Table(WATCHED))
    members: Table = field(default_factory=lambda: Table(MEMBER))
    drains: dict[tuple[int, int], DrainClaim] = field(default_factory=dict)
    reached: dict[tuple[int, int], int] = field(default_factory=dict)
    """(topic, partition) → the highest offset that was delivered without being shown"""
    delivered_from: dict[tuple[int, int], int] = field(default_factory=dict)
    """(topic, partition) → the lowest offset that was delivered without being shown"""
    began: dict[tuple[int, int], int] = field(default_factory=dict)
    """(topic, partition) → from which offset on everything that the log held was read"""
    drains_at: dict[int, dict[tuple[int, int], DrainClaim]] = field(default_factory=dict)
    began_at: dict[int, dict[tuple[int, int], int]] = field(default_factory=dict)
    """The same by isolation level, -1 for lines that say none; `levels` sorts them out."""
    drains_aside: dict[tuple[int, int], DrainClaim] = field(default_factory=dict)
    began_aside: dict[tuple[int, int], int] = field(default_factory=dict)
    """The same of read_uncommitted readings that are set aside."""
    keys: dict[str, int] = field(default_factory=dict)
    """key → its number"""
    compacted: dict[int, bool] = field(default_factory=dict)
    """topic → whether it keeps the last record of each key only, where a line says it"""
    topic_ids: dict[str, int] = field(default_factory=dict)
    """topic id → its number"""
    ids_of_topics: dict[int, int] = field(default_factory=dict)
    """topic → the id that a topic line says"""
    ids_of_drains: dict[int, int] = field(default_factory=dict)
    """topic → the id that drain lines say"""
    began_of: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    """(topic, partition, start, isolation, id) of reading lines that say an id"""
    last_ids: dict[int, int] = field(default_factory=dict)
    """topic of several ids → the one that the final reading is of"""
    renewed: set[int] = field(default_factory=set)
    """topics of several ids, and what replaces them"""
    deleted: dict[int, str] = field(default_factory=dict)
    """the replacement of a topic with another id → why nothing is proven of it"""
    nowhere: dict[int, int] = field(default_factory=dict)
    """the replacement of a topic where no line says the partition → that topic"""
    lines: int = 0
    groups: list[str] = field(default_factory=list)
    group_offsets: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """(group, topic, partition) → what it had committed in the end, as its coordinator says"""
    resets: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    """(group, topic, partition, offset, at_us) of offsets that no member set"""
    archived: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(group, topic, partition, offset) of records that a share group gave up"""
    homes_found: bool = False
    """Was the partition of an attempt not known when it was sent?"""
    of_tools: bool = False
    """Did Kafka's own tools print it?"""
    notes: list[str] = field(default_factory=list)
    """Sentences that go with the verdict's reasons."""
    blind: dict[str, str] = field(default_factory=dict)
    """anomaly → why finding none of it proves nothing"""
    obstacles: list[str] = field(default_factory=list)
    """Why nothing can be proven by this history."""
    unsteady: bool = False
    """Do its instants contradict each other, so that no order follows from them?"""
    transaction_timeout_ms: int | None = None
    """The longest transaction.timeout.ms of all producers that wrote to its topics, if it says."""

    def topic(self, name: str) -> int:
        """The index of a topic, which is added when it is new."""
        try:
            return self.topics.index(name)
        except ValueError:
            self.topics.append(name)
            return len(self.topics) - 1

    def put_first(self, topics: list[int]) -> None:
        """Give topics the indexes 0, 1 …; the others keep their order."""
        order = [*topics, *(each for each in range(len(self.topics)) if each not in topics)]
        new_numbers = np.argsort(np.array(order, dtype=np.int64))
        self.topics = [self.topics[each] for each in order]
        for table in (self.attempts, self.outcomes, self.reads, self.watched, self.members):
            table.replace(new_numbers, *(name for name in table.names if name.endswith("topic")))
        self.group_offsets = {
            (group, int(new_numbers[topic]), partition): offset
            for (group, topic, partition), offset in self.group_offsets.items()
        }
        self.resets = [(each[0], int(new_numbers[each[1]]), *each[2:]) for each in self.resets]
        self.archived = [(each[0], int(new_numbers[each[1]]), *each[2:]) for each in self.archived]
        self.compacted = {int(new_numbers[each]): said for each, said in self.compacted.items()}
        self.renewed = {int(new_numbers[each]) for each in self.renewed}
        self.nowhere = {int(new_numbers[a]): int(new_numbers[b]) for a, b in self.nowhere.items()}
        of_places: tuple[dict[tuple[int, int], Any], ...] = (
            self.drains, self.reached, self.delivered_from, self.began,
            *self.drains_at.values(), *self.began_at.values(),
        )  # fmt: skip
        for found in of_places:
            moved = {(int(new_numbers[key[0]]), key[1]): value for key, value in found.items()}
            found.clear()
            found.update(moved)

    def group(self, name: str) -> int:
        """The index of a group, which is added when it is new."""
        if name not in self.groups:
            self.groups.append(name)
        return self.groups.index(name)

    @property
    def partitions_of_groups(self) -> set[tuple[int, int]]:
        """The topic-partitions that lines about whole groups name."""
        return {(each[1], each[2]) for each in (*self.group_offsets, *self.resets, *self.archived)}

    def where(self, file: int, line: int) -> Where:
        """Where an event is."""
        return Where(self.files[file], line)
