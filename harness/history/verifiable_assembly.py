"""Attempts and observations out of what VerifiableProducers and VerifiableConsumers printed.

A value names its producer by its prefix and its attempt by its number. Where it belongs is known
from its acknowledgement, or else from where it was first read.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from harness.anomalies import ANOMALIES
from harness.arrays import I64, Bools
from harness.history.event_tables import FOREIGN, INTACT, DrainClaim, History, Table
from harness.history.lines import LineProblem, Refusals
from harness.record.codec import run_hash
from harness.rundir.columns import ACKED, SENT, UNKNOWN

SENT_COLUMNS: Final = (
    "start", "prefix", "sequence", "topic", "partition", "offset", "file", "line",
)  # fmt: skip
READ_COLUMNS: Final = ("prefix", "sequence", "topic", "partition", "offset", "at_ms")
ERRORED: Final = -1
"""In place of an offset: the send ended with an error."""
WITHOUT_OFFSET: Final = -2
"""In place of an offset: acks=0."""
_NOT_SHOWN: Final = tuple(name for name in ANOMALIES if name not in ("lost", "unseen"))
_NAMED: Final = 5


@dataclass(slots=True)
class Start:
    """One start of a producer."""

    number: int
    path: Path
    acked: int = 0
    """How many producer_send_success lines it printed."""
    claimed: int | None = None
    """How many its tool_data says it had acknowledged."""


@dataclass(frozen=True, slots=True)
class CountedRange:
    """Offsets that a consumer counted without showing them."""

    topic: int
    partition: int
    first: int
    last: int
    count: int


class Assembly:
    """Puts together what all files printed."""

    def __init__(
        self, history: History, refusals: Refusals, starts: list[Start], prefixes: list[str]
    ) -> None:
        self.history = history
        self.refusals = refusals
        self.starts = starts
        self.prefixes = prefixes

    def assemble(self, sent: Table, read: Table, stretches: list[CountedRange]) -> None:
        """Fill the history. Raises UsageError for a value that was printed twice."""
        self.sent = {name: sent.column(name) for name in SENT_COLUMNS}
        self.read = {name: read.column(name) for name in READ_COLUMNS}
        # One start with two prefixes is two producers whose outputs were put together.
        codes = (self.sent["start"] << 32) | self.sent["prefix"]
        pairs, firsts, producer = np.unique(codes, return_index=True, return_inverse=True)
        order = np.argsort(firsts, kind="stable")
        number = np.empty(len(order), dtype=np.int64)
        number[order] = np.arange(1, len(order) + 1)
        self.sent["producer"] = number[producer]
        self.producers = {int(number[i]): int(pairs[i]) for i in range(len(pairs))}
        self._drop_repeated()
        self._name_producers()
        of_prefix: defaultdict[int, list[int]] = defaultdict(list)
        for each in sorted(self.producers):
            of_prefix[self.producers[each] & 0xFFFFFFFF].append(each)
        reader = self._readers(dict(of_prefix))
        self._add_lines(reader)
        self._foreign(reader)
        self._stretches(stretches)

    # -- producers -------------------------------------------------------------------------

    def _drop_repeated(self) -> None:
        """Refuse values that one producer printed twice."""
        order = np.lexsort((self.sent["sequence"], self.sent["producer"]))
        producer, sequence = self.sent["producer"][order], self.sent["sequence"][order]
        again = (producer[1:] == producer[:-1]) & (sequence[1:] == sequence[:-1])
        rows = np.sort(order[1:][again])
        for row in rows.tolist():
            where = self.history.where(int(self.sent["file"][row]), int(self.sent["line"][row]))
            found = f"{self._value(row)!r} was printed before by the same producer"
            self.refusals.refuse(where, LineProblem("value", found, "each value once"))
        if len(rows):
            self.sent = {name: np.delete(column, rows) for name, column in self.sent.items()}

    def _value(self, row: int) -> str:
        prefix = self.prefixes[int(self.sent["prefix"][row])]
        number = int(self.sent["sequence"][row])
        return f"{prefix}.{number}" if prefix else str(number)

    def _name_producers(self) -> None:
        """Say which number means which file, and whose totals do not add up."""
        by_number = {start.number: start for start in self.starts}
        named = []
        for number, pair in sorted(self.producers.items()):
            prefix = self.prefixes[pair & 0xFFFFFFFF]
            values = f"values {prefix}.…" if prefix else "values without a prefix"
            named.append(f"producer {number} is {by_number[pair >> 32].path} ({values})")
        if named:
            more = len(named) - _NAMED
            self.history.notes.append(
                ", ".join(named[:_NAMED]) + (f" and {more} more" if more > 0 else "")
            )
        for start in self.starts:
            if start.claimed is not None and start.claimed != start.acked:
                self.history.obstacles.append(
                    f"{start.path}: tool_data counts {start.claimed} acknowledged records, and the "
                    f"file holds {start.acked} lines of producer_send_success: it is not whole"
                )

    # -- what was read ---------------------------------------------------------------------

    def _readers(self, of_prefix: dict[int, list[int]]) -> I64:
        """The producer of each record that was read; 0 for a foreign one."""
        prefix = self.read["prefix"]
        producer = np.zeros(len(prefix), dtype=np.int64)
        for code, numbers in of_prefix.items():
            rows = np.flatnonzero(prefix == code)
            producer[rows] = numbers[0]
            if len(numbers) > 1 and len(rows):
                self._tell_apart(rows, numbers, producer)
        return producer

    def _tell_apart(self, rows: I64, numbers: list[int], producer: I64) -> None:
        """Producers that share a prefix: by the offset acknowledged, then by who is left."""
        mine = np.flatnonzero(np.isin(self.sent["producer"], numbers))
        columns = ("sequence", "topic", "partition", "offset", "producer")
        printed = list(zip(*(self.sent[name][mine].tolist() for name in columns), strict=True))
        acked_at = {each[:4]: each[4] for each in printed}
        printed_by: defaultdict[int, list[int]] = defaultdict(list)
        for each in printed:
            printed_by[each[0]].append(each[4])
        records = list(zip(*(self.read[name][rows].tolist() for name in columns[:4]), strict=True))
        matched = {(record[0], acked_at[record]) for record in records if record in acked_at}
        for row, record in zip(rows.tolist(), records, strict=True):
            found = acked_at.get(record)
            if found is None:
                candidates = printed_by.get(record[0]) or numbers
                left = [each for each in candidates if (record[0], each) not in matched]
                found = (left or candidates)[0]
            producer[row] = found

    def _add_lines(self, reader: I64) -> None:
        """Attempts and observations with their homes."""
        sent, read = self.sent, self.read
        home_topic, home_partition = read["topic"].copy(), read["partition"].copy()
        state = np.select(
            [sent["offset"] >= 0, sent["offset"] == WITHOUT_OFFSET], [ACKED, SENT], UNKNOWN
        )
        topic, partition = sent["topic"].copy(), np.maximum(sent["partition"], 0)
        for producer in sorted(self.producers):
            mine = np.flatnonzero(sent["producer"] == producer)
            mine = mine[np.argsort(sent["sequence"][mine], kind="stable")]
            rows = np.flatnonzero(reader == producer)
            numbers = sent["sequence"][mine]
            at = np.minimum(np.searchsorted(numbers, read["sequence"][rows]), len(numbers) - 1)
            printed = numbers[at] == read["sequence"][rows]
            acked = printed & (sent["partition"][mine[at]] >= 0)
            home_topic[rows[acked]] = sent["topic"][mine[at[acked]]]
            home_partition[rows[acked]] = sent["partition"][mine[at[acked]]]
            # Where nothing tells its home, that is where it was read first.
            loose = rows[~acked]
            order = np.lexsort((read["at_ms"][loose], read["sequence"][loose]))
            loose = loose[order]
            _, firsts, inverse = np.unique(
                read["sequence"][loose], return_index=True, return_inverse=True
            )
            home = loose[firsts][inverse]
            home_topic[loose], home_partition[loose] = read["topic"][home], read["partition"][home]
            errored = np.flatnonzero(printed & ~acked)
            topic[mine[at[errored]]] = home_topic[rows[errored]]
            partition[mine[at[errored]]] = home_partition[rows[errored]]
            unprinted = np.setdiff1d(loose[firsts], rows[printed])
            self._attempt(producer, read["sequence"][unprinted], read["topic"][unprinted],
                          read["partition"][unprinted])  # fmt: skip
        self.history.attempts.add(
            len(state),
            {
                **sent,
                "topic": topic,
                "partition": partition,
                "state": state,
                "offset": np.maximum(sent["offset"], -1),
                "transaction": -1,
                "key": -1,
                "tombstone": 0,
                "topic_id": -1,
            },
        )
        known = reader > 0
        self.history.reads.add(
            len(reader),
            {
                **read,
                "content": np.where(known, INTACT, FOREIGN),
                "producer": np.where(known, reader, -1),
                "sequence": np.where(known, read["sequence"], -1),
                "sent_topic": home_topic,
                "sent_partition": home_partition,
                "live": 0,
                "read_us": read["at_ms"] * 1000,
                "leader_epoch": -1,
                "run": self._runs(known),
                "input_topic": -1,
                "input_offset": -1,
                "input_partition": -1,
                "isolation": -1,
                "topic_id": -1,
                "key": -1,
            },
        )

    def _attempt(self, producer: int, sequence: I64, topic: I64, partition: I64) -> None:
        """Attempts that were read and never printed: their producer died first."""
        self.history.attempts.add(
            len(sequence),
            {
                "producer": producer,
                "topic": topic,
                "partition": partition,
                "sequence": sequence,
                "state": UNKNOWN,
                "offset": -1,
                "transaction": -1,
                "key": -1,
                "tombstone": 0,
                "topic_id": -1,
                "file": 0,
                "line": 0,
            },
        )

    def _runs(self, known: Bools) -> I64:
        """A number for each foreign prefix, as another run's hash."""
        hashes = np.array(
            [run_hash(f"prefix {prefix}") >> 1 for prefix in self.prefixes] + [0], dtype=np.int64
        )
        return np.where(known, 0, hashes[self.read["prefix"]])

    def _foreign(self, reader: I64) -> None:
        """Name the prefixes that no producer's file holds."""
        codes = np.unique(self.read["prefix"][reader == 0]).tolist()
        if codes:
            named = [repr(self.prefixes[code]) for code in codes if code >= 0][:_NAMED]
            named += ["none at all"] if codes[0] < 0 else []
            self.history.notes.append(
                f"foreign: values with a prefix that no producer's file holds ({', '.join(named)})"
            )

    # -- what was only counted -------------------------------------------------------------

    def _stretches(self, stretches: list[CountedRange]) -> None:
        """Take what was acknowledged at offsets that were delivered unseen as read there."""
        if not stretches:
            return
        reason = (
            "a consumer ran without --verbose: what it was handed at each offset is not on record"
        )
        self.history.blind.update(dict.fromkeys(_NOT_SHOWN, reason))
        whole: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for stretch in stretches:
            key = stretch.topic, stretch.partition
            self.history.reached[key] = max(stretch.last, self.history.reached.get(key, -1))
            lowest = self.history.delivered_from.get(key, stretch.first)
            self.history.delivered_from[key] = min(stretch.first, lowest)
            if stretch.count == stretch.last - stretch.first + 1:
                whole[key].append((stretch.first, stretch.last))
            else:
                self.history.drains[key] = DrainClaim(
                    False, 0, None, None, None,
                    f"records_consumed counts {stretch.count} records from offset {stretch.first} "
                    f"to {stretch.last}, and does not say which",
                )  # fmt: skip
        attempts, reads = self.history.attempts, self.history.reads
        seen = _pairs(reads.column("producer"), reads.column("sequence"))
        producer, sequence = attempts.column("producer"), attempts.column("sequence")
        unread = ~_among(producer, sequence, seen)
        for (topic, partition), found in sorted(whole.items()):
            ranges = np.array(sorted(found), dtype=np.int64)
            rows = np.flatnonzero(
                unread
                & (attempts.column("topic") == topic)
                & (attempts.column("partition") == partition)
                & (attempts.column("offset") >= 0)
            )
            at = attempts.column("offset")[rows]
            reach = np.maximum.accumulate(ranges[:, 1])
            before = np.searchsorted(ranges[:, 0], at, side="right") - 1
            covered = (before >= 0) & (at <= reach[np.maximum(before, 0)])
            rows, at = rows[covered], at[covered]
            reads.add(
                len(rows),
                {
                    "topic": topic,
                    "partition": partition,
                    "offset": at,
                    "content": INTACT,
                    "producer": producer[rows],
                    "sequence": sequence[rows],
                    "sent_topic": topic,
                    "sent_partition": partition,
                    "live": 0,
                    "read_us": 0,
                    "leader_epoch": -1,
                    "run": 0,
                    "input_topic": -1,
                    "input_offset": -1,
                    "input_partition": -1,
                    "isolation": -1,
                    "topic_id": -1,
                    "key": -1,
                },
            )


def _pairs(producer: I64, sequence: I64) -> dict[int, I64]:
    """producer → its sequences, sorted."""
    return {each: np.unique(sequence[producer == each]) for each in np.unique(producer).tolist()}


def _among(producer: I64, sequence: I64, pairs: dict[int, I64]) -> Bools:
    found = np.zeros(len(producer), dtype=np.bool_)
    for each, known in pairs.items():
        rows = np.flatnonzero(producer == each)
        found[rows] = np.isin(sequence[rows], known)
    return found
