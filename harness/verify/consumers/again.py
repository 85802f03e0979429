"""Effects of records that had been processed and committed before.

An effect is *reprocessed* when its BEGIN comes after a successful synchronous commit that covers
the record and after another effect of it. In a share group, whose members commit no position, it is
the confirmed acceptance of that record. Within one journal, after is the order of entries;
between journals it is their common clock's, and two equal instants are no order.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.members.journal import ACCEPT, SYNCHRONOUS, Entries, Step
from harness.verify.consumers.reading import of_step

I64: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

NEVER: Final = int(np.iinfo(np.int64).max)


class Work:
    """What one member did about records of one partition that have several effects.

    begun, begun_us, offsets: for each effect the place and instant of its BEGIN and the record's
    offset; done, done_us: place and instant of the effect itself. An effect without a BEGIN of its
    own has none of its place in time known, and is left out of `begun`.
    """

    def __init__(
        self, member: int, entries: Entries, repeated: I64, *, shared: bool = False
    ) -> None:
        self.member = member
        steps = np.asarray(entries["step"])
        offsets = np.asarray(entries["offset"], dtype=np.int64)
        at_us = np.asarray(entries["at_us"], dtype=np.int64)
        chosen = np.flatnonzero(of_step(steps, Step.BEGIN, Step.EFFECT))
        chosen = chosen[np.isin(offsets[chosen], repeated)]
        order = np.lexsort((chosen, offsets[chosen]))
        chosen = chosen[order]
        effect = np.flatnonzero(steps[chosen] == Step.EFFECT)
        self.done: I64 = chosen[effect]
        self.offsets: I64 = offsets[self.done]
        self.done_us: I64 = at_us[self.done]
        # Sorted by offset and place, so the BEGIN of an effect stands right before it.
        before = chosen[effect - 1]
        paired = (effect > 0) & (steps[before] == Step.BEGIN) & (offsets[before] == self.offsets)
        self.begun: I64 = np.where(paired, before, np.int64(-1))
        self.begun_us: I64 = np.where(paired, at_us[before], np.int64(-1))
        synchronous = (entries["flags"] & SYNCHRONOUS) != 0
        if shared:
            # A share group commits no position: each record is acknowledged by itself.
            synchronous &= (steps == Step.ACKNOWLEDGED) & (entries["detail"] == ACCEPT)
            synchronous &= np.isin(offsets, repeated)
        else:
            synchronous &= steps == Step.COMMITTED
        commits = np.flatnonzero(synchronous)
        self.commits = Commits(
            offsets[commits], commits.astype(np.int64), at_us[commits], single=shared
        )

    def __len__(self) -> int:
        return len(self.offsets)


class Commits:
    """Successful synchronous commits: (n,) offsets, places in their journal, instants in µs.

    A commit covers every record below its offset; a `single` one, an acknowledgement in a share
    group, the record at its offset and no other.
    """

    def __init__(self, offsets: I64, places: I64, at_us: I64, *, single: bool) -> None:
        order = np.argsort(offsets, kind="stable")
        self.offsets, self.places, self.at_us = offsets[order], places[order], at_us[order]
        self.single = single

    @classmethod
    def together(cls, works: list[Work]) -> Commits:
        """Those of several members; their places mean nothing then."""
        return cls(
            np.concatenate([work.commits.offsets for work in works]),
            np.concatenate([work.commits.places for work in works]),
            np.concatenate([work.commits.at_us for work in works]),
            single=works[0].commits.single,
        )

    def first_place(self, offsets: I64) -> I64:
        """Where the first commit that covers each offset stands; `NEVER` where none does."""
        return self._first(self.places, offsets)

    def first_us(self, offsets: I64) -> I64:
        """When it was confirmed."""
        return self._first(self.at_us, offsets)

    def _first(self, values: I64, offsets: I64) -> I64:
        """The least value of the commits that cover each offset."""
        if not self.single:
            least = np.append(np.minimum.accumulate(values[::-1])[::-1], NEVER)
            return np.asarray(least[np.searchsorted(self.offsets, offsets, side="right")])
        order = np.lexsort((values, self.offsets))
        distinct, firsts = np.unique(self.offsets[order], return_index=True)
        least = np.append(values[order][firsts], NEVER)
        found = np.searchsorted(distinct, offsets)
        hit = np.append(distinct, -1)[found] == offsets
        return np.where(hit, least[found], NEVER)


def reprocessed(works: list[Work]) -> list[Bools]:
    """For each member, which of its effects came again after a commit; all of one partition."""
    if not works:
        return []
    commits = Commits.together(works)
    offsets = np.concatenate([work.offsets for work in works])
    done_us = np.concatenate([work.done_us for work in works])
    order = np.lexsort((done_us, offsets))
    distinct, firsts = np.unique(offsets[order], return_index=True)
    first_us = done_us[order][firsts]
    found: list[Bools] = []
    for work in works:
        known = work.begun >= 0
        committed = (commits.first_us(work.offsets) < work.begun_us) | (
            work.commits.first_place(work.offsets) < work.begun
        )
        elsewhere = first_us[np.searchsorted(distinct, work.offsets)] < work.begun_us
        own = _first_own(work) < work.begun
        found.append(known & committed & (elsewhere | own))
    return found


def _first_own(work: Work) -> I64:
    """The place of the member's own first effect of each record that it has an effect of."""
    distinct, firsts = np.unique(work.offsets, return_index=True)
    # Sorted by offset and place already, so the first of each is the earliest.
    return np.asarray(work.done[firsts][np.searchsorted(distinct, work.offsets)], dtype=np.int64)
