"""Effects of records that had been processed and committed before.

An effect is *reprocessed* when its BEGIN comes after a successful synchronous commit that covers
the record and after another effect of it. In a share group, whose members commit no position, it is
the confirmed acceptance of that record. Within one journal, after is the order of entries;
between journals it is their common clock's, and two equal instants are no order.
"""

from __future__ import annotations

import numpy as np

from harness.arrays import I64, Bools
from harness.reconcile.consumers.entry_times import NEVER, Span
from harness.reconcile.consumers.member_reading import of_step
from harness.rundir.member_journal import ACCEPT, SYNCHRONOUS, Entries, Step


class Work:
    """What one member did about records of one partition that have several effects.

    offsets: the record of each effect; begun: the entry number of its BEGIN, -1 where it has none;
    done: that of the effect itself; began, ended: between which instants each of the two happened.
    """

    def __init__(
        self, member: int, entries: Entries, span: Span, repeated: I64, *, shared: bool = False
    ) -> None:
        self.member = member
        steps = np.asarray(entries["step"])
        offsets = np.asarray(entries["offset"], dtype=np.int64)
        chosen = np.flatnonzero(of_step(steps, Step.BEGIN, Step.EFFECT))
        chosen = chosen[np.isin(offsets[chosen], repeated)]
        order = np.lexsort((chosen, offsets[chosen]))
        chosen = chosen[order]
        effect = np.flatnonzero(steps[chosen] == Step.EFFECT)
        self.done: I64 = chosen[effect]
        self.offsets: I64 = offsets[self.done]
        self.done_us: I64 = np.asarray(entries["at_us"], dtype=np.int64)[self.done]
        self.ended = span.at(self.done)
        # Sorted by offset and entry, so the BEGIN of an effect comes right before it.
        before = chosen[effect - 1]
        paired = (effect > 0) & (steps[before] == Step.BEGIN) & (offsets[before] == self.offsets)
        self.begun: I64 = np.where(paired, before, np.int64(-1))
        # An effect without a BEGIN was begun at some time before it was done.
        self.latest_place: I64 = np.where(paired, before, self.done)
        self.latest_us: I64 = span.latest[self.latest_place]
        self.earliest_us: I64 = np.where(paired, span.earliest[before], np.int64(-1))
        synchronous = (entries["flags"] & SYNCHRONOUS) != 0
        if shared:
            # A share group commits no position: each record is acknowledged by itself.
            synchronous &= (steps == Step.ACKNOWLEDGED) & (entries["detail"] == ACCEPT)
            synchronous &= np.isin(offsets, repeated)
        else:
            synchronous &= steps == Step.COMMITTED
        commits = np.flatnonzero(synchronous).astype(np.int64)
        self.commits = Commits(offsets[commits], commits, span.at(commits), single=shared)

    def __len__(self) -> int:
        return len(self.offsets)


class Commits:
    """Successful synchronous commits: (n,) offsets, entry numbers in their journal, and instants.

    A commit covers every record below its offset; a `single` one, an acknowledgement in a share
    group, the record at its offset and no other.
    """

    def __init__(self, offsets: I64, indices: I64, span: Span, *, single: bool) -> None:
        order = np.argsort(offsets, kind="stable")
        self.offsets, self.indices, self.span = offsets[order], indices[order], span.at(order)
        self.single = single

    @classmethod
    def together(cls, works: list[Work]) -> Commits:
        """Those of several members; their entry numbers mean nothing then."""
        commits = [work.commits for work in works]
        return cls(
            np.concatenate([each.offsets for each in commits]),
            np.concatenate([each.indices for each in commits]),
            Span(
                np.concatenate([each.span.earliest for each in commits]),
                np.concatenate([each.span.latest for each in commits]),
            ),
            single=commits[0].single,
        )

    def first_entry(self, offsets: I64) -> I64:
        """Where the first commit that covers each offset is; `NEVER` where none does."""
        return self._first(self.indices, offsets)

    def surely_us(self, offsets: I64) -> I64:
        """When it was confirmed at the latest."""
        return self._first(self.span.latest, offsets)

    def maybe_us(self, offsets: I64) -> I64:
        """When it was confirmed at the earliest."""
        return self._first(self.span.earliest, offsets)

    def _first(self, values: I64, offsets: I64) -> I64:
        """The least value of the commits that cover each offset."""
        if not self.single:
            least = np.append(np.minimum.accumulate(values[::-1])[::-1], NEVER)
            return np.asarray(least[np.searchsorted(self.offsets, offsets, side="right")])
        return _least(self.offsets, values, offsets)


def _least(keys: I64, values: I64, wanted: I64) -> I64:
    """The least of the values that belong to each wanted key; `NEVER` where none does."""
    order = np.lexsort((values, keys))
    distinct, firsts = np.unique(keys[order], return_index=True)
    least = np.append(values[order][firsts], NEVER)
    found = np.searchsorted(distinct, wanted)
    hit = np.append(distinct, -1)[found] == wanted
    return np.where(hit, least[found], NEVER)


def reprocessed(works: list[Work]) -> tuple[list[Bools], int]:
    """For each member, which of its effects came again after a commit; all of one partition.

    And how many others did so or did not: the order of what members did is not known there.
    """
    found: list[Bools] = []
    open_ = 0
    for index, work in enumerate(works):
        others = works[:index] + works[index + 1 :]
        own_effect = _first_own(work)
        own_commit = work.commits.first_entry(work.offsets)
        surely_c, maybe_c = own_commit < work.begun, own_commit < work.latest_place
        surely_e, maybe_e = own_effect < work.begun, own_effect < work.latest_place
        if others:
            commits = Commits.together(others)
            surely_c |= commits.surely_us(work.offsets) < work.earliest_us
            maybe_c |= _not_after(commits.maybe_us(work.offsets), work.latest_us)
            offsets = np.concatenate([each.offsets for each in others])
            latest = np.concatenate([each.ended.latest for each in others])
            earliest = np.concatenate([each.ended.earliest for each in others])
            surely_e |= _least(offsets, latest, work.offsets) < work.earliest_us
            maybe_e |= _not_after(_least(offsets, earliest, work.offsets), work.latest_us)
        known = work.begun >= 0
        sure = known & surely_c & surely_e
        found.append(sure)
        open_ += int(np.count_nonzero(maybe_c & maybe_e & ~sure))
    return found, open_


def _not_after(earliest: I64, latest: I64) -> Bools:
    """Whether something that there is may have happened before something else."""
    return np.asarray((earliest != NEVER) & (earliest <= latest), dtype=np.bool_)


def _first_own(work: Work) -> I64:
    """The entry number of the member's own first effect of each record that it has an effect of."""
    distinct, firsts = np.unique(work.offsets, return_index=True)
    # Sorted by offset and entry already, so the first of each is the earliest.
    return np.asarray(work.done[firsts][np.searchsorted(distinct, work.offsets)], dtype=np.int64)
