"""The verdict on a terminal: one row a profile, then why, then how sure.

Fits 100 columns and says the same without colour: a count that breaks a promise carries `!`, one
that the profile permits carries `*`.
"""

from __future__ import annotations

import io
import textwrap
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.anomalies import ANOMALIES
from harness.judge.verdict import (
    BROKEN,
    INCONCLUSIVE,
    KEPT,
    NOT_APPLICABLE,
    ProfileVerdict,
    Verdict,
)
from harness.printable import printable
from harness.report.document import verdict_of
from harness.report.facts import Consumers, consumers, first_witnesses
from harness.report.wording import assurance, headline, load_lines, standing, tally

COLUMNS_MAX: Final = 100
STYLES: Final = {
    KEPT: "bold green",
    BROKEN: "bold red",
    INCONCLUSIVE: "bold yellow",
    NOT_APPLICABLE: "dim",
}
OWN_COLUMN: Final = ("lost", "duplicate", "inversion")
OF_EFFECTS: Final = ("unprocessed", "repeated", "reprocessed")
"""Anomalies with a column of their own in the table of consumers."""
OTHERS: Final = tuple(anomaly for anomaly in ANOMALIES if anomaly not in OWN_COLUMN + OF_EFFECTS)
NAME_SHORT_MAX: Final = 18
MILLION: Final = 1_000_000
REASONS_MAX: Final = 12


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
    # A pipe has no width of its own: rich would assume 80 columns and cut names short. It also
    # fills lines with blanks up to the width, which are in the way in a file.
    plain = Console(width=COLUMNS_MAX, file=io.StringIO(), highlight=False)
    _print(verdict, plain, ascii_only=not console.encoding.lower().startswith("utf"))
    text = plain.file.getvalue()  # type: ignore[attr-defined]
    lines = "".join(f"{printable(line.rstrip())}\n" for line in text.split("\n")[:-1])
    console.file.write(lines.encode(console.encoding, "replace").decode(console.encoding))


def _print(verdict: Verdict, console: Console, *, ascii_only: bool = False) -> None:
    def say(text: Text, indent: int) -> None:
        console.print(Padding(text, (0, 0, 0, indent)))

    shape = box.ASCII if ascii_only else box.SIMPLE_HEAD
    console.print(_table(verdict, shape))
    consuming = consumers(verdict)
    if consuming:
        console.print(_consumers(consuming, shape))
    for note in [*_notes(verdict), *load_lines(verdict)]:
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
    for line in witness_lines(verdict):
        say(line, 1)


def witness_lines(verdict: Verdict) -> list[Text]:
    """The first witness of each anomaly of each profile, as a story."""
    lines: list[Text] = []
    for profile, witness in first_witnesses(verdict):
        lines.append(Text(f"{profile}, {witness.text[0]}", style="bold"))
        # Lines that are too long go on below their text and not below their time.
        lines += [_hanging(line) for line in witness.text[1:]]
        lines.append(Text(""))
    return lines


def _hanging(line: str) -> Text:
    first, *more = textwrap.wrap(
        line, COLUMNS_MAX - 4, initial_indent="  ", subsequent_indent=" " * 16,
        drop_whitespace=True, break_long_words=False, break_on_hyphens=False,
    ) or [""]  # fmt: skip
    indent = len(line) - len(line.lstrip())
    return Text("\n".join([f"  {' ' * indent}{first.strip()}", *more]))


def _table(verdict: Verdict, shape: box.Box) -> Table:
    longest = max((len(profile.profile) for profile in verdict.profiles), default=0)
    # With long names it only fits without the blanks around columns.
    padding = (0, 1 if longest <= NAME_SHORT_MAX else 0)
    table = Table(box=shape, padding=padding, collapse_padding=True, header_style="bold")
    # Where even that is too much, a name goes on in the next line; a verdict is never cut.
    most = max((profile.counts["attempted"] for profile in verdict.profiles), default=0)
    crowded = longest > NAME_SHORT_MAX and most >= MILLION
    table.add_column("profile", overflow="fold", no_wrap=not crowded)
    for name in ("attempted", "acked", "unknown", *OWN_COLUMN, "other"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", min_width=12)
    for profile in verdict.profiles:
        counts = profile.counts
        # `inconclusive` and `3 of 15` may stand on two lines, `3` and `of 15` not.
        words = tally(profile).replace(" of ", "\N{NO-BREAK SPACE}of\N{NO-BREAK SPACE}")
        told = Text(words, style=STYLES[profile.verdict] if profile.promises else "dim")
        if standing(profile):
            told.append(f" ({standing(profile)})", style="dim")
        table.add_row(
            profile.profile,
            f"{counts['attempted']:,}",
            f"{counts['sent']:,}^" if counts["sent"] else f"{counts['acked']:,}",
            f"{counts['unknown']:,}",
            *(_count(profile, (anomaly,)) for anomaly in OWN_COLUMN),
            _count(profile, OTHERS),
            told,
        )
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


def _count(profile: ProfileVerdict, anomalies: tuple[str, ...]) -> Text:
    """How often these were found; `!` where a promise or its proof suffers, `*` where none does."""
    count = sum(profile.counts[anomaly] for anomaly in anomalies)
    if not count:
        return Text("0", style="dim")
    found = [anomaly for anomaly in anomalies if profile.counts[anomaly]]
    if any(_verdict_on(profile, anomaly) == BROKEN for anomaly in found):
        return Text(f"{count:,}!", style="bold red")
    if "unseen" in found:
        return Text(f"{count:,}?", style="bold yellow")
    return Text(f"{count:,}*")


def _verdict_on(profile: ProfileVerdict, anomaly: str) -> str | None:
    return next(
        (each.verdict for each in profile.promises if each.promise == f"no_{anomaly}"), None
    )


def _notes(verdict: Verdict) -> list[str]:
    """What the marks mean, only those that stand in the table; then what `other` is."""
    columns = [*((anomaly,) for anomaly in OWN_COLUMN + OF_EFFECTS), OTHERS]
    marks = {
        str(_count(profile, anomalies))[-1] for profile in verdict.profiles for anomalies in columns
    }
    meanings = [
        ("!", "! breaks a promise"),
        ("?", "? neither lost nor proven to be there"),
        ("*", "* permitted, the profile does not promise its absence"),
    ]
    notes = [meaning for mark, meaning in meanings if mark in marks]
    if any(profile.counts["sent"] for profile in verdict.profiles):
        notes.append("^ sent, nobody acknowledges acks=0")
    others = [
        f"{profile.profile} {profile.counts[anomaly]:,} {anomaly}"
        for profile in verdict.profiles
        for anomaly in OTHERS
        if profile.counts[anomaly]
    ]
    return [*notes, *([f"other: {', '.join(others)}"] if others else [])]
