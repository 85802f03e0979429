"""docs/cli.md from the parser itself: `python -m tests.support.cli_reference > docs/cli.md`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from harness.cli.examples import EXAMPLES
from harness.cli.main import build_parser

HEAD = """# Command line

Written by `python -m tests.support.cli_reference`; a test compares it with the parser. Logs and
progress go to stderr; with `--json`, stdout holds one JSON document.

Exit codes: **0** every promise kept · **1** a promise broken · **2** wrong usage or configuration,
found before anything was started or touched · **3** inconclusive · **4** the harness or its
environment failed. The first Ctrl-C heals what was broken and judges what there is (3), the second
gives up (130).

A result that cannot be written to stdout (a full disk, a reader that closed the pipe) ends with 4
and one sentence on stderr; where the verdict is in a file of a run directory and a promise is
broken, the exit code stays 1. An exception that the harness does not expect ends with 4, one
sentence, and a file with the traceback that the sentence names. Progress that cannot be written to
stderr changes nothing. `harness validate` ends with 1 where it found errors, and with 4 where its
findings could not be written.

`harness verify RUN_DIR` captures the end offsets anew and drains into a fresh set where the run's
brokers answer and have its topics. Where they do not, it says so in one line and judges again from
the newest complete drain that the directory holds; a run that was never drained is inconclusive.
`--drain` asks for a fresh drain in any case: then a topic that cannot be reached is inconclusive
(exit 3). Each verification writes `verdict-<n>.json`. `report.html` is replaced unless it is of a
better verdict (broken before kept before inconclusive); then the new one is `report-<n>.html`.

A run deletes its topics from brokers that it did not start, awaits that they are gone, and names
those that are not on stderr and in the timeline. What is left expires by itself: the retention is
finite there, seven days and twice the duration of the load. Where no broker answers, or where a
cluster answers and names brokers at addresses that lead nowhere from here (advertised.listeners),
the client's own reason is said for each address (exit 4). Where stdout is no terminal, tables are
as wide as COLUMNS says, 80 columns without it. A start that fails leaves the place of `--out` free:
what it left of logs is moved to `DIR.failed-<n>`. Ctrl-C before there is load ends the run at once
(3).
"""


def commands(
    parser: argparse.ArgumentParser, name: str
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """(name, summary, parser) of every command and of the commands inside commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help or "" for each in action._choices_actions}
            for word, inner in action.choices.items():
                full = f"{name} {word}"
                yield full, helps.get(word, inner.description or ""), inner
                yield from commands(inner, full)


def options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """(how it is written, what it means) of a command's own arguments."""
    for action in parser._actions:
        if isinstance(action, (argparse._SubParsersAction, argparse._HelpAction)):
            continue
        value = action.metavar or (
            "|".join(map(str, action.choices)) if action.choices else action.dest.upper()
        )
        value = value if isinstance(value, str) else " ".join(value)
        if action.choices and action.metavar is None and action.option_strings:
            value = "|".join(map(str, action.choices))
        takes = action.nargs != 0
        names = ", ".join(action.option_strings)
        written = f"{names} {value}" if names and takes else names or value
        meaning = (action.help or "").replace("%(default)s", str(action.default))
        if takes and action.option_strings and "default" not in meaning:
            default = action.default
            if default not in (None, [], argparse.SUPPRESS, False):
                meaning = f"{meaning} (default {default})".strip()
        yield written, meaning


def reference() -> str:
    """The whole page."""
    lines = [HEAD]
    for name, summary, parser in commands(build_parser(), "harness"):
        lines.append(f"## {name}\n\n{summary[:1].upper()}{summary[1:]}.\n".replace("..", "."))
        rows = list(options(parser))
        if rows:
            lines.append("| argument | meaning |\n| --- | --- |")
            lines += [
                f"| `{written}` | {meaning} |".replace("|…", "\\|…")
                if "|" not in written
                else f"| `{written.replace('|', chr(92) + '|')}` | {meaning} |"
                for written, meaning in rows
            ]
            lines.append("")
        examples = EXAMPLES.get(name.removeprefix("harness "), ())
        if examples:
            lines += [*(f"    {line}" for line in examples), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    print(reference(), end="")
