"""Topics that were deleted and created again under their names: which records are of which.

A topic's id tells. The final reading is of one topic; what was acknowledged or read in another one
of the name has offsets of its own, which are compared with each other only. So each further id
becomes its own topic, of which no final reading is on record:

where an attempt belongs                    the first that says an id
it was read by the final reading            that of the reading
it was not                                  its outcome, its attempt, the first live reading of it
no line says one                            not known: its own topic, nothing is compared there
"""

from __future__ import annotations

from typing import Final

import numpy as np

from harness.anomalies import CONSUMER_ANOMALIES
from harness.arrays import I64, Bools
from harness.history.event_tables import INTACT, DrainClaim, History, Table
from harness.rundir.columns import ACKED, ACKED_NO_OFFSET

_NOT_KNOWN: Final = -1
_LAST: Final = -2
"""The topic of the final reading, where no line says its id."""


def separate_topics(history: History) -> None:
    """Give every topic of which lines say several ids one topic for each."""
    for topic, ids in sorted(_ids(history).items()):
        if len(ids) > 1:
            _Separation(history, topic, ids).separate()
    for topic, partition, start, level, identity in history.began_of:
        last = history.last_ids.get(topic, identity)
        if last == identity:
            began = history.began_at.setdefault(level, {})
            began[topic, partition] = min(start, began.get((topic, partition), start))


def close_deleted(history: History) -> None:
    """Nothing is proven of topics that were deleted: say so of each of their partitions."""
    for topic, reason in history.deleted.items():
        for table in (history.attempts, history.reads):
            mine = table.column("partition")[table.column("topic") == topic]
            for partition in np.unique(mine).tolist():
                claim = DrainClaim(False, None, None, None, None, reason)
                history.drains_at.setdefault(-1, {})[topic, partition] = claim


def _ids(history: History) -> dict[int, set[int]]:
    """topic → the ids that lines say of it."""
    found: dict[int, set[int]] = {}
    for topic, identity in (*history.ids_of_topics.items(), *history.ids_of_drains.items()):
        found.setdefault(topic, set()).add(identity)
    for topic, _, _, _, identity in history.began_of:
        found.setdefault(topic, set()).add(identity)
    for table in (history.attempts, history.outcomes, history.reads):
        said = table.column("topic_id")
        rows = np.flatnonzero(said >= 0)
        if len(rows):
            pairs = np.unique(np.stack([table.column("topic")[rows], said[rows]]), axis=1)
            for topic, identity in zip(*pairs.tolist(), strict=True):
                found.setdefault(topic, set()).add(identity)
    return found


