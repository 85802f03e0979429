"""The verdict on a terminal: one row a profile, then why, then how sure.

Fits 100 columns, and narrower terminals with fewer columns: the profile, lost, duplicate and the
verdict always stay. It says the same without colour: see `MARKS`.
"""

from __future__ import annotations

import io
import os
import textwrap
from dataclasses import dataclass
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.anomalies import ANOMALIES, BY_NAME, own_columns
from harness.anomaly_record import AnomalyGroup
from harness.judge.loading import REPORTED_SHARE, unacknowledged
from harness.report.facts import Asked, Consumers, consumers, first_witnesses, thresholds
from harness.report.wording import assurance, headline, load_lines, standing, tally
from harness.rundir.verdict import (
    BROKEN,
    INCONCLUSIVE,
    KEPT,
    NOT_APPLICABLE,
    ProfileVerdict,
    Verdict,
)
from harness.rundir.verdict_file import verdict_of
from harness.system.printable import printable

COLUMNS_MAX: Final = 100
COLUMNS_MIN: Final = 40
"""Below this nothing is left out any more: lines go beyond the width instead."""
COLUMNS_OF_NO_TERMINAL: Final = 80
STYLES: Final = {
    KEPT: "bold green",
    BROKEN: "bold red",
    INCONCLUSIVE: "bold yellow",
    NOT_APPLICABLE: "dim",
}
OWN_COLUMN: Final = own_columns(AnomalyGroup.RECORDS, AnomalyGroup.TRANSACTIONS)
NEVER_LEFT_OUT: Final = 2
"""How many of these stay at any width."""
OF_EFFECTS: Final = own_columns(AnomalyGroup.CONSUMERS)
"""Anomalies with their own column in the table of consumers."""
OTHERS: Final = tuple(anomaly for anomaly in ANOMALIES if anomaly not in OWN_COLUMN + OF_EFFECTS)
NAME_SHORT_MAX: Final = 18
WIDE: Final = 10_000
MILLION: Final = 1_000_000
REASONS_MAX: Final = 12
MARKS: Final = {
    "!": "breaks a promise",
    "?": "not decided: the promise is inconclusive, or nothing proves whether the record is there",
    "~": "the promise is not applicable here",
    "*": "permitted, the profile does not promise its absence",
}
"""The mark behind a count, the worst first."""
MARK_STYLES: Final = {"!": "bold red", "?": "bold yellow"}


def print_verdict(verdict: Verdict | dict[str, Any], console: Console) -> None:
    """Print the table of profiles, the run's verdict, its reasons, and how sure they are."""
    if isinstance(verdict, dict):
        verdict = verdict_of(verdict)
    if console.is_terminal:
        width = console.width
        console.width = min(width, COLUMNS_MAX)
        try:
            _print(verdict, console)
        finally:
            console.width = width
        return
    # Rich would ask whatever terminal stdin belongs to, and fills lines with blanks up to the
    # width, which are in the way in a file.
    plain = Console(width=plain_columns(), file=io.StringIO(), highlight=False)
    _print(verdict, plain, ascii_only=not console.encoding.lower().startswith("utf"))
    text = plain.file.getvalue()  # type: ignore[attr-defined]
    lines = "".join(f"{printable(line.rstrip())}\n" for line in text.split("\n")[:-1])
    console.file.write(lines.encode(console.encoding, "replace").decode(console.encoding))


def plain_columns() -> int:
    """How wide to print where there is no terminal: as COLUMNS says, within bounds; 80 without."""
    said = os.environ.get("COLUMNS", "")
    if not said.isascii() or not said.isdigit() or not int(said[:9]):
        return COLUMNS_OF_NO_TERMINAL
    return max(COLUMNS_MIN, min(int(said[:9]), COLUMNS_MAX))


def _print(verdict: Verdict, console: Console, *, ascii_only: bool = False) -> None:
    def say(text: Text, indent: int) -> None:
        console.print(Padding(text, (0, 0, 0, indent)))

    shape = box.ASCII if ascii_only else box.SIMPLE_HEAD
    table, left_out = _table(verdict, shape, console)
    console.print(table)
    consuming = consumers(verdict)
    if consuming:
        console.print(_consumers(consuming, shape))
    narrow = [f"no room for: {', '.join(left_out)}; they are in verdict.json"] if left_out else []
    asked = thresholds(verdict)
    if asked:
        console.print(_thresholds(asked, shape))
    for note in [*_notes(verdict), *narrow, *load_lines(verdict)]:
        say(Text(note, style="dim"), 1)
    console.print()
    say(Text(headline(verdict), style=STYLES[verdict.verdict]), 1)
    for reason in verdict.reasons[:REASONS_MAX]:
        say(Text(f"- {reason}"), 3)
    if len(verdict.reasons) > REASONS_MAX:
        say(Text(f"- and {len(verdict.reasons) - REASONS_MAX} more in the report"), 3)
    console.print()
    for sentence in assurance(verdict):
        say(Text(sentence), 1)
    console.print()
    for line in witness_lines(verdict, console.width):
        say(line, 1)


