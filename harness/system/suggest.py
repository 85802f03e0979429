"""The name that was probably meant, for a name that is unknown: one rule for every kind of name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

CUTOFF: Final = 0.6


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean …?)`, or nothing when no known name is near."""
    by_folded = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), list(by_folded), n=1, cutoff=CUTOFF)
    return f" (did you mean {by_folded[found[0]]}?)" if found else ""