class _Separation:
    """Takes one topic apart."""

    def __init__(self, history: History, topic: int, ids: set[int]) -> None:
        self.history = history
        self.topic = topic
        self.ids = ids
        self.names = {number: name for name, number in history.topic_ids.items()}
        self.last = self._last()
        history.last_ids[topic] = self.last
        history.renewed.add(topic)
        self._topics: dict[int, int] = {self.last: topic}
        rows = [np.flatnonzero(t.column("topic") == topic) for t in self._tables]
        self.sent, self.decided, self.read = rows
        loose = bool((history.attempts.column("partition")[self.sent] < 0).any())
        self._identity = ("producer", "sequence") if loose else (
            "producer", "partition", "sequence"
        )  # fmt: skip

    @property
    def _tables(self) -> tuple[Table, Table, Table]:
        return self.history.attempts, self.history.outcomes, self.history.reads

    def _last(self) -> int:
        """The id of the final reading."""
        said = self.history.ids_of_drains.get(self.topic)
        if said is not None:
            return said
        reads = self.history.reads
        mine = (reads.column("topic") == self.topic) & (reads.column("live") == 0)
        of_reading = np.unique(reads.column("topic_id")[mine])
        of_reading = of_reading[of_reading >= 0]
        return int(of_reading[0]) if len(of_reading) == 1 else _LAST

    def separate(self) -> None:
        """Move what is of another id to the topic of that id."""
        attempts, outcomes, reads = self._tables
        codes = self._codes()
        of_sent, of_outcomes, of_read = np.split(
            codes, [len(self.sent), len(self.sent) + len(self.decided)]
        )
        seen = self._of_readings()
        home, said = self._homes(codes, of_sent, of_outcomes, of_read, seen)
        attempted = np.zeros(len(home), dtype=np.bool_)
        attempted[of_sent] = True
        for table, rows, of in (
            (attempts, self.sent, of_sent),
            (outcomes, self.decided, of_outcomes),
        ):
            self._forget_offsets(table, rows, (home[of] != said[of]) | (said[of] == _NOT_KNOWN))
            self._move(table, "topic", rows, home[of])
        intact = self._at_home
        where = np.where(intact & attempted[of_read], home[of_read], seen)
        kept = (seen == where) & (where != _NOT_KNOWN)
        self._move(reads, "topic", self.read[kept], where[kept])
        routed = kept & (reads.column("sent_topic")[self.read] == self.topic)
        self._move(reads, "sent_topic", self.read[routed], where[routed])
        dropped = np.ones(len(reads), dtype=np.bool_)
        dropped[self.read[~kept]] = False
        reads.keep(dropped)
        self._tell(int(np.count_nonzero(~kept)))
        self._forget_groups()

    def _codes(self) -> I64:
        """A number for each identity of an attempt, for the rows of all three tables."""
        rows = zip(self._tables, (self.sent, self.decided, self.read), strict=True)
        identities = np.concatenate([
            np.stack([table.column(name)[mine] for name in self._identity], axis=1)
            for table, mine in rows
        ])  # fmt: skip
        return np.unique(identities, axis=0, return_inverse=True)[1].reshape(-1)

    def _of_readings(self) -> I64:
        """The id of each reading; a final reading that says none has that of the others."""
        reads = self.history.reads
        seen = reads.column("topic_id")[self.read].copy()
        final = reads.column("live")[self.read] == 0
        seen[(seen < 0) & final] = self.last
        return seen

    @property
    def _at_home(self) -> Bools:
        """Which readings are of records whose identity names this topic-partition."""
        reads = self.history.reads
        home: Bools = reads.column("content")[self.read] == INTACT
        for name in ("topic", "partition"):
            said = reads.column(f"sent_{name}")[self.read]
            home &= (said < 0) | (said == reads.column(name)[self.read])
        return home

    def _homes(
        self, codes: I64, of_sent: I64, of_outcomes: I64, of_read: I64, seen: I64
    ) -> tuple[I64, I64]:
        """By identity: the id of the topic where the attempt belongs, and the one that its
        acknowledgement is of."""
        attempts, outcomes, reads = self._tables
        home = np.full(int(codes.max(initial=-1)) + 1, _NOT_KNOWN, dtype=np.int64)
        acknowledged = home.copy()
        intact = self._at_home
        live = reads.column("live")[self.read] > 0
        # From the weakest to the strongest; the first line of each kind counts.
        first_live = np.flatnonzero(live & intact & (seen != _NOT_KNOWN))[::-1]
        home[of_read[first_live]] = seen[first_live]
        for of, said in (
            (of_sent, attempts.column("topic_id")[self.sent]),
            (of_outcomes, outcomes.column("topic_id")[self.decided]),
        ):
            rows = np.flatnonzero(said >= 0)[::-1]
            acknowledged[of[rows]] = said[rows]
        home = np.where(acknowledged >= 0, acknowledged, home)
        final = np.flatnonzero(~live & intact)[::-1]
        home[of_read[final]] = seen[final]
        return home, acknowledged

    def _forget_offsets(self, table: Table, rows: I64, other: Bools) -> None:
        """Acknowledged offsets that are of another topic than the attempt, or of no known one."""
        state, offset = table.column("state").copy(), table.column("offset").copy()
        chosen = rows[other & (offset[rows] >= 0)]
        state[chosen[state[chosen] == ACKED]] = ACKED_NO_OFFSET
        offset[chosen] = -1
        table.put("state", state)
        table.put("offset", offset)

    def _move(self, table: Table, name: str, rows: I64, ids: I64) -> None:
        """Write the topics of rows."""
        column = table.column(name).copy()
        for identity in np.unique(ids).tolist():
            column[rows[ids == identity]] = self._topic_of(identity)
        table.put(name, column)

    def _topic_of(self, identity: int) -> int:
        """The topic that replaces an id of this one."""
        if identity not in self._topics:
            which = "not known" if identity == _NOT_KNOWN else self.names[identity]
            name = f"{self.history.topics[self.topic]} (topic id {which})"
            self._topics[identity] = self.history.topic(name)
            self.history.deleted[self._topics[identity]] = (
                f"the topic was deleted and created again: {self._why(identity)}"
            )
            self.history.renewed.add(self._topics[identity])
        return self._topics[identity]

    def _why(self, identity: int) -> str:
        """Why nothing is proven of the topic with an id."""
        if identity == _NOT_KNOWN:
            return "no line says the id of the topic to which these records went"
        went = f"these records went to id {self.names[identity]}, and"
        if self.last == _LAST:
            return f"{went} no line says the id of the topic that the final reading is of"
        return f"{went} the final reading is of id {self.names[self.last]}"

    def _tell(self, dropped: int) -> None:
        """A sentence for the verdict."""
        names = ", ".join(sorted(self.names[each] for each in self.ids))
        note = (
            f"{self.history.topics[self.topic]} was deleted and created again (topic ids {names}): "
            "offsets of one are not compared with those of another"
        )
        if dropped:
            readings = "1 reading is" if dropped == 1 else f"{dropped} readings are"
            note += (
                f"; {readings} passed over, of which no line says the id, or of a record that is "
                "of another one"
            )
        self.history.notes.append(note)

    def _forget_groups(self) -> None:
        """What consumers did, and how far the log was stable, is said without an id."""
        history, topic = self.history, self.topic
        members = history.members.column("topic") == topic
        inputs = history.reads.column("input_topic") == topic
        for table in (history.members, history.watched):
            table.keep(table.column("topic") != topic)
        if inputs.any():
            for name in ("input_topic", "input_partition", "input_offset"):
                history.reads.put(name, np.where(inputs, -1, history.reads.column(name)))
        said = any(each[1] == topic for each in (*history.group_offsets, *history.resets,
                                                 *history.archived))  # fmt: skip
        history.group_offsets = {
            key: offset for key, offset in history.group_offsets.items() if key[1] != topic
        }
        history.resets = [each for each in history.resets if each[1] != topic]
        history.archived = [each for each in history.archived if each[1] != topic]
        if members.any() or inputs.any() or said:
            reason = (
                f"{history.topics[topic]} was deleted and created again, and lines about consumers "
                "do not say of which of its topics they are"
            )
            history.blind.update(dict.fromkeys(CONSUMER_ANOMALIES, reason))
