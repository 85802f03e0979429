"""`harness show`: what a profile, an experiment or a fault is, to the last setting."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from rich.padding import Padding
from rich.text import Text

from harness.errors import EXIT_KEPT
from harness.system.output import console, print_json

KINDS: Final = ("fault", "profile", "experiment")


def add_show_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `harness show`."""
    parser.add_argument("kind", choices=KINDS, help="what to show")
    parser.add_argument("name", metavar="NAME", help="its name, or the file of an experiment")
    parser.add_argument("--profiles", metavar="FILE", help="a YAML file with profiles of your own")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def run_show(args: argparse.Namespace) -> int:
    """Print one definition."""
    from harness.runs.definitions import definition

    found = definition(args.kind, args.name, Path(args.profiles) if args.profiles else None)
    if args.json:
        print_json(found.to_json())
        return EXIT_KEPT
    out = console()

    def say(label: str, text: str, indent: int = 2) -> None:
        line = Text(f"{label}: ", style="bold")
        line.append(text, style="not bold")
        out.print(Padding(line, (0, 0, 0, indent)) if out.is_terminal else
                  Text(" " * indent) + line, soft_wrap=not out.is_terminal)  # fmt: skip

    out.print(Text(f"{found.kind} {found.name}", style="bold"), soft_wrap=True)
    out.print(Text(found.what), soft_wrap=not out.is_terminal)
    for label, text in found.facts.items():
        say(label, text)
    say("defined", found.source)
    say("documented", found.documentation)
    if found.promises:
        out.print(Text("\npromises", style="bold"))
        for promise, words in found.promises.items():
            say(promise, words)
    for part, settings in found.settings.items():
        out.print(Text(f"\n{part}", style="bold"))
        for name, value in settings.items():
            say(name, str(value).lower() if isinstance(value, bool) else str(value))
    if found.text:
        out.print(Text(f"\n{found.source}", style="bold"), soft_wrap=True)
        out.print(Text(found.text.rstrip()), soft_wrap=True)
    return EXIT_KEPT
