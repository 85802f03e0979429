"""The table of anomalies in docs/verification.md: `python -m tests.support.anomaly_table`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from harness.anomalies import BY_NAME
from harness.anomaly_record import Anomaly, Needs

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "verification.md"
BEGIN: Final = "<!-- written by python -m tests.support.anomaly_table -->\n"
END: Final = "<!-- end of the table -->\n"
NEEDED: Final = {
    Needs.DRAIN: "a proven drain",
    Needs.WHOLE_LOG: "the whole log, not compacted",
    Needs.LIVE_READING: "a live reader all along",
    Needs.TRANSACTION_LOG: "every transaction's steps",
    Needs.CLOCK: "instants of one steady clock",
    Needs.EFFECTS: "what members processed",
    Needs.INPUT_OFFSETS: "which input offsets hold records",
    Needs.ASSIGNMENTS: "who owned which partition",
    Needs.ORDER_OF_MEMBERS: "when each member did what",
}


def row(each: Anomaly) -> str:
    """One anomaly's line of the table."""
    needs = ", ".join(text for need, text in NEEDED.items() if need in each.needs)
    cells = each.section, f"`{each.name}`", each.what, each.excluded_by.value, needs or "–"
    return f"| {' | '.join(cells)} |\n"


def table() -> str:
    """The whole table, with the lines that mark where it is in the page."""
    head = (
        "| section | anomaly | one occurrence is | absence can be promised with "
        "| finding none proves it with |\n| --- | --- | --- | --- | --- |\n"
    )
    return BEGIN + "\n" + head + "".join(map(row, BY_NAME.values())) + "\n" + END


def replaced(page: str) -> str:
    """The page with the table as it is now. Raises ValueError where the marks are missing."""
    found = re.search(re.escape(BEGIN) + ".*?" + re.escape(END), page, re.DOTALL)
    if found is None:
        raise ValueError(f"{PAGE}: no table between {BEGIN!r} and {END!r}")
    return page[: found.start()] + table() + page[found.end() :]


if __name__ == "__main__":
    text = replaced(PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(text, encoding="utf-8")
    sys.stderr.write(f"wrote {PAGE}\n")
