"""docs/troubleshooting.md has an entry for every reason of an inconclusive verdict."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from tests.support.inconclusive_reasons import reasons

PAGE: Final = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text("utf-8")
REASONS_MIN: Final = 80
"""So many are in the source; far fewer would mean that they are not found any more."""


def entries() -> list[re.Pattern[str]]:
    """What the tables look for, `…` for anything."""
    found = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)
    return [re.compile(".*".join(map(re.escape, each.split("…")))) for each in found]


def test_every_reason_for_an_inconclusive_verdict_says_what_to_do() -> None:
    known = entries()
    assert len(reasons()) >= REASONS_MIN
    assert [each for each in reasons() if not any(one.search(each) for one in known)] == []


def test_every_entry_about_an_inconclusive_verdict_is_a_reason_of_the_source() -> None:
    said = reasons()
    assert [one.pattern for one in entries() if not any(map(one.search, said))] == []
