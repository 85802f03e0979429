"""When entries of members happened, as far as their order is certain.

In one journal the order of entries is the order of events, whether they say when or not. Between
journals it is their common clock's: an entry is certainly before another one when the latest
instant at which it can have happened is below the earliest instant of the other. Two equal
instants give no order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from harness.arrays import I64
from harness.rundir.member_journal import Entries

BEFORE_ALL: Final = -1
"""Earliest instant of what may have happened at any time."""
NEVER: Final = int(np.iinfo(np.int64).max)
"""Latest instant of what may have happened at any time."""


@dataclass(frozen=True, slots=True)
class Span:
    """(n,) earliest and latest instants in µs of the entries of one journal."""

    earliest: I64
    latest: I64

    def at(self, indices: I64) -> Span:
        """Those of some entries."""
        return Span(self.earliest[indices], self.latest[indices])


def span_of(entries: Entries) -> Span:
    """When each entry of one whole journal happened.

    An entry that does not say when (its instant is below 0) happened between those before and
    after it that do. Where instants of one journal run backward, all that they enclose is open.
    """
    at_us = np.asarray(entries["at_us"], dtype=np.int64)
    if not len(at_us) or (at_us[0] >= 0 and bool((at_us[1:] >= at_us[:-1]).all())):
        return Span(at_us, at_us)
    upto = np.maximum.accumulate(at_us)
    known = np.where(at_us >= 0, at_us, NEVER)
    since = np.minimum.accumulate(known[::-1])[::-1]
    return Span(np.minimum(upto, since), np.maximum(upto, since))
