"""From columns of events to the evidence that reconciling and judging take: in memory.

Cells are dense: where a recorder numbered its attempts otherwise, the numbers are ranked, and
`Elsewhere.sequences` leads back from cells to numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.arrays import I64, U8, Bools, Rows
from harness.history.cells import Groups, MemoryColumns
from harness.history.consumption import (
    consumption_of,
    put_inputs_first,
)
from harness.history.deleted_topics import close_deleted, separate_topics
from harness.history.described_run import info_of
from harness.history.event_tables import History
from harness.history.instants import batches_of, ended_us_of, timed_of, timeline_of
from harness.history.isolation_levels import (
    READ_COMMITTED,
    level_of,
    set_aside,
    written_in_transactions,
)
from harness.history.keys import Keys
from harness.history.lines import LineProblem, Refusals
from harness.history.proofs import proofs_of
from harness.history.reads import Reads, rows_of
from harness.history.recorded_sequences import is_range, union
from harness.history.set_aside import Aside, note_aside, note_holes
from harness.history.torn_lines import firm_of, undone_by_torn
from harness.history.transactions import NOT_ATTEMPTED, Transactions
from harness.history.unknown_partitions import find_homes
from harness.profiles import DeliveryProfile
from harness.rundir.columns import ACKED, ACKED_NO_OFFSET, FAILED, NEVER, OPEN, SENT, pack_offsets
from harness.rundir.drained import Drain
from harness.rundir.read_times import Contested
from harness.rundir.run_info import ProfileRun
from harness.rundir.run_record import Elsewhere, RecordedObservations, RunRecord

NO_TOPIC: Final = "none"
"""Stands where a history names no topic at all."""


@dataclass(slots=True)
class _Lane:
    """One producer on one topic-partition: its attempts by cell."""

    key: tuple[int, int, int]
    numbers: I64
    """the recorder's sequence of each cell, ascending"""
    dense: bool
    """Are they 0, 1, 2 …?"""

    def cells(self, sequences: I64) -> I64:
        """The cells of sequences that are among `numbers`."""
        return sequences if self.dense else np.searchsorted(self.numbers, sequences)


def run_record_of(
    history: History, profile: DeliveryProfile, refusals: Refusals, digest: str
) -> RunRecord:
    """Everything that a history says, as evidence about a run of one profile.

    Raises UsageError, naming the line, for events that contradict each other.
    """
    if not history.topics:
        history.topics.append(NO_TOPIC)
    return _Builder(history, refusals).build(profile, f"history-{digest}")