def witness_lines(verdict: Verdict, width: int = COLUMNS_MAX) -> list[Text]:
    """The first witness of each anomaly of each profile, as a story in lines of this width."""
    lines: list[Text] = []
    for profile, witness in first_witnesses(verdict):
        lines.append(Text(f"{profile}, {witness.text[0]}", style="bold"))
        # Lines that are too long go on below their text and not below their time.
        lines += [
            _hanging(line, max(COLUMNS_MIN, min(width, COLUMNS_MAX))) for line in witness.text[1:]
        ]
        lines.append(Text(""))
    return lines


def _hanging(line: str, width: int) -> Text:
    first, *more = textwrap.wrap(
        line, width - 4, initial_indent="  ", subsequent_indent=" " * 16,
        drop_whitespace=True, break_long_words=False, break_on_hyphens=False,
    ) or [""]  # fmt: skip
    indent = len(line) - len(line.lstrip())
    return Text("\n".join([f"  {' ' * indent}{first.strip()}", *more]))


@dataclass(frozen=True, slots=True)
class _Column:
    """One column of the table of profiles; `needed`: the higher, the later it is left out."""

    name: str
    needed: int
    cells: list[Text]

    @property
    def keeps(self) -> tuple[bool, int]:
        """What breaks a promise is left out after everything else."""
        return any("!" in cell.plain for cell in self.cells), self.needed


ALWAYS: Final = 9


def _columns(verdict: Verdict) -> list[_Column]:
    profiles = verdict.profiles

    def counts(name: str, needed: int) -> _Column:
        return _Column(name, needed, [Text(f"{each.counts[name]:,}") for each in profiles])

    def anomalies(name: str, needed: int, which: tuple[str, ...]) -> _Column:
        return _Column(name, needed, [_count(each, which) for each in profiles])

    acked = [
        Text(f"{each.counts['sent']:,}^" if each.counts["sent"] else f"{each.counts['acked']:,}")
        for each in profiles
    ]
    columns = [counts("attempted", 1), _Column("acked", 4, acked)]
    # Few of them can be left out first, since the lines below the table name them too.
    if any(map(_failed, profiles)):
        columns.append(counts("failed", 5 if any(map(_many_failed, profiles)) else 0))
    columns.append(counts("unknown", 2))
    loads = [each.load for each in profiles if each.load is not None]
    if any(load.unsent for load in loads):
        unsent = [(each.load.unsent or 0) if each.load is not None else 0 for each in profiles]
        much = any((load.unsent or 0) >= REPORTED_SHARE * (load.planned or 0) for load in loads)
        columns.append(_Column("unsent", 6 if much else 0, [Text(f"{n:,}") for n in unsent]))
    for index, name in enumerate(OWN_COLUMN):
        columns.append(anomalies(name, ALWAYS if index < NEVER_LEFT_OUT else 3, (name,)))
    return [*columns, anomalies("other", 3, OTHERS)]


def _failed(profile: ProfileVerdict) -> int:
    """Attempts that failed, but for those that were aborted on purpose."""
    reasons = [] if profile.load is None else unacknowledged(profile.load)
    return sum(each.count for each in reasons if each.outcome == "failed")


def _many_failed(profile: ProfileVerdict) -> bool:
    failed = _failed(profile)
    return failed > 0 and failed >= REPORTED_SHARE * profile.counts["attempted"]


def _verdicts(verdict: Verdict) -> list[Text]:
    found = []
    for profile in verdict.profiles:
        # `inconclusive` and `3 of 15` may take two lines, `3` and `of 15` not.
        words = tally(profile).replace(" of ", "\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}")
        text = Text(words, style=STYLES[profile.verdict] if profile.promises else "dim")
        if standing(profile):
            text.append(f" ({standing(profile)})", style="dim")
        found.append(text)
    return found


