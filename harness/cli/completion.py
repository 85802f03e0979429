"""`harness completion`: a script that completes commands, options, names and files in a shell.

The scripts are those of shtab; names of profiles, experiments and so on are asked of `harness list`
when they are completed, so that they never go stale.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any, Final

from harness.errors import EXIT_KEPT

SHELLS: Final = ("bash", "zsh", "fish")
_FILES: Final = frozenset({"FILE", "RUN_DIR", "NAME|FILE", "BASE", "NOW"})
_FOLDERS: Final = frozenset({"DIR"})
_LISTED: Final = {
    "--profile": "profiles",
    "--experiment": "experiments",
    "--scenario": "scenarios",
}
"""Option → what `harness list` names for it."""
_PREAMBLE: Final = {
    "bash": "".join(
        f"_harness_{kind}() {{ compgen -W \"$(harness list {kind} 2>/dev/null)\" -- \"$1\"; }}\n"
        for kind in _LISTED.values()
    ),
    "zsh": "".join(
        f"_harness_{kind}() {{ compadd -- ${{(f)\"$(harness list {kind} 2>/dev/null)\"}} }}\n"
        for kind in _LISTED.values()
    ),
    "fish": "",
}  # fmt: skip


def add_completion_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `harness completion`."""
    parser.add_argument("shell", choices=SHELLS, help="whose script to print")


def run_completion(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print the script of a shell."""
    sys.stdout.write(script(args.shell, parser))
    return EXIT_KEPT


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """The script that completes a parser's commands in a shell."""
    import shtab

    for action in _actions(parser):
        listed = next((_LISTED[each] for each in action.option_strings if each in _LISTED), None)
        if action.choices is not None or action.nargs == 0:
            continue
        if listed is not None:
            _complete(action, _names(listed))
        elif action.metavar in _FILES:
            _complete(action, shtab.FILE)
        elif action.metavar in _FOLDERS:
            _complete(action, shtab.DIRECTORY)
    return str(shtab.complete(parser, shell, preamble=_PREAMBLE))


def _names(kind: str) -> dict[str, str]:
    """How each shell completes the names of `harness list KIND`."""
    return {
        "bash": f"_harness_{kind}",
        "zsh": f"_harness_{kind}",
        "fish": f"(harness list {kind} 2>/dev/null)",
    }


def _complete(action: argparse.Action, how: Any) -> None:
    action.complete = how  # type: ignore[attr-defined]


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)
        else:
            yield action
