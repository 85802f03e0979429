"""A comparison on a terminal and as Markdown: what became worse first, then what is not shown."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.comparison.compare import NOT_WORSE, Comparison
from harness.comparison.conditions import VERSIONS
from harness.comparison.figures import BETTER, NOT_SHOWN, WORSE, FigureChange
from harness.comparison.promises import PromiseChange
from harness.report.terminal import plain_columns
from harness.report.wording import many

_STYLES: Final = {WORSE: "bold red", BETTER: "bold green", NOT_SHOWN: "bold yellow",
                  NOT_WORSE: "bold green"}  # fmt: skip
_WORDS: Final = {WORSE: "worse", BETTER: "better", NOT_SHOWN: "not shown"}
_ORDER: Final = (WORSE, BETTER, NOT_SHOWN)


def print_comparison(found: Comparison, console: Console) -> None:
    """Print what was found; without a terminal no blanks at line ends."""
    if console.is_terminal:
        _print(found, console)
        return
    plain = Console(width=plain_columns(), file=io.StringIO(), highlight=False)
    _print(found, plain)
    text = plain.file.getvalue()  # type: ignore[attr-defined]
    lines = "".join(f"{line.rstrip()}\n" for line in text.splitlines())
    console.file.write(lines.encode(console.encoding, "replace").decode(console.encoding))


def headline(found: Comparison) -> str:
    """The result in a sentence."""
    worse, better = len(found.with_verdict(WORSE)), len(found.with_verdict(BETTER))
    total = many(
        len(found.promises) + len(found.figures), "promise or figure", "promises and figures"
    )
    ahead = f"; {many(better, 'is', 'are')} better" if better else ""
    if found.verdict == WORSE:
        return f"Worse: {worse} of {total}{ahead}"
    if found.verdict == NOT_WORSE:
        return f"Not worse: {total}{ahead}"
    possible = sum(not each.not_worse for each in found.with_verdict(NOT_SHOWN))
    return f"Not shown: {possible} of {total} may be worse{ahead}"


def markdown(found: Comparison) -> str:
    """The comparison for a pull request or the page of a job."""
    lines = [f"### {headline(found)}", "", f"`{found.base}` → `{found.now}`", ""]
    changed = _promises(found)
    if changed:
        lines += ["| promise | base | now | |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {each.profile}: {each.promise} | {tally(each.base)} | {tally(each.now)} "
            f"| {_bold(each.verdict)}: {_cell(each.reason)} |"
            for each in changed
        ]
        lines.append("")
    if found.figures:
        lines += ["| figure | base | now | ratio [95 %] | |", "| --- | ---: | ---: | ---: | --- |"]
        lines += [
            f"| {each.figure}, {each.unit} | {number(each.base_median)} "
            f"| {number(each.now_median)} | {ratio(each)} "
            f"| {_bold(each.verdict)}: {_cell(each.reason)} |"
            for each in _figures(found)
        ]
        lines.append("")
    lines += [f"- {line}" for line in _notes(found)]
    return "\n".join([*lines, ""])


def ratio(found: FigureChange) -> str:
    """`1.21 [1.15 … 1.27]`"""
    if found.ratio is None:
        return "–"
    if found.interval is None:
        return f"{found.ratio:.2f}"
    return f"{found.ratio:.2f} [{found.interval[0]:.2f} … {found.interval[1]:.2f}]"


def number(value: float | None) -> str:
    """A median with as many digits as say something."""
    if value is None:
        return "–"
    if abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def tally(runs: dict[str, int]) -> str:
    """`9 kept, 1 broken`"""
    return ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in runs.items()) or "–"


def _bold(verdict: str) -> str:
    return f"**{_WORDS[verdict]}**" if verdict != NOT_SHOWN else _WORDS[verdict]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _promises(found: Comparison) -> list[PromiseChange]:
    """Those that changed, and those of which something is not known; the worst first."""
    changed = [each for each in found.promises if each.verdict != NOT_SHOWN or not each.not_worse]
    return sorted(changed, key=lambda each: _ORDER.index(each.verdict))


def _figures(found: Comparison) -> list[FigureChange]:
    return sorted(found.figures, key=lambda each: _ORDER.index(each.verdict))


def _notes(found: Comparison) -> Iterator[str]:
    """What is said below the tables."""
    kept = len(found.promises) - len(_promises(found))
    if kept:
        yield f"{many(kept, 'promise')} kept as before, or not worse"
    for each in found.differences:
        mark = "differs" if each.of == VERSIONS else f"differs ({each.of})"
        yield f"{mark}: {each}"
    yield from found.notes
    if found.figures:
        base, now = found.repeats
        yield f"{many(base, 'repeat')} in the base, {now} now; {found.method}"


def _print(found: Comparison, console: Console) -> None:
    shape = box.SIMPLE_HEAD if console.encoding.lower().startswith("utf") else box.ASCII
    changed = _promises(found)
    if changed:
        table = Table(box=shape, header_style="bold", padding=(0, 1), collapse_padding=True)
        for heading in ("promise", "base", "now", ""):
            table.add_column(heading)
        for promise in changed:
            table.add_row(
                f"{promise.profile}: {promise.promise}",
                tally(promise.base),
                tally(promise.now),
                _in_words(promise.verdict, promise.reason),
            )
        console.print(table)
    if found.figures:
        table = Table(box=shape, header_style="bold", padding=(0, 1), collapse_padding=True)
        table.add_column("figure")
        for heading in ("base", "now", "ratio [95 %]"):
            table.add_column(heading, justify="right")
        table.add_column("")
        for each in _figures(found):
            table.add_row(
                f"{each.figure}, {each.unit}",
                number(each.base_median),
                number(each.now_median),
                ratio(each),
                _in_words(each.verdict, each.reason),
            )
        console.print(table)
    console.print(Text(f" {headline(found)}", style=_STYLES[found.verdict]))
    for line in _notes(found):
        console.print(Text(f"   - {line}"))


def _in_words(verdict: str, reason: str) -> Text:
    return Text.assemble((_WORDS[verdict], _STYLES[verdict]), f": {reason}")