class _Builder:
    def __init__(self, history: History, refusals: Refusals) -> None:
        self.history = history
        self.refusals = refusals
        self.elsewhere = Elsewhere()
        self.ledgers: dict[int, MemoryColumns] = {}
        self.live: dict[int, MemoryColumns] = {}
        self.drained: dict[int, MemoryColumns] = {}
        self.copies: list[Rows] = []
        self.live_copies: list[Rows] = []
        self.contested: dict[tuple[int, int], Contested] = {}
        self.acked: dict[tuple[int, int], int] = {}
        """(topic, partition) → the highest offset that a delivery report names"""

    def build(self, profile: DeliveryProfile, run_id: str) -> RunRecord:
        history = self.history
        separate_topics(history)
        find_homes(history)
        close_deleted(history)
        inputs = 1 if profile.consume is None else put_inputs_first(history)
        transactions = Transactions(history, self.refusals)
        if history.unsteady:
            # Nothing is concluded from any instant then, nor which of two readings was later.
            history.reads.put("read_us", np.full_like(history.reads.column("read_us"), -1))
        level = level_of(profile)
        chosen = set_aside(history, profile)
        reads = Reads.of(history.reads, ~chosen)
        aside = Aside.of(history, chosen, reads)
        note_aside(history, aside)
        self.keys = Keys(history, reads)
        unseen = self._lanes(reads, transactions, aside)
        info = info_of(history, profile, run_id, inputs)
        written = written_in_transactions(history, profile)
        proofs = proofs_of(
            history,
            reads,
            unseen,
            self.acked,
            info,
            written,
            aside.every,
            hides=level != READ_COMMITTED,
        )
        if info.profiles[0].transactional and level == READ_COMMITTED:
            note_holes(
                history, reads, aside, [proofs[k] for k in sorted(proofs) if k[0] in written]
            )
        if profile.consume is None and len(history.members):
            history.notes.append(
                f"what group members did is not judged: {profile.name} promises nothing about it"
            )
        self._conclude(info.profiles[0])
        return RunRecord(
            info=info,
            ledgers=dict(self.ledgers),
            transactions=transactions.logs(),
            live=RecordedObservations(
                columns=dict(self.live),
                extras=np.concatenate([rows_of(reads.odd(live=True)), *self.live_copies]),
                batches=batches_of(reads),
                contested=self.contested,
                there=bool(reads.live.any()),
            ),
            drained=RecordedObservations(
                columns=dict(self.drained),
                extras=np.concatenate([rows_of(reads.odd(live=False)), *self.copies]),
                there=True,
            ),
            drain=Drain(proofs, None, ended_us_of(history), []),
            timeline=timeline_of(history),
            consumption=consumption_of(history, reads, info, proofs),
            elsewhere=self.elsewhere,
        )

    def _conclude(self, profile: ProfileRun) -> None:
        """What the verdict has to tell about the history itself."""
        self.elsewhere.notes += self.history.notes
        self.elsewhere.obstacles += self.history.obstacles
        self.elsewhere.blind |= self.history.blind
        self.elsewhere.renewed = frozenset(self.history.renewed)
        self.elsewhere.compacted = self.history.compacted
        self.elsewhere.once = self.history.of_tools
        self.elsewhere.nowhere = frozenset(self.history.nowhere)
        self.elsewhere.skipped = self.refusals.damaged + len(self.refusals.cut)
        self.elsewhere.firm = firm_of(self.history)
        for path in self.refusals.cut:
            self.elsewhere.obstacles.append(
                f"{path} breaks off: it says that it has an end line, and there is none"
            )
        if self.refusals.torn:
            self.elsewhere.notes.append(
                f"the last line of the file breaks off at {', '.join(self.refusals.torn)}, as that "
                "of a recorder that died, and was passed over"
            )
            undone = undone_by_torn(
                self.refusals.beginnings, self.history, compacted=profile.compacted
            )
            self.elsewhere.undone = undone - self.elsewhere.firm
        self.elsewhere.unsteady = self.history.unsteady
        self.elsewhere.transaction_timeout_ms = self.history.transaction_timeout_ms
        if self.refusals.damaged:
            lines = "1 malformed line" if self.refusals.damaged == 1 else (
                f"{self.refusals.damaged} malformed lines"
            )  # fmt: skip
            self.elsewhere.obstacles.append(
                f"{lines} of the history {'was' if self.refusals.damaged == 1 else 'were'} "
                "skipped (--lenient), and what they said is not judged"
            )
        if self.refusals.count:
            count = self.refusals.count
            self.elsewhere.notes.append(
                f"{count} malformed {'line was' if count == 1 else 'lines were'} skipped "
                f"(--lenient), such as {'; '.join(self.refusals.examples)}"
            )

    # -- lanes -----------------------------------------------------------------------------

    def _lanes(
        self, reads: Reads, transactions: Transactions, aside: Aside
    ) -> dict[tuple[int, int], I64]:
        """Fill the cells of every producer on every topic-partition.

        Returns, by topic-partition, where acknowledged records were that nothing read: their
        offsets, -1 for those without one.
        """
        attempts, outcomes = self.history.attempts, self.history.outcomes
        where = ("producer", "topic", "partition")
        self._attempt = {name: attempts.column(name) for name in attempts.names}
        self._outcome = {name: outcomes.column(name) for name in outcomes.names}
        home, hidden = reads.at_home, aside.at_home
        set_aside = [aside.odd()]
        groups = Groups.of(
            attempts.take(*where),  # type: ignore[arg-type]
            outcomes.take(*where),  # type: ignore[arg-type]
            (reads.producer[home], reads.topic[home], reads.partition[home]),
            aside.lanes(hidden),
        )
        unseen: dict[tuple[int, int], list[I64]] = {}
        for group, key in groups:
            attempted, settled = groups.rows(0, group), groups.rows(1, group)
            observed = home[groups.rows(2, group)]
            others = hidden[groups.rows(3, group)]
            seen = np.concatenate([reads.sequence[observed], aside.every.sequence[others]])
            lane = self._lane(key, attempted, seen)
            set_aside.append(
                rows_of(aside.every.copies(others), lane.cells(aside.every.sequence[others]))
            )
            state, acked_at = self._states(lane, attempted, settled, transactions)
            present = self._observations(lane, reads, observed)
            if len(attempted):
                low, high = pack_offsets(np.maximum(acked_at, 0))
                high[acked_at < 0] = state[acked_at < 0]
                low[acked_at < 0] = 0
                self.ledgers.setdefault(key[0], MemoryColumns()).put(*key[1:], low, high)
                missing = (state >= SENT) & ~present
                if missing.any():
                    unseen.setdefault(key[1:], []).append(acked_at[missing])
            if self.keys.said:
                self._note_keys(lane, attempted, observed, reads)
            if not lane.dense:
                self.elsewhere.sequences[key] = lane.numbers
        self.elsewhere.aside = np.concatenate(set_aside)
        return {key: np.concatenate(parts) for key, parts in unseen.items()}

    def _lane(self, key: tuple[int, int, int], attempted: I64, observed: I64) -> _Lane:
        sequences = self._attempt["sequence"][attempted]
        count = len(sequences)
        if count and is_range(sequences) and (not len(observed) or int(observed.max()) < count):
            return _Lane(key, sequences, dense=True)
        numbers, firsts = np.unique(sequences, return_index=True)
        for again in np.setdiff1d(np.arange(count), firsts).tolist():
            self._refuse(
                self._attempt,
                int(attempted[again]),
                "sequence",
                f"{int(sequences[again])} was attempted before",
                "each attempt of a producer on a topic-partition once",
            )
        numbers = union(numbers, observed)
        return _Lane(key, numbers, dense=is_range(numbers))

    def _note_keys(self, lane: _Lane, attempted: I64, observed: I64, reads: Reads) -> None:
        """Note the keys of a lane's cells."""
        sent = attempted, lane.cells(self._attempt["sequence"][attempted])
        read = observed, lane.cells(reads.sequence[observed])
        self.elsewhere.keys[lane.key] = self.keys.of(lane.key[1:], len(lane.numbers), sent, read)

    def _states(
        self, lane: _Lane, attempted: I64, settled: I64, transactions: Transactions
    ) -> tuple[U8, I64]:
        """State and acknowledged offset (-1) of every cell."""
        count = len(lane.numbers)
        state = np.full(count, NEVER, dtype=np.uint8)
        acked_at = np.full(count, -1, dtype=np.int64)
        # Of an attempt that is on record twice, and left in, the first line counts.
        attempted = attempted[::-1]
        cells = lane.cells(self._attempt["sequence"][attempted])
        state[cells] = self._attempt["state"][attempted]
        acked_at[cells] = self._attempt["offset"][attempted]
        if len(settled):
            self._settle(lane, state, acked_at, settled)
        if count:
            # Something was appended there, whatever becomes of its transaction.
            topic_partition = lane.key[1:]
            self.acked[topic_partition] = max(
                self.acked.get(topic_partition, -1), int(acked_at.max())
            )
        within = np.full(count, NOT_ATTEMPTED, dtype=np.int64)
        within[cells] = self._attempt["transaction"][attempted]
        if (within >= 0).any():
            ends = transactions.take(lane.key, within, lane.numbers)
            _decide(state, acked_at, within >= 0, ends)
        return state, acked_at

    def _settle(self, lane: _Lane, state: U8, acked_at: I64, settled: I64) -> None:
        """Apply the outcome lines of a lane."""
        sequences = self._outcome["sequence"][settled]
        count = len(lane.numbers)
        indices = np.minimum(np.searchsorted(lane.numbers, sequences), max(count - 1, 0))
        known = (
            (lane.numbers[indices] == sequences) & (state[indices] != NEVER)
            if count
            else np.zeros(len(sequences), dtype=np.bool_)
        )
        for bad in np.flatnonzero(~known).tolist():
            self._refuse(
                self._outcome,
                int(settled[bad]),
                "sequence",
                f"{int(sequences[bad])} has no attempt",
                "the outcome of an attempt of the same producer, topic, partition and sequence",
            )
        settled, indices = settled[known], indices[known]
        first = np.zeros(len(indices), dtype=np.bool_)
        first[np.unique(indices, return_index=True)[1]] = True
        first &= state[indices] == OPEN
        for bad in np.flatnonzero(~first).tolist():
            self._refuse(
                self._outcome,
                int(settled[bad]),
                "outcome",
                f"sequence {int(lane.numbers[indices[bad]])} has one already",
                "one outcome an attempt",
            )
        settled, indices = settled[first], indices[first]
        state[indices] = self._outcome["state"][settled]
        acked_at[indices] = self._outcome["offset"][settled]

    def _observations(self, lane: _Lane, reads: Reads, observed: I64) -> Bools:
        """Fill the cells of both sets; which cells the drained one holds."""
        count = len(lane.numbers)
        present = np.zeros(count, dtype=np.bool_)
        for live, columns, copies in (
            (False, self.drained, self.copies),
            (True, self.live, self.live_copies),
        ):
            rows = observed[reads.live[observed] == live]
            if not len(rows):
                continue
            cells = lane.cells(reads.sequence[rows])
            if live:
                self._contest(lane, reads, rows, cells)
            at = reads.offset[rows]
            if not bool((cells[1:] > cells[:-1]).all()):
                order = np.lexsort((at, cells))
                rows, cells, at = rows[order], cells[order], at[order]
                further = np.concatenate([[False], cells[1:] == cells[:-1]])
                if further.any():
                    copies.append(rows_of(reads.copies(rows[further]), cells[further]))
                cells, at = cells[~further], at[~further]
            low, high = np.zeros(count, dtype=np.uint32), np.zeros(count, dtype=np.uint8)
            low[cells], high[cells] = pack_offsets(at)
            columns.setdefault(lane.key[0], MemoryColumns()).put(*lane.key[1:], low, high)
            if not live:
                present[cells] = True
        return present

    def _contest(self, lane: _Lane, reads: Reads, rows: I64, cells: I64) -> None:
        """Note when records were read live at offsets at which others were, too."""
        timed = reads.contested[rows] & timed_of(reads)[rows]
        for each in np.flatnonzero(timed).tolist():
            offsets = self.contested.setdefault(lane.key[1:], {})
            records = offsets.setdefault(int(reads.offset[rows[each]]), {})
            records[lane.key[0], int(cells[each])] = int(reads.read_us[rows[each]])

    # -- refusing --------------------------------------------------------------------------

    def _refuse(
        self, table: Mapping[str, I64], row: int, field: str, found: str, expected: str
    ) -> None:
        """Raises UsageError unless such lines are left out."""
        where = self.history.where(int(table["file"][row]), int(table["line"][row]))
        self.refusals.refuse(where, LineProblem(field, found, expected))


def _decide(state: U8, acked_at: I64, within: Bools, ends: U8) -> None:
    """Outcomes of attempts inside transactions: reports decide nothing, the end does.

    ends: (n,) state that the end of its transaction gives to a cell.
    """
    decided = within & (state != FAILED)
    reported = (state == ACKED) & (ends == ACKED_NO_OFFSET)
    state[decided] = ends[decided]
    state[decided & reported] = ACKED
    acked_at[within & (state != ACKED)] = -1