def _table(verdict: Verdict, shape: box.Box, console: Console) -> tuple[Table, list[str]]:
    """The table as wide as it fits, and the columns that had no room."""
    columns = _columns(verdict)
    left_out: list[str] = []
    unbounded = console.options.update_width(WIDE)
    while True:
        table = _table_of(verdict, columns, shape)
        size = Measurement.get(console, unbounded, table)
        # A verdict may take two lines where that saves a column that nothing below replaces.
        free = [each for each in columns if each.needed == 0 and size.maximum > console.width]
        if size.minimum > console.width:
            free = [each for each in columns if each.needed < ALWAYS]
        if not free:
            return table, left_out
        least = min(free, key=lambda column: column.keeps)
        columns.remove(least)
        left_out.append(least.name)


def _table_of(verdict: Verdict, columns: list[_Column], shape: box.Box) -> Table:
    longest = max((len(profile.profile) for profile in verdict.profiles), default=0)
    # With long names it only fits without the blanks around columns.
    padding = (0, 1 if longest <= NAME_SHORT_MAX else 0)
    table = Table(box=shape, padding=padding, collapse_padding=True, header_style="bold")
    # Where even that is too much, a name goes on in the next line; a verdict is never cut.
    most = max((profile.counts["attempted"] for profile in verdict.profiles), default=0)
    crowded = longest > NAME_SHORT_MAX and most >= MILLION
    table.add_column("profile", overflow="fold", no_wrap=not crowded)
    for column in columns:
        table.add_column(column.name, justify="right", no_wrap=True)
    table.add_column("verdict", min_width=len("kept 14 of 14"))
    for index, (profile, text) in enumerate(zip(verdict.profiles, _verdicts(verdict), strict=True)):
        table.add_row(profile.profile, *(column.cells[index] for column in columns), text)
    return table


def _consumers(rows: list[Consumers], shape: box.Box) -> Table:
    """What became of the records that consumers were to process."""
    table = Table(box=shape, padding=(0, 1), collapse_padding=True, header_style="bold")
    table.add_column("consumers of", no_wrap=True)
    for name in ("died", "records", "processed", *OF_EFFECTS):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.profile.profile,
            f"{row.did.died} of {row.did.members}",
            f"{row.did.records:,}",
            f"{row.did.processed:,}",
            *(_count(row.profile, (anomaly,)) for anomaly in OF_EFFECTS),
        )
    return table


def _thresholds(rows: list[Asked], shape: box.Box) -> Table:
    """What was required of figures, and what was measured."""
    table = Table(box=shape, padding=(0, 1), collapse_padding=True, header_style="bold")
    table.add_column("thresholds of", overflow="fold")
    table.add_column("required", overflow="fold")
    table.add_column("measured", justify="right", overflow="fold")
    table.add_column("verdict", overflow="fold")
    for row in rows:
        words = row.promise.verdict.replace("_", " ")
        style = STYLES[row.promise.verdict]
        table.add_row(
            row.profile.profile, row.promise.promise, row.measured, Text(words, style=style)
        )
    return table


def _count(profile: ProfileVerdict, anomalies: tuple[str, ...]) -> Text:
    """How often these were found, with the mark of the worst that it means; see `MARKS`."""
    count = sum(profile.counts[anomaly] for anomaly in anomalies)
    if not count:
        return Text("0", style="dim")
    found = {_mark(profile, anomaly) for anomaly in anomalies if profile.counts[anomaly]}
    mark = next((mark for mark in MARKS if mark in found), "")
    return Text(f"{count:,}{mark}", style=MARK_STYLES.get(mark, ""))


def _mark(profile: ProfileVerdict, anomaly: str) -> str:
    if not BY_NAME[anomaly].promised:
        return "?"
    on = _verdict_on(profile, anomaly)
    return "*" if on is None else {BROKEN: "!", INCONCLUSIVE: "?", NOT_APPLICABLE: "~"}.get(on, "")


def _verdict_on(profile: ProfileVerdict, anomaly: str) -> str | None:
    return next(
        (each.verdict for each in profile.promises if each.promise == f"no_{anomaly}"), None
    )


def _notes(verdict: Verdict) -> list[str]:
    """What the marks mean, only those that the table has; then what `other` is."""
    columns = [*((anomaly,) for anomaly in OWN_COLUMN + OF_EFFECTS), OTHERS]
    marks = {
        str(_count(profile, anomalies))[-1] for profile in verdict.profiles for anomalies in columns
    }
    notes = [f"{mark} {meaning}" for mark, meaning in MARKS.items() if mark in marks]
    if any(profile.counts["sent"] for profile in verdict.profiles):
        notes.append("^ sent: with acks=0 no broker acknowledges")
    others = [
        f"{profile.profile} {profile.counts[anomaly]:,} {anomaly}"
        for profile in verdict.profiles
        for anomaly in OTHERS
        if profile.counts[anomaly]
    ]
    return [*notes, *([f"other: {', '.join(others)}"] if others else [])]
