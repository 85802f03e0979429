"""Readings that are set aside by their isolation level: what they account for all the same.

Each takes an offset of the log. So it may show that a transactional log has no hole there, and it
may contradict what was acknowledged or read at that offset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.arrays import I64, Bools, Rows
from harness.history.event_tables import History
from harness.history.isolation_levels import Key
from harness.history.reads import CONTENT, Reads, rows_of
from harness.rundir.drained import DrainedPartition


@dataclass(frozen=True, slots=True)
class Aside:
    """The readings that are set aside, and those of them that no other reading agrees with."""

    every: Reads
    alone: Bools
    """(n,) which of them are the first of their record and offset, and no other reading has it"""

    @classmethod
    def of(cls, history: History, chosen: Bools, reads: Reads) -> Aside:
        """chosen: which observations; reads: the others."""
        every = Reads.of(history.reads, chosen)
        alone = np.ones(len(every), dtype=np.bool_)
        if len(every):
            _, codes = np.unique(
                np.concatenate([_contents(reads), _contents(every)]), axis=0, return_inverse=True
            )
            codes = codes.reshape(-1)
            mine = codes[len(reads) :]
            alone = ~np.isin(mine, codes[: len(reads)])
            first = np.zeros(len(every), dtype=np.bool_)
            first[np.unique(mine, return_index=True)[1]] = True
            alone &= first
        return cls(every, alone)

    @property
    def at_home(self) -> I64:
        """Rows of intact records that no other reading returned there, where they should be."""
        home = self.every.at_home
        return home[self.alone[home]]

    def lanes(self, rows: I64) -> tuple[I64, I64, I64]:
        """Producer, topic and partition of rows."""
        every = self.every
        return every.producer[rows], every.topic[rows], every.partition[rows]

    def odd(self) -> Rows:
        """Rows of extras.bin for the corrupt, misrouted and foreign ones that are alone."""
        parts = []
        for live in (False, True):
            _, rows, kinds = self.every.odd(live=live)
            alone = self.alone[rows]
            parts.append(rows_of((self.every, rows[alone], kinds[alone])))
        return np.concatenate(parts)

    def at(self, key: Key, *, final: bool = False) -> I64:
        """The offsets of a topic-partition that they read, by the final reading or by any."""
        mine = (self.every.topic == key[0]) & (self.every.partition == key[1])
        if final:
            mine &= ~self.every.live
        return np.unique(self.every.offset[mine])


def _contents(reads: Reads) -> I64:
    names = ("topic", "partition", "offset", *CONTENT)
    return np.stack([getattr(reads, name) for name in names], axis=1)


def note_aside(history: History, aside: Aside) -> None:
    """Say how many records are not judged, and why."""
    count = len(aside.every)
    if count:
        what = "1 reading at read_uncommitted" if count == 1 else (
            f"{count} readings at read_uncommitted"
        )  # fmt: skip
        history.notes.append(
            f"{what} of topics that were written in transactions: such a record shows nothing that "
            "read_committed returns, accounts for its offset, and is not judged"
        )


def note_holes(
    history: History, reads: Reads, aside: Aside, proofs: list[DrainedPartition]
) -> None:
    """Say of each whole transactional log which offsets held no record that was returned.

    proofs: those of topics that were written in transactions and read at read_committed.
    """
    for proof in proofs:
        if not proof.whole or proof.end is None or proof.end <= proof.read:
            continue
        key = proof.topic, proof.partition
        name = f"{history.topics[proof.topic]}-{proof.partition}"
        holes = proof.end - proof.read
        found = f"{name}: {_offsets(holes)} below the end were not read"
        mine = (reads.topic == key[0]) & (reads.partition == key[1]) & ~reads.live
        own = np.unique(reads.offset[mine])
        hidden = aside.at(key)
        hidden = hidden[(hidden < proof.end) & ~np.isin(hidden, own)]
        low, high = _covered(history, aside, key, own, proof.end)
        every = np.union1d(own, hidden)
        bare = max(high - low, 0) - int(np.count_nonzero((every >= low) & (every < high)))
        if not len(hidden) and not bare:
            history.notes.append(
                f"{found}: transaction markers and aborted records take offsets, and it is not "
                "checked that these are such"
            )
            continue
        if len(hidden):
            found += f"; a read_uncommitted reading returned {len(hidden)} of them"
        ended = _ended(history, key)
        markers = min(bare, ended)
        if markers:
            transactions = "1 transaction" if ended == 1 else f"{ended} transactions"
            found += f"; {markers} hold no record, as markers of {transactions} that wrote there do"
        rest = holes - len(hidden) - markers
        if rest:
            found += (
                f"; {_offsets(rest)} more are not checked: a marker that was written twice, or of "
                "a transaction that is not on record, takes one as well"
            )
        history.notes.append(found)


def _covered(history: History, aside: Aside, key: Key, own: I64, end: int) -> tuple[int, int]:
    """(from, below): the offsets of which the read_uncommitted reading returned every record.

    Nothing where it did not return what `own`, the read_committed one, returned.
    """
    final = aside.at(key, final=True)
    claim = history.drains_aside.get(key)
    starts = [history.began_aside.get(key), claim.start if claim is not None else None]
    low = min([each for each in starts if each is not None], default=int(final[0]) if len(final)
              else end)  # fmt: skip
    high = int(final[-1]) + 1 if len(final) else low
    if claim is not None and claim.complete and claim.end is not None:
        high = max(high, claim.end)
    elif claim is not None and not claim.complete:
        return end, end
    high = min(high, end)
    missed = own[(own >= low) & (own < high) & ~np.isin(own, final)]
    return (end, end) if len(missed) else (low, high)


def _ended(history: History, key: Key) -> int:
    """How many transactions on record may have left a marker there: at most one each."""
    attempts = history.attempts
    mine = (attempts.column("topic") == key[0]) & (attempts.column("partition") == key[1])
    mine &= attempts.column("transaction") >= 0
    pairs = np.stack([column[mine] for column in attempts.take("producer", "transaction")], axis=1)
    return len(np.unique(pairs, axis=0))


def _offsets(count: int) -> str:
    return "1 offset" if count == 1 else f"{count} offsets"
